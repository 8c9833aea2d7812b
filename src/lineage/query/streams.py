"""What something was made of, and what came of it: walks along the edges between executions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lineage.collector import collector_at_rest
from lineage.query.columns import STREAM, frame
from lineage.query.points import point
from lineage.session import Session
from lineage.storage.base import Index

if TYPE_CHECKING:
    import polars as pl

__all__ = ["closure", "downstream", "upstream"]

_Edge = tuple[int, int, int]
"""Target, source, and whether the target was only found equal to what would have been made."""

_STEP = {
    "up": "SELECT e.source FROM reached r JOIN {} e ON e.target = r.id WHERE NOT e.equal",
    "down": "SELECT e.target FROM reached r JOIN {} e ON e.source = r.id",
}
_CALL = (
    "SELECT id, node, status, run, started, wall, memory, rows_in, rows_out, bytes_in, bytes_out, result, note, "
    "arguments, code FROM executions WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
)


def _tables(index: Index) -> tuple[str, ...]:
    """Return where edges are. In a store that is written all of them are in one table."""
    return ("edges",) if index.writable else ("edges", "late_edges")


def _reached(index: Index, way: str) -> str:
    """Return the head of a query: `reached` holds the executions in ?1 (JSON) and all that is up or down from them."""
    steps = " UNION ".join(_STEP[way].format(table) for table in _tables(index))
    return f"WITH RECURSIVE reached(id) AS (SELECT value FROM json_each(?1) UNION {steps}) "


def closure(index: Index, executions: Iterable[int]) -> set[int]:
    """Return executions and all that they were made of."""
    select = _reached(index, "up") + "SELECT id FROM reached"
    return {row[0] for row in index.ask(select, (json.dumps(list(executions)),), derived=True)}


def upstream(session: Session, x: Any) -> pl.DataFrame:
    """Return the executions that `x` was made of, and its own. See `lineage.upstream`."""
    with collector_at_rest():
        return _walk(session, point(session, x).executions, "up")


def downstream(session: Session, x: Any) -> pl.DataFrame:
    """Return the executions that took `x`, and what came of them. See `lineage.downstream`."""
    with collector_at_rest():
        start = point(session, x, every=True)
        return _walk(session, start.executions, "down", first=int(start.kind == "file"))


def _walk(session: Session, start: Iterable[int], way: str, first: int = 0) -> pl.DataFrame:
    """Return what is reached from `start`, nearest first."""
    index = session.store.index
    start = list(start)
    end, onward = ("target", 1) if way == "up" else ("source", 0)  # the place of the next execution in an edge
    select = " UNION ".join(
        f"SELECT e.target, e.source, e.equal FROM reached r JOIN {table} e ON e.{end} = r.id"
        for table in _tables(index)
    )
    edges: list[_Edge] = index.ask(_reached(index, way) + select, (json.dumps(start),), derived=True)
    if onward == 1:
        edges = [edge for edge in edges if not edge[2]]
    distances = _distances(start, edges, onward, first)
    numbers = json.dumps(sorted(distances))
    rows = _named(index, index.ask(_CALL, (numbers,)))
    inputs = _lists(edges if onward == 1 else _into(index, numbers))
    equal = {edge[0] for edge in edges if edge[2]} - {edge[0] for edge in edges if not edge[2]} - set(start)
    files = _files(rows)
    nobody: list[Any] = []
    whole = [
        (
            distances[row[0]],
            "equal" if row[0] in equal else "made",
            inputs.get(row[0], nobody),
            files.get(row[0], nobody),
            *row,
        )
        for row in rows
    ]
    whole.sort(key=_nearest)
    return frame(STREAM, whole)


def _nearest(row: Any) -> tuple[int, int]:
    return row[0], row[4]


def _named(index: Index, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows of calls with names and digests as people read them. Few nodes and codes stand behind many calls."""
    nodes = {number: names for number, *names in index.ask("SELECT id, name, reference FROM nodes")}
    codes = {row[14] for row in rows}
    digests = {code: index.ask("SELECT digest FROM codes WHERE id = ?", (code,))[0][0].hex() for code in codes}
    return [
        (
            row[0],
            nodes[row[1]][0],
            *row[2:11],
            row[11].hex() if row[11] else None,
            *row[12:14],
            digests[row[14]],
            nodes[row[1]][1],
        )
        for row in rows
    ]


def _distances(start: list[int], edges: list[_Edge], onward: int, first: int) -> dict[int, int]:
    """Return the fewest steps to each execution."""
    following: dict[int, list[int]] = {}
    for edge in edges:
        following.setdefault(edge[1 - onward], []).append(edge[onward])
    found = dict.fromkeys(start, first)
    frontier, distance = start, first
    while frontier:
        distance += 1
        reached = [number for source in frontier for number in following.get(source, ()) if number not in found]
        frontier = list(dict.fromkeys(reached))
        found.update(dict.fromkeys(frontier, distance))
    return found


def _into(index: Index, numbers: str) -> list[_Edge]:
    select = " UNION ".join(
        f"SELECT target, source, equal FROM {table} WHERE NOT equal AND target IN (SELECT value FROM json_each(?1))"
        for table in _tables(index)
    )
    return index.ask(select, (numbers,))


def _lists(edges: Iterable[_Edge]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for target, source, _ in edges:
        found.setdefault(target, []).append(source)
    return found


def _files(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[str]]:
    """Return the files that executions were given, by what is recorded of their arguments."""
    place = list(STREAM).index("arguments") - list(STREAM).index("execution")
    return {
        row[0]: [
            path
            for argument in json.loads(row[place]).values()
            if isinstance(argument, dict)
            for path in argument.get("files", ())
        ]
        for row in rows
        if '"files": [' in row[place]
    }
