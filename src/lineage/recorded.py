"""Executions as calls that can be put together again: which node it was, and what it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lineage.codecs.text import load_tree
from lineage.content.tree import Branch, Tree, digest_tree
from lineage.datasets import MADE_OF
from lineage.digest import short
from lineage.errors import LineageError, NotFoundError
from lineage.files import Directory, File
from lineage.fingerprints import Fingerprints
from lineage.node import Node, nodes_of
from lineage.storage.store import Store
from lineage.structure import as_view, pick

if TYPE_CHECKING:
    from lineage.storage.base import Index

__all__ = ["RecordedCall", "sources_of", "walked"]


class RecordedCall:
    """An execution, as a row of the index; `given` are the texts of its arguments, where the call itself is at hand."""

    def __init__(self, store: Store, row: dict[str, Any], given: tuple[str, ...] | None) -> None:
        self.store = store
        self.row = row
        self.given = given
        self.number: int = row["id"]
        self.arguments = {name: entry for name, entry in json.loads(row["arguments"]).items() if name != MADE_OF}

    def shown(self) -> str:
        """Return one line that says which call it was."""
        parts = [f"{name}={_brief(entry)}" for name, entry in self.arguments.items()]
        return f"{self.row['node_name']}({', '.join(parts)})"

    def node(self) -> Node[..., Any]:
        """Return the node that was called, if it is loaded, or can be imported, with the code that it had.

        Raises:
            NotFoundError: it is not.
        """
        reference = self.row["node_reference"]
        known = nodes_of(reference)
        for node in known:
            try:
                if node.code_digest() == self.row["code_digest"]:
                    return node
            except LineageError:
                continue
        if not known:
            raise NotFoundError(f"no node {reference} is loaded, and none can be imported by that name")
        raise NotFoundError(
            "its code, or a package that it uses, has changed since, so it would not be the same call; materialise it again, "
            "and verify that"
        )

    def trees(self, node: Node[..., Any]) -> dict[str, Tree]:
        """Return the arguments by parameter, as readers get them.

        Raises:
            NotFoundError: the record does not hold one of them whole.
        """
        names = node.signature.names
        if self.given is not None:
            return dict(zip(names, map(load_tree, self.given), strict=True))
        missing = next((name for name in names if name not in self.arguments), None)
        if missing is not None:
            raise NotFoundError(f"its argument `{missing}` was not recorded")
        return {name: self._rebuilt(name, self.arguments[name]) for name in names}

    # -- arguments, from what the record says of them

    def _rebuilt(self, name: str, entry: Any) -> Tree:
        if not isinstance(entry, dict):
            return entry  # type: ignore[no-any-return]
        if "tree" in entry:
            return load_tree(entry["tree"])
        wanted = bytes.fromhex(entry["digest"])
        for candidate in self._candidates(entry):
            if digest_tree(candidate) == wanted:
                return candidate
        raise NotFoundError(
            f"the record does not hold its argument `{name}` whole; give the call in place of the dataset"
        )

    def _candidates(self, entry: dict[str, Any]) -> Iterator[Tree]:
        """Yield what an argument may have been, made of its inputs. Its digest says which it was."""
        if "files" in entry:
            yield from self._files(entry["files"])
        trees = [self._result(number) for number in entry.get("from", [])]
        if len(trees) == 1:
            yield trees[0]
            yield from _inside(trees[0])
        for kind in ("list", "tuple"):
            yield Branch(kind, tuple(trees))
        for kind in ("polars.LazyFrame", "polars.DataFrame", "pyarrow.Table", "pandas.DataFrame"):
            try:
                yield as_view(trees[0] if len(trees) == 1 else Branch("list", tuple(trees)), f"table:{kind}")
            except LineageError:
                return

    def _files(self, paths: list[str]) -> Iterator[Tree]:
        fingerprints = Fingerprints(self.store.index, self.store.downloads)
        for kind in (File, Directory):
            try:
                leaves = [fingerprints.leaf(kind(path)) for path in paths]
            except (LineageError, OSError):
                continue
            yield leaves[0] if len(leaves) == 1 else Branch("list", tuple(leaves))
            yield Branch("list", tuple(leaves))

    def _result(self, number: int) -> Tree:
        return load_tree(self.store.unspill(self.store.index.execution(number)["value"]))


def _brief(entry: Any) -> str:
    if not isinstance(entry, dict):
        return repr(entry)[:40]
    names = entry.get("names") or entry.get("files") or [entry.get("shown") or short(bytes.fromhex(entry["digest"]))]
    return str(names[0])[:40]


def _inside(tree: Tree) -> Iterator[Tree]:
    if not isinstance(tree, Branch):
        return
    for position, item in enumerate(tree.items):
        yield item
        if tree.kind == "namedtuple":
            yield pick(tree, position)
        if isinstance(item, Branch):
            yield from item.items


def walked(index: Index, roots: Sequence[int], *, upstream: bool) -> Iterator[dict[str, Any]]:
    """Yield the rows of the executions `roots`, and with `upstream` of all that led to them. Calls that compose are looked
    through: what they composed was executed by calls of their own.
    """
    stack, seen = list(roots), set(roots)
    while stack:
        row = index.execution(stack.pop())
        arguments = json.loads(row["arguments"])
        made_of = sources_of(arguments.pop(MADE_OF, {}))
        if not made_of:
            yield row
        following = [*made_of]
        if upstream:
            following += [number for entry in arguments.values() for number in sources_of(entry)]
        for number in following:
            if number not in seen:
                seen.add(number)
                stack.append(number)


def sources_of(entry: Any) -> list[int]:
    """Return the executions that an argument came from."""
    return [*entry.get("from", []), *entry.get("each", [])] if isinstance(entry, dict) else []
