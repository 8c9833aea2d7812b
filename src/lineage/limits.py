"""How many calls one `map` may make: a guard against a mistaken million."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from lineage.errors import CompositionError

__all__ = ["check_fanout", "default_fanout", "fanout", "max_fanout", "taken"]

_DEFAULT = 100_000

_of_process: list[int | None] = [None]
_limit: ContextVar[int | None] = ContextVar("lineage_max_fanout", default=None)


def max_fanout() -> int:
    """Return the limit of now: the innermost session's, else that of `configure`, `LINEAGE_MAX_FANOUT`, or 100,000."""
    limit = _of_process[0] if _limit.get() is None else _limit.get()
    if limit is not None:
        return limit
    text = os.environ.get("LINEAGE_MAX_FANOUT", "").replace("_", "")
    if not text:
        return _DEFAULT
    if not text.isdecimal():
        raise CompositionError(f"LINEAGE_MAX_FANOUT={text!r} is not a number of items")
    return int(text)


@contextmanager
def fanout(limit: int | None) -> Iterator[None]:
    """Hold `limit` inside the block; None leaves what holds outside."""
    token = _limit.set(_limit.get() if limit is None else limit)
    try:
        yield
    finally:
        _limit.reset(token)


def default_fanout(limit: int | None) -> None:
    """Let `limit` hold in this process where no session says otherwise."""
    _of_process[0] = limit


def check_fanout(count: int, what: str) -> None:
    """Refuse more items than the limit.

    Raises:
        CompositionError: there are more; it says how many, for what, and how to allow them.
    """
    if count > max_fanout():
        raise _excess(f"{count:,} items", what)


def taken(items: Iterable[Any], what: str) -> list[Any]:
    """Return `items` as a list, taking no more from an iterator than the limit allows.

    Raises:
        CompositionError: there are more.
    """
    if isinstance(items, Sized):
        check_fanout(len(items), what)
        return list(items)
    limit = max_fanout()
    found = list(itertools.islice(items, limit + 1))
    if len(found) > limit:
        raise _excess("an iterator with still more items", what)
    return found


def _excess(count: str, what: str) -> CompositionError:
    return CompositionError(
        f"{what} was given {count}, and at most {max_fanout():,} are let through. If that many are meant, say so: "
        "lineage.Session(max_fanout=...), lineage.configure(max_fanout=...), or LINEAGE_MAX_FANOUT"
    )
