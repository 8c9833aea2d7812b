"""Whether a record still holds that was made below a node which decides a graph's shape at run time."""

from __future__ import annotations

from collections.abc import Iterable

from lineage.codecs.plain import find_by_name
from lineage.node import Node

__all__ = ["Reliance"]


class Reliance:
    """Says whether the nodes that a record relies on still have the code that they had. Asked once per node and plan.

    Of the nodes `refreshed`, known by their names, it says no.
    """

    def __init__(self, refreshed: Iterable[str] = ()) -> None:
        self._refreshed = frozenset(refreshed)
        self._current: dict[tuple[str, str], bool] = {}

    def __call__(self, relies_on: tuple[tuple[str, str], ...]) -> bool:
        return all(self._is_current(pair) for pair in relies_on)

    def _is_current(self, pair: tuple[str, str]) -> bool:
        if pair[0] in self._refreshed:
            return False
        if pair not in self._current:
            try:
                node = find_by_name(pair[0])
                self._current[pair] = isinstance(node, Node) and node.code_digest().hex() == pair[1]
            except Exception:
                self._current[pair] = False
        return self._current[pair]
