"""Handles of datasets: everything that is known of one, loading nothing until asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from lineage.codecs.text import dump_tree
from lineage.codecs.thaw import Thawer
from lineage.content.tree import Branch, Leaf, Tree, digest_tree, leaves
from lineage.digest import Digest, short
from lineage.errors import CompositionError
from lineage.graph import type_name
from lineage.identity import identify
from lineage.records import Record
from lineage.storage.store import Store
from lineage.structure import as_view

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Dataset", "Origin", "record_of"]

T = TypeVar("T")


@frozen
class Origin:
    """How a dataset came to be: the node, its arguments (JSON), the execution's and the run's number, when, and how long it took.

    `started` is Unix seconds, `wall` and `cpu` seconds, `memory` the peak of the process in bytes.
    """

    node: str
    arguments: dict[str, Any]
    execution: int
    run: int
    started: float
    wall: float
    cpu: float
    memory: int
    host: str
    executor: str
    log: str = field(repr=False)
    code: str = field(repr=False)
    note: str | None = None
    spans: list[tuple[str, float, float]] = field(factory=list)


class Dataset(Generic[T]):
    """An immutable, content-hashed result.

    `digest` says what it is; two datasets with one digest are equal. `origin` says how it came to be (None for a
    collection of datasets).
    """

    def __init__(self, store: Store, tree: Tree, hint: Any, execution: int | None) -> None:
        self._store = store
        self._tree = tree
        self._hint = hint
        self._execution = execution

    @property
    def value(self) -> T:
        """A fresh value: whatever you do to it, the dataset stays what it is.

        Raises:
            ObjectMissingError, CorruptObjectError: it was lost or damaged since; materialise it again.
        """
        return Thawer(self._store.read, identify).thaw(self._tree)  # type: ignore[no-any-return]

    @property
    def digest(self) -> Digest:
        return digest_tree(self._tree)

    @property
    def type(self) -> str:
        """The type of the value, as it is stored."""
        tree = self._tree
        if isinstance(tree, Leaf):
            return tree.kind.partition(":")[2].rpartition(":")[2]
        if isinstance(tree, Branch):
            return tree.text.rpartition(":")[2] or tree.kind
        return type_name(self._hint) if tree is None else getattr(tree, "kind", type(tree).__name__)

    @property
    def schema(self) -> dict[str, str] | None:
        """The columns of a table and their types; None for anything else."""
        return self._info().get("schema")

    @property
    def rows(self) -> int | None:
        """The number of rows of a table; None for anything else."""
        return self._info().get("rows")

    def scan(self) -> pl.LazyFrame:
        """Return a table, or a list of tables of one schema, as one lazy frame that reads what it is asked for.

        Raises:
            LineageError: it is something else.
            SchemaError: the tables have other columns.
        """
        tree = as_view(self._tree, "table:polars.LazyFrame")
        return Thawer(self._store.read, identify).thaw(tree)  # type: ignore[no-any-return]

    @property
    def bytes(self) -> int:
        """The bytes that it takes in the store."""
        total = 0
        for leaf in leaves(self._tree):
            manifest = self._store.index.manifest(leaf.content)
            total += manifest.size if manifest is not None else 0
        return total

    @property
    def origin(self) -> Origin | None:
        if self._execution is None:
            return None
        row = self._store.index.execution(self._execution)
        return Origin(
            node=row["node_name"], arguments=json.loads(row["arguments"]), execution=row["id"], run=row["run"],
            started=row["started"], wall=row["wall"], cpu=row["cpu"], memory=row["memory"], host=row["host"],
            executor=row["executor"], log=row["log"], code=row["code_digest"].hex(), note=row["note"],
            spans=[tuple(span) for span in json.loads(row["spans"] or "[]")],
        )  # fmt: skip

    def _info(self) -> dict[str, Any]:
        tree = self._tree
        if isinstance(tree, Branch) and tree.kind in ("scan", "joined"):
            parts = [self._store.index.info(leaf.content) for leaf in leaves(tree)]
            return {"schema": parts[0]["schema"], "rows": sum(part["rows"] for part in parts)} if parts else {}
        return self._store.index.info(tree.content) if isinstance(tree, Leaf) else {}

    def __repr__(self) -> str:
        parts = [self.type]
        if self.rows is not None:
            parts.append(f"{self.rows:,} rows × {len(self.schema or {})} columns")
        if self.bytes:
            parts.append(_size(self.bytes))
        origin = self.origin
        made = f", by {origin.node} in run {origin.run}" if origin is not None else ""
        return f"<Dataset {short(self.digest)}: {', '.join(parts)}{made}>"


def record_of(handle: Dataset[Any]) -> Record:
    """Return the record of a handle, which may be one field of what its execution gave.

    Raises:
        CompositionError: it is a collection of several datasets.
    """
    if handle._execution is None:
        raise CompositionError("a collection of datasets has no record of its own; take each of them")
    execution = handle._store.index.execution(handle._execution)
    text = handle._store.spill(dump_tree(handle._tree))
    return Record(handle._execution, execution["call_key"], handle.digest, text)


def _size(count: int) -> str:
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"
