"""What was worked out for a code object, kept for as long as that lives.

By identity: equal code objects may have come from different files, and comparing them costs more
than the look-up.
"""

from __future__ import annotations

import weakref
from types import CodeType
from typing import Generic, TypeVar

__all__ = ["Memo"]

_T = TypeVar("_T")


class Memo(Generic[_T]):
    """A mapping from live code objects."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[CodeType], _T]] = {}

    def get(self, code: CodeType) -> _T | None:
        known = self._known.get(id(code))
        return known[1] if known is not None and known[0]() is code else None

    def put(self, code: CodeType, value: _T) -> _T:
        key, pop = id(code), self._known.pop
        self._known[key] = (weakref.ref(code, lambda _: pop(key, None)), value)
        return value
