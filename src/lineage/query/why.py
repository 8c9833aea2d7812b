"""Why calls ran: for each, the leaves of its key that differ from the nearest earlier call of its node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attrs import frozen

from lineage.changes import Change, text_of
from lineage.content.tree import Hole
from lineage.datasets import MADE_OF
from lineage.graph import shown
from lineage.nearest import Histories
from lineage.planning import NEEDED, Step
from lineage.query.columns import Columns, frame
from lineage.query.points import found_of, point, recorded
from lineage.query.streams import closure
from lineage.reasons import explain
from lineage.session import Session

if TYPE_CHECKING:
    import polars as pl

__all__ = ["WHY", "CallReason", "Why", "why"]

WHY: Columns = {
    "node": ("String", "name of the node"),
    "call": ("String", "the call, shortened"),
    "execution": ("Int64", "number of the execution; null for a call that would run"),
    "before": ("Int64", "the earlier execution that it is compared with; null where there is none"),
    "kind": (
        "String",
        "what differs: `function`, `constant`, `package`, `argument`, `file`, `input`, `column`, …; null with a remark",
    ),
    "name": ("String", "which of these"),
    "was": ("String", "its text before; null where it was not there"),
    "now": ("String", "its text now; null where it is not there any more"),
    "detail": ("String", "what the two texts don't say; a remark where nothing differs"),
    "diff": ("String", "unified diff of the source"),
}

_CALLS = 20
"""Calls that are printed; the rest is counted."""


@frozen
class CallReason:
    """Why one call ran, or would. `before` is the execution that it is compared with, `run` that one's run."""

    node: str
    call: str
    execution: int | None
    before: int | None
    run: int | None
    changes: tuple[Change, ...]
    remarks: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "node": self.node, "call": self.call, "execution": self.execution, "before": self.before, "run": self.run,
            "changes": [change.record() for change in self.changes], "remarks": list(self.remarks),
        }  # fmt: skip

    def __str__(self) -> str:
        number = f", execution {self.execution}" if self.execution is not None else ""
        against = f" (compared with execution {self.before} of run {self.run})" if self.before is not None else ""
        lines = [f"{self.call}{number}{against}"]
        for change in self.changes:
            lines.append(f"  {change}")
            lines += [f"    {line}" for line in change.diff.splitlines()[2:]]
        return "\n".join([*lines, *(f"  {remark}" for remark in self.remarks)])


class Why:
    """Why calls ran, or would, inputs first. Print it; or take `calls`, `changes` (plain records) or `frame()`."""

    def __init__(self, calls: list[CallReason], title: str) -> None:
        self.calls = calls
        self.title = title

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What differs, a record for each leaf of each call; JSON can hold it."""
        return [
            {"node": call.node, "execution": call.execution, "before_execution": call.before, **change.record()}
            for call in self.calls
            for change in call.changes
        ]

    def records(self) -> list[dict[str, Any]]:
        """Return all of it as plain data, a record for each call."""
        return [call.record() for call in self.calls]

    def frame(self) -> pl.DataFrame:
        """Return a frame with a row for each leaf that differs, and for each remark; its columns are `WHY`."""
        return frame(WHY, self._rows())

    def _rows(self) -> Iterator[list[Any]]:
        for call in self.calls:
            head = [call.node, call.call, call.execution, call.before]
            for change in call.changes:
                yield [*head, change.kind, change.name, change.before, change.now, change.detail, change.diff]
            for remark in call.remarks:
                yield [*head, None, None, None, None, remark, ""]

    def __iter__(self) -> Iterator[CallReason]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)

    def __repr__(self) -> str:
        lines = [self.title, *(str(call) for call in self.calls[:_CALLS])]
        if len(self.calls) > _CALLS:
            lines.append(f"… and {len(self.calls) - _CALLS} more calls")
        return "\n".join(lines)


def why(session: Session, x: Any) -> Why:
    """Return why what `x` points at ran, or would run. See `lineage.why`."""
    if isinstance(x, Hole):
        planned = _planned(session, x)
        if planned.calls:
            return planned
    found = point(session, x)
    index = session.store.index
    if found.kind == "run":
        number = x if isinstance(x, int) else int(str(x).rpartition(":")[2])
        mine = "run = ? AND id IN (SELECT value FROM json_each(?)) ORDER BY id"
        chosen = [
            row[0]
            for row in index.ask(f"SELECT id FROM executions WHERE {mine}", (number, json.dumps(found.executions)))
        ]
        title = f"run {number} executed {len(chosen)} calls" if chosen else f"run {number} executed nothing"
    else:
        chosen = _of_one_run(session, found.executions)
        title = f"{len(chosen)} call{'s' if len(chosen) != 1 else ''} executed"
    histories = Histories(index, session.store.unspill, deep=True)
    return Why([_executed(session, histories, number) for number in chosen], title)


def _of_one_run(session: Session, executions: tuple[int, ...]) -> list[int]:
    """Return executions, and those above them that the same runs made: why they ran is why these did."""
    index = session.store.index
    above = json.dumps(sorted(closure(index, executions)))
    rows = index.ask(
        "SELECT id FROM executions WHERE id IN (SELECT value FROM json_each(?1)) AND run IN "
        "(SELECT run FROM executions WHERE id IN (SELECT value FROM json_each(?2))) ORDER BY id",
        (above, json.dumps(executions)),
    )
    return [row[0] for row in rows]


# -- what would run


def _planned(session: Session, lazy: Any) -> Why:
    graph, _ = recorded(session, lazy)
    histories = Histories(graph.index, graph.unspill, deep=True)
    needed = [step for step in graph.order if step.is_call and step.state == NEEDED and found_of(graph, step) is None]

    def reason(step: Step) -> CallReason:
        found = explain(graph, step, histories)
        before, run = (found.near.execution, found.near.run) if found.near is not None else (None, None)
        return CallReason(step.node.name, shown(step.hole), None, before, run, found.changes, found.remarks)

    return Why([reason(step) for step in needed], f"{len(needed)} call{'s' if len(needed) != 1 else ''} would execute")


# -- what ran


def _executed(session: Session, histories: Histories, number: int) -> CallReason:
    index = session.store.index
    ((reference, name, code, text, run, key, attempt),) = index.ask(
        "SELECT n.reference, n.name, c.digest, e.arguments, e.run, e.call_key, e.attempt FROM executions e "
        "JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code WHERE e.id = ?",
        (number,),
    )
    arguments = json.loads(text)
    near = histories.nearest(reference, code, arguments, before=(_first(session, run), number))
    call = f"{name}({', '.join(f'{p}={_brief(value)}' for p, value in arguments.items() if p != MADE_OF)})"
    if near is None:
        return CallReason(name, call, number, None, None, (), (_first_time(session, reference, number, attempt),))
    remarks = () if near.changes else (_again(session, number, near.execution, key),)
    return CallReason(name, call, number, near.execution, near.run, tuple(near.changes), remarks)


def _first(session: Session, run: int) -> int:
    """Return the number of the first execution of a run."""
    rows = session.store.index.ask(
        "SELECT first FROM run_spans WHERE run = ?1 UNION ALL SELECT first FROM late_run_spans WHERE run = ?1 ORDER BY 1",
        (run,),
        derived=True,
    )
    return int(rows[0][0])


def _brief(value: Any) -> str:
    text = text_of(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _first_time(session: Session, reference: str, number: int, attempt: int) -> str:
    if attempt > 1:
        return f"attempt {attempt}: the one before failed"
    failed = session.store.index.ask(
        "SELECT max(id) FROM executions WHERE id < ? AND node = (SELECT id FROM nodes WHERE reference = ?)",
        (number, reference),
    )[0][0]
    return "never ran before" if failed is None else f"never succeeded before; execution {failed} failed"


def _again(session: Session, number: int, before: int, key: bytes) -> str:
    """Say why a call ran again though nothing that is recorded of it differs."""
    ((earlier,),) = session.store.index.ask("SELECT call_key FROM executions WHERE id = ?", (before,))
    if earlier == key:
        return "the same key: it was refreshed or forgotten, or its result was lost or out of date"
    return "code and arguments are the same: a new period of a source"
