"""Trivial calls in joblib: a memoised function, called in a loop."""

from __future__ import annotations

from pathlib import Path

from joblib import Memory

LIBRARY = "joblib"


def add(x: int, y: int) -> int:
    return x + y


def chain(store: Path, size: int) -> int:
    remembered = Memory(store, verbose=0).cache(add)
    x = 0
    for _ in range(size):
        x = remembered(x, 1)
    return x


def fan(store: Path, size: int) -> int:
    remembered = Memory(store, verbose=0).cache(add)
    return sum([remembered(i, 7) for i in range(size)])


def executed(store: Path) -> int:
    return sum(1 for _ in store.rglob("output.pkl"))
