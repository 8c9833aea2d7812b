"""Taxi rides that are cleaned file by file and kept as datasets; then 3 of their 18 columns are read, in `lineage`."""

from __future__ import annotations

from pathlib import Path

import executions
import polars as pl
from scan_work import answer

import lineage as ln

LIBRARY = "lineage-graph"

executed = executions.executed
VERSION = 1  # raised to make `tipped` a changed node


@ln.node
def clean(rides: ln.File) -> pl.DataFrame:
    return pl.read_parquet(rides.path).filter(pl.col("trip_distance") >= 0)


@ln.node
def tipped(rides: pl.LazyFrame) -> dict[str, float]:
    return answer(rides, "in-memory") if VERSION else {}


def _cleaned(store: Path) -> list[pl.DataFrame]:
    return ln.map(clean, ln.files(store.parent / "data" / "*.parquet"))


def store(store: Path, size: int) -> None:
    """Clean the rides, so that they are cached."""
    with ln.Session(store):
        ln.materialize(_cleaned(store))


def node(store: Path, size: int) -> dict[str, float]:
    """Ask in a node."""
    with ln.Session(store):
        return ln.compute(tipped(ln.scan(_cleaned(store))))


def frame(store: Path, size: int) -> dict[str, float]:
    """Ask a lazy frame, outside of nodes."""
    with ln.Session(store):
        return answer(ln.compute(ln.scan(_cleaned(store))), "in-memory")


def frame_streaming(store: Path, size: int) -> dict[str, float]:
    with ln.Session(store):
        return answer(ln.compute(ln.scan(_cleaned(store))), "streaming")
