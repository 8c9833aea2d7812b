"""A map over parquet shards and a merge of what it gives, in joblib.

It knows nothing of files: a path is a string to it, whatever the file holds. Its user passes the time of the last change
along, so that a changed file is another call. It has no tree to merge in; one call merges all parts, which are hashed for it.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
from joblib import Memory
from shard_work import answer, combined, counted, counts, paths, summary

LIBRARY = "joblib"

executed = counts


def part(path: str, changed: int) -> pl.DataFrame:
    counted("part")
    return summary(path)


def merge(parts: list[pl.DataFrame]) -> pl.DataFrame:
    counted("merge")
    return combined(parts)


def run(store: Path, size: int) -> dict[str, int]:
    memory = Memory(store, verbose=0)
    remembered = memory.cache(part)
    return answer(memory.cache(merge)([remembered(path, os.stat(path).st_mtime_ns) for path in paths(store)]))
