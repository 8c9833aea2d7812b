"""The table and its aggregate with no cache at all: what the work itself takes, each time."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from source_table import make_table

LIBRARY = "polars"


def run(store: Path, rows: int) -> dict[str, float]:
    store.mkdir(exist_ok=True)
    lengths = pl.col("s").str.len_bytes().sum()
    found = make_table(rows, 1).lazy().select(pl.col("f0").mean(), lengths).collect()
    return {"f0": found["f0"][0], "s": found["s"][0]}
