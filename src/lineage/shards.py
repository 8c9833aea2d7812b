"""Tables in pieces: cut into shards, shared out by key, read as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, get_args, get_origin, overload

from attrs import frozen

from lineage.content.tree import Branch
from lineage.errors import CompositionError, WiringError
from lineage.graph import Item, Lazy, View, shown, type_name
from lineage.graph import result_hint as hint_of
from lineage.identity import freezer
from lineage.node import Node
from lineage.options import Options
from lineage.schema import Schema, unknown_column
from lineage.signatures import split_annotated

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ArrowTable", "partition", "scan", "shuffle", "view"]


class ArrowTable(Protocol):
    """A table of any library that shows its data as Arrow: polars, pyarrow, pandas."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


T = TypeVar("T")
Table = TypeVar("Table", bound="pl.LazyFrame | ArrowTable")

_MOST = 10_000
"""So many buckets a shuffle may have: more of them are a mistake."""

_BUCKETS = 8
"""So many buckets are made on the way to a table for each key, so that no call needs all rows."""


# -- cutting


@overload
def partition(table: Table, /, *, by: str | Sequence[str] | None = None, rows: int = 100_000) -> list[Table]: ...
@overload
def partition(
    table: Iterable[Table], /, *, by: str | Sequence[str] | None = None, rows: int = 100_000
) -> list[Table]: ...
def partition(table: Any, /, *, by: str | Sequence[str] | None = None, rows: int = 100_000) -> Any:
    """Return a table, or several of one schema, as a list of shards of about `rows` rows, in order, each a dataset.

    Where a shard ends is decided by the rows about there and nothing else, so that rows that are inserted, deleted or
    changed change one shard, seldom two. Shards have `rows` rows on the average, from a quarter to one and three quarters
    of it (the last may have fewer). With `by`, one column or several, cuts depend on those columns, and rows of
    equal key that follow one another stay in one shard, unless it had more than four times `rows`. The
    table need not be sorted. A table without rows is one shard.

    >>> import polars as pl, lineage as ln, tempfile
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     shards = ln.compute(partition(pl.DataFrame({"x": range(100)}), rows=40))
    >>> [shard.height for shard in shards]
    [14, 10, 14, 62]

    Raises:
        CompositionError: `rows` or `by` can't be right; WiringError: it is no table.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise CompositionError(f"partition: rows is how many a shard has on the average, at least 1, not {rows!r}")
    kind = _kind_of_all(table, "partition")
    names = None if by is None else _columns(by, "partition")
    _check_columns(table, names or [], "partition")
    from lineage.pieces import NODES

    return NODES[kind.nodes]["partition"](table if _is_one(table) else list(table), names, rows)


# -- sharing out


@overload
def shuffle(parts: Table, /, *, by: str | Sequence[str], into: int | None = None) -> list[Table]: ...
@overload
def shuffle(parts: Iterable[Table], /, *, by: str | Sequence[str], into: int | None = None) -> list[Table]: ...
def shuffle(parts: Any, /, *, by: str | Sequence[str], into: int | None = None) -> Any:
    """Return `into` tables such that rows of equal key `by` are in one of them, from whichever part they come.

    The rows stay in the order of the parts. A table may have no rows; its columns are those of the parts. Which table a
    key is in depends on the key and `into` alone. Without `into` there is a table for each key that occurs, in an
    order that other keys don't change; how many is known when it has run.

    A part is read and shared out once; when one is added or changed, that one is, and what depends on a table is decided
    anew only if rows of that table changed.

    >>> import polars as pl, lineage as ln, tempfile
    >>> months = [pl.DataFrame({"carrier": ["AA", "UA"]}), pl.DataFrame({"carrier": ["UA"]})]
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     [table["carrier"].to_list() for table in ln.compute(shuffle(months, by="carrier"))]
    [['UA', 'UA'], ['AA']]

    Raises:
        CompositionError: there are no parts, or `into` or `by` can't be right; WiringError: a part is no table.
    """
    names = _columns(by, "shuffle")
    if into is not None and (isinstance(into, bool) or not isinstance(into, int) or not 1 <= into <= _MOST):
        raise CompositionError(f"shuffle: into is a number of tables from 1 to {_MOST:,}, not {into!r}")
    if _is_one(parts) and not _is_list(parts):
        parts = [parts]
    if not isinstance(parts, Lazy):
        parts = list(parts)
        if not parts:
            raise CompositionError("shuffle: there are no parts, so nothing says what columns the tables have")
    kind = _kind_of_all(parts, "shuffle")
    _check_columns(parts, names, "shuffle")
    buckets = _buckets(parts, names, into or _BUCKETS, kind)
    if into is not None:
        return buckets
    from lineage.pieces import NODES

    groups = Branch("list", tuple(NODES[kind.nodes]["groups"](bucket, names) for bucket in buckets))
    return View(groups, kind.view.replace("table:", "list:"))


def _buckets(parts: Any, by: list[str], into: int, kind: _Kind) -> list[Any]:
    if isinstance(parts, Lazy):
        tables = cast(Lazy, _spread_shuffle(parts, by, into, kind.nodes, kind.view))
        return [Item(tables, place, kind.hint) for place in range(into)]
    from lineage.pieces import NODES

    splits: list[Any] = [NODES[kind.nodes]["split"](part, by, into) for part in parts]
    schemas = Branch("list", tuple(split[0] for split in splits))
    return [
        View(Branch("shards", (schemas, Branch("list", tuple(split[place + 1] for split in splits)))), kind.view)
        for place in range(into)
    ]


def _shuffled(parts: Any, by: Any, into: Any, nodes: Any, view: Any) -> Any:
    """Share out parts whose number has just become known."""
    parts = [parts] if isinstance(parts, Lazy) else parts
    if not parts:
        raise CompositionError("shuffle: there are no parts, so nothing says what columns the tables have")
    return _buckets(parts, by, into, _Kind(nodes, view, Any))


_spread_shuffle: Node[..., Any] = Node(_shuffled, Options(version="1"), "spread", "shuffle")


# -- reading as one


def scan(
    parts: pl.LazyFrame | ArrowTable | Iterable[pl.LazyFrame] | Iterable[ArrowTable],
    /,
    *,
    schema: Schema | Mapping[str, Any] | None = None,
) -> pl.LazyFrame:
    """Return a table, or a list of tables with one schema, as one `polars.LazyFrame`.

    The consumer reads only the columns and rows that it asks for. Nothing is executed or copied for it. Where there may
    be no tables at all, `schema` (a `Schema`, or names and polars types) says what columns there are.

    Raises:
        CompositionError: there are no tables and no `schema`; WiringError: it is no table.
    """
    tables = parts if _is_one(parts) else list(cast("Iterable[Any]", parts))
    tree = _checked_tables(tables)
    if schema is not None:
        empty = freezer.freeze(_without_rows(schema))
        tree = Branch("shards", (Branch("list", (empty,)), Branch("list", (tree,))))
    elif isinstance(tables, list) and not tables:
        raise CompositionError("scan: there are no tables, so nothing says what columns they have; give schema=")
    return cast("pl.LazyFrame", View(tree, "table:polars.LazyFrame"))


def _without_rows(schema: Schema | Mapping[str, Any]) -> Any:
    import polars as pl

    columns = schema if isinstance(schema, Schema) else Schema(schema)
    return pl.DataFrame(schema=columns.columns)


def view(x: Any, cls: type[T]) -> T:
    """Return a table, or several of one schema, read as `polars.DataFrame`, `polars.LazyFrame`, `pyarrow.Table` or
    `pandas.DataFrame`.

    Raises:
        CompositionError: `cls` is none of them.
    """
    kind = _KINDS.get(_library_of(cls))
    if kind is None:
        names = ", ".join(".".join(key) for key in _KINDS)
        raise CompositionError(f"a dataset can be viewed as {names}, not as {type_name(cls)}")
    return cast(T, View(_checked_tables(x), kind.view))


def _checked_tables(parts: Any) -> Any:
    tree = freezer.freeze(parts)
    for lazy in parts if isinstance(parts, (list, tuple)) else [parts]:
        if not isinstance(lazy, Lazy):
            continue
        name = type_name(hint_of(lazy)).partition("[")[0]
        if name not in ("Any", "DataFrame", "LazyFrame", "Table", "list", "tuple") and "DataFrame" not in str(
            hint_of(lazy)
        ):
            raise WiringError(
                f"`{shown(lazy)}` -> {type_name(hint_of(lazy))} is no table, so it can't be scanned or viewed"
            )
    return tree


# -- what kind of table it is


@frozen
class _Kind:
    """A type of table: which nodes deal with it, as which view it is read, and the type itself."""

    nodes: str
    view: str
    hint: Any = None


_KINDS = {
    ("polars", "DataFrame"): _Kind("frame", "table:polars.DataFrame"),
    ("polars", "LazyFrame"): _Kind("lazy", "table:polars.LazyFrame"),
    ("pyarrow", "Table"): _Kind("arrow", "table:pyarrow.Table"),
    ("pandas", "DataFrame"): _Kind("any", "table:pandas.DataFrame"),
}


def _library_of(cls: Any) -> tuple[str, str]:
    return getattr(cls, "__module__", "").partition(".")[0], getattr(cls, "__qualname__", "")


def _hint(x: Any) -> Any:
    return split_annotated(hint_of(x) if isinstance(x, Lazy) else type(x))[0]


def _is_one(x: Any) -> bool:
    """Say whether `x` is to be taken as it is: a call, or a table."""
    return isinstance(x, Lazy) or _library_of(type(x)) in _KINDS


def _is_list(x: Any) -> bool:
    """Say whether `x` is a call that gives a list of tables, or may."""
    return isinstance(x, Lazy) and (
        _hint(x) is Any or get_origin(_hint(x)) in (list, tuple) or _hint(x) in (list, tuple)
    )


def _kind_of_all(x: Any, what: str) -> _Kind:
    """Return the kind of a table, or that of several, which must be of one.

    Raises:
        WiringError: something is no table, or they are of several kinds.
    """
    if _is_one(x):
        hint = _hint(x)
        return _kind(_item(hint) if _is_list(x) else hint, x, what)
    kinds = {_kind(_hint(part), part, what): part for part in x}
    if len(kinds) > 1:
        names = " and ".join(type_name(_hint(part)) for part in kinds.values())
        raise WiringError(f"{what}: the tables are of several types, {names}; read them as one with lineage.view(...)")
    return next(iter(kinds), _Kind("any", "table:same", Any))


def _item(hint: Any) -> Any:
    args = get_args(hint)
    return split_annotated(args[0])[0] if args else Any


def _kind(hint: Any, x: Any, what: str) -> _Kind:
    if hint is Any:
        return _Kind("any", "table:same", Any)
    found = _KINDS.get(_library_of(hint))
    if found is None:
        named = f"`{shown(x)}` -> {type_name(hint_of(x))}" if isinstance(x, Lazy) else f"{x!r:.60}"
        raise WiringError(f"{what}: {named} is no table (polars, pyarrow or pandas)")
    return _Kind(found.nodes, found.view, hint)


# -- columns


def _columns(by: Any, what: str) -> list[str]:
    names = [by] if isinstance(by, str) else list(by) if isinstance(by, (list, tuple)) else None
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise CompositionError(f"{what}: by is a column, or a list of different columns, not {by!r:.60}")
    return names


def _check_columns(x: Any, names: list[str], what: str) -> None:
    """Refuse columns that a table lacks, where its columns are known before it is made.

    Raises:
        WiringError: names the nearest columns.
    """
    for part in [x] if _is_one(x) else x:
        columns = _known_columns(part)
        if columns is None:
            continue
        for name in names:
            if name not in columns:
                raise WiringError(f"{what}: {unknown_column(name, columns)}")


def _known_columns(x: Any) -> list[str] | None:
    if not isinstance(x, Lazy):
        names = x.column_names if hasattr(x, "column_names") else x.columns
        return [str(name) for name in names]
    hint = hint_of(x)
    hint = get_args(hint)[0] if _is_list(x) and get_args(hint) else hint
    schema = next((mark for mark in split_annotated(hint)[1] if isinstance(mark, Schema)), None)
    return list(schema.columns) if schema is not None else None
