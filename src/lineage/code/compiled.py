"""Functions compiled by numba, which froze the globals that they saw when they were compiled.

A dispatcher that was compiled under one fingerprint and is called under another would run the old
code. So its compiled code is thrown away and made again wherever the fingerprint differs from the
last that was seen, and the on-disk cache of numba, which does not look at globals in other modules,
is turned off.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable
from typing import Any

from lineage.digest import Digest

__all__ = ["refresh_compiled"]

_compiled_under: weakref.WeakKeyDictionary[Any, Digest] = weakref.WeakKeyDictionary()


def refresh_compiled(dispatchers: Iterable[tuple[Any, Digest]]) -> list[str]:
    """Compile anew what was compiled under another fingerprint than now; return the names of those.

    All are emptied before the first is compiled, because one may have taken in the code of another.
    """
    changed: list[tuple[Any, list[Any]]] = []
    for dispatcher, digest in dispatchers:
        if _compiled_under.get(dispatcher) == digest:
            continue
        _compiled_under[dispatcher] = digest
        _forget_disk(dispatcher)
        if dispatcher.overloads:
            changed.append((dispatcher, list(dispatcher.overloads)))
    for dispatcher, _ in changed:
        dispatcher._make_finalizer()()
        dispatcher._reset_overloads()
    # those with declared signatures compile now, and call one another; others compile when called
    closed = [(dispatcher, kept) for dispatcher, kept in changed if not dispatcher._can_compile]
    for dispatcher, _ in closed:
        dispatcher._can_compile = True
    try:
        for dispatcher, signatures in closed:
            for signature in signatures:
                dispatcher.compile(tuple(signature))
    finally:
        for dispatcher, _ in closed:
            dispatcher._can_compile = False
    return [dispatcher.py_func.__qualname__ for dispatcher, _ in changed]


def _forget_disk(dispatcher: Any) -> None:
    caching = sys.modules.get("numba.core.caching")
    if caching is not None:
        dispatcher._cache = caching.NullCache()
