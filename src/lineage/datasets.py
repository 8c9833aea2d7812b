"""Handles of datasets: everything that is known of one, loading nothing until asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from attrs import field, frozen

from lineage.codecs.text import dump_tree
from lineage.codecs.thaw import Thawer
from lineage.content.tree import Branch, Leaf, Tree, digest_tree, leaves
from lineage.digest import Digest, short
from lineage.displays import html_of
from lineage.errors import CompositionError, NotFoundError
from lineage.graph import type_name
from lineage.identity import identify
from lineage.records import Record, Verdict
from lineage.signatures import item_hint
from lineage.storage.store import Store
from lineage.structure import as_view, pick

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MADE_OF", "Dataset", "Origin", "record_of", "size_text"]

MADE_OF = "made of"
"""Among the recorded arguments of a call that composed: the executions behind its result. No parameter is named so."""

T = TypeVar("T", covariant=True)
X = TypeVar("X")


@frozen
class Origin:
    """How a dataset came to be: the node, its arguments (JSON), the execution's and the run's number, when, and how long it took.

    `started` is Unix seconds, `wall` and `cpu` seconds, `memory` the peak of the process while the call ran, in bytes.
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
    collection of datasets). That of a list, a tuple, a dict or a record is a collection of handles too: `len(parts)`,
    `parts[3]`, `for part in parts` load nothing, and each part has its own digest and origin.
    """

    def __init__(
        self,
        store: Store,
        tree: Tree,
        hint: Any,
        execution: int | None,
        parts: Mapping[int | str, Dataset[Any]] | None = None,
    ) -> None:
        self._store = store
        self._tree = tree
        self._hint = hint
        self._execution = execution
        self._parts = parts
        self._made_of: list[int] | None = None

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
            node=row["node_name"], arguments=_given(row["arguments"]), execution=row["id"], run=row["run"],
            started=row["started"], wall=row["wall"], cpu=row["cpu"], memory=row["memory"], host=row["host"],
            executor=row["executor"], log=row["log"], code=row["code_digest"].hex(), note=row["note"],
            spans=[tuple(span) for span in json.loads(row["spans"] or "[]")],
        )  # fmt: skip

    @property
    def verdicts(self) -> list[Verdict]:
        """What `lineage.verify` found of the call behind it, the latest first."""
        return [] if self._execution is None else self._store.index.verdicts(self._execution)

    # -- a collection of datasets

    def __len__(self) -> int:
        """Return how many items a list, a tuple or a dict has.

        Raises:
            CompositionError: the dataset is nothing of the kind.
        """
        return len(self._keys())

    def __bool__(self) -> bool:
        return True

    @overload
    def __getitem__(self: Dataset[Sequence[X]], key: int) -> Dataset[X]: ...
    @overload
    def __getitem__(self: Dataset[Mapping[str, X]], key: str) -> Dataset[X]: ...
    def __getitem__(self, key: Any) -> Any:
        """Return the handle of one item of a list, a tuple or a dict.

        Raises:
            LookupError: there is no such item.
        """
        keys = self._keys()
        if isinstance(keys, range) and isinstance(key, int):
            position = key + len(keys) if key < 0 else key
            if position not in keys:
                raise NotFoundError(f"the dataset has {len(keys)} items, and none at {key}")
            return self._part(position)
        if key not in keys:
            raise NotFoundError(f"the dataset has no item {key!r}; it has {', '.join(map(repr, keys))}"[:200])
        return self._part(key)

    def __iter__(self: Dataset[Iterable[X]]) -> Iterator[Dataset[X]]:
        """Yield the handles of the items of a list or a tuple; a dict is gone through by its keys: take `ds[key]`."""
        keys = self._keys()
        if not isinstance(keys, range):
            raise CompositionError(f"a dataset of a {self.type} has its items by key: ds[{next(iter(keys), 'key')!r}]")
        return iter([self._part(position) for position in keys])

    def _keys(self) -> Sequence[Any]:
        tree = self._tree
        if isinstance(tree, Branch) and tree.kind in ("list", "tuple", "namedtuple"):
            return range(len(tree.items))
        if isinstance(tree, Branch) and tree.kind in ("dict", "OrderedDict"):
            return [key for key in tree.items[::2] if isinstance(key, str)]
        raise CompositionError(f"a dataset of a {self.type} is one value, no collection; its value is ds.value")

    def _part(self, key: int | str) -> Dataset[Any]:
        if self._parts is not None:
            return self._parts[key]
        _, hint = item_hint(self._hint, key)
        return Dataset(self._store, pick(self._tree, key), hint, self._execution_of(key))

    def _execution_of(self, key: int | str) -> int | None:
        """Return what made an item: the call of its own that a `map` made for it, or else what made the whole."""
        if self._execution is None or not isinstance(key, int):
            return self._execution
        if self._made_of is None:
            arguments = json.loads(self._store.index.execution(self._execution)["arguments"])
            self._made_of = arguments.get(MADE_OF, {}).get("each", [])
        return self._made_of[key] if key < len(self._made_of) else self._execution

    def _info(self) -> dict[str, Any]:
        tree = self._tree
        if isinstance(tree, Branch) and tree.kind in ("scan", "joined"):
            parts = [self._store.index.info(leaf.content) for leaf in leaves(tree)]
            return {"schema": parts[0]["schema"], "rows": sum(part["rows"] for part in parts)} if parts else {}
        return self._store.index.info(tree.content) if isinstance(tree, Leaf) else {}

    def _repr_html_(self) -> str | None:
        return html_of(self)

    def __repr__(self) -> str:
        parts = [self.type]
        if self.rows is not None:
            parts.append(f"{self.rows:,} rows × {len(self.schema or {})} columns")
        if self.bytes:
            parts.append(size_text(self.bytes))
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


def _given(text: str) -> dict[str, Any]:
    return {name: argument for name, argument in json.loads(text).items() if name != MADE_OF}


def size_text(count: int) -> str:
    """Return a number of bytes for people.

    >>> size_text(1_234_567)
    '1.23 MB'
    """
    size, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"
