"""Calls that cost next to nothing, and calls of 10 ms, for lineage and for plain Ray."""

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


class Plain:
    def increment(self, x: int) -> int:
        return x + 1
