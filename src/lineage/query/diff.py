"""What differs between two runs, two datasets, two models or two values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lineage.changes import Change, text_of
from lineage.content.tree import Hole, Leaf
from lineage.datasets import MADE_OF, Dataset
from lineage.errors import NotFoundError
from lineage.nearest import Histories
from lineage.node import Node
from lineage.query.differences import Diff, Difference
from lineage.query.points import handle_of
from lineage.query.streams import closure
from lineage.query.tables import diff_tables
from lineage.query.values import diff_values
from lineage.session import Session

__all__ = ["diff"]

_FACTS = ("user", "host", "project", "branch", "git", "dirty")
_ASKED = ("git", "dirty")
"""Facts that are known only of runs that executed something."""


def diff(session: Session, a: Any, b: Any, on: str | Sequence[str] = ()) -> Diff:
    """Return what differs between `a` and `b`. See `lineage.diff`."""
    key = [on] if isinstance(on, str) else list(on)
    if type(a) is int and type(b) is int:
        return _of_runs(session, a, b)
    one, other = _recorded(session, a), _recorded(session, b)
    if one is not None and other is not None:
        return _of_datasets(session, one, other, key)
    one_value, other_value = (side if handle is None else handle.value for side, handle in ((a, one), (b, other)))
    return _of_values(one_value, other_value, key)


def _recorded(session: Session, x: Any) -> Dataset[Any] | None:
    """Return the handle of what is a dataset or points at one; None of a plain value."""
    if isinstance(x, Dataset):
        return x
    if isinstance(x, (Hole, Node)):
        return handle_of(session, x)
    if isinstance(x, str):
        try:
            return handle_of(session, x)
        except NotFoundError:
            return None
    return None


# -- datasets and values


def _of_datasets(session: Session, a: Dataset[Any], b: Dataset[Any], on: list[str]) -> Diff:
    if a.digest == b.digest:
        return Diff([], title=f"{a!r} and {b!r}")
    if a.schema is not None and b.schema is not None:
        found = diff_tables(a.scan(), b.scan(), on, _equal_columns(a, b))
    else:
        found = _of_values(a.value, b.value, on)
    found.title = f"a: {a!r}\nb: {b!r}"
    found.differences += _of_origins(session, a, b)
    return found


def _equal_columns(a: Dataset[Any], b: Dataset[Any]) -> frozenset[str]:
    """Return the columns that have one digest in both, which need not be read."""
    if not isinstance(a._tree, Leaf) or not isinstance(b._tree, Leaf):
        return frozenset()
    one, other = (side._info().get("columns", {}) for side in (a, b))
    return frozenset(name for name, digest in one.items() if other.get(name) == digest)


def _of_origins(session: Session, a: Dataset[Any], b: Dataset[Any]) -> list[Difference]:
    """Return what differs between the calls that made two datasets, if they are of one node."""
    if a._execution is None or b._execution is None or a._execution == b._execution:
        return []
    histories = Histories(session.store.index, session.store.unspill, deep=True)
    one, other = (_call(session, side._execution) for side in (a, b))
    if one[0] != other[0]:
        return [Difference("call", "node", one[1], other[1])]
    return [_as_difference(change) for change in histories.between(one[2], one[3], other[2], other[3])]


def _call(session: Session, number: int | None) -> tuple[str, str, bytes, dict[str, Any]]:
    """Return reference, name, code and arguments of an execution."""
    ((reference, name, code, text),) = session.store.index.ask(
        "SELECT n.reference, n.name, c.digest, e.arguments FROM executions e "
        "JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code WHERE e.id = ?",
        (number,),
    )
    return reference, name, code, json.loads(text)


def _as_difference(change: Change) -> Difference:
    return Difference(change.kind, change.name, change.before, change.now, change.detail or change.diff)


def _of_values(a: Any, b: Any, on: list[str]) -> Diff:
    frames = [_as_frame(side) for side in (a, b)]
    if frames[0] is not None and frames[1] is not None:
        return diff_tables(frames[0], frames[1], on)
    return Diff(diff_values(a, b), title=f"Diff of two values: {type(a).__name__}, {type(b).__name__}")


def _as_frame(value: Any) -> Any:
    """Return a table of any library as a lazy frame; None of anything else."""
    package, name = type(value).__module__.partition(".")[0], type(value).__name__
    if package == "polars" and name == "LazyFrame":
        return value
    if package == "polars" and name == "DataFrame":
        return value.lazy()
    if (package, name) in (("pandas", "DataFrame"), ("pyarrow", "Table")):
        import polars as pl

        made = pl.from_pandas(value) if package == "pandas" else pl.from_arrow(value)
        return made.lazy()  # type: ignore[union-attr]
    return None


# -- runs


def _of_runs(session: Session, a: int, b: int) -> Diff:
    index = session.store.index
    facts, used = zip(*(_run(session, number) for number in (a, b)), strict=True)
    found = [
        Difference("fact", "commit" if name == "git" else name, _fact(facts[0], name), _fact(facts[1], name))
        for name in _FACTS
        if facts[0].get(name) != facts[1].get(name)
        and not (name in _ASKED and None in (facts[0].get(name), facts[1].get(name)))
    ]
    shared = used[0] & used[1]
    histories = Histories(index, session.store.unspill, deep=True)
    left = {number: _call(session, number) for number in sorted(used[0] - shared)}
    for number in sorted(used[1] - shared):
        call = _call(session, number)
        match = histories.most_alike(call[2], call[3], [(n, c[2], c[3]) for n, c in left.items() if c[0] == call[0]])
        if match is None:
            found.append(Difference("call", call[1], None, _text(number, call)))
            continue
        other = left.pop(match)
        changes = "; ".join(map(str, histories.between(other[2], other[3], call[2], call[3]))) or "made again"
        found.append(Difference("call", call[1], _text(match, other), _text(number, call), changes))
    found += [Difference("call", call[1], _text(number, call), None) for number, call in left.items()]
    return Diff(found, title=f"Runs {a} and {b}: {len(shared)} calls answered by the same executions")


def _run(session: Session, number: int) -> tuple[dict[str, Any], set[int]]:
    """Return facts of a run, and the executions that it made or used."""
    rows = session.store.index.ask("SELECT user, host, facts FROM runs WHERE id = ?", (number,))
    if not rows:
        raise NotFoundError(f"there is no run {number} in {session.root}; lineage.runs() lists them")
    user, host, told = rows[0]
    facts = {**json.loads(told), "user": user, "host": host}
    made = [
        row[0]
        for row in session.store.index.ask("SELECT id FROM executions WHERE run = ? AND status = 'ok'", (number,))
    ]
    return facts, closure(session.store.index, [*facts.get("results", ()), *made])


def _fact(facts: dict[str, Any], name: str) -> str | None:
    return None if facts.get(name) is None else str(facts[name])


def _text(number: int, call: tuple[str, str, bytes, dict[str, Any]]) -> str:
    arguments: Iterable[str] = (f"{name}={text_of(value)[:40]}" for name, value in call[3].items() if name != MADE_OF)
    return f"execution {number}: {call[1]}({', '.join(arguments)})"
