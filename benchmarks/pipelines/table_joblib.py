"""A large table and what is made of two of its columns, in joblib: pickled, and hashed as a pickle
when it is an argument.

Its memory-mapping is for numpy arrays only, and it has no lazy reference to a result that another
call could take and read a part of, so that every run reads the table whole to know the key of the
second call.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from joblib import Memory
from source_table import make_table

LIBRARY = "joblib"


def produce(rows: int, seed: int) -> pl.DataFrame:
    return make_table(rows, seed)


def aggregate(table: pl.DataFrame) -> dict[str, float]:
    lengths = pl.col("s").str.len_bytes().sum()
    found = table.lazy().select(pl.col("f0").mean(), lengths).collect()
    return {"f0": found["f0"][0], "s": found["s"][0]}


def run(store: Path, rows: int) -> dict[str, float]:
    memory = Memory(store, verbose=0)
    result: dict[str, float] = memory.cache(aggregate)(memory.cache(produce)(rows, 1))
    return result
