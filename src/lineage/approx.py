"""Comparison to a tolerance, for nodes that declare `compare="approx"`.

A new output is compared with the first one recorded for the same place in the graph, its anchor. Within the tolerance the
anchor is handed on, so that what follows is left alone; the deviation is recorded. Since the anchor stays the first, small
steps never add up unseen.
"""

from __future__ import annotations

from typing import Any

from lineage.options import Approx

__all__ = ["deviation"]

_EXACT = (str, bytes, bool, type(None))


def deviation(new: Any, anchor: Any, tolerance: Approx) -> float | None:
    """Return the largest difference between two values, number by number, as a share of what is allowed.

    1.0 is the edge of the tolerance; None means that they differ in more than numbers.

    >>> deviation([1.0, 2.0], [1.0, 2.0 + 1e-12], Approx(rel=1e-9)) < 1
    True
    """
    if type(new) is not type(anchor):
        return None
    if isinstance(new, (float, complex)) or _is_array(new):
        return _numbers(new, anchor, tolerance)
    if isinstance(new, dict):
        if list(new) != list(anchor):
            return None
        return _largest([deviation(new[key], anchor[key], tolerance) for key in new])
    if isinstance(new, (list, tuple)):
        if len(new) != len(anchor):
            return None
        return _largest([deviation(a, b, tolerance) for a, b in zip(new, anchor, strict=True)])
    if type(new).__module__.startswith("polars"):
        return _tables(new, anchor, tolerance)
    return 0.0 if isinstance(new, (*_EXACT, int)) and new == anchor else None


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and hasattr(value, "dtype")


def _largest(parts: list[float | None]) -> float | None:
    found = 0.0
    for part in parts:
        if part is None:
            return None
        found = max(found, part)
    return found


def _numbers(new: Any, anchor: Any, tolerance: Approx) -> float | None:
    import numpy as np

    one, other = np.asarray(new), np.asarray(anchor)
    if one.dtype != other.dtype or one.shape != other.shape:
        return None
    if one.dtype.kind not in "fc":
        return 0.0 if np.array_equal(one, other) else None
    if not np.array_equal(np.isnan(one), np.isnan(other)):
        return None
    same = np.isnan(one) | (one == other)
    allowed = tolerance.abs + tolerance.rel * np.abs(other)
    with np.errstate(all="ignore"):
        ratio = np.where(same, 0.0, np.abs(one - other) / allowed)
    return float(np.max(ratio, initial=0.0))


def _tables(new: Any, anchor: Any, tolerance: Approx) -> float | None:
    import polars as pl

    one = new.collect(engine="in-memory") if isinstance(new, pl.LazyFrame) else new
    other = anchor.collect(engine="in-memory") if isinstance(anchor, pl.LazyFrame) else anchor
    if isinstance(new, pl.Series):
        one, other = new.to_frame(), anchor.to_frame()
    if one.schema != other.schema or one.height != other.height:
        return None
    parts: list[float | None] = []
    for name, dtype in one.schema.items():
        a, b = one[name], other[name]
        if dtype.is_float():
            same_nulls = a.is_null().equals(b.is_null())
            parts.append(
                _numbers(a.fill_null(0).to_numpy(), b.fill_null(0).to_numpy(), tolerance) if same_nulls else None
            )
        else:
            parts.append(0.0 if a.equals(b, null_equal=True) else None)
    return _largest(parts)
