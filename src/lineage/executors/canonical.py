"""The one order in which results are stored whose order is no part of their value (`compare="unordered"`)."""

from __future__ import annotations

from typing import Any

from lineage.content.tree import digest_tree
from lineage.errors import CodecError
from lineage.identity import freezer

__all__ = ["in_canonical_order"]


def in_canonical_order(value: Any) -> Any:
    """Return `value` with the rows of tables and the keys of dicts in an order that only their content decides.

    Raises:
        CodecError: a table has columns that can't be sorted.
    """
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: digest_tree(freezer.freeze(key)))
        return type(value)((key, in_canonical_order(value[key])) for key in keys) if type(value) is dict else value
    if type(value) in (list, tuple):
        return type(value)(in_canonical_order(item) for item in value)
    kind = freezer.kind_of(type(value)) or ""
    if kind in ("table:polars.DataFrame", "table:polars.LazyFrame"):
        return _sorted_polars(value)
    if kind == "table:pyarrow.Table":
        return _sorted_arrow(value)
    return value


def _sorted_polars(frame: Any) -> Any:
    import polars as pl

    eager = frame.collect(engine="in-memory") if isinstance(frame, pl.LazyFrame) else frame
    if eager.width:
        try:
            eager = eager.sort(eager.columns, nulls_last=True)
        except pl.exceptions.PolarsError as error:
            raise CodecError(f"compare='unordered' needs columns that can be sorted: {error}") from error
    return eager.lazy() if isinstance(frame, pl.LazyFrame) else eager


def _sorted_arrow(table: Any) -> Any:
    import pyarrow as pa

    if not table.num_columns:
        return table
    try:
        return table.sort_by([(name, "ascending") for name in table.column_names])
    except pa.ArrowException as error:
        raise CodecError(f"compare='unordered' needs columns that can be sorted: {error}") from error
