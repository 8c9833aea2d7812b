"""Streaming calls of polars, whose float sums and orders of rows may differ from run to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

__all__ = ["streaming_call"]

_SINKS = frozenset({"sink_parquet", "sink_ipc", "sink_csv", "sink_ndjson", "sink_batches", "collect_batches"})


def streaming_call(fn: Callable[..., Any]) -> str | None:
    """Return the name of a streaming call in the body of `fn`, or None.

    `sink_…` and `collect(engine="streaming")` do not heed the engine that nodes run with.

    >>> streaming_call(lambda frame: frame.collect(engine="streaming"))
    "collect(engine='streaming')"
    """
    for code in _codes(getattr(fn, "__code__", None)):
        for name in code.co_names:
            if name in _SINKS:
                return name
        if "collect" in code.co_names and "streaming" in code.co_consts:
            return "collect(engine='streaming')"
    return None


def _codes(code: CodeType | None) -> Iterator[CodeType]:
    stack = [code] if code is not None else []
    while stack:
        found = stack.pop()
        yield found
        stack += [constant for constant in found.co_consts if isinstance(constant, CodeType)]
