"""What the record of a run says of what was asked: the executions that answered, and ignored arguments that differed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lineage.arguments import argument_text
from lineage.content.tree import Tree, holes
from lineage.graph import Call
from lineage.planning import DONE, HIT, Graph, Step, calls_behind

__all__ = ["answers"]

_RESULTS = 10_000
"""Results that are named in the record of a run."""


def answers(graph: Graph, tree: Tree) -> dict[str, Any]:
    """Return facts for the record of a run over `graph`: `results`, and `asked` where there is something to say."""
    steps = calls_behind(graph.step(hole) for hole in holes(tree))
    results = dict.fromkeys(step.execution for step in steps if step.state in (HIT, DONE))
    results.pop(None, None)
    facts: dict[str, Any] = {"results": [*reversed(results)][:_RESULTS]}
    asked = _asked_otherwise(graph)
    return {**facts, "asked": asked} if asked else facts


def _asked_otherwise(graph: Graph) -> list[dict[str, Any]]:
    """Return the calls that were answered by an execution with other ignored arguments, and what was asked of them."""
    answered = [
        step
        for step in graph.order
        if step.is_call and step.node.signature.unhashed and (step.state == HIT or step.verdict == "cutoff")
    ]
    if not answered:
        return []
    numbers = json.dumps(sorted({step.execution for step in answered}))
    executed = dict(
        graph.index.ask("SELECT id, arguments FROM executions WHERE id IN (SELECT value FROM json_each(?))", (numbers,))
    )
    return list(_differing(answered, executed))


def _differing(steps: Iterable[Step], executed: dict[int | None, str]) -> Iterable[dict[str, Any]]:
    for step in steps:
        call = step.hole
        assert isinstance(call, Call)
        recorded = json.loads(executed.get(step.execution, "{}"))
        names, unhashed = step.node.signature.names, step.node.signature.unhashed
        asked = {names[position]: json.loads(argument_text(call._lineage_arguments[position])) for position in unhashed}
        if any(recorded.get(name) != value for name, value in asked.items()):
            yield {"execution": step.execution, "arguments": asked}
