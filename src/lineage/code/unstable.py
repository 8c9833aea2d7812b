"""Values that no digest can stand for: connections, locks, handles, generators, random state."""

from __future__ import annotations

import io
import random
import types

__all__ = ["without_identity"]

_LIVE_MODULES = frozenset(
    [
        "sqlite3",
        "_sqlite3",
        "socket",
        "_socket",
        "ssl",
        "_ssl",
        "_thread",
        "threading",
        "subprocess",
        "multiprocessing",
        "_multiprocessing",
        "asyncio",
        "_asyncio",
        "queue",
        "_queue",
        "selectors",
        "select",
        "mmap",
        "concurrent",
        "http",
        "urllib3",
        "requests",
        "psycopg",
        "psycopg2",
        "tempfile",
    ]
)
_LIVE_TYPES = (
    io.IOBase,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.FrameType,
    types.TracebackType,
)


def without_identity(value: object) -> str | None:
    """Say why `value` has no stable identity; None where it may have one."""
    kind = type(value)
    if isinstance(value, random.Random) or _is_numpy_random(kind):
        return "changes whenever it is drawn from"
    if isinstance(value, _LIVE_TYPES) or kind.__module__.partition(".")[0] in _LIVE_MODULES:
        return "has no stable identity"
    if hasattr(kind, "__next__") and kind.__module__ in ("builtins", "itertools"):
        return "changes whenever it is read"
    return None


def _is_numpy_random(kind: type) -> bool:
    return kind.__module__.startswith("numpy.random") and kind.__name__ != "SeedSequence"
