"""A map over parquet shards and a reduce of what it gives, in `lineage`."""

from __future__ import annotations

from pathlib import Path

import executions
import polars as pl
from shard_work import answer, combined, summary

import lineage as ln

LIBRARY = "lineage-graph"

executed = executions.executed


@ln.node
def part(shard: ln.File) -> pl.DataFrame:
    return summary(shard.path)


@ln.node
def merge(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return combined(parts)


def _total(store: Path) -> pl.DataFrame:
    return ln.reduce(merge, ln.map(part, ln.files(store.parent / "data" / "*.parquet")))


def run(store: Path, size: int) -> dict[str, int]:
    with ln.Session(store):
        return answer(ln.compute(_total(store)))


def plan(store: Path, size: int) -> None:
    """Say what would run, and run nothing."""
    with ln.Session(store):
        ln.plan(_total(store))
