"""Trivial calls in `lineage`."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import lineage as ln

LIBRARY = "lineage-graph"


@ln.node
def add(x: int, y: int) -> int:
    return x + y


def chain(store: Path, size: int) -> int:
    x = 0
    for _ in range(size):
        x = add(x, 1)
    with ln.Session(store):
        return ln.compute(x)


def fan(store: Path, size: int, y: int = 7) -> int:
    with ln.Session(store):
        return sum(ln.compute([add(i, y) for i in range(size)]))


def build(size: int) -> list[int]:
    return [add(i, 7) for i in range(size)]


def build_chain(size: int) -> int:
    x = 0
    for _ in range(size):
        x = add(x, 1)
    return x


def executed(store: Path) -> int:
    """How many executions the store knows of. Reads the index itself, so that asking costs the run
    nothing.
    """
    with contextlib.closing(sqlite3.connect(store / "index.sqlite")) as db:
        return int(db.execute("SELECT count(*) FROM executions").fetchone()[0])
