"""What people point at, as executions: a handle, a call, a node, a run, a digest or its beginning, a name, a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import frozen

from lineage.codecs.text import load_tree
from lineage.content.tree import Hole, holes
from lineage.datasets import Dataset
from lineage.errors import AmbiguousError, CompositionError, NotFoundError
from lineage.files import Input, folder_place, is_url
from lineage.graph import result_hint, shown
from lineage.node import Node
from lineage.planning import DONE, HIT, Graph, Step, call_key, calls_behind
from lineage.session import Session
from lineage.storage.derived import PREFIX_BYTES

__all__ = ["Point", "found_of", "handle_of", "point", "recorded"]

_SHORTEST = 4
"""Characters that the beginning of a digest must have."""


@frozen
class Point:
    """What was pointed at: the executions behind it, and whether it stands for a file, which no execution made."""

    kind: str
    executions: tuple[int, ...]


def point(session: Session, x: Any, *, every: bool = False) -> Point:
    """Return what `x` points at. A node stands for its latest successful execution, or with `every` for all of those.

    Raises:
        NotFoundError: nothing is recorded of it.
        AmbiguousError: a text may mean several things; say `tag:`, `node:`, `digest:`, `file:`, `run:` or `execution:`.
    """
    if isinstance(x, Dataset):
        return Point("dataset", _some(_of_handle(x), "the handle is of no recorded execution"))
    if isinstance(x, Input):
        return _file(session, folder_place(x))
    if isinstance(x, Hole):
        return Point("call", _of_lazy(session, x))
    if isinstance(x, Node):
        node: Any = x
        return _node(session, "reference", node.declared.reference, node.name, every)
    if isinstance(x, bool):
        raise CompositionError(f"{x!r} points at nothing")
    if isinstance(x, int):
        return _run(session, x)
    if isinstance(x, bytes):
        return _digest(session, x.hex())
    if isinstance(x, os.PathLike):
        return _file(session, os.path.abspath(x))
    if isinstance(x, str):
        return _text(session, x, every)
    raise CompositionError(
        f"a {type(x).__name__} points at nothing recorded; give a Dataset, a call, a node, a run's number, a digest or "
        "its beginning, a name, or a path"
    )


def handle_of(session: Session, x: Any) -> Dataset[Any]:
    """Return the handle of the dataset that `x` points at: where there are several executions, of the latest.

    Raises:
        NotFoundError: nothing is recorded of it.
    """
    number = max(point(session, x).executions)
    if isinstance(x, Hole):
        graph, _ = recorded(session, x)
        step = graph.step(x)
        if graph.complete(step):
            return Dataset[Any](session.store, graph.tree(step), result_hint(x), step.execution)
    ((value,),) = session.store.index.ask("SELECT value FROM executions WHERE id = ?", (number,))
    return Dataset[Any](session.store, load_tree(session.store.unspill(value)), Any, number)


def _some(executions: Iterable[int | None], otherwise: str) -> tuple[int, ...]:
    found = tuple(dict.fromkeys(number for number in executions if number is not None))
    if not found:
        raise NotFoundError(otherwise)
    return found


def _of_handle(handle: Dataset[Any]) -> list[int | None]:
    if handle._parts is None:
        return [handle._execution]
    return [number for part in handle._parts.values() for number in _of_handle(part)]


# -- calls


def recorded(session: Session, lazy: Any) -> tuple[Graph, list[Step]]:
    """Return the plan of a lazy, or of several in a container, and the calls behind it."""
    tree = session._frozen(lazy)
    graph = session.looked_up(tree)
    return graph, calls_behind(graph.step(hole) for hole in holes(tree))


def found_of(graph: Graph, step: Step) -> int | None:
    """Return the execution that answers for a call of a plan: by recipe, or by the content of its inputs."""
    if step.state in (HIT, DONE):
        return step.execution
    if step.forced or not all(graph.complete(made_from) for made_from in step.inputs):
        return None
    key = call_key(graph, step)
    record = graph.index.by_call([key]).get(key)
    return record.execution if record is not None and graph.stands(step, record) else None


def _of_lazy(session: Session, lazy: Any) -> tuple[int, ...]:
    graph, steps = recorded(session, lazy)
    if not steps:  # a recorded dataset as an input
        return _some([graph.step(lazy).execution], f"{shown(lazy)} holds no call")
    found = [found_of(graph, step) for step in steps]
    if None in found:
        missing = steps[found.index(None)]
        raise NotFoundError(
            f"{shown(missing.hole)} has no result yet in {session.root}; lineage.materialize(...) makes it, and "
            "lineage.plan(...) says why it would run"
        )
    return _some(found, f"{shown(lazy)} holds no call")


# -- what is written


def _text(session: Session, text: str, every: bool) -> Point:
    kind, colon, rest = text.partition(":")
    if colon and kind in _KINDS:
        return _KINDS[kind](session, rest, every)
    found: dict[str, Point] = {}
    for kind, look in _KINDS.items():
        if kind in ("run", "execution"):
            continue
        try:
            found[kind] = look(session, text, every)
        except NotFoundError as error:
            if isinstance(error, AmbiguousError):
                raise
    if len(found) > 1:
        raise AmbiguousError(
            f"{text!r} may be a {' or a '.join(found)}; say which: " + ", ".join(f"{kind}:{text}" for kind in found)
        )
    for one in found.values():
        return one
    raise NotFoundError(
        f"nothing in {session.root} is a tag, a node, a file or a digest {text!r}. A digest needs {_SHORTEST} of its "
        "characters; the digest of one field of a result is no digest of an execution: take its handle"
    )


def _tag(session: Session, name: str) -> Point:
    try:
        handle = session.dataset(name)
    except CompositionError as error:
        raise NotFoundError(str(error)) from error
    return Point("tag", _some(_of_handle(handle), f"{name!r} points at no execution"))


def _node(session: Session, column: str, name: str, shown_as: str, every: bool) -> Point:
    numbers = [row[0] for row in session.store.index.ask(f"SELECT id FROM nodes WHERE {column} = ?", (name,))]
    if len(numbers) > 1:
        raise AmbiguousError(f"{len(numbers)} nodes are called {shown_as!r}; give the node itself, or its digest")
    select = "SELECT id FROM executions WHERE node = ? AND status = 'ok' ORDER BY id DESC"
    found = [
        row[0]
        for number in numbers
        for row in session.store.index.ask(select if every else select + " LIMIT 1", (number,))
    ]
    return Point("node", _some(found, f"no dataset of node {shown_as} in {session.root}; materialise one first"))


def _file(session: Session, place: str) -> Point:
    """Return the executions that were given a file, or a folder that holds it."""
    holders = [place, *([] if is_url(place) else map(str, Path(place).parents))]
    marks = ",".join("?" * len(holders))
    rows = session.store.index.ask(
        f"SELECT execution FROM file_uses WHERE path IN ({marks}) UNION "
        f"SELECT execution FROM late_file_uses WHERE path IN ({marks}) ORDER BY 1",
        (*holders, *holders),
        derived=True,
    )
    return Point("file", _some((row[0] for row in rows), f"no recorded call was given the file {place}"))


def _digest(session: Session, prefix: str) -> Point:
    """Return all executions that gave a digest. A beginning of several digests is an error."""
    wanted = prefix.lower()
    if len(wanted) < _SHORTEST or any(character not in "0123456789abcdef" for character in wanted):
        raise NotFoundError(f"{prefix!r} is not the beginning of a digest: {_SHORTEST} or more of 0-9, a-f")
    digits = 2 * PREFIX_BYTES
    low, high = (int(wanted[:digits].ljust(digits, fill), 16) for fill in "0f")
    rows = session.store.index.ask(
        "SELECT id, lower(hex(result)) FROM executions WHERE id IN ("
        "SELECT execution FROM results WHERE prefix BETWEEN ?1 AND ?2 UNION "
        "SELECT execution FROM late_results WHERE prefix BETWEEN ?1 AND ?2) ORDER BY id",
        (low, high),
        derived=True,
    )
    rows = [row for row in rows if row[1].startswith(wanted)]
    digests = {row[1] for row in rows}
    if len(digests) > 1:
        raise AmbiguousError(
            f"{len(digests)} digests begin with {prefix}; give more of it: {', '.join(sorted(digests)[:5])}"
        )
    return Point("digest", _some((row[0] for row in rows), f"no recorded call gave a dataset {prefix}"))


def _run(session: Session, number: int) -> Point:
    import json

    rows = session.store.index.ask("SELECT facts FROM runs WHERE id = ?", (number,))
    if not rows:
        raise NotFoundError(f"there is no run {number} in {session.root}; lineage.runs() lists them")
    executed = session.store.index.ask(
        "SELECT e.id FROM executions e WHERE e.run = ?1 AND e.status = 'ok' AND e.id BETWEEN "
        "(SELECT min(first) FROM (SELECT first FROM run_spans WHERE run = ?1 UNION ALL "
        "SELECT first FROM late_run_spans WHERE run = ?1)) AND "
        "(SELECT max(last) FROM (SELECT last FROM run_spans WHERE run = ?1 UNION ALL "
        "SELECT last FROM late_run_spans WHERE run = ?1))",
        (number,),
        derived=True,
    )
    results = json.loads(rows[0][0]).get("results", [])
    found = dict.fromkeys([*results, *(row[0] for row in executed)])
    return Point("run", _some(found, f"run {number} recorded no call and knows of no result"))


def _execution(session: Session, text: str) -> Point:
    number = int(text) if text.isdigit() else -1
    rows = session.store.index.ask("SELECT id FROM executions WHERE id = ?", (number,))
    return Point("execution", _some((row[0] for row in rows), f"there is no execution {text!r} in {session.root}"))


_KINDS: dict[str, Callable[[Session, str, bool], Point]] = {
    "tag": lambda session, text, _: _tag(session, text),
    "node": lambda session, text, every: _node(session, "name", text, text, every),
    "file": lambda session, text, _: _file(session, text if is_url(text) else os.path.abspath(text)),
    "digest": lambda session, text, _: _digest(session, text),
    "run": lambda session, text, _: _run(session, int(text) if text.isdigit() else -1),
    "execution": lambda session, text, _: _execution(session, text),
}
