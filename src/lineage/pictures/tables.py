"""Pieces of HTML: tables of frames, of plans, of facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lineage.pictures.diagram import CALL_STATES, Diagram
from lineage.pictures.timeline import Timeline, seconds_text
from lineage.plans import Plan

__all__ = ["calls_table", "details", "facts", "frame_table", "plan_table", "shares_table", "table"]

_MOST_COLUMNS = 20
_MOST_CALLS = 40
_CELL = 60


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Return a table of cells that are HTML already; columns `right` are numbers."""

    def row(cells: Sequence[str], tag: str) -> str:
        marks = [' align="right"' if place in right else "" for place in range(len(cells))]
        return "<tr>" + "".join(f"<{tag}{m}>{cell}</{tag}>" for m, cell in zip(marks, cells, strict=True)) + "</tr>"

    top = f"<thead>{row(head, 'th')}</thead>" if head else ""
    return f"<table>{top}<tbody>{''.join(row(cells, 'td') for cells in rows)}</tbody></table>"


def facts(pairs: Mapping[str, str]) -> str:
    """Return a table of names and values."""
    return table((), [(f"<small>{escape(name)}</small>", escape(value)) for name, value in pairs.items()])


def details(summary: str, body: str) -> str:
    """Return something that is shown when one asks for it."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def frame_table(frame: Any, schema: Mapping[str, str]) -> str:
    """Return a small polars frame as a table, the types of its columns below their names."""
    names = frame.columns[:_MOST_COLUMNS]
    head = [f"{escape(name)}<br><small>{escape(str(schema.get(name, '')))}</small>" for name in names]
    right = frozenset(place for place, name in enumerate(names) if frame.schema[name].is_numeric())
    rows = [[escape(_cell(value)) for value in row] for row in frame.select(names).iter_rows()]
    if frame.width > len(names):
        head.append(f"<small>… {frame.width - len(names)} more</small>")
        rows = [[*row, "…"] for row in rows]
    return table(head, rows, right)


def _cell(value: Any) -> str:
    text = "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def plan_table(plan: Plan) -> str:
    """Return the calls of a plan with verdicts and reasons: what is to be done first, and the first ones of each kind."""
    order = {"execute": 0, "unchanged": 1, "hit": 2}
    calls = sorted(plan.calls, key=lambda call: order.get(call.verdict, 0))
    rows = [
        (escape(call.verdict), f"<code>{escape(call.call)}</code>", escape(call.reason)) for call in calls[:_MOST_CALLS]
    ]
    left = len(calls) - len(rows)
    more = f"<p>… and {left:,} more</p>" if left else ""
    return table(("verdict", "call", "why"), rows) + more


def calls_table(diagram: Diagram) -> str:
    """Return the boxes of a diagram as a table, for where it can't be drawn."""
    rows = [
        (
            escape(CALL_STATES.get(box.state, box.state) if box.count == 1 else box.note or box.state),
            f"<code>{escape(box.details[0] if box.details and box.count == 1 else box.title)}</code>",
            escape(f"×{box.count:,}" if box.count > 1 else box.details[-1] if len(box.details) > 2 else ""),
        )
        for box in diagram.boxes[:_MOST_CALLS]
    ]
    left = len(diagram.boxes) - len(rows)
    more = f"<p>… and {left:,} more</p>" if left else ""
    return table(("state", "call", ""), rows) + more


def shares_table(timeline: Timeline) -> str:
    """Return what each node took in a run."""
    total = sum(share.wall for share in timeline.shares) or 1.0
    rows = [
        (
            escape(share.node), f"{share.calls:,}", seconds_text(share.wall), f"{share.wall / total:.0%}",
            seconds_text(share.longest), seconds_text(share.cpu), f"{share.failed:,}" if share.failed else "",
        )
        for share in timeline.shares[:_MOST_CALLS]
    ]  # fmt: skip
    head = ("node", "executions", "time", "share", "longest", "processor", "failed")
    return table(head, rows, frozenset(range(1, 7)))
