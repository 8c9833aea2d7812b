"""Why a call would run: what changed in its key since the last time that its node ran."""

from __future__ import annotations

import json
from typing import Any

from lineage.content.tree import Tree, digest_tree, holes
from lineage.graph import Call
from lineage.planning import NEEDED, Graph, Step, calls_behind

__all__ = ["reason"]


def reason(graph: Graph, step: Step) -> str:
    """Return one line that says why a needed call is not a hit."""
    if step.forced:
        return "refresh was asked for"
    if step.node.given.every is not None:
        return f"a new period of {step.node.given.every} has begun, or it never ran"
    latest = graph.index.latest(step.node.reference)
    if latest is None:
        return "never ran before"
    _, code, arguments = latest
    changes = _code_changes(graph, step, code) + _argument_changes(graph, step, json.loads(arguments))
    running = sorted({made_from.node.name for made_from in calls_behind(step.inputs) if made_from.state == NEEDED})
    if running:
        changes.append(f"input from {', '.join(running)} is decided anew")
    if step.tainted:
        changes.append("depends on an effect or a failure, so it is decided by content")
    return "; ".join(changes) or "its inputs have not met this code before, or it was forgotten"


def _code_changes(graph: Graph, step: Step, code: Any) -> list[str]:
    if graph.code(step.node) == code:
        return []
    text = graph.index.code(code)
    if text is None:
        return ["code changed"]
    before, now = json.loads(text)["leaves"], json.loads(step.node.leaves())["leaves"]
    changed = [label for label in now if label in before and before[label] != now[label]]
    added = [label for label in now if label not in before]
    gone = [label for label in before if label not in now]
    parts = [f"{label} changed" for label in changed] + [f"{label} is new" for label in added]
    parts += [f"{label} is gone" for label in gone]
    return _shortened(parts) or ["options changed"]


def _shortened(parts: list[str]) -> list[str]:
    return parts if len(parts) <= 4 else [*parts[:4], f"and {len(parts) - 4} more changes"]


def _argument_changes(graph: Graph, step: Step, before: dict[str, Any]) -> list[str]:
    call = step.hole
    assert isinstance(call, Call)
    changes = []
    for name, argument in zip(call._lineage_node.signature.names, call._lineage_arguments, strict=True):
        if name not in before:
            changes.append(f"argument {name} is new")
            continue
        change = _argument_change(graph, name, argument, before[name])
        if change:
            changes.append(change)
    return changes


def _argument_change(graph: Graph, name: str, argument: Tree, before: Any) -> str:
    if not isinstance(before, dict):
        is_plain = argument is None or isinstance(argument, (int, float, str, bool))
        if is_plain and (type(argument) is not type(before) or argument != before):
            return f"argument {name}: {before!r} → {argument!r}"
        return "" if is_plain else f"argument {name} was {before!r}"
    try:
        now = digest_tree(argument, graph.resolved_digest)
    except (AssertionError, KeyError):
        return ""  # its input is decided anew: said in its own line
    if now.hex() == before.get("digest"):
        return ""
    return (
        f"argument {name} has other content" if next(holes(argument), None) is not None else f"argument {name} changed"
    )
