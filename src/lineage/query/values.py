"""What differs between two values: items, fields, parameters and fitted state of models. Without recursion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lineage.errors import LineageError
from lineage.identity import digest_value
from lineage.query.differences import Difference

__all__ = ["diff_values"]

_MOST = 1_000
"""Differences that are listed."""

_TEXT = 500
"""Characters kept of a value."""

_MISSING = object()


class _Pair(NamedTuple):
    """Two values at one place."""

    what: str
    path: str
    a: Any
    b: Any


def diff_values(a: Any, b: Any) -> list[Difference]:
    """Return what differs, at most a thousand places. Values of equal digest are equal, whatever they are."""
    found: list[Difference] = []
    stack = [_Pair("value", "", a, b)]
    seen: set[tuple[int, int]] = set()
    while stack and len(found) < _MOST:
        pair = stack.pop()
        if pair.a is pair.b or (id(pair.a), id(pair.b)) in seen:
            continue
        below = _below(pair)
        if below is None:
            found += _difference(pair)
            continue
        seen.add((id(pair.a), id(pair.b)))
        stack.extend(reversed(list(below)))
    if len(found) == _MOST:
        found.append(Difference("value", "", detail=f"more than {_MOST:,} places differ"))
    return found


def _below(pair: _Pair) -> Iterator[_Pair] | None:
    """Return the pairs of what two values are made of; None where they are compared as they are."""
    a, b = pair.a, pair.b
    if type(a) is not type(b) or a is _MISSING:
        return None
    if isinstance(a, Mapping):
        return _keyed(pair, dict(a), dict(b), "[{!r}]")
    if isinstance(a, (list, tuple)):
        names = getattr(a, "_fields", None)
        one, other = (dict(zip(names, side, strict=True)) if names else dict(enumerate(side)) for side in (a, b))
        return _keyed(pair, one, other, ".{}" if names else "[{}]")
    if callable(getattr(a, "get_params", None)) and hasattr(a, "__dict__") and not isinstance(a, type):
        return _of_models(pair)
    state = _state(a), _state(b)
    if state[0] is None or state[1] is None:
        return None
    return _keyed(pair, state[0], state[1], ".{}")


def _keyed(pair: _Pair, a: dict[Any, Any], b: dict[Any, Any], form: str, what: str | None = None) -> Iterator[_Pair]:
    for key in dict.fromkeys([*a, *b]):
        yield _Pair(what or pair.what, pair.path + form.format(key), a.get(key, _MISSING), b.get(key, _MISSING))


def _of_models(pair: _Pair) -> Iterator[_Pair]:
    """Yield the parameters of two estimators, and then what fitting left in them."""
    parameters = [side.get_params(deep=False) for side in (pair.a, pair.b)]
    yield from _keyed(pair, parameters[0], parameters[1], ".{}", "parameter")
    fitted = [
        {name: value for name, value in vars(side).items() if name not in own}
        for side, own in zip((pair.a, pair.b), parameters, strict=True)
    ]
    yield from _keyed(pair, fitted[0], fitted[1], ".{}", "attribute")


def _state(value: Any) -> dict[str, Any] | None:
    """Return the fields of an instance of a class; None of what is no such thing."""
    cls = type(value)
    if cls.__module__.partition(".")[0] in _WHOLE or isinstance(value, type) or callable(value):
        return None
    try:
        state = value.__getstate__()
    except Exception:
        return None
    if isinstance(state, tuple) and len(state) == 2:  # of a class with slots
        state = {**(state[0] or {}), **(state[1] or {})}
    return state if isinstance(state, dict) and all(isinstance(name, str) for name in state) else None


_WHOLE = frozenset(
    {"builtins", "numpy", "polars", "pandas", "pyarrow", "datetime", "decimal", "pathlib", "uuid", "re", "enum"}
)
"""Packages whose values are compared as they are."""


def _difference(pair: _Pair) -> Iterator[Difference]:
    a, b = pair.a, pair.b
    if a is _MISSING or b is _MISSING:
        left, right = (None if side is _MISSING else _text(side) for side in (a, b))
        yield Difference(pair.what, pair.path, left, right)
        return
    if _same(a, b):
        return
    yield Difference(pair.what, pair.path, _text(a), _text(b), _detail(a, b))


def _same(a: Any, b: Any) -> bool:
    if type(a) is type(b) and isinstance(a, (int, str, bytes, type(None))):
        return bool(a == b)
    try:
        return digest_value(a) == digest_value(b)
    except (LineageError, TypeError, ValueError):
        return a is b


def _text(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        kind = getattr(value, "dtype", "")
        return f"{type(value).__name__} of {' × '.join(map(str, shape))} {kind}".rstrip()
    text = repr(value)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"


def _detail(a: Any, b: Any) -> str:
    """Return by how much two arrays or numbers differ; the types, where these do."""
    if type(a) is not type(b):
        return f"{type(a).__name__} → {type(b).__name__}"
    if isinstance(a, float):
        return f"by {b - a:+.3g}"
    if type(a).__name__ != "ndarray" or a.shape != b.shape or a.dtype != b.dtype or not a.size:
        return ""
    import numpy as np

    differs = a != b
    if a.dtype.kind == "f":
        differs &= ~(np.isnan(a) & np.isnan(b))
    text = f"{int(differs.sum()):,} of {a.size:,} items differ"
    if a.dtype.kind in "fiu" and differs.any():
        text += f", by up to {float(np.nanmax(np.abs(a.astype(float) - b.astype(float)))):.3g}"
    return text
