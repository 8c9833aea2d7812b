"""Runs, calls and datasets as frames. What waits in memory counts, so a run can be asked about while it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lineage.codecs.text import load_tree
from lineage.collector import collector_at_rest
from lineage.content.tree import Branch, Leaf, Tree, leaves
from lineage.errors import CompositionError, NotFoundError
from lineage.query.columns import CALLS, DATASETS, RUNS, frame, moments
from lineage.query.points import point
from lineage.query.streams import closure
from lineage.session import Session
from lineage.storage.base import Index

if TYPE_CHECKING:
    import polars as pl

__all__ = ["calls", "datasets", "runs"]

_CALL = (
    "e.id, n.name, e.status, CASE e.status WHEN 'ok' THEN 'executed' ELSE e.status END, e.run, e.started, e.wall, e.cpu, "
    "e.memory, e.rows_in, e.rows_out, e.bytes_in, e.bytes_out, e.attempt, e.executor, e.host, e.process, "
    "nullif(lower(hex(e.result)), ''), e.note, e.error, e.arguments, NULL, e.log, lower(hex(c.digest)), "
    "lower(hex(e.call_key)), n.reference"
)
_FROM = "FROM executions e JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code"
_STATUSES = ("ok", "failed")
_VERDICTS = ("executed", "unchanged", "hit", "failed", "blocked")


def runs(
    session: Session, *, status: str | None = None, user: str | None = None, since: Any = None, limit: int | None = None
) -> pl.DataFrame:
    """Return the runs, the latest first. See `lineage.runs`."""
    index = session.store.index
    rows = index.ask(
        "SELECT id, name, status, started, finished, user, host, roots, counts, facts FROM runs "
        "WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR user = ?2) AND (?3 IS NULL OR started >= ?3) "
        "ORDER BY id DESC LIMIT ?4",
        (status, user, None if since is None else moments(since), -1 if limit is None else limit),
    )
    return frame(RUNS, [_run_row(index, *row) for row in rows])


def _run_row(
    index: Index, run: int, name: str, status: str, started: float, finished: float | None,
    user: str, host: str, roots: str, counted: str, told: str,
) -> list[Any]:  # fmt: skip
    facts = json.loads(told)
    counts = json.loads(counted) if finished is not None else _counted_so_far(index, run)
    numbers = [counts.get({"unchanged": "cutoff"}.get(verdict, verdict), 0) for verdict in _VERDICTS]
    executed, unchanged, hit, failed, blocked = numbers
    return [
        run, name, status, started, None if finished is None else finished - started,
        executed, unchanged, hit, failed, blocked, roots, facts.get("results"), user, host, facts.get("process"),
        facts.get("project"), facts.get("branch"), facts.get("git"), facts.get("dirty") if facts.get("git") else None,
    ]  # fmt: skip


def _counted_so_far(index: Index, run: int) -> dict[str, int]:
    rows = index.ask(f"SELECT e.status, count(*) FROM executions e WHERE {_OF_RUN} GROUP BY 1", (run,), derived=True)
    counts = {"executed" if status == "ok" else status: count for status, count in rows}
    (cutoffs,) = index.ask("SELECT count(*) FROM cutoffs WHERE run = ?", (run,))
    return {**counts, "cutoff": cutoffs[0]}


_OF_RUN = (
    "e.run = ?1 AND e.id BETWEEN "
    "(SELECT min(first) FROM (SELECT first FROM run_spans WHERE run = ?1 UNION ALL "
    "SELECT first FROM late_run_spans WHERE run = ?1)) AND "
    "(SELECT max(last) FROM (SELECT last FROM run_spans WHERE run = ?1 UNION ALL "
    "SELECT last FROM late_run_spans WHERE run = ?1))"
)
"""Executions of run ?1, which lie between its first and its last."""


# -- calls


def calls(
    session: Session,
    x: Any = None,
    *,
    node: Any = None,
    run: int | None = None,
    status: str | None = None,
    since: Any = None,
    limit: int | None = None,
) -> pl.DataFrame:
    """Return executions, the latest first. See `lineage.calls`."""
    if status is not None and status not in _STATUSES:
        raise CompositionError(f"no call has the status {status!r}; it is one of {', '.join(_STATUSES)}")
    index = session.store.index
    if run is None:
        where, values = _filters(session, x, node, None, status, since)
        return frame(CALLS, _select(index, _CALL, where, values, limit))
    if not index.ask("SELECT 1 FROM runs WHERE id = ?", (run,)):
        raise NotFoundError(f"there is no run {run} in {session.root}; lineage.runs() lists them")
    where, values = _filters(session, x, node, run, status, since)
    made = _select(index, _CALL, where, values, None)
    taken = _taken_over(session, run, made, *_filters(session, x, node, None, status, since))
    rows = sorted([*made, *taken], key=lambda row: -row[0])
    return frame(CALLS, rows if limit is None else rows[:limit])


def _filters(
    session: Session, x: Any, node: Any, run: int | None, status: str | None, since: Any
) -> tuple[list[str], list[Any]]:
    """Return conditions and their values. Those of `_OF_RUN` are numbered, so it comes first."""
    where: list[str] = []
    values: list[Any] = []
    if run is not None:
        where.append(_OF_RUN)
        values.append(run)

    def add(condition: str, *given: Any) -> None:
        marks = [f"?{len(values) + position}" for position in range(1, len(given) + 1)]
        where.append(condition.format(*marks))
        values.extend(given)

    if x is not None:
        add("e.id IN (SELECT value FROM json_each({}))", json.dumps(point(session, x, every=True).executions))
    if node is not None:
        name = node if isinstance(node, str) else node.declared.reference
        numbers = session.store.index.ask("SELECT id FROM nodes WHERE name = ?1 OR reference = ?1", (name,))
        where.append(f"e.node IN ({', '.join(str(row[0]) for row in numbers)})")
    if status == "failed":
        where.append("e.id IN (SELECT execution FROM failures UNION ALL SELECT execution FROM late_failures)")
    elif status is not None:
        add("e.status = {}", status)
    if since is not None:
        add("e.started >= {}", moments(since))
    return where, values


def _select(
    index: Index, columns: str, where: Sequence[str], values: Sequence[Any], limit: int | None
) -> list[tuple[Any, ...]]:
    condition = f"WHERE {' AND '.join(where)} " if where else ""
    mark = f"?{len(values) + 1}"
    with collector_at_rest():
        return index.ask(
            f"SELECT {columns} {_FROM} {condition}ORDER BY e.id DESC LIMIT {mark}",
            (*values, -1 if limit is None else limit),
            derived=True,
        )


def _taken_over(
    session: Session, run: int, made: Iterable[Sequence[Any]], where: list[str], values: list[Any]
) -> list[Sequence[Any]]:
    """Return the calls that a run did not execute and whose results it used, as it found them."""
    index = session.store.index
    ((told,),) = index.ask("SELECT facts FROM runs WHERE id = ?", (run,))
    facts = json.loads(told)
    unchanged = {row[0] for row in index.ask("SELECT execution FROM cutoffs WHERE run = ?", (run,))}
    own = {row[0] for row in index.ask(f"SELECT e.id FROM executions e WHERE {_OF_RUN}", (run,), derived=True)}
    used = closure(index, [*facts.get("results", ()), *unchanged, *own]) - own
    asked = {entry["execution"]: json.dumps(entry["arguments"]) for entry in facts.get("asked", ())}
    mark = f"?{len(values) + 1}"
    rows = _select(
        index,
        _CALL,
        [*where, f"e.id IN (SELECT value FROM json_each({mark}))"],
        [*values, json.dumps(sorted(used))],
        None,
    )
    found: list[Sequence[Any]] = []
    for row in rows:
        full = list(row)
        full[_VERDICT] = "unchanged" if row[0] in unchanged else "hit"
        full[_ASKED] = asked.get(row[0])
        found.append(full)
    return found


_VERDICT = list(CALLS).index("verdict")
_ASKED = list(CALLS).index("asked")


# -- datasets


def datasets(
    session: Session,
    x: Any = None,
    *,
    node: Any = None,
    run: int | None = None,
    since: Any = None,
    limit: int | None = None,
) -> pl.DataFrame:
    """Return what successful calls gave, the latest first. See `lineage.datasets`."""
    index = session.store.index
    where, values = _filters(session, x, node, run, "ok", since)
    columns = (
        "lower(hex(e.result)), n.name, e.id, e.run, e.started, e.value, e.rows_out, e.bytes_out, e.note, n.reference"
    )
    rows = _select(index, columns, where, values, limit)
    names = _names(index)
    return frame(
        DATASETS,
        [
            (digest, name, number, made_in, started, _type(session, value), held, size, names.get(number, []), *rest)
            for digest, name, number, made_in, started, value, held, size, *rest in rows
        ],
    )


def _names(index: Index) -> dict[int, list[str]]:
    """Return which names point to what each execution gave."""
    found: dict[int, list[str]] = {}
    latest = "SELECT max(id) FROM tags GROUP BY name"
    for name, execution in index.ask(f"SELECT name, execution FROM tags WHERE id IN ({latest}) ORDER BY name"):
        found.setdefault(execution, []).append(name)
    return found


def _type(session: Session, text: str) -> str:
    """Return the type of a value by its text."""
    if not text.startswith(("{", "@")):
        return _PLAIN.get(text[:1], "float" if any(mark in text for mark in ".eN") else "int")
    return _name(load_tree(session.store.unspill(text)))


_PLAIN = {'"': "str", "n": "NoneType", "t": "bool", "f": "bool", "[": "list"}


def _name(tree: Tree) -> str:
    if isinstance(tree, Leaf):
        return tree.kind.partition(":")[2].rpartition(":")[2]
    if isinstance(tree, Branch):
        if tree.kind in ("scan", "joined"):
            return next((_name(leaf) for leaf in leaves(tree)), tree.kind)
        return tree.text.rpartition(":")[2] or tree.kind
    return getattr(tree, "kind", type(tree).__name__)
