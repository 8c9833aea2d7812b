"""Datasets for people: the first rows of a table, the text of a plain value; nothing unpickled, nothing large read."""

from __future__ import annotations

from typing import Any

from lineage.content.tree import Atom, Branch, Leaf, Tree, leaves
from lineage.datasets import Dataset
from lineage.errors import LineageError

__all__ = ["MOST_BYTES", "head", "value_text"]

MOST_BYTES = 64 << 20
"""Bytes that may be decoded for a display, where a table can't be read in part."""

_MOST = 2_000
_ITEMS = 20
_DEEP = 6


def head(dataset: Dataset[Any], rows: int) -> Any:
    """Return the first rows of a table, as a polars frame; None for what is no table, or can't be read in part and is large.

    Raises:
        LineageError: it is gone or damaged.
    """
    if dataset.schema is None or not _is_table(dataset._tree):
        return None
    if dataset.bytes > MOST_BYTES and not _in_part(dataset):
        return None
    return dataset.scan().head(rows).collect()


def _is_table(tree: Tree) -> bool:
    if isinstance(tree, Branch):
        return tree.kind in ("scan", "joined") and bool(tree.items)
    return isinstance(tree, Leaf) and tree.family == "table"


def _in_part(dataset: Dataset[Any]) -> bool:
    manifests = [dataset._store.index.manifest(leaf.content) for leaf in leaves(dataset._tree)]
    return all(found is not None and all(b.name.endswith(".parquet") for b in found.blobs) for found in manifests)


def value_text(dataset: Dataset[Any]) -> str | None:
    """Return the text of a plain value as it is recorded, without making it; what is kept as objects is named."""
    try:
        return _text(dataset._tree, 0, dataset)[:_MOST]
    except LineageError:
        return None


def _text(tree: Tree, depth: int, dataset: Dataset[Any]) -> str:
    if isinstance(tree, Leaf):
        return _leaf_text(tree, dataset)
    if isinstance(tree, Atom):
        return tree.text if tree.kind != "enum" else tree.text.partition(":")[2].replace(" ", ".")
    if not isinstance(tree, Branch):
        text = repr(tree)
        return text if len(text) <= _MOST else text[:_MOST] + "…"
    if depth >= _DEEP:
        return "…"
    return _branch_text(tree, depth, dataset)


def _branch_text(branch: Branch, depth: int, dataset: Dataset[Any]) -> str:
    keyed = branch.kind in ("dict", "OrderedDict", "Counter", "attrs", "dataclass")
    pairs = branch.items[: 2 * _ITEMS if keyed else _ITEMS]
    dots = ["…"] if len(branch.items) > len(pairs) else []
    texts = [_text(item, depth + 1, dataset) for item in pairs]
    if branch.kind in ("attrs", "dataclass"):
        fields = [f"{name}={text}" for name, text in zip(pairs[::2], texts[1::2], strict=True)]
        return f"{_class(branch)}({', '.join(fields + dots)})"
    if keyed:
        inner = ", ".join([f"{key}: {value}" for key, value in zip(texts[::2], texts[1::2], strict=True)] + dots)
        return f"{{{inner}}}" if branch.kind == "dict" else f"{branch.kind}({{{inner}}})"
    inner = ", ".join(texts + dots)
    if branch.kind == "list":
        return f"[{inner}]"
    if branch.kind == "tuple":
        return f"({inner},)" if len(texts) == 1 else f"({inner})"
    if branch.kind == "set":
        return f"{{{inner}}}" if inner else "set()"
    return f"{_class(branch)}({inner})"


def _class(branch: Branch) -> str:
    return branch.text.rpartition(":")[2] or branch.kind


def _leaf_text(leaf: Leaf, dataset: Dataset[Any]) -> str:
    """Return what is known of something kept as objects, without reading them."""
    name = leaf.kind.partition(":")[2].rpartition(":")[2]
    info = (leaf.info or {}) if leaf.is_inline else dataset._store.index.info(leaf.content)
    if "shape" in info:
        return f"<{name} {' × '.join(map(str, info['shape']))}, {info.get('dtype', '')}>"
    if "rows" in info:
        return f"<{name}, {info['rows']:,} rows × {len(info.get('schema') or {})} columns>"
    if leaf.family == "failed":
        return f"<Failed: {info.get('error', '')}>"
    return f"<{name}>"
