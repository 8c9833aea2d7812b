"""What something was made of, and what came of it: walks along the edges between executions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from lineage.query.columns import STREAM, frame
from lineage.query.points import point
from lineage.session import Session
from lineage.storage.base import Index

if TYPE_CHECKING:
    import polars as pl

__all__ = ["closure", "downstream", "upstream"]

_Edge = tuple[int, int, int]
"""Target, source, and whether the target was only found equal to what would have been made."""

_UP = """
WITH RECURSIVE reached(id) AS (
    SELECT value FROM json_each(?1)
    UNION SELECT e.source FROM reached r JOIN edges e ON e.target = r.id WHERE NOT e.equal
    UNION SELECT e.source FROM reached r JOIN late_edges e ON e.target = r.id WHERE NOT e.equal
)
"""
_DOWN = """
WITH RECURSIVE reached(id) AS (
    SELECT value FROM json_each(?1)
    UNION SELECT e.target FROM reached r JOIN edges e ON e.source = r.id
    UNION SELECT e.target FROM reached r JOIN late_edges e ON e.source = r.id
)
"""
_CALL = (
    "SELECT e.id, n.name, e.status, e.run, e.started, e.wall, e.cpu, e.memory, e.rows_in, e.rows_out, "
    "e.bytes_in, e.bytes_out, e.attempt, e.executor, e.host, e.process, nullif(lower(hex(e.result)), ''), e.note, "
    "e.error, e.arguments, lower(hex(c.digest)), lower(hex(e.call_key)), n.reference "
    "FROM executions e JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code "
    "WHERE e.id IN (SELECT value FROM json_each(?)) ORDER BY e.id"
)


def closure(index: Index, executions: Iterable[int]) -> set[int]:
    """Return executions and all that they were made of."""
    return {row[0] for row in index.ask(_UP + "SELECT id FROM reached", (json.dumps(list(executions)),), derived=True)}


def upstream(session: Session, x: Any) -> pl.DataFrame:
    """Return the executions that `x` was made of, and its own. See `lineage.upstream`."""
    return _walk(session, point(session, x).executions, _UP, "target", 1)


def downstream(session: Session, x: Any) -> pl.DataFrame:
    """Return the executions that took `x`, and what came of them. See `lineage.downstream`."""
    start = point(session, x, every=True)
    return _walk(session, start.executions, _DOWN, "source", 0, first=int(start.kind == "file"))


def _walk(session: Session, start: Iterable[int], reach: str, end: str, onward: int, first: int = 0) -> pl.DataFrame:
    """Return what is reached from `start`, nearest first. `onward` is the place of the next execution in an edge."""
    index = session.store.index
    start = list(start)
    select = " UNION ALL ".join(
        f"SELECT e.target, e.source, e.equal FROM reached r JOIN {table} e ON e.{end} = r.id"
        for table in ("edges", "late_edges")
    )
    edges: list[_Edge] = index.ask(reach + select, (json.dumps(start),), derived=True)
    if onward == 1:
        edges = [edge for edge in edges if not edge[2]]
    distances = _distances(start, edges, onward, first)
    numbers = json.dumps(sorted(distances))
    rows = index.ask(_CALL, (numbers,))
    inputs = _lists(edges if onward == 1 else _into(index, numbers))
    equal = {edge[0] for edge in edges if edge[2]} - {edge[0] for edge in edges if not edge[2]} - set(start)
    files = _files(index, numbers)
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
    select = " UNION ALL ".join(
        f"SELECT target, source, equal FROM {table} WHERE NOT equal AND target IN (SELECT value FROM json_each(?1))"
        for table in ("edges", "late_edges")
    )
    return index.ask(select, (numbers,))


def _lists(edges: Iterable[_Edge]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for target, source, _ in edges:
        found.setdefault(target, []).append(source)
    return found


def _files(index: Index, numbers: str) -> dict[int, list[str]]:
    """Return the files that executions were given, by what is recorded of their arguments."""
    rows = index.ask(
        "SELECT e.id, e.arguments FROM executions e WHERE e.id IN (SELECT value FROM json_each(?)) "
        "AND instr(e.arguments, '\"files\": [')",
        (numbers,),
    )
    return {
        number: [
            path
            for argument in json.loads(text).values()
            if isinstance(argument, dict)
            for path in argument.get("files", ())
        ]
        for number, text in rows
    }
