"""What differs between two calls of a node, leaf by leaf of their keys: code, packages, constants, arguments, inputs.

Both the reasons of a plan and `lineage.why` are made of this.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import asdict, frozen

from lineage.codecs.text import load_tree
from lineage.content.tree import Branch, Leaf, Tree, digest_tree
from lineage.datasets import MADE_OF
from lineage.digest import Digest
from lineage.storage.base import Index

__all__ = ["PENDING", "Change", "Code", "Tables", "argument_changes", "code_changes", "same_argument", "text_of"]

PENDING = "pending"
"""Among the arguments of a planned call: that its input is decided anew, by these nodes."""


@frozen
class Change:
    """One leaf that differs. `before` and `now` are texts; None where the leaf was or is not there.

    `kind` is `function`, `class`, `constant`, `default` and so on, as the leaves of code are called; `package`, `python`,
    `options`; `argument`, `file`, `input` or `column`. `diff` is a unified diff of source. `detail` says what `before` and
    `now` can't.
    """

    kind: str
    name: str
    before: str | None = None
    now: str | None = None
    detail: str = ""
    diff: str = ""

    def record(self) -> dict[str, Any]:
        """Return it as a dict of texts."""
        return asdict(self)

    def __str__(self) -> str:
        what = f"{self.kind} {self.name}".strip()
        if self.detail:
            return f"{what} {self.detail}"
        if self.before is not None and self.now is not None and self.before != self.now:
            return f"{what}: {_short(self.before)} → {_short(self.now)}"
        return f"{what} " + ("is new" if self.before is None else "is gone" if self.now is None else "changed")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


# -- code


class Code:
    """The leaves of a node's code, as they are recorded: label to digest, texts, and which parameters don't count."""

    def __init__(self, text: str | None) -> None:
        plain = json.loads(text) if text else {}
        self.is_known = text is not None
        self.leaves: dict[str, str] = plain.get("leaves", {})
        self.sources: dict[str, str] = plain.get("sources", {})
        self.unhashed = frozenset(plain.get("unhashed", ()))

    def distance(self, other: Code) -> int:
        """Return how many leaves are not shared."""
        return len(self.leaves.items() ^ other.leaves.items())


def code_changes(before: Code, now: Code) -> list[Change]:
    """Return what differs between two codes of one node that have different digests."""
    if not before.is_known:
        return [Change("code", "", detail="changed")]
    gone = {label: digest for label, digest in before.leaves.items() if now.leaves.get(label) != digest}
    new = {label: digest for label, digest in now.leaves.items() if before.leaves.get(label) != digest}
    found = [*_versions(gone, new)]
    for label in new:
        found.append(_of_leaf(label, before, now))
    found += [Change(*_split(label), before=before.sources.get(label, "")) for label in gone if label not in now.leaves]
    return found or [Change("options", "", detail="changed")]


def _versions(gone: dict[str, str], new: dict[str, str]) -> Iterator[Change]:
    """Yield packages and interpreters that came in another version, and take them out of both."""
    for label in list(gone):
        stem, _, version = label.rpartition(" ")
        if not stem or stem.partition(" ")[0] not in ("package", "python", "version"):
            continue
        other = next((name for name in new if name.rpartition(" ")[0] == stem), None)
        if other is not None:
            kind, _, name = stem.partition(" ")
            del gone[label], new[other]
            installed = other.rpartition(" ")[2]
            detail = "" if installed != version else f"{version} was installed anew, with other content"
            yield Change(kind, name, version, installed, detail)


def _split(label: str) -> tuple[str, str]:
    kind, _, name = label.partition(" ")
    return kind, name


def _of_leaf(label: str, before: Code, now: Code) -> Change:
    kind, name = _split(label)
    if label not in before.leaves:
        return Change(kind, name, now=now.sources.get(label, ""))
    old, new = before.sources.get(label), now.sources.get(label)
    if old is None or new is None or old == new:
        return Change(kind, name, detail="changed")
    if "\n" not in old and "\n" not in new:
        return Change(kind, name, old, new)
    return Change(kind, name, old, new, "changed", _diff(old, new))


def _diff(old: str, new: str) -> str:
    import difflib  # a few milliseconds, which importing this library does not have

    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "before", "now", lineterm="")
    return "\n".join(lines)


# -- arguments


class Tables:
    """What is recorded of the tables that executions gave: their columns' digests and their rows."""

    def __init__(self, index: Index, unspill: Callable[[str], str]) -> None:
        self.index = index
        self._unspill = unspill

    def info(self, argument: Mapping[str, Any]) -> dict[str, Any]:
        """Return facts of the table that an argument was, if one execution gave it; an empty dict otherwise."""
        sources = argument.get("from", [])
        if len(sources) != 1:
            return {}
        rows = self.index.ask("SELECT value FROM executions WHERE id = ?", (sources[0],))
        if not rows or rows[0][0] is None:
            return {}
        tree = _part(load_tree(self._unspill(rows[0][0])), Digest(bytes.fromhex(argument["digest"])))
        return self.index.info(tree.content) if isinstance(tree, Leaf) else {}

    def node(self, execution: int) -> str:
        rows = self.index.ask(
            "SELECT n.name FROM executions e JOIN nodes n ON n.id = e.node WHERE e.id = ?", (execution,)
        )
        return str(rows[0][0]) if rows else "?"


def _part(tree: Tree, digest: Digest) -> Tree:
    """Return the part of a value that has a digest, or the one table in a view of one."""
    stack = [tree]
    while stack:
        found = stack.pop()
        if isinstance(found, (Leaf, Branch)) and digest_tree(found) == digest:
            return found
        if isinstance(found, Branch):
            stack.extend(found.items)
    return tree


def same_argument(before: Any, now: Any) -> bool:
    """Say whether two recorded arguments are the same value."""
    if isinstance(before, dict) and isinstance(now, dict):
        return PENDING not in now and before.get("digest") == now.get("digest")
    return type(before) is type(now) and bool(before == now)


def argument_changes(
    before: Mapping[str, Any], now: Mapping[str, Any], unhashed: frozenset[str], tables: Tables | None = None
) -> list[Change]:
    """Return which arguments differ. With `tables`, inputs are looked at column by column."""
    found: list[Change] = []
    for name in now:
        if name == MADE_OF or name in unhashed:
            continue
        if name not in before:
            found.append(Change("argument", name, now=text_of(now[name])))
        elif not same_argument(before[name], now[name]):
            found += _argument(name, before[name], now[name], tables)
    gone = [name for name in before if name not in now and name != MADE_OF]
    return found + [Change("argument", name, before=text_of(before[name])) for name in gone]


def _argument(name: str, before: Any, now: Any, tables: Tables | None) -> list[Change]:
    if isinstance(now, dict) and PENDING in now:
        return [Change("input", name, detail=f"from {', '.join(now[PENDING])} is decided anew")]
    if not isinstance(before, dict) or not isinstance(now, dict):
        return [Change("argument", name, text_of(before), text_of(now))]
    if "files" in before or "files" in now:
        return [_files(name, before.get("files", []), now.get("files", []))]
    if "from" in before or "from" in now:
        return _input(name, before, now, tables)
    old, new = text_of(before), text_of(now)
    return [Change("argument", name, old, new, "" if old != new else "changed")]


def _files(name: str, before: list[str], now: list[str]) -> Change:
    if before == now:
        what = now[0] if len(now) == 1 else f"one or more of {len(now)} files"
        return Change("file", name, ", ".join(before), ", ".join(now), f"has other content: {what}")
    added, gone = [path for path in now if path not in before], [path for path in before if path not in now]
    if len(before) == len(now) == 1:
        return Change("file", name, before[0], now[0])
    parts = [f"has {len(added)} new: {', '.join(added[:3])}"] if added else []
    parts += [f"lacks {len(gone)}: {', '.join(gone[:3])}"] if gone else []
    return Change("file", name, ", ".join(before), ", ".join(now), "; ".join(parts) or "has them in another order")


def _input(name: str, before: dict[str, Any], now: dict[str, Any], tables: Tables | None) -> list[Change]:
    if tables is None:
        return [Change("argument", name, text_of(before), text_of(now), "has other content")]
    old, new = (
        ", ".join(f"execution {number} of {tables.node(number)}" for number in one.get("from", [])[:3]) or text_of(one)
        for one in (before, now)
    )
    detail = f"has other content: {old} → {new}" if old != new else "has other content"
    sources, others = before.get("from", []), now.get("from", [])
    if len(sources) > 1 or len(others) > 1:
        kept = len(set(sources) & set(others))
        detail = f"has other content: {kept} of its {len(others)} sources are those of before"
    return [Change("input", name, old, new, detail), *_columns(name, tables.info(before), tables.info(now))]


def _columns(name: str, before: dict[str, Any], now: dict[str, Any]) -> Iterator[Change]:
    old, new = before.get("columns", {}), now.get("columns", {})
    if not old or not new:
        return
    types, others = before.get("schema", {}), now.get("schema", {})
    for column in [*new, *(column for column in old if column not in new)]:
        if old.get(column) == new.get(column):
            continue
        was, is_now = types.get(column) if column in old else None, others.get(column) if column in new else None
        yield Change("column", f"{name}.{column}", was, is_now, "has other values" if was == is_now else "")
    if before.get("rows") != now.get("rows"):
        yield Change("rows", name, str(before.get("rows")), str(now.get("rows")))


def text_of(argument: Any) -> str:
    """Return a recorded argument as people read it."""
    if not isinstance(argument, dict):
        return repr(argument)
    if "files" in argument:
        return ", ".join(argument["files"][:3])
    return str(argument.get("shown") or f"dataset {argument.get('digest', '')[:12]}")
