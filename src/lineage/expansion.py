"""What a node composed that decides a graph's shape at run time, and when its record is an answer for another run."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from lineage.codecs.thaw import ClassChangedError
from lineage.content.tree import Branch, Hole, Tree
from lineage.digest import Digest
from lineage.errors import CorruptObjectError, ObjectMissingError
from lineage.executors.base import Cause, Failure, Work
from lineage.files import Input
from lineage.graph import Pinned
from lineage.planning import Graph, Step, merged, nodes_given
from lineage.records import SideData
from lineage.spread import composed
from lineage.storage.store import Store

__all__ = ["NEVER", "Expansion", "catches", "is_list_of_calls", "relies_below", "spread_out"]

NEVER = (("a caught failure", "is tried again"),)
"""What the record of an expansion relies on that is no answer for the next run: no node has that name, so it never holds."""


class Expansion(NamedTuple):
    """What a dynamic node composed: it is done when the calls in `tree` are."""

    tree: Tree
    side: SideData
    work: Work


def spread_out(work: Work, graph: Graph, store: Store) -> tuple[Tree, SideData] | Failure:
    """Let a built-in node compose, now that what it is given is known: items stay lazy, no data are read."""
    call, side = work.ticket.hole, SideData(executor="driver")
    try:
        return composed(call, work.code, lambda hole: graph.tree(graph.step(hole)), store.read), side
    except Exception as error:
        damaged = isinstance(error, (ObjectMissingError, CorruptObjectError, ClassChangedError))
        cause: Cause = "inputs" if damaged else "user"
        return Failure(error, "".join(traceback.format_exception(error)), side, cause)


def relies_below(graph: Graph, expanded: Step, below: Iterable[Step]) -> tuple[tuple[str, str], ...]:
    """Return every node that an expansion made calls of, with its code, and what those rely on in turn.

    What the expanding call itself was given, calls and nodes, is left out: it is in the keys of its record already.
    """
    given = nodes_given(expanded.hole)
    found: list[tuple[tuple[str, str], ...]] = []
    for step in _made(expanded, below):
        found.append(step.relies_on)
        if step.is_call:
            nodes = [node.declared for node in (step.node, *nodes_given(step.hole))]
            found.append(
                tuple((node.reference, graph.code(node).hex()) for node in nodes if not _is_given(graph, node, given))
            )
    return merged(found)


def catches(expanded: Step, below: Iterable[Step]) -> bool:
    """Say whether a failure was caught among the calls that an expansion made, or an input stands there that may be
    another next time: what is not among the arguments of an expansion is in none of its keys.
    """
    return any(step.catches or _is_source(step) for step in _made(expanded, below))


def is_list_of_calls(tree: Tree) -> bool:
    """Say whether a composed result is a list whose items are one call each."""
    return isinstance(tree, Branch) and tree.kind == "list" and all(isinstance(item, Hole) for item in tree.items)


def _made(expanded: Step, below: Iterable[Step]) -> Iterator[Step]:
    """Yield what an expansion added to the graph: all that `below` is made from, short of what the call was given."""
    stack, seen = list(below), {id(step) for step in expanded.inputs}
    while stack:
        step = stack.pop()
        if id(step) not in seen:
            seen.add(id(step))
            yield step
            stack.extend(step.inputs)


def _is_given(graph: Graph, node: Any, given: dict[Any, Digest]) -> bool:
    return node in given and given[node] == graph.code(node)


def _is_source(step: Step) -> bool:
    """Say whether a vertex stands for something outside: a file, a folder, a name, a node with one value a period."""
    return isinstance(step.hole, (Input, Pinned)) or (step.is_call and step.node.given.period is not None)
