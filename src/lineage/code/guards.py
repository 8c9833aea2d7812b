"""What a fingerprint saw, kept so that "is it all still so?" takes microseconds.

Every name, cell, code object and attribute that was looked at is compared by identity; what can
change in place is digested again. Objects are held, so that no other can take their place in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CellType, FunctionType
from typing import Any

from lineage.code.files import FileState, file_state
from lineage.code.source import Stamp, stamp_of
from lineage.digest import Digest

__all__ = ["MISSING", "Guards", "cell_contents", "is_fixed"]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
_FIXED = frozenset({int, float, complex, str, bytes, bool, type(None), type(...), type(NotImplemented)})


def is_fixed(value: object) -> bool:
    """Say whether `value` can never change in place."""
    kind = type(value)
    if kind is tuple or kind is frozenset:
        items: Any = value
        return all(type(item) in _FIXED for item in items)
    return kind in _FIXED


def cell_contents(cell: CellType) -> object:
    """Return what is in `cell`; MISSING where nothing is yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


class Guards:
    """All that one fingerprint saw."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], tuple[Mapping[str, object], str, object]] = {}
        self._functions: dict[int, tuple[Any, ...]] = {}
        self._cells: dict[int, tuple[CellType, object]] = {}
        self._members: dict[int, tuple[Mapping[Any, object], list[Any], list[object]]] = {}
        self._classes: dict[int, tuple[type, tuple[type, ...]]] = {}
        self._values: list[tuple[Callable[[], Digest], Digest]] = []
        self._sources: dict[str, Stamp | None] = {}
        self._files: dict[str, FileState] = {}
        self._checks: list[tuple[Callable[[], object], object]] = []
        self._listings: list[tuple[Callable[[], Sequence[object]], Sequence[object]]] = []

    def name(self, namespace: Mapping[str, object], name: str, value: object) -> None:
        """`namespace[name]` was `value`, or not there (MISSING)."""
        self._names[id(namespace), name] = (namespace, name, value)

    def function(self, fn: FunctionType) -> None:
        keywords = fn.__kwdefaults__
        items = tuple(keywords.items()) if keywords else ()
        self._functions[id(fn)] = (fn, fn.__code__, fn.__defaults__, keywords, items)

    def cell(self, cell: CellType) -> None:
        self._cells[id(cell)] = (cell, cell_contents(cell))

    def class_(self, cls: type) -> None:
        """Everything in `cls` was seen, and its bases."""
        self._classes[id(cls)] = (cls, cls.__bases__)
        self.members(vars(cls))

    def members(self, namespace: Mapping[Any, object]) -> None:
        """Everything in `namespace` was seen: a class, a registry."""
        self._members[id(namespace)] = (namespace, list(namespace), list(namespace.values()))

    def value(self, again: Callable[[], Digest], digest: Digest) -> None:
        """A value that can change in place had `digest`; `again` digests it anew."""
        self._values.append((again, digest))

    def source(self, file: str) -> None:
        self._sources[file] = stamp_of(file)

    def file(self, path: str, state: FileState) -> None:
        self._files[path] = state

    def check(self, look: Callable[[], object]) -> None:
        """`look()` returned what it returns now."""
        self._checks.append((look, look()))

    def listing(self, look: Callable[[], Sequence[object]], found: Sequence[object]) -> None:
        """`look()` returned the very things in `found`, in that order."""
        self._listings.append((look, found))

    def hold(self, *, sources: bool = True) -> bool:
        """Say whether everything that was seen is still as it was.

        Without `sources`, an edit on disk of code that is loaded is not looked for: what runs is what was seen.
        """
        for namespace, name, value in self._names.values():
            if namespace.get(name, MISSING) is not value:
                return False
        for fn, code, defaults, keywords, items in self._functions.values():
            if fn.__code__ is not code or fn.__defaults__ is not defaults:
                return False
            if fn.__kwdefaults__ is not keywords or (items and not _same(keywords, items)):
                return False
        for cell, contents in self._cells.values():
            if cell_contents(cell) is not contents:
                return False
        for cls, bases in self._classes.values():
            if cls.__bases__ is not bases:
                return False
        for members, names, values in self._members.values():
            if list(members) != names or [*map(id, members.values())] != [*map(id, values)]:
                return False
        if sources and any(stamp_of(file) != stamp for file, stamp in self._sources.items()):
            return False
        return self._outside() and all(again() == digest for again, digest in self._values)

    def _outside(self) -> bool:
        if any(look() != seen for look, seen in self._checks):
            return False
        if any([*map(id, look())] != [*map(id, found)] for look, found in self._listings):
            return False
        return all(file_state(path, state) == state for path, state in self._files.items())


def _same(keywords: dict[str, object], items: tuple[tuple[str, object], ...]) -> bool:
    return len(keywords) == len(items) and all(keywords.get(name, MISSING) is value for name, value in items)
