"""The arguments of an execution as they are recorded: what they were and where they came from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from json.encoder import encode_basestring_ascii
from typing import Any

from lineage.content.tree import Branch, Leaf, Tree, digest_tree, holes
from lineage.datasets import MADE_OF
from lineage.digest import Digest
from lineage.graph import Call
from lineage.planning import Graph

__all__ = ["argument_text", "described", "with_made_of"]

_encode = json.JSONEncoder().encode
_TEXT: dict[type, Callable[[Any], str]] = {
    int: repr,
    float: lambda value: repr(value) if math.isfinite(value) else _encode(value),
    str: encode_basestring_ascii,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
}
"""How plain values are written, by exact type: a fifth of the time of the encoder, which is made for more."""

_SHOWN = 200
"""Characters kept of an argument's text."""


def described(graph: Graph, call: Call, digests: list[Digest]) -> str:
    """Return the arguments of a call as JSON: scalars as they are, the rest by digest, with where it came from.

    `from` lists executions, so that lineage joins executions and never bare digests; `files` lists paths.
    """
    names = call._lineage_node.signature.names
    parts = []
    for name, argument, digest in zip(names, call._lineage_arguments, digests, strict=True):
        write = _TEXT.get(type(argument))
        text = _origin(graph, argument, digest) if write is None else write(argument)
        parts.append(f'"{name}": {text}')
    return "{" + ", ".join(parts) + "}"


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
    steps = [graph.step(hole) for hole in holes(argument)]
    if len(steps) == 1 and steps[0].is_call:
        return f'{{"digest": "{digest.hex()}", "from": [{steps[0].execution}]}}'
    entry: dict[str, Any] = {"digest": digest.hex()}
    sources = [step.execution for step in steps if step.execution is not None]
    files = [
        (step.tree.info or {})["path"] for step in steps if isinstance(step.tree, Leaf) and step.tree.family == "file"
    ]
    if sources:
        entry["from"] = sources
    if files:
        entry["files"] = files
    if not steps:
        entry["shown"] = _shown(argument)
    return _encode(entry)


def argument_text(argument: Tree) -> str:
    """Return a plain argument, one without calls in it, as it is recorded."""
    write = _TEXT.get(type(argument))
    if write is not None:
        return write(argument)
    return _encode({"digest": digest_tree(argument).hex(), "shown": _shown(argument)})


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
