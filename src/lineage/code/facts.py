"""Look at a live object without waking it: no `__getattr__` of its own is asked."""

from __future__ import annotations

from typing import Any

from lineage.code.guards import MISSING

__all__ = ["fact", "own", "static"]


def own(value: object) -> Any:
    """Return the attributes of the object itself; empty where it keeps none."""
    try:
        return vars(value)
    except TypeError:
        return {}


def static(value: object, name: str) -> Any:
    """Return the attribute `name` that the object or its type defines; MISSING where neither
    does.
    """
    members = own(value)
    if name in members:
        return members[name]
    for base in type(value).__mro__:
        if name in vars(base):
            return getattr(value, name, MISSING)
    return MISSING


def fact(value: object, name: str) -> Any:
    """Return `value.name`; None where there is none, or where only a `__getattr__` would answer."""
    if hasattr(type(value), "__getattr__"):
        found = static(value, name)
        return None if found is MISSING else found
    return getattr(value, name, None)
