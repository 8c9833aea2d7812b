"""The first place at which two values differ: where in the value, in a table which column and row, and what stands there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

__all__ = ["Difference", "first_difference"]

_SHOWN = 120
"""Characters shown of a value."""

_MISSING = "nothing"


@frozen
class Difference:
    """Where two values differ first. `path` leads to it (`"['a'][3].name"`), `column` and `row` where it is in a table.

    `one` and `other` are texts of what stands there.
    """

    path: str
    one: str
    other: str
    column: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        where = [f"at {self.path}"] if self.path else []
        where += [f"column {self.column!r}"] if self.column is not None else []
        where += [f"row {self.row}"] if self.row is not None else []
        return f"{', '.join(where) or 'the value'}: {self.one} and {self.other}"


def first_difference(one: Any, other: Any) -> Difference | None:
    """Return where two values differ first, going through them in order; None where nothing shows.

    >>> print(first_difference({"a": [1, 2.0]}, {"a": [1, 2.5]}))
    at ['a'][1]: 2.0 and 2.5
    """
    stack: list[tuple[str, Any, Any]] = [("", one, other)]
    while stack:
        path, a, b = stack.pop()
        if type(a) is not type(b):
            return Difference(path, f"{_text(a)} ({type(a).__name__})", f"{_text(b)} ({type(b).__name__})")
        table = _as_polars(a)
        if table is not None:
            found = _in_tables(path, table, _as_polars(b))
        elif type(a).__module__ == "numpy" and hasattr(a, "dtype"):
            found = _in_arrays(path, a, b)
        else:
            parts = _parts(path, a, b)
            if isinstance(parts, list):
                stack.extend(reversed(parts))
                continue
            found = parts
        if found is not None:
            return found
    return None


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _parts(path: str, a: Any, b: Any) -> list[tuple[str, Any, Any]] | Difference | None:
    """Return the parts of two values side by side; a difference, or None, where they have none."""
    if isinstance(a, Mapping):
        if list(a) != list(b):
            return _in_keys(path, list(a), list(b))
        return [(f"{path}[{key!r}]", a[key], b[key]) for key in a]
    if isinstance(a, (list, tuple)):
        if len(a) != len(b):
            return Difference(path, f"{len(a)} items", f"{len(b)} items")
        names = getattr(a, "_fields", None) or [None] * len(a)
        steps = [f".{name}" if name else f"[{position}]" for position, name in enumerate(names)]
        return [(path + step, x, y) for step, x, y in zip(steps, a, b, strict=True)]
    if isinstance(a, (set, frozenset)):
        only = [sorted(map(_text, x - y)) for x, y in ((a, b), (b, a))]
        one, another = (items[0] if items else _MISSING for items in only)
        return Difference(path, one, another) if any(only) else None
    fields = _fields(a)
    if fields:
        return [(f"{path}.{name}", getattr(a, name, _MISSING), getattr(b, name, _MISSING)) for name in fields]
    return None if _same(a, b) else Difference(path, _text(a), _text(b))


def _same(a: Any, b: Any) -> bool:
    """Say whether two plain values are the same; NaN is itself, and zeros have signs."""
    if isinstance(a, float):
        return repr(a) == repr(b)
    try:
        return bool(a == b) or _text(a) == _text(b)
    except Exception:  # an equality that is none
        return _text(a) == _text(b)


def _fields(value: Any) -> list[str]:
    kind = type(value)
    found = getattr(kind, "__attrs_attrs__", None) or getattr(kind, "__dataclass_fields__", None)
    if found is not None:
        return [one if isinstance(one, str) else one.name for one in found]
    inner = getattr(value, "__dict__", None)
    return sorted(inner) if isinstance(inner, dict) and not isinstance(value, type) and not callable(value) else []


def _in_keys(path: str, a: Sequence[Any], b: Sequence[Any]) -> Difference:
    for x, y in _side_by_side(a, b):
        if x != y:
            return Difference(
                path, f"key {_text(x)}" if x is not _END else _MISSING, f"key {_text(y)}" if y is not _END else _MISSING
            )
    raise AssertionError("unreachable")


_END = object()


def _side_by_side(a: Sequence[Any], b: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    import itertools

    return itertools.zip_longest(a, b, fillvalue=_END)


# -- arrays and tables


def _in_arrays(path: str, a: Any, b: Any) -> Difference | None:
    import numpy as np

    if a.dtype != b.dtype or a.shape != b.shape:
        return Difference(path, f"{a.dtype} of shape {a.shape}", f"{b.dtype} of shape {b.shape}")
    left, right = np.asarray(a), np.asarray(b)
    differs = left != right
    if left.dtype.kind in "fc":
        differs &= ~(np.isnan(left) & np.isnan(right))
        differs |= (left == 0) & (right == 0) & (np.signbit(left.real) != np.signbit(right.real))
    places = np.argwhere(differs)
    if not len(places):
        return None
    place = tuple(int(position) for position in places[0])
    where = f"{path}[{', '.join(map(str, place))}]" if place else path
    return Difference(where, _text(left[place].item()), _text(right[place].item()))


def _as_polars(value: Any) -> Any:
    """Return a table of any library as a polars frame; None for anything else."""
    package = type(value).__module__.partition(".")[0]
    if package not in ("polars", "pyarrow", "pandas"):
        return None
    import polars as pl

    if isinstance(value, pl.LazyFrame):
        return value.collect(engine="in-memory")
    if isinstance(value, pl.Series):
        return value.to_frame()
    if type(value).__name__ in ("Table", "RecordBatch") and package == "pyarrow":
        return pl.from_arrow(value)
    if type(value).__name__ == "DataFrame" and package == "pandas":
        return pl.from_pandas(value.reset_index(), nan_to_null=False)
    return value if isinstance(value, pl.DataFrame) else None


def _in_tables(path: str, a: Any, b: Any) -> Difference | None:

    if a.schema != b.schema:
        return _in_schemas(path, a.schema, b.schema)
    if a.height != b.height:
        return Difference(path, f"{a.height} rows", f"{b.height} rows")
    found: list[tuple[int, str]] = []
    for name in a.columns:
        row = (~a[name].eq_missing(b[name])).arg_max() if not a[name].equals(b[name], null_equal=True) else None
        if row is None and a[name].dtype.is_float():  # polars takes zeros for equal, whatever their signs
            signs = [(1.0 / column.fill_null(1.0)).fill_nan(0.0) for column in (a[name], b[name])]
            row = None if signs[0].equals(signs[1]) else (signs[0] != signs[1]).arg_max()
        if row is not None:
            found.append((int(row), name))
    if not found:
        return None
    row, column = min(found, key=lambda place: place[0])
    return Difference(path, _text(a[column][row]), _text(b[column][row]), column, row)


def _in_schemas(path: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Difference:
    for x, y in _side_by_side(list(a.items()), list(b.items())):
        if x != y:
            one, other = (_MISSING if item is _END else f"column {item[0]!r} of {item[1]}" for item in (x, y))
            return Difference(path, one, other)
    raise AssertionError("unreachable")
