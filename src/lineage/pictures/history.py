"""What a dataset was made from, as it is recorded: executions, and the files that they read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from lineage.datasets import MADE_OF, Dataset
from lineage.digest import short
from lineage.errors import CompositionError
from lineage.pictures.diagram import MOST_BOXES, Arrow, Box, Diagram, by_node

__all__ = ["MOST_EXECUTIONS", "diagram_of_past"]

MOST_EXECUTIONS = 2_000
"""Executions that are read to show a past: what came last goes first."""


def diagram_of_past(dataset: Dataset[Any], most: int = MOST_EXECUTIONS) -> Diagram:
    """Return the diagram of the executions that made `dataset`, back to files.

    Raises:
        CompositionError: it is a collection of several datasets.
    """
    if dataset._execution is None:
        raise CompositionError("a collection of datasets has no past of its own; take the picture of one of them")
    index = dataset._store.index
    rows: dict[int, dict[str, Any]] = {}
    waiting, left_out = [dataset._execution], 0
    for number in waiting:  # grows as it goes
        if number in rows:
            continue
        if len(rows) >= most:
            left_out += 1
            continue
        row = index.execution(number)
        if row:
            rows[number] = row
            waiting += [source for source, _ in _sources(row)]
    remarks = (f"what lies more than {most:,} executions back is left out",) if left_out else ()
    whole = _diagram(rows, f"what made {short(dataset.digest)}", remarks)
    return whole if len(whole.boxes) <= MOST_BOXES else by_node(whole)


def _diagram(rows: dict[int, dict[str, Any]], caption: str, remarks: tuple[str, ...]) -> Diagram:
    boxes = [_box(row) for row in rows.values()]
    place: dict[int | str, int] = {number: position for position, number in enumerate(rows)}
    labels: dict[tuple[int, int], list[str]] = {}
    for number, row in rows.items():
        for source, name in _sources(row):
            if source in place:
                labels.setdefault((place[source], place[number]), []).append(name)
        for path in _files(row):
            if path not in place:
                place[path] = len(boxes)
                title = path.rstrip("/").rpartition("/")[2]
                boxes.append(Box(title, "source", "source File", details=(f"File({title!r})",)))
            labels.setdefault((place[path], place[number]), [])
    arrows = tuple(Arrow(*ends) for ends in labels)
    return Diagram(tuple(boxes), arrows, caption, remarks)


def _given(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["arguments"] or "{}")
    return found


def _sources(row: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield the executions whose results one was given, and what composed calls it made, each with the parameter's name."""
    for name, value in _given(row).items():
        if isinstance(value, dict):
            for number in value.get("from", []) + (value.get("each", []) if name == MADE_OF else []):
                if isinstance(number, int):
                    yield number, name


def _files(row: dict[str, Any]) -> Iterator[str]:
    for value in _given(row).values():
        if isinstance(value, dict):
            yield from value.get("files", [])


def _box(row: dict[str, Any]) -> Box:
    plain = [f"{name}={value!r}" for name, value in _given(row).items() if not isinstance(value, dict)]
    note = ", ".join(plain)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["started"]))
    details = [
        f"{row['node_name']}({note})" if plain else row["node_name"],
        f"execution {row['id']} in run {row['run']}, {when}",
        f"{row['wall']:.3g} s by {row['executor']} on {row['host']}",
    ]
    if row["result"] is not None:
        details.append(f"digest: {short(row['result'])}")
    if row["note"]:
        details.append(row["note"])
    state = "made" if row["status"] == "ok" else "failed"
    note = note if len(note) <= 24 else note[:23] + "…"
    return Box(row["node_name"], state, f"execution of {row['node']}", note, tuple(details))
