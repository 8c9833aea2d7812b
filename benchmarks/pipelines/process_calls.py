"""Calls that cost next to nothing, and calls of 10 ms, for lineage and for plain process pools."""

from __future__ import annotations

import time

import lineage as ln


@ln.node
def increment(x: int) -> int:
    return x + 1


@ln.node
def nap(x: int) -> int:
    time.sleep(0.01)
    return x + 1


def plain_increment(x: int) -> int:
    return x + 1


def plain_nap(x: int) -> int:
    time.sleep(0.01)
    return x + 1
