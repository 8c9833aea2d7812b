"""The arguments of an execution as they are recorded: what they were and where they came from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Any

from lineage.codecs.text import dump_tree
from lineage.content.tree import Branch, Hole, Leaf, Tree, digest_tree, holes
from lineage.datasets import MADE_OF
from lineage.digest import Digest
from lineage.graph import Call, Pinned, inputs_of
from lineage.planning import Graph

__all__ = ["argument_text", "described", "described_one", "with_made_of"]

_encode = json.JSONEncoder().encode
_TEXT: dict[type, Callable[[Any], str]] = {
    int: repr,
    float: lambda value: repr(value) if math.isfinite(value) else _encode(value),
    str: encode_basestring_ascii,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
}
"""How plain values are written, by exact type: a fifth of the time of the encoder, which is made for more."""

_WHOLE = 2000
"""Characters up to which a plain argument is recorded whole, so that its call can be carried out again."""

_SHOWN = 200
"""Characters kept of an argument's text."""


def described(graph: Graph, call: Call, digests: list[Digest]) -> str:
    """Return the arguments of a call as JSON: scalars as they are, the rest by digest, with where it came from.

    `from` lists executions, so that lineage joins executions and never bare digests; `files` lists paths, `names` the
    full names of references.
    """
    names = call._lineage_node.signature.names
    parts = []
    for name, argument, digest in zip(names, call._lineage_arguments, digests, strict=True):
        write = _TEXT.get(type(argument))
        text = _origin(graph, argument, digest) if write is None else write(argument)
        parts.append(f'"{name}": {text}')
    return "{" + ", ".join(parts) + "}"


def described_one(graph: Graph, argument: Tree) -> str:
    """Return one argument, whose inputs are resolved, as `described` does."""
    write = _TEXT.get(type(argument))
    if write is not None:
        return write(argument)
    return _origin(graph, argument, digest_tree(argument, graph.resolved_digest))


def with_made_of(arguments: str, executions: list[int | None], *, each: bool) -> str:
    """Return recorded arguments with the executions behind the result of a call that composed.

    They are `each` of its items in order, or `from` them it is made in some other way.
    """
    if not executions or None in executions:
        return arguments
    text = f'"{MADE_OF}": {{"{"each" if each else "from"}": {_encode(executions)}}}'
    return arguments[:-1] + (", " if arguments != "{}" else "") + text + "}"


def _origin(graph: Graph, argument: Tree, digest: Digest) -> str:
    if type(argument) is Call:
        return f'{{"digest": "{digest.hex()}", "from": [{graph.step(argument).execution}]}}'
    made_from = list(holes(argument))
    steps = [graph.step(hole) for hole in made_from]
    if len(steps) == 1 and steps[0].is_call:
        return f'{{"digest": "{digest.hex()}", "from": [{steps[0].execution}]}}'
    entry: dict[str, Any] = {"digest": digest.hex()}
    sources = [execution for hole in made_from for execution in _executions(graph, hole)]
    names = [name for hole in made_from if (name := _name_behind(graph, hole)) is not None]
    files = [
        (step.tree.info or {})["path"] for step in steps if isinstance(step.tree, Leaf) and step.tree.family == "file"
    ]
    if sources:
        entry["from"] = sources
    if names:
        entry["names"] = names
    if files:
        entry["files"] = files
    if not steps:
        entry |= _literal(argument)
    return _encode(entry)


def _executions(graph: Graph, hole: Hole) -> Iterator[int]:
    """Yield what made an input, in order: of a view of several, each of them.

    Two references to equal datasets are one step, and have origins of their own.
    """
    stack = [hole]
    while stack:
        found = stack.pop()
        number = graph.resolve(found).record.execution if isinstance(found, Pinned) else graph.step(found).execution
        if number is not None:
            yield number
        else:
            stack.extend(reversed(inputs_of(found)))


def _name_behind(graph: Graph, hole: Hole) -> str | None:
    """Return the full name that leads to an input, or to what it is a field or a view of."""
    while not isinstance(hole, (Call, Pinned)):
        below = inputs_of(hole)
        if len(below) != 1:
            return None
        hole = below[0]
    return graph.resolve(hole).name if isinstance(hole, Pinned) else None


def argument_text(argument: Tree) -> str:
    """Return a plain argument, one without calls in it, as it is recorded."""
    write = _TEXT.get(type(argument))
    if write is not None:
        return write(argument)
    return _encode({"digest": digest_tree(argument).hex(), **_literal(argument)})


def _literal(argument: Tree) -> dict[str, str]:
    """Return what is recorded of an argument without calls in it: what it looks like, and a short one whole."""
    entry = {"shown": _shown(argument)}
    if next(islice(_written(argument), _SHOWN, None), None) is None:
        text = dump_tree(argument)
        if len(text) <= _WHOLE:
            entry["tree"] = text
    return entry


def _shown(argument: Tree) -> str:
    """Return the beginning of what an argument looks like, as Python writes it."""
    text = "".join(islice(_written(argument), _SHOWN))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _written(tree: Tree) -> Iterator[str]:
    """Yield a tree piece by piece, so that only what is shown of a long one is written."""
    if not isinstance(tree, Branch):
        yield repr(tree)
        return
    opening, closing = _BRACKETS.get(tree.kind, (f"{tree.text.rpartition(':')[2] or tree.kind}(", ")"))
    yield opening
    keyed = tree.kind in ("dict", "OrderedDict")
    for position, item in enumerate(tree.items):
        if position:
            yield ": " if keyed and position % 2 else ", "
        yield from _written(item)
    yield closing


_BRACKETS = {"list": ("[", "]"), "tuple": ("(", ")"), "dict": ("{", "}"), "set": ("{", "}")}
