"""What people see of a plan: each call, what would become of it, and why."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from lineage.displays import html_of
from lineage.graph import shown
from lineage.nearest import Histories
from lineage.planning import HIT, NEEDED, Graph, Step, call_key
from lineage.reasons import reason

__all__ = ["Plan", "PlannedCall", "planned", "seen_steps"]

_LINES = 40
"""Calls shown when a plan is printed; the rest is counted."""


@frozen
class PlannedCall:
    """One call of a plan: its text, `hit`, `unchanged` (equal inputs met this code before) or `execute`, and why."""

    call: str
    node: str
    verdict: str
    reason: str


class Plan:
    """What materialising would do, call by call, inputs first. Iterate over it, print it, or let a notebook show it."""

    def __init__(self, calls: list[PlannedCall], below: int, graph: Graph | None = None) -> None:
        self.calls = calls
        self.below = below
        self.graph = graph

    def __iter__(self) -> Iterator[PlannedCall]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)

    def counts(self) -> dict[str, int]:
        """Return how many calls there are of each verdict."""
        found: dict[str, int] = {}
        for call in self.calls:
            found[call.verdict] = found.get(call.verdict, 0) + 1
        return found

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items()) or "nothing to do"
        lines = [f"Plan: {counts}"]
        for call in self.calls[:_LINES]:
            lines.append(f"  {call.verdict:<9} {call.call}" + (f"   ({call.reason})" if call.reason else ""))
        if len(self.calls) > _LINES:
            lines.append(f"  … and {len(self.calls) - _LINES} more")
        if self.below:
            lines.append(f"  ({self.below} calls below hits need no look)")
        return "\n".join(lines)


def planned(graph: Graph) -> Plan:
    """Return the plan of a graph whose vertices have been looked up."""
    seen = seen_steps(graph)
    below = sum(1 for step in graph.order if step.is_call) - len(seen)
    histories = Histories(graph.index, graph.unspill)
    return Plan([_planned_call(graph, step, histories) for step in seen], below, graph)


def seen_steps(graph: Graph) -> list[Step]:
    """Return the calls that a plan speaks of, in its order; the others lie below hits."""
    return [step for step in graph.order if step.is_call and step.state in (HIT, NEEDED)]


def _planned_call(graph: Graph, step: Step, histories: Histories) -> PlannedCall:
    text = shown(step.hole)
    if step.state == HIT:
        return PlannedCall(text, step.node.name, "hit", "")
    if not step.forced and all(graph.complete(made_from) for made_from in step.inputs):
        key = call_key(graph, step)
        record = graph.index.by_call([key]).get(key)
        if record is not None and graph.stands(step, record):
            return PlannedCall(text, step.node.name, "unchanged", "equal inputs met this code before")
    return PlannedCall(text, step.node.name, "execute", reason(graph, step, histories))
