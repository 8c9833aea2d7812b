"""Shards that are read, cleaned, kept and aggregated one after another, in `lineage`: memory for one at a time is enough."""

from __future__ import annotations

from pathlib import Path

import executions
import polars as pl
from shard_work import answer, combined, summary

import lineage as ln

LIBRARY = "lineage-graph"

executed = executions.executed


@ln.node
def clean(shard: ln.File) -> pl.DataFrame:
    return pl.read_parquet(shard.path).filter(pl.col("minutes") >= 0)


@ln.node
def part(shard: pl.DataFrame) -> pl.DataFrame:
    return summary(shard)


@ln.node
def merge(parts: list[pl.DataFrame]) -> pl.DataFrame:
    return combined(parts)


def run(store: Path, size: int) -> dict[str, int]:
    with ln.Session(store):
        cleaned = ln.map(clean, ln.files(store.parent / "data" / "*.parquet"))
        return answer(ln.compute(ln.reduce(merge, ln.map(part, cleaned))))
