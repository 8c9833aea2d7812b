"""What calls look like: each with what is known of it, and nothing executed for that.

Looking calls up needs the content of the files that they are given. Files that are known, or small, are looked at; where more than
`MOST_BYTES` would have to be read, or something be asked of the network, the graph is shown without saying what is cached.
Where there is no store, nothing is made: nothing is cached then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen

from lineage.content.tree import SCALARS, Hole, Leaf, Tree, holes
from lineage.digest import short
from lineage.errors import CompositionError, LineageError
from lineage.files import Input
from lineage.fingerprints import unread
from lineage.graph import Attempt, Call, Item, Lazy, Pinned, View, brief_tree, inputs_of, result_hint, shown, type_name
from lineage.nearest import Histories
from lineage.pictures.diagram import MOST_BOXES, Arrow, Box, Diagram, by_node
from lineage.planning import HIT, NEEDED, UNSEEN, Graph, Step, call_key
from lineage.plans import Plan, seen_steps
from lineage.reasons import reason
from lineage.session import Session

__all__ = ["MOST_BYTES", "MOST_VERTICES", "diagram_of", "diagram_of_plan"]

MOST_BYTES = 256 << 20
"""Bytes of files that may be read to show a graph: a fraction of a second."""

MOST_VERTICES = 20_000
"""Calls that are looked up to show a graph, and inputs and views with them."""

_WIDE = 8
"""A view of more parts than this is a box of its own: else each of its consumers would have an arrow from each part."""

_WORDS = 24
"""Characters of the arguments that stand in a box."""


@frozen
class _Known:
    """What is known of the vertices: the graph that was looked up (None where it was not), states, failures by step."""

    graph: Graph | None = None
    states: dict[int, str] = field(factory=dict)
    failures: dict[int, tuple[int, str]] = field(factory=dict)
    reasons: dict[int, str] = field(factory=dict)
    histories: Histories | None = None
    remarks: tuple[str, ...] = ()


def diagram_of(tree: Tree, session: Session) -> Diagram:
    """Return the diagram of the calls in `tree`, looked up in the session's store if that is there and it is quick."""
    vertices = _vertices(holes(tree))
    if len(vertices) > MOST_VERTICES:
        remark = (
            f"more than {MOST_VERTICES:,} calls: only those are shown, and none was looked up; lineage.plan(…) does"
        )
        known = _Known(remarks=(remark,))
    else:
        known = _look_up(tree, vertices, session)
    return _diagram(vertices, known, _caption(tree))


def diagram_of_plan(plan: Plan, session: Session) -> Diagram:
    """Return the diagram of a plan, as things stood when it was made.

    Raises:
        CompositionError: the plan was made without a graph.
    """
    if plan.graph is None:
        raise CompositionError("this plan has no graph; take one of lineage.plan(...)")
    known = _states(plan.graph, session)
    for step, call in zip(seen_steps(plan.graph), plan.calls, strict=True):
        if known.states[id(step.hole)] not in ("failed", "running") or call.verdict != "execute":
            known.states[id(step.hole)] = _VERDICTS[call.verdict]
        known.reasons[id(step)] = call.reason
    return _diagram([step.hole for step in plan.graph.order], known, "")


_VERDICTS = {"hit": "cached", "unchanged": "unchanged", "execute": "missing"}


def _caption(tree: Tree) -> str:
    if isinstance(tree, Lazy):
        return f"{shown(tree)} → {type_name(result_hint(tree))}"
    return ""


def _vertices(roots: Iterable[Hole]) -> list[Hole]:
    """Return what is reached from `roots`, inputs first: all of it, or somewhat more than `MOST_VERTICES`."""
    found: dict[int, Hole] = {}
    is_open: set[int] = set()
    stack = list(roots)[::-1]
    while stack and len(found) <= MOST_VERTICES:
        hole = stack[-1]
        if id(hole) in found:
            stack.pop()
            continue
        missing = (
            [made_from for made_from in inputs_of(hole) if id(made_from) not in found]
            if id(hole) not in is_open
            else []
        )
        is_open.add(id(hole))
        if missing:
            stack.extend(missing[::-1])
            continue
        stack.pop()
        found[id(hole)] = hole
    return list(found.values())


# -- what is known of calls


def _look_up(tree: Tree, vertices: list[Hole], session: Session) -> _Known:
    if not session.has_store:
        calls = {id(hole): "missing" for hole in vertices if isinstance(hole, Call)}
        return _Known(states=calls, remarks=("there is no store yet",))
    try:
        ahead = unread(session.store.index, [hole for hole in vertices if isinstance(hole, Input)])
        if ahead is None or ahead > MOST_BYTES:
            what = (
                "remote inputs are not asked for" if ahead is None else f"{ahead / 1e9:.1f} GB of inputs are not read"
            )
            return _Known(remarks=(f"{what} to show a graph; lineage.plan(…) says what is cached",))
        return _states(session.looked_up(tree), session)
    except (LineageError, OSError) as error:
        return _Known(remarks=(f"not looked up: {error}",))


def _states(graph: Graph, session: Session) -> _Known:
    calls = [step for step in graph.order if step.is_call]
    unseen = [step for step in calls if step.state == UNSEEN]
    below = graph.index.by_recipe([step.key for step in unseen]) if unseen else {}
    running = session.in_flight()
    decided = _by_content(graph, [step for step in calls if step.state == NEEDED])
    states: dict[int, str] = {}
    failures: dict[int, tuple[int, str]] = {}
    for step in calls:
        state = "missing"
        if step.key in running:
            state = "running"
        elif step.state == HIT:
            state = "cached"
        elif step.state == UNSEEN:
            state = "cached" if step.key in below else "unneeded"
            step.execution = below[step.key].execution if step.key in below else None
        elif isinstance(found := decided.get(id(step)), tuple):
            state, failures[id(step)] = "failed", found
        elif found:
            state = "unchanged"
        states[id(step.hole)] = state
    return _Known(graph, states, failures, histories=Histories(graph.index, graph.unspill))


def _by_content(graph: Graph, needed: list[Step]) -> dict[int, bool | tuple[int, str]]:
    """Return what is known of needed calls by their content: True for a record, number and error for a last failure."""
    keys = {
        id(step): call_key(graph, step)
        for step in needed
        if not step.forced and all(graph.complete(made_from) for made_from in step.inputs)
    }
    records = graph.index.by_call(list(dict.fromkeys(keys.values())))
    found: dict[int, bool | tuple[int, str]] = {}
    failed: dict[str, dict[bytes, tuple[int, str]]] = {}
    for step in needed:
        key = keys.get(id(step))
        if key is None:
            continue
        record = records.get(key)
        if record is not None and graph.stands(step, record):
            found[id(step)] = True
            continue
        reference = step.node.reference
        if reference not in failed:
            failed[reference] = graph.index.failures(reference)
        if key in failed[reference]:
            found[id(step)] = failed[reference][key]
    return found


# -- boxes and arrows


def _diagram(vertices: list[Hole], known: _Known, caption: str) -> Diagram:
    boxes: list[Box] = []
    holes_of: list[Hole] = []
    place: dict[Hole | int, int] = {}
    arrows: dict[tuple[int, int], list[str]] = {}
    for hole in vertices:
        if not _is_box(hole):
            continue
        one = known.graph.step(hole).hole if known.graph is not None and isinstance(hole, Call) else hole
        key: Hole | int = hole if isinstance(hole, Input) else id(one)
        if key in place:
            continue
        place[key] = place[id(hole)] = len(boxes)
        holes_of.append(one)
        boxes.append(_box(one, known))
        for made_from in inputs_of(one):
            for source, label in _sources(made_from):
                found = arrows.setdefault((_place_of(source, place, known), place[key]), [])
                if label and label not in found:
                    found.append(label)
    if len(boxes) <= MOST_BOXES:
        boxes = [_with_details(box, hole, known) for box, hole in zip(boxes, holes_of, strict=True)]
    ends = tuple(Arrow(*pair, ", ".join(labels)) for pair, labels in arrows.items() if pair[0] >= 0)
    whole = Diagram(tuple(boxes), ends, caption, known.remarks)
    return whole if len(boxes) <= MOST_BOXES else by_node(whole)


def _place_of(hole: Hole, place: dict[Hole | int, int], known: _Known) -> int:
    if isinstance(hole, Input):
        return place.get(hole, -1)
    if known.graph is not None and isinstance(hole, Call):
        hole = known.graph.step(hole).hole
    return place.get(id(hole), -1)


def _is_box(hole: Hole) -> bool:
    return not isinstance(hole, (Item, Attempt)) and not (isinstance(hole, View) and len(inputs_of(hole)) <= _WIDE)


def _sources(hole: Hole) -> Iterator[tuple[Hole, str]]:
    """Yield the boxes that `hole` is a part or a view of, and which part."""
    stack = [(hole, "")]
    while stack:
        hole, label = stack.pop()
        if _is_box(hole):
            yield hole, label
            continue
        if isinstance(hole, Item):
            key = hole._lineage_key
            label = (f".{key}" if isinstance(key, str) else f"[{key}]") + label
        stack += [(made_from, label) for made_from in inputs_of(hole)[::-1]]


def _box(hole: Hole, known: _Known) -> Box:
    if isinstance(hole, Call):
        node = hole._lineage_node
        state = known.states.get(id(hole), "unknown")
        return Box(node.name, state, f"call {node.reference}", _arguments(hole), (shown(hole),))
    if isinstance(hole, Input):
        kind = type(hole).__name__
        name = hole.place.rstrip("/").rpartition("/")[2] or hole.place
        return Box(_cut(name, 32), "source", f"source {kind}", details=(hole.brief,))
    if isinstance(hole, Pinned):
        return Box(_cut(hole._lineage_name, 32), "source", f"ref {hole._lineage_name}", details=(shown(hole),))
    parts = len(inputs_of(hole))
    return Box(
        "scan" if isinstance(hole, View) else "?", "view", f"view {id(hole)}", f"{parts:,} parts", (shown(hole),)
    )


def _arguments(call: Call) -> str:
    """Return the plain arguments of a call, or nothing if all of them are made by others."""
    parts = []
    for name, argument in zip(call._lineage_node.signature.names, call._lineage_arguments, strict=True):
        if isinstance(argument, Leaf) and argument.family == "code":
            parts.append(brief_tree(argument))
        elif type(argument) in SCALARS or next(holes(argument), None) is None:
            parts.append(f"{name}={brief_tree(argument)}")
    return _cut(", ".join(parts), _WORDS)


def _with_details(box: Box, hole: Hole, known: _Known) -> Box:
    lines = list(_details(box, hole, known))
    return evolve(box, details=tuple(lines)) if lines else box


def _details(box: Box, hole: Hole, known: _Known) -> Iterator[str]:
    yield from box.details
    if isinstance(hole, Input):
        yield from _input_details(hole, known)
    if not isinstance(hole, Call):
        return
    graph = known.graph
    yield f"node: {hole._lineage_node.reference} → {type_name(result_hint(hole))}"
    if graph is None:
        return
    step = graph.step(hole)
    if box.state == "missing":
        assert known.histories is not None
        yield f"would execute: {known.reasons.get(id(step)) or reason(graph, step, known.histories)}"
    elif box.state == "failed":
        number, error = known.failures[id(step)]
        yield f"failed in execution {number}, and would execute again: {_cut(error.partition(chr(10))[0], 300)}"
    elif box.state == "unchanged":
        yield "unchanged: equal inputs met this code before"
    else:
        yield box.state
    if box.state == "cached" and step.execution is not None:
        yield from _execution_details(graph.index.execution(step.execution))


def _execution_details(row: dict[str, Any]) -> Iterator[str]:
    if not row:
        return
    yield f"digest: {short(row['result'])}"
    yield f"made in run {row['run']}, execution {row['id']}, in {row['wall']:.3g} s by {row['executor']} on {row['host']}"


def _input_details(hole: Input, known: _Known) -> Iterator[str]:
    folder = _folder(hole)
    if folder:
        yield f"in {folder}"
    if known.graph is not None:
        try:
            yield f"digest: {short(known.graph.step(hole).key)}"
        except KeyError:
            return


def _folder(hole: Input) -> str:
    """Return where a file lies, if that says nothing of the machine: below the working folder, or at a URL."""
    if "://" in hole.place:
        return hole.place.rpartition("/")[0].partition("?")[0]
    try:
        return str(Path(os.path.abspath(hole.place)).parent.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return ""


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
