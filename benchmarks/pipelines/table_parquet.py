"""The memo that one writes by hand: a parquet file per table, named by function and arguments; no
checks of any kind.

It neither hashes nor notices edits: its user raises `VERSION`. It syncs what it writes, as
`lineage` does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
from source_table import make_table

LIBRARY = "polars"
VERSION = 1


def produce(store: Path, rows: int, seed: int) -> pl.LazyFrame:
    path = store / f"produce-{rows}-{seed}.parquet"
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        make_table(rows, seed).write_parquet(temporary, compression="lz4")
        _sync(temporary)
        temporary.rename(path)
    return pl.scan_parquet(path)


def aggregate(table: pl.LazyFrame) -> dict[str, float]:
    lengths = pl.col("s").str.len_bytes().sum()
    found = table.select(pl.col("f0").mean(), lengths).collect()
    return {"f0": found["f0"][0], "s": found["s"][0]}


def run(store: Path, rows: int) -> dict[str, float]:
    store.mkdir(exist_ok=True)
    path = store / f"aggregate-{rows}-{VERSION}.json"
    if not path.exists():
        path.write_text(json.dumps(aggregate(produce(store, rows, 1))))
        _sync(path)
    result: dict[str, float] = json.loads(path.read_text())
    return result


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
