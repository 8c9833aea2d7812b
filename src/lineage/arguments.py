"""The arguments of an execution as they are recorded: what they were and where they came from."""

from __future__ import annotations

import json
from typing import Any

from lineage.content.tree import Leaf, holes
from lineage.digest import Digest
from lineage.graph import Call
from lineage.planning import Graph

__all__ = ["described"]

_PLAIN = frozenset({int, str, float, bool, type(None)})
_SHOWN = 200
"""Characters kept of an argument's text."""


def described(graph: Graph, call: Call, digests: list[Digest]) -> str:
    """Return the arguments of a call as JSON: scalars as they are, the rest by digest, with where it came from.

    `from` lists executions, so that lineage joins executions and never bare digests; `files` lists paths.
    """
    names = call._lineage_node.signature.names
    found: dict[str, Any] = {}
    for name, argument, digest in zip(names, call._lineage_arguments, digests, strict=True):
        if type(argument) in _PLAIN:
            found[name] = argument
            continue
        entry: dict[str, Any] = {"digest": digest.hex()}
        steps = [graph.step(hole) for hole in holes(argument)]
        sources = [step.execution for step in steps if step.execution is not None]
        files = [
            (step.tree.info or {})["path"]
            for step in steps
            if isinstance(step.tree, Leaf) and step.tree.family == "file"
        ]
        if sources:
            entry["from"] = sources
        if files:
            entry["files"] = files
        if not steps:
            entry["shown"] = repr(argument)[:_SHOWN]
        found[name] = entry
    return json.dumps(found)
