"""Tables cut and shared out: the nodes behind `partition` and `shuffle`.

There is one of each for every type of table, so that what it gives is typed as what it was given. Heavy libraries are
imported here, so this module is imported when the first table is cut.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from lineage.codecs.scans import Part, check_alike
from lineage.content.cuts import cut_points
from lineage.content.rowhash import arrow_columns, has_row_hash, hash_rows
from lineage.errors import SchemaError, UnstableIdentityError
from lineage.node import Node
from lineage.options import Options
from lineage.schema import unknown_column

__all__ = ["NODES", "Kind"]

Kind = str
"""Which library's table: a key of `_CLASSES`."""

_MOST_KEYS = 10_000
"""So many tables of one key each a bucket may give: more of them are a mistake."""

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


# -- what the nodes do


def partition(table: Any, by: Any, rows: Any) -> Any:
    """Return the shards of a table, or of several tables of one schema taken as one."""
    whole = _Table.of(table)
    columns = whole.keyed_by(by) if by is not None else whole.hashable()
    hash_all = functools.cache(lambda: hash_rows(whole.hashable()))
    keys = hash_rows(columns) if by is not None else hash_all()
    starts = [0, *cut_points(keys, rows, hash_all)]
    ends = [*starts[1:], whole.rows]
    return [whole.part(start, end) for start, end in zip(starts, ends, strict=True)]


def split(table: Any, by: Any, into: Any) -> Any:
    """Return a table without rows, which says what columns there are, then the rows of each bucket, or None."""
    whole = _Table.of(table)
    bucket = (hash_rows(whole.keyed_by(by)) % np.uint64(into)).astype(np.uint16)
    order = np.argsort(bucket, kind="stable")
    ends = np.cumsum(np.bincount(bucket, minlength=into))
    ordered = whole.taken(order)
    pieces = [None if a == b else ordered.part(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return [whole.part(0, 0), *pieces]


def groups(table: Any, by: Any) -> Any:
    """Return a table for each key, in the order of the keys' hashes; rows stay in their order."""
    whole = _Table.of(table)
    columns = whole.keyed_by(by)
    if not whole.rows:
        return []
    rows = whole.rows_by_key(by)
    if len(rows) > _MOST_KEYS:
        raise SchemaError(
            f"by={list(columns)} has more than {_MOST_KEYS:,} values in one bucket, and a table each is asked for; "
            "say how many tables there should be: into="
        )
    hashes = hash_rows(columns)
    rows.sort(key=lambda group: int(hashes[group[0]]))
    ordered = whole.taken(np.concatenate(rows))
    ends = np.cumsum([len(group) for group in rows]).tolist()
    return [ordered.part(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


# -- tables of any library


class _Table:
    """A table of which rows can be taken, whatever library it is of. Lazy frames are collected."""

    def __init__(self, table: Any, lazy: bool = False) -> None:
        self.table = table
        self.lazy = lazy

    @classmethod
    def of(cls, table: Any) -> _Table:
        if isinstance(table, list):
            return _joined([cls.of(part) for part in table])
        lazy = isinstance(table, pl.LazyFrame)
        return cls(table.collect(engine="in-memory") if lazy else table, lazy)

    @property
    def rows(self) -> int:
        return len(self.table)

    @property
    def names(self) -> list[str]:
        if isinstance(self.table, pa.Table):
            return list(self.table.column_names)
        return [str(name) for name in self.table.columns]

    def keyed_by(self, by: Sequence[str]) -> dict[str, pa.ChunkedArray]:
        """Return the key columns.

        Raises:
            SchemaError: there is no such column.
        """
        for name in by:
            if name not in self.names:
                raise SchemaError(unknown_column(name, self.names), column=name)
        return self._columns(by)

    def hashable(self) -> dict[str, pa.ChunkedArray]:
        """Return all columns by which rows can be told apart.

        Raises:
            UnstableIdentityError: there are columns, and all of them are nested.
        """
        if not self.names:
            return {"": pa.chunked_array([pa.nulls(self.rows)])}
        found = {name: column for name, column in self._columns(self.names).items() if has_row_hash(column.type)}
        if not found:
            raise UnstableIdentityError(
                f"all columns are nested ({', '.join(self.names)}), so nothing says where to cut; add a plain one"
            )
        return found

    def _columns(self, names: Iterable[str]) -> dict[str, pa.ChunkedArray]:
        names = list(names)
        if isinstance(self.table, pl.DataFrame):
            return arrow_columns(self.table, names)
        if isinstance(self.table, pa.Table):
            return {name: self.table.column(name) for name in names}
        places = [self.names.index(name) for name in names]
        frame = pa.Table.from_pandas(self.table.iloc[:, places], preserve_index=False)
        return dict(zip(names, frame.columns, strict=True))

    def rows_by_key(self, by: Sequence[str]) -> list[Any]:
        """Return the rows of each key, in order: what polars takes for equal (one NaN, one zero, one null) is one key."""
        if isinstance(self.table, pl.DataFrame):
            keys = self.table.select(by)
        else:
            keys = pl.DataFrame(pl.from_arrow(pa.table(self._columns(by))))
        keys = keys.rename({name: f"key {name}" for name in by})
        found = keys.with_row_index("rows").group_by(keys.columns, maintain_order=True).agg("rows")
        return [group.to_numpy() for group in found["rows"]]

    def part(self, start: int, end: int) -> Any:
        if isinstance(self.table, (pl.DataFrame, pa.Table)):
            part = self.table.slice(start, end - start)
        else:
            part = self.table.iloc[start:end]
        return part.lazy() if self.lazy else part

    def taken(self, order: Any) -> _Table:
        if isinstance(self.table, pl.DataFrame):
            return _Table(self.table[order] if self.table.width else self.table, self.lazy)
        if isinstance(self.table, pa.Table):
            return _Table(self.table.take(pa.array(order)) if self.table.num_columns else self.table)
        return _Table(self.table.iloc[order])


def _joined(tables: list[_Table]) -> _Table:
    """Return several tables as one.

    Raises:
        SchemaError: there are none, or they have other columns.
    """
    if not tables:
        raise SchemaError("there are no tables, so nothing says what columns they have; give at least one")
    first = tables[0].table
    if isinstance(first, pl.DataFrame):
        check_alike([Part({n: str(t) for n, t in one.table.schema.items()}) for one in tables])
        return _Table(pl.concat([one.table for one in tables], how="vertical"), tables[0].lazy)
    if isinstance(first, pa.Table):
        check_alike([Part({f.name: str(f.type) for f in one.table.schema}) for one in tables])
        return _Table(pa.concat_tables([one.table for one in tables]))
    import pandas as pd

    return _Table(pd.concat([one.table for one in tables]))


# -- the nodes


_CLASSES: dict[Kind, Any] = {"frame": pl.DataFrame, "lazy": pl.LazyFrame, "arrow": pa.Table, "any": Any}


def _node(function: Callable[..., Any], shown: str, kind: Kind, **hints: Any) -> Node[..., Any]:
    """Return a node of `function` with these types, found in this module under a name of its own."""
    name = f"{function.__name__}_{kind}"
    typed = types.FunctionType(function.__code__, globals(), name, function.__defaults__, function.__closure__)
    typed.__qualname__, typed.__module__ = name, __name__
    typed.__annotations__ = hints
    made = globals()[name] = Node(typed, Options(version="1"), name=shown)
    return made


def _nodes(kind: Kind, table: Any) -> dict[str, Node[..., Any]]:
    names: Any = list[str]
    return {
        "partition": _node(
            partition,
            "partition",
            kind,
            table=table | list[table],
            by=names | None,
            rows=int,
            **{"return": list[table]},
        ),
        "split": _node(split, "shuffle", kind, table=table, by=names, into=int, **{"return": list[table | None]}),
        "groups": _node(groups, "shuffle by value", kind, table=table, by=names, **{"return": list[table]}),
    }


NODES: dict[Kind, dict[str, Node[..., Any]]] = {kind: _nodes(kind, cls) for kind, cls in _CLASSES.items()}
"""The nodes for each kind of table: `partition`, `split`, `groups`."""
