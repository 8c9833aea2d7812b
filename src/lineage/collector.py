"""The garbage collector, kept from looking through large graphs again and again: nothing of them is garbage."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["collector_at_rest", "graph_at_rest"]

_LARGE = 100
"""Vertices from which on it pays."""


@contextlib.contextmanager
def collector_at_rest() -> Iterator[None]:
    """Stop the collector while a graph grows, in which no code of the user's runs."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextlib.contextmanager
def graph_at_rest(vertices: int) -> Iterator[None]:
    """Set what exists aside while nodes run, for which the collector goes on working. A fifth of a trivial call's time."""
    if vertices < _LARGE or not gc.isenabled():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
