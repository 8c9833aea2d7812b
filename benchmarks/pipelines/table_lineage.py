"""A large table and what is made of two of its columns, in `lineage`."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import polars as pl
from source_table import make_table

import lineage as ln

LIBRARY = "lineage-graph"


@ln.node
def produce(rows: int, seed: int) -> pl.DataFrame:
    return make_table(rows, seed)


@ln.node
def aggregate(table: pl.LazyFrame) -> dict[str, float]:
    lengths = pl.col("s").str.len_bytes().sum()
    found = table.select(pl.col("f0").mean(), lengths).collect()
    return {"f0": found["f0"][0], "s": found["s"][0]}


def run(store: Path, rows: int) -> dict[str, float]:
    with ln.Session(store):
        return ln.compute(aggregate(ln.scan(produce(rows, 1))))


def executed(store: Path) -> int:
    with contextlib.closing(sqlite3.connect(store / "index.sqlite")) as db:
        found = db.execute("SELECT count(*) FROM executions")
        return int(found.fetchone()[0])
