"""The nodes of the Hamilton shard pipeline."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
from hamilton.function_modifiers import cache
from hamilton.htypes import Collect, Parallelizable
from shard_work import combined, counted, paths, summary


@cache(behavior="recompute")
def shard(store: str) -> Parallelizable[tuple]:  # type: ignore[type-arg]
    for path in paths(Path(store)):
        yield path, os.stat(path).st_mtime_ns


def part(shard: tuple) -> pl.DataFrame:  # type: ignore[type-arg]
    counted("part")
    return summary(shard[0])


def merge(part: Collect[pl.DataFrame]) -> pl.DataFrame:
    counted("merge")
    return combined(part)
