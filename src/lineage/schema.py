"""Schemas of tables: what columns a node promises or needs.

A schema stands in an annotation, `Annotated[pl.DataFrame, ln.Schema(Flight)]`, where `Flight` is an attrs class with a
field per column, or `{column: dtype}`. Producer and consumer are compared when a graph is composed; the data are
compared at the node's door.
"""

from __future__ import annotations

import datetime
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lineage.errors import DeclarationError, SchemaError

__all__ = ["Schema", "check_table", "clash", "unknown_column"]


class Schema:
    """Columns by name, with their polars types.

    `columns` is an attrs class (a field per column; a column whose type is not Optional holds no nulls) or a mapping of
    names to polars dtypes or Python types (nulls allowed). A table may have further columns unless `strict`.

    >>> Schema({"carrier": str, "delay": float})
    Schema(carrier: String, delay: Float64)

    Raises:
        DeclarationError: a column's type has no polars type.
    """

    def __init__(self, columns: type | Mapping[str, Any], *, strict: bool = False) -> None:
        self._given = columns
        self.strict = strict
        self._columns: dict[str, Any] | None = None
        self.filled: frozenset[str] = frozenset()
        if isinstance(columns, Mapping) and not columns:
            raise DeclarationError("a schema needs at least one column")

    @property
    def columns(self) -> dict[str, Any]:
        """The polars dtype of each column. Computed at first use, so that declaring a schema imports nothing."""
        if self._columns is None:
            if isinstance(self._given, Mapping):
                hints: dict[str, Any] = dict(self._given)
            elif isinstance(self._given, type) and attrs.has(self._given):
                hints = typing.get_type_hints(self._given)
                hints = {field.name: hints[field.name] for field in attrs.fields(self._given)}
                self.filled = frozenset(name for name, hint in hints.items() if not _is_optional(hint))
            else:
                raise DeclarationError(
                    f"a schema is an attrs class or a mapping of column names to types, not {self._given!r}"
                )
            self._columns = {name: _dtype(name, hint) for name, hint in hints.items()}
        return self._columns

    def __repr__(self) -> str:
        parts = [f"{name}: {dtype}{' not null' * (name in self.filled)}" for name, dtype in self.columns.items()]
        return f"Schema({', '.join(parts)}{', strict' * self.strict})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        mine = (list(self.columns.items()), self.filled, self.strict)
        return mine == (list(other.columns.items()), other.filled, other.strict)

    def __hash__(self) -> int:
        return hash((tuple(self.columns), self.strict))


def _is_optional(hint: Any) -> bool:
    return type(None) in typing.get_args(hint)


def _dtype(name: str, hint: Any) -> Any:
    import decimal

    import polars as pl

    if _is_optional(hint):
        rest = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        hint = rest[0] if len(rest) == 1 else types.UnionType
    if typing.get_origin(hint) is list:
        return pl.List(_dtype(name, typing.get_args(hint)[0]))
    known = {
        int: pl.Int64, float: pl.Float64, str: pl.String, bool: pl.Boolean, bytes: pl.Binary,
        datetime.date: pl.Date, datetime.time: pl.Time,
        datetime.timedelta: pl.Duration, datetime.datetime: pl.Datetime, decimal.Decimal: pl.Decimal,
    }  # fmt: skip
    dtype: Any = next((known[cls] for cls in known if cls is hint), hint)
    if isinstance(dtype, pl.DataType) or (isinstance(dtype, type) and issubclass(dtype, pl.DataType)):
        return dtype
    if isinstance(dtype, pl.datatypes.DataTypeClass):
        return dtype
    raise DeclarationError(
        f"column {name!r} of a schema has type {hint!r}; use a polars dtype or one of "
        f"{', '.join(cls.__name__ for cls in known)}"
    )


def clash(producer: Schema, consumer: Schema) -> str | None:
    """Return why tables of `producer` can never be tables of `consumer`, or None."""
    for name, needed in consumer.columns.items():
        if name not in producer.columns:
            return f"column {name!r} is needed and not promised (promised: {', '.join(producer.columns)})"
        promised = producer.columns[name]
        if promised != needed:
            return f"column {name!r} is promised as {promised} and needed as {needed}"
    extra = [name for name in producer.columns if name not in consumer.columns]
    if consumer.strict and extra:
        return f"column {extra[0]!r} is promised, and no further columns are allowed"
    return None


def check_table(table: Any, schema: Schema, where: str) -> None:
    """Check the data of `table` (a polars frame or an Arrow table) against `schema`.

    Raises:
        SchemaError: with the first offending column and, where there is one, row (from 0) and value.
    """
    import polars as pl

    frame = table if isinstance(table, (pl.DataFrame, pl.LazyFrame)) else pl.from_arrow(table)
    lazy = frame.lazy()  # type: ignore[union-attr]
    found = lazy.collect_schema()
    for name, needed in schema.columns.items():
        if name not in found:
            _fail(where, f"column {name!r} is missing; found {', '.join(found.names()) or 'no columns'}", name)
        if found[name] != needed:
            first = lazy.select(pl.col(name).head(1)).collect(engine="in-memory")
            if not first.height:
                _fail(where, f"column {name!r} is {found[name]}, not {needed} (no rows)", name)
            value = first.item()
            _fail(where, f"column {name!r} is {found[name]}, not {needed} (row 0: {value!r})", name, 0, value)
    for name in found.names():
        if schema.strict and name not in schema.columns:
            _fail(where, f"column {name!r} is not in the schema, which is strict", name)
    filled = [name for name in schema.columns if name in schema.filled]
    if filled:
        _check_filled(lazy, filled, where)


def _check_filled(lazy: Any, names: list[str], where: str) -> None:
    import polars as pl

    counts = lazy.select(pl.col(name).null_count() for name in names).collect(engine="in-memory").row(0)
    for name, count in zip(names, counts, strict=True):
        if count:
            row = lazy.select(pl.col(name).is_null().arg_max()).collect(engine="in-memory").item()
            _fail(where, f"column {name!r} has no value in row {row} ({count} in all), and may not be null", name, row)


def _fail(where: str, what: str, column: str, row: int | None = None, value: Any = None) -> typing.NoReturn:
    raise SchemaError(f"{where}: {what}", column=column, row=row, value=value)


def unknown_column(name: str, names: Sequence[str]) -> str:
    """Return what to say to somebody who asked for a column that is not there."""
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"there is no column {name!r} to go by{hint} (columns: {', '.join(names) or 'none'})"
