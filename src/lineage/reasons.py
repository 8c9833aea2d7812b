"""Why a call would run: what changed in its key since the earlier call of its node that is most like it."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from lineage.arguments import described_one
from lineage.changes import PENDING, Change
from lineage.content.tree import Tree, holes
from lineage.graph import Call
from lineage.nearest import Histories, Near
from lineage.planning import DONE, HIT, NEEDED, Graph, Step, calls_behind

__all__ = ["Reason", "explain", "reason"]

_SHOWN = 4
"""Changes that a line names."""


@frozen
class Reason:
    """Why a call would run: what differs from the nearest earlier one, and whatever else there is to say."""

    near: Near | None
    changes: tuple[Change, ...]
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        texts = [str(change) for change in self.changes]
        if len(texts) > _SHOWN:
            texts = [*texts[:_SHOWN], f"and {len(texts) - _SHOWN} more changes"]
        return "; ".join([*texts, *self.remarks])


def reason(graph: Graph, step: Step, histories: Histories) -> str:
    """Return one line that says why a needed call is not a hit."""
    return str(explain(graph, step, histories))


def explain(graph: Graph, step: Step, histories: Histories) -> Reason:
    """Return why a needed call is not a hit."""
    if step.forced:
        return Reason(None, (), ("refresh was asked for",))
    if step.node.given.every is not None:
        return Reason(None, (), (f"a new period of {step.node.given.every} has begun, or it never ran",))
    code = graph.code(step.node)
    histories.code(code, step.node.leaves())
    near = histories.nearest(step.node.reference, code, arguments_of(graph, step))
    if near is None:
        return Reason(None, (), (_never(graph, step),))
    changes = tuple(change for change in near.changes if not change.detail.endswith("is decided anew"))
    remarks = []
    running = sorted({made_from.node.name for made_from in calls_behind(step.inputs) if made_from.state == NEEDED})
    if running:
        remarks.append(f"input from {', '.join(running)} is decided anew")
    if step.tainted:
        remarks.append("depends on an effect or a failure, so it is decided by content")
    if not changes and not remarks:
        remarks.append("its inputs have not met this code before, or it was forgotten")
    return Reason(near, changes, tuple(remarks))


def _never(graph: Graph, step: Step) -> str:
    rows = graph.index.ask(
        "SELECT max(id) FROM executions WHERE node = (SELECT id FROM nodes WHERE reference = ?)", (step.node.reference,)
    )
    return "never ran before" if rows[0][0] is None else f"never succeeded before; execution {rows[0][0]} failed"


def arguments_of(graph: Graph, step: Step) -> dict[str, Any]:
    """Return the arguments of a planned call as they would be recorded; those that are decided anew say so."""
    call = step.hole
    assert isinstance(call, Call)
    return {
        name: _argument(graph, argument)
        for name, argument in zip(call._lineage_node.signature.names, call._lineage_arguments, strict=True)
    }


def _argument(graph: Graph, argument: Tree) -> Any:
    open_steps = [step for step in map(graph.step, holes(argument)) if not _is_known(graph, step)]
    if open_steps:
        return {PENDING: sorted({made_from.node.name for made_from in calls_behind(open_steps)})}
    return json.loads(described_one(graph, argument))


def _is_known(graph: Graph, step: Step) -> bool:
    return step.state in (HIT, DONE) or graph.complete(step)
