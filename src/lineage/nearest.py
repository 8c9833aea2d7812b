"""The earlier call of a node that is most like a given one: the one that shares most leaves of its key."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from lineage.changes import PENDING, Change, Code, Tables, argument_changes, code_changes
from lineage.datasets import MADE_OF
from lineage.storage.base import Index

__all__ = ["Histories", "Near"]

_LOOKED_AT = 50_000
"""Executions of a node that are compared, the latest."""

_CLOSE = 32
"""Executions that share an argument that are compared leaf by leaf."""


class Near(NamedTuple):
    """An earlier execution, and what differs since."""

    execution: int
    run: int
    changes: list[Change]


class Histories:
    """What is recorded of nodes, read once for all calls that are explained together."""

    def __init__(self, index: Index, unspill: Callable[[str], str], *, deep: bool = False) -> None:
        self.index = index
        self._tables = Tables(index, unspill) if deep else None
        self._of_node: dict[str, _History] = {}
        self._codes: dict[bytes, Code] = {}
        self._distances: dict[tuple[bytes, bytes], int] = {}

    def code(self, digest: bytes, text: str | None = None) -> Code:
        """Return the leaves of a code: those in `text`, or the recorded ones."""
        found = self._codes.get(digest)
        if found is None or (text is not None and not found.is_known):
            found = self._codes[digest] = Code(text if text is not None else self.index.code(digest))  # type: ignore[arg-type]
        return found

    def nearest(
        self, reference: str, code: bytes, arguments: Mapping[str, Any], *, before: tuple[int, ...] = ()
    ) -> Near | None:
        """Return the execution that differs least, or None if there is none. `before` gives numbers below which it is
        looked for, the next where nothing is below the first.
        """
        history = self._of_node.get(reference)
        if history is None:
            history = self._of_node[reference] = _History(self.index, reference)
        unhashed = self.code(code).unhashed
        entries = list(_entries(arguments, unhashed))
        for below in before or (1 << 62,):
            close = [
                (self._distance(row.code, code) + row.missing(entries), row.missing(entries), -row.number, row)
                for row in history.close(entries, below)
            ]
            if close:
                return self._differing(min(close)[3], code, arguments)
        return None

    def most_alike(
        self, code: bytes, arguments: Mapping[str, Any], others: Iterable[tuple[int, bytes, dict[str, Any]]]
    ) -> int | None:
        """Return the number of that of `others` (number, code, arguments) that differs least; None if there is none."""
        entries = list(_entries(arguments, self.code(code).unhashed))
        rows = [_Row(number, 0, other, given) for number, other, given in others]
        costs = [(self._distance(row.code, code) + row.missing(entries), row.number) for row in rows]
        return min(costs)[1] if costs else None

    def between(
        self, before: bytes, arguments_before: Mapping[str, Any], code: bytes, arguments: Mapping[str, Any]
    ) -> list[Change]:
        """Return what differs between two calls of one node: code and arguments of the one, and of the other."""
        now = self.code(code)
        changes = [] if before == code else code_changes(self.code(before), now)
        return changes + argument_changes(arguments_before, arguments, now.unhashed, self._tables)

    def _differing(self, row: _Row, code: bytes, arguments: Mapping[str, Any]) -> Near:
        return Near(row.number, row.run, self.between(row.code, row.arguments, code, arguments))

    def _distance(self, one: bytes, other: bytes) -> int:
        if one == other:
            return 0
        known = self._distances.get((one, other))
        if known is None:
            known = self._distances[one, other] = max(1, self.code(one).distance(self.code(other)) // 2)
        return known


class _Row:
    """One execution: its number, run, code and arguments."""

    __slots__ = ("_entries", "arguments", "code", "number", "run")

    def __init__(self, number: int, run: int, code: bytes, arguments: dict[str, Any]) -> None:
        self.number = number
        self.run = run
        self.code = code
        self.arguments = arguments
        self._entries: frozenset[Any] | None = None

    def missing(self, entries: list[Any]) -> int:
        """Return how many of `entries` it does not share."""
        if self._entries is None:
            self._entries = frozenset(_entries(self.arguments, frozenset()))
        return len(entries) - sum(entry in self._entries for entry in entries)


class _History:
    """The successful executions of a node, found by what they share with a call."""

    def __init__(self, index: Index, reference: str) -> None:
        rows = index.ask(
            "SELECT e.id, e.run, c.digest, e.arguments FROM executions e JOIN codes c ON c.id = e.code "
            "WHERE e.node = (SELECT id FROM nodes WHERE reference = ?) AND e.status = 'ok' ORDER BY e.id DESC LIMIT ?",
            (reference, _LOOKED_AT),
        )
        self._rows = [_Row(number, run, code, json.loads(text)) for number, run, code, text in reversed(rows)]
        self._numbers = [row.number for row in self._rows]
        self._by_entry: dict[Any, list[int]] = {}
        """For each value of a parameter, the places of the rows that have it, in order."""
        for place, row in enumerate(self._rows):
            for entry in _entries(row.arguments, frozenset()):
                self._by_entry.setdefault(entry, []).append(place)

    def close(self, entries: Iterable[Any], below: int) -> list[_Row]:
        """Return the latest rows numbered under `below`, and of each of `entries` the latest that share it."""
        end = bisect_left(self._numbers, below)
        found = set(range(max(0, end - _CLOSE), end))
        for entry in entries:
            places = self._by_entry.get(entry, ())
            last = bisect_left(places, end)
            found.update(places[max(0, last - _CLOSE) : last])
        return [self._rows[place] for place in found]


def _entries(arguments: Mapping[str, Any], unhashed: frozenset[str]) -> Iterator[Any]:
    """Yield the arguments as what may be shared: values, and the files whatever is in them."""
    for name, value in arguments.items():
        if name == MADE_OF or name in unhashed:
            continue
        if not isinstance(value, dict):
            yield name, type(value), value
            continue
        yield name, value.get("digest", PENDING)
        if "files" in value:
            yield name, "files", tuple(value["files"])
