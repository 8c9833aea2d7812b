"""What the shard pipelines do, the same functions for every tool: filter and aggregate a shard, merge aggregates.

Peers can't all be asked what they executed, so that their functions leave a line each in a file beside the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

__all__ = ["answer", "combined", "counted", "counts", "paths", "summary"]

_LOG = Path("executed.txt")
"""In the folder of the run, which is where the processes start."""


def paths(store: Path) -> list[str]:
    return sorted(map(str, (store.parent / "data").glob("*.parquet")))


def summary(shard: pl.DataFrame | Path | str) -> pl.DataFrame:
    """Return what is left of one shard: a row for each of 50 stations. `shard` is a file or a table."""
    table = shard.lazy() if isinstance(shard, pl.DataFrame) else pl.scan_parquet(shard, glob=False)
    late = table.filter(pl.col("minutes") >= 15)
    grouped = late.group_by("station").agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("cents").sum())
    return grouped.sort("station").collect(engine="in-memory")


def combined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(parts).group_by("station").agg(pl.col("rows").sum(), pl.col("cents").sum()).sort("station")


def answer(total: pl.DataFrame) -> dict[str, int]:
    return {"stations": total.height, "rows": total["rows"].sum(), "cents": total["cents"].sum()}


def counted(name: str) -> None:
    with _LOG.open("a") as log:
        log.write(name + "\n")


def counts(store: Path) -> dict[str, int]:
    """How often what was executed, in all processes so far."""
    log = store.parent / _LOG
    return dict(Counter(log.read_text().split())) if log.exists() else {}
