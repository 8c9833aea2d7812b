"""What a notebook shows of a call, a dataset, a plan, a run; and the same as SVG and PNG files.

Everything is HTML and SVG in itself: no script, nothing to fetch. Showing executes nothing and makes no store.
"""

from __future__ import annotations

import time
from html import escape
from typing import Any

from lineage.content.tree import holes
from lineage.datasets import Dataset, size_text
from lineage.digest import short
from lineage.errors import CompositionError, LineageError, NotFoundError
from lineage.graph import Lazy
from lineage.identity import freezer
from lineage.pictures.diagram import Diagram, counted
from lineage.pictures.graphs import diagram_of, diagram_of_plan
from lineage.pictures.history import diagram_of_past
from lineage.pictures.lanes import draw_timeline
from lineage.pictures.layout import can_place, place
from lineage.pictures.svg import Pen, document, draw_diagram
from lineage.pictures.tables import calls_table, details, facts, frame_table, plan_table, shares_table
from lineage.pictures.theme import LIGHT, ROOT, sheet
from lineage.pictures.timeline import Timeline, headline, timeline_of
from lineage.pictures.values import head, value_text
from lineage.plans import Plan
from lineage.records import Run
from lineage.session import Session, current_session

__all__ = ["html", "html_of_run", "run_number", "run_timeline", "svg"]

_INSTALL = "for a picture of the graph: pip install 'lineage-graph[pictures]'"


def html(x: Any, rows: int = 5) -> str:
    """Return what a notebook shows of a call, a dataset or a plan."""
    if isinstance(x, Dataset):
        return _framed(_dataset(x, rows))
    if isinstance(x, Plan):
        return _framed(_plan(x))
    diagram = diagram_of(x if isinstance(x, Lazy) else freezer.freeze(x), current_session())
    return _framed(_graph(diagram))


def run_timeline(number: int) -> Timeline:
    """Return the timeline of a run of the current session's store, which is not made for that.

    Raises:
        NotFoundError: there is no such run.
    """
    session = current_session()
    if not session.has_store:
        raise NotFoundError(f"there is no run {number}: there is no store in {session.root} yet")
    return timeline_of(session.store.index, number)


def html_of_run(number: int) -> str:
    """Return what a notebook shows of a run.

    Raises:
        NotFoundError: there is no such run.
    """
    timeline = run_timeline(number)
    body = f"<p><b>{escape(headline(timeline))}</b></p>"
    if timeline.lanes:
        sheet_of_it = draw_timeline(timeline, Pen())
        body += document(sheet_of_it.body, sheet_of_it.width, sheet_of_it.height, label=headline(timeline), inline=True)
        body += details("by node", shares_table(timeline))
    return _framed(body)


def run_number(x: Any) -> int | None:
    """Return the number of a run, where `x` is one or its record."""
    if isinstance(x, Run):
        return x.id
    return x if isinstance(x, int) and not isinstance(x, bool) else None


def svg(x: Any, colours: Any = None) -> str:
    """Return a picture of a call, several, a plan, a dataset's past or a run as an SVG document.

    It follows the theme of who looks at it; with `colours` it is of one theme.

    Raises:
        MissingExtraError: the library that places boxes is not installed.
        CompositionError: `x` is nothing that has a picture.
    """
    pen = Pen(colours or LIGHT, styled=colours is None)
    number = run_number(x)
    if number is not None:
        timeline = run_timeline(number)
        drawn = draw_timeline(timeline, pen)
        return document(drawn.body, drawn.width, drawn.height, label=headline(timeline), colours=colours)
    diagram = _diagram_of(x, current_session())
    placed = place(diagram)
    return document(draw_diagram(placed, pen), placed.width, placed.height, label=_label(diagram), colours=colours)


def _diagram_of(x: Any, session: Session) -> Diagram:
    if isinstance(x, Plan):
        return diagram_of_plan(x, session)
    if isinstance(x, Dataset):
        return diagram_of_past(x)
    tree = x if isinstance(x, Lazy) else freezer.freeze(x)
    if next(holes(tree), None) is None:
        raise CompositionError(
            f"a {type(x).__name__} has no picture: give a call, a list of calls, a plan, a dataset or the number of a run"
        )
    return diagram_of(tree, session)


def _framed(body: str) -> str:
    return f'<div class="{ROOT}"><style>{sheet()}</style>{body}</div>'


def _label(diagram: Diagram) -> str:
    counts = diagram.counts()
    return f"{diagram.caption or 'graph'}: {counted(counts)}" if counts else diagram.caption or "graph"


def _graph(diagram: Diagram) -> str:
    caption = f"<p><b>{escape(diagram.caption)}</b></p>" if diagram.caption else ""
    counts = escape(counted(diagram.counts()))
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in diagram.remarks)
    return f"{caption}{_drawn(diagram)}<p>{counts}</p>{remarks}"


def _drawn(diagram: Diagram) -> str:
    if not can_place():
        return calls_table(diagram) + f"<p>{escape(_INSTALL)}</p>"
    if len(diagram.boxes) > _MOST_DRAWN:
        return calls_table(diagram) + f"<p>{len(diagram.boxes):,} nodes are too many for a picture</p>"
    placed = place(diagram)
    return document(draw_diagram(placed, Pen()), placed.width, placed.height, label=_label(diagram), inline=True)


_MOST_DRAWN = 200


def _plan(plan: Plan) -> str:
    words = {"hit": "cached", "execute": "missing", "unchanged": "unchanged"}
    counts = counted({words.get(verdict, verdict): count for verdict, count in plan.counts().items()})
    below = f"; {plan.below:,} calls below hits need no look" if plan.below else ""
    title = f"<p><b>Plan: {escape(counts or 'nothing to do')}</b>{escape(below)}</p>"
    drawn = _drawn(diagram_of_plan(plan, current_session())) if plan.graph is not None and plan.calls else ""
    return f"{title}{drawn}{plan_table(plan)}" if plan.calls else title


def _dataset(dataset: Dataset[Any], rows: int) -> str:
    parts = [f"<p><b>{escape(_title(dataset))}</b></p>", _value(dataset, rows), facts(_facts(dataset))]
    schema = dataset.schema
    if schema:
        parts.append(
            details(f"schema: {len(schema)} columns", facts({name: str(kind) for name, kind in schema.items()}))
        )
    origin = dataset.origin
    if origin is not None:
        parts.append(details("what made it", _drawn(diagram_of_past(dataset, _MOST_BEHIND))))
    if origin is not None and origin.log:
        parts.append(details("log", f"<pre>{escape(origin.log[-4000:])}</pre>"))
    return "".join(parts)


_MOST_BEHIND = 200
"""Executions behind a dataset that are shown with it: `lineage.picture` shows more."""


def _title(dataset: Dataset[Any]) -> str:
    size = f", {dataset.rows:,} rows × {len(dataset.schema or {})} columns" if dataset.rows is not None else ""
    return f"Dataset {short(dataset.digest)}: {dataset.type}{size}"


def _value(dataset: Dataset[Any], rows: int) -> str:
    try:
        frame = head(dataset, rows)
    except LineageError as error:
        return f"<p>it can't be read: {escape(str(error))}</p>"
    if frame is not None:
        left = (dataset.rows or 0) - frame.height
        return frame_table(frame, dataset.schema or {}) + (f"<p>… {left:,} more rows</p>" if left > 0 else "")
    text = value_text(dataset)
    return f"<pre>{escape(text)}</pre>" if text else ""


def _facts(dataset: Dataset[Any]) -> dict[str, str]:
    found = {"digest": dataset.digest.hex()}
    if dataset.bytes:
        found["size in the store"] = size_text(dataset.bytes)
    origin = dataset.origin
    if origin is None:
        return found
    arguments = ", ".join(f"{name}={_argument(value)}" for name, value in origin.arguments.items())
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(origin.started))
    found["made by"] = f"{origin.node}({arguments})"
    found["origin"] = (
        f"run {origin.run}, execution {origin.execution}, {when}, {origin.wall:.3g} s by {origin.executor} on {origin.host}"
    )
    if origin.note:
        found["note"] = origin.note
    return found


def _argument(value: Any) -> str:
    if not isinstance(value, dict):
        return repr(value) if len(repr(value)) <= 60 else repr(value)[:59] + "…"
    if "files" in value:
        names = [str(path).rstrip("/").rpartition("/")[2] for path in value["files"]]
        return f"File({names[0]!r})" if len(names) == 1 else f"{len(names):,} files"
    if "from" in value:
        made = value["from"]
        return f"execution {made[0]}" if len(made) == 1 else f"{len(made):,} executions"
    return str(value.get("shown", value.get("digest", "…")[:12]))[:60]
