"""How much goes into a call and comes out of it: bytes, as stored, and rows of tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lineage.content.tree import SCALARS, Leaf, Tree, leaves
from lineage.storage.store import Store

__all__ = ["size_of"]


def size_of(store: Store, trees: Iterable[Tree]) -> tuple[int, int | None]:
    """Return the bytes that trees take in the store or, as files, on disk, and the rows of the tables in them (None where
    there are none). What stands in the text of a tree counts nothing.
    """
    size, rows = 0, None
    for tree in trees:
        if type(tree) in SCALARS:
            continue
        for leaf in leaves(tree):
            size += _bytes(store, leaf)
            if leaf.family == "table":
                info = leaf.info or store.index.info(leaf.content)
                rows = (rows or 0) + int(info.get("rows", 0))
    return size, rows


def _bytes(store: Store, leaf: Leaf) -> int:
    if leaf.family == "file":
        return _on_disk(leaf.info or {})
    if leaf.is_inline:
        return 0
    manifest = store.index.manifest(leaf.content)
    return manifest.size if manifest is not None else 0


def _on_disk(info: dict[str, Any]) -> int:
    """Return the size of a declared file or folder by its stamps, which begin with it; 0 for what lies elsewhere."""
    if "files" in info:
        return sum(_by_stamp(stamp) for _, stamp, _ in info["files"].values())
    return _by_stamp(info.get("stamp", ""))


def _by_stamp(stamp: str) -> int:
    first, _, rest = stamp.partition(" ")
    return int(first) if rest and first.isdigit() else 0
