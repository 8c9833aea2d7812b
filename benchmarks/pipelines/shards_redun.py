"""A map over parquet shards and a merge of what it gives, in redun, with its SQLite backend and default executor (threads).

The shards are its `File`s, which it knows by path, size and time of change. It has no tree to merge in; one call merges all.
"""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl
from redun import File, Scheduler, task
from redun.config import Config
from shard_work import answer, combined, counted, counts, paths, summary

LIBRARY = "redun"

redun_namespace = "benchmarks"

executed = counts


@task()
def part(shard: File) -> pl.DataFrame:
    counted("part")
    return summary(shard.path)


@task()
def merge(parts: list[pl.DataFrame]) -> pl.DataFrame:
    counted("merge")
    return combined(parts)


def run(store: Path, size: int) -> dict[str, int]:
    store.mkdir(exist_ok=True)
    logging.getLogger("redun").setLevel(logging.WARNING)
    backend = {"db_uri": f"sqlite:///{store}/redun.db", "value_store_path": str(store / "values")}
    scheduler = Scheduler(config=Config({"backend": backend}))
    scheduler.load()
    return answer(scheduler.run(merge([part(File(path)) for path in paths(store)])))
