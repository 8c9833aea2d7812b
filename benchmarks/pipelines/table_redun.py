"""A large table and what is made of two of its columns, in redun: pickled, as a file of its value
store.

Beyond 1 GB (`max_value_size`) redun refuses a value unless the limit is raised, which is done here.
redun has a `File` type, for which the tasks would read and write parquet themselves; then it caches
paths, and the rest is the user's.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path

import polars as pl
from redun import Scheduler, task
from redun.config import Config
from source_table import make_table

LIBRARY = "redun"

redun_namespace = "benchmarks"


@task()
def produce(rows: int, seed: int) -> pl.DataFrame:
    return make_table(rows, seed)


@task()
def aggregate(table: pl.DataFrame) -> dict[str, float]:
    lengths = pl.col("s").str.len_bytes().sum()
    found = table.lazy().select(pl.col("f0").mean(), lengths).collect()
    return {"f0": found["f0"][0], "s": found["s"][0]}


def run(store: Path, rows: int) -> dict[str, float]:
    store.mkdir(exist_ok=True)
    logging.getLogger("redun").setLevel(logging.WARNING)
    backend = {
        "db_uri": f"sqlite:///{store}/redun.db",
        "value_store_path": str(store / "values"),
        "max_value_size": str(10**11),
    }
    scheduler = Scheduler(config=Config({"backend": backend}))
    scheduler.load()
    result: dict[str, float] = scheduler.run(aggregate(produce(rows, 1)))
    return result


def executed(store: Path) -> int:
    with contextlib.closing(sqlite3.connect(store / "redun.db")) as db:
        found = db.execute(
            "SELECT count(*) FROM job j JOIN call_node c USING (call_hash) WHERE j.cached = 0 "
            "AND c.task_name LIKE 'benchmarks.%'"
        )
        return int(found.fetchone()[0])
