"""What differs between two tables: columns, rows by key, values, statistics. Columns of equal digest are not read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lineage.errors import CompositionError
from lineage.query.differences import Diff, Difference

if TYPE_CHECKING:
    import polars as pl

__all__ = ["diff_tables"]

_SIDES = ("a", "b")


def diff_tables(a: pl.LazyFrame, b: pl.LazyFrame, on: Sequence[str], same: frozenset[str] = frozenset()) -> Diff:
    """Return what differs between two tables. `on` are the key's columns; columns of `same` are known to be equal.

    Raises:
        CompositionError: a column of the key is missing, or a key comes twice.
    """
    schemas = a.collect_schema(), b.collect_schema()
    common = [name for name in schemas[0] if name in schemas[1]]
    found = _schema(*schemas)
    counts = [_count(side) for side in (a, b)]
    if counts[0] != counts[1]:
        found.append(Difference("rows", "", str(counts[0]), str(counts[1]), f"{counts[1] - counts[0]:+,}"))
    if on:
        return _by_key(a, b, list(on), common, found)
    suspect = [name for name in common if name not in same]
    found += _columns(a, b, suspect, equal_length=counts[0] == counts[1])
    if suspect or counts[0] != counts[1]:
        added, removed = _rows(a, b, common) if _comparable(schemas, common) else (None, None)
    else:
        added = removed = a.select(common).head(0).collect()
    if added is not None and removed is not None and (len(added) or len(removed)):
        found.append(Difference("rows", "in one of them only", str(len(removed)), str(len(added))))
    return Diff(found, title="Diff of two tables", added=added, removed=removed)


def _count(table: pl.LazyFrame) -> int:
    import polars as pl

    return int(table.select(pl.len()).collect().item())


def _schema(a: Any, b: Any) -> list[Difference]:
    return [
        Difference("schema", name, str(a[name]) if name in a else None, str(b[name]) if name in b else None)
        for name in dict.fromkeys([*a, *b])
        if a.get(name) != b.get(name)
    ]


def _comparable(schemas: Any, common: list[str]) -> bool:
    return bool(common) and all(schemas[0][name] == schemas[1][name] for name in common)


def _columns(a: pl.LazyFrame, b: pl.LazyFrame, names: list[str], *, equal_length: bool) -> list[Difference]:
    """Return the columns that differ, read one by one, with statistics where these differ."""
    found: list[Difference] = []
    for name in names:
        left, right = (side.select(name).collect()[name] for side in (a, b))
        if left.dtype == right.dtype and left.equals(right, null_equal=True):
            continue
        detail = ""
        if equal_length and left.dtype == right.dtype:
            detail = f"{int(left.ne_missing(right).sum()):,} of {len(left):,} values differ, row by row"
        found.append(Difference("column", name, detail=detail or "has other values"))
        found += _statistics(name, left, right)
    return found


def _statistics(name: str, a: pl.Series, b: pl.Series) -> list[Difference]:
    before, now = _measured(a), _measured(b)
    return [
        Difference("statistic", f"{what} of {name}", before.get(what), now.get(what))
        for what in dict.fromkeys([*before, *now])
        if before.get(what) != now.get(what)
    ]


def _measured(series: pl.Series) -> dict[str, str]:
    found: dict[str, Any] = {"nulls": series.null_count()}
    dtype = series.dtype
    if not dtype.is_nested() and not dtype.is_(_object()):
        found["distinct"] = series.n_unique()
        found |= {"min": series.min(), "max": series.max()}
    if dtype.is_numeric():
        found |= {"mean": series.mean(), "std": series.std()}
    return {what: repr(value) if isinstance(value, float) else str(value) for what, value in found.items()}


def _object() -> Any:
    import polars as pl

    return pl.Object


def _rows(a: pl.LazyFrame, b: pl.LazyFrame, names: list[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that stand more often in `b`, and those that stand more often in `a`, as often as they do so."""
    import polars as pl

    times = "times in b more than in a"
    counted = (
        pl.concat(
            [
                a.select(names).with_columns(pl.lit(-1).alias(times)),
                b.select(names).with_columns(pl.lit(1).alias(times)),
            ]
        )
        .group_by(names, maintain_order=True)
        .agg(pl.col(times).sum())
        .filter(pl.col(times) != 0)
        .collect()
    )
    repeated = counted.select(
        pl.exclude(times).repeat_by(pl.col(times).abs()).explode(),
        pl.col(times).repeat_by(pl.col(times).abs()).explode(),
    )
    return tuple(repeated.filter(sign).drop(times) for sign in (pl.col(times) > 0, pl.col(times) < 0))  # type: ignore[return-value]


# -- by key


def _by_key(a: pl.LazyFrame, b: pl.LazyFrame, on: list[str], common: list[str], found: list[Difference]) -> Diff:
    import polars as pl

    for side, table in zip(_SIDES, (a, b), strict=True):
        _check_key(side, table, on)
    added = b.join(a.select(on), on=on, how="anti", nulls_equal=True).collect()
    removed = a.join(b.select(on), on=on, how="anti", nulls_equal=True).collect()
    found += [Difference("rows", "added", detail=f"{len(added):,}")] if len(added) else []
    found += [Difference("rows", "removed", detail=f"{len(removed):,}")] if len(removed) else []
    others = [name for name in common if name not in on]
    both = (
        a.select(common)
        .join(b.select(common), on=on, how="inner", nulls_equal=True, suffix=_OTHER, maintain_order="left")
        .collect()
    )
    parts = []
    for name in others:
        left, right = both[name], both[name + _OTHER]
        differs = (
            left.ne_missing(right) if left.dtype == right.dtype else pl.Series([True] * len(left), dtype=pl.Boolean)
        )
        count = int(differs.sum())
        if not count:
            continue
        found.append(Difference("column", name, detail=f"{count:,} of {len(both):,} values differ"))
        found += _statistics(name, left, right)
        parts.append(
            both.filter(differs).select(*on, pl.lit(name).alias("column"), _text(name, "a"), _text(name + _OTHER, "b"))
        )
    empty = both.head(0).select(*on, *(pl.lit("").alias(name) for name in ("column", *_SIDES)))
    changed = pl.concat([empty, *parts])
    if len(changed):
        rows = changed.select(on).unique().height
        found.append(Difference("rows", "changed", detail=f"{rows:,}"))
    return Diff(found, title=f"Diff of two tables by {', '.join(on)}", added=added, removed=removed, changed=changed)


_OTHER = " \0 in b"


def _text(name: str, alias: str) -> pl.Expr:
    import polars as pl

    return pl.col(name).map_elements(repr, return_dtype=pl.String, skip_nulls=False).alias(alias)


def _check_key(side: str, table: pl.LazyFrame, on: list[str]) -> None:
    import polars as pl

    names = table.collect_schema().names()
    missing = [name for name in on if name not in names]
    if missing:
        raise CompositionError(
            f"{side} has no column {', '.join(missing)} for a key; its columns are {', '.join(names)}"
        )
    twice = table.group_by(on).len().filter(pl.col("len") > 1).head(1).collect()
    if len(twice):
        raise CompositionError(
            f"the key {', '.join(on)} comes {twice['len'][0]} times in {side}: {twice.select(on).row(0)}"
        )
