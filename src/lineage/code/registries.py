"""Registries that Python keeps of classes: who inherits from a class, and who was registered with an abstract one.

No name leads from a class to its subclasses, so code that asks for them reaches classes of modules that
it never names.
"""

from __future__ import annotations

import abc
import gc
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from lineage.code.origin import Origin, origin_of_module_name

__all__ = ["live_subclasses", "until_registered", "virtual_subclasses"]


def live_subclasses(cls: type, *, collect: bool = True) -> list[type]:
    """Return the project's classes below `cls` that are alive, each before its own, in the order in which they were made.

    A class that was replaced lives until the next collection of garbage (that of a slotted attrs class does), so that is
    had first where two have one name (unless told not to `collect`).
    """
    names = Counter(map(_name, _below(cls))) if collect else Counter[tuple[str, str]]()
    if any(count > 1 for count in names.values()):
        gc.collect()
    return _below(cls)


def _below(cls: type) -> list[type]:
    return [one for one in _descendants(cls) if origin_of_module_name(one.__module__) is Origin.PROJECT]


def _descendants(cls: type) -> Iterable[type]:
    seen: dict[int, type] = {}  # by identity: a metaclass may say what equals what
    waiting = _children(cls)[::-1]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            waiting += _children(one)[::-1]
    return seen.values()


def _children(cls: type) -> list[type]:
    return type.__subclasses__(cls)


def virtual_subclasses(cls: type) -> list[type]:
    """Return what passes for a subclass of the abstract class `cls` without inheriting from it, by name.

    What was registered with it, or with a class that counts as its subclass; and subclasses that answer the
    question themselves (`__subclasshook__`), as Python asks those too.
    """
    found: dict[int, type] = {}
    seen = {id(cls)}
    waiting = [cls]
    while waiting:
        one = waiting.pop()
        registered = _registered(one)
        found.update((id(other), other) for other in registered)
        if one is not cls and "__subclasshook__" in vars(one):
            found[id(one)] = one
        fresh = [other for other in (*registered, *_children(one)) if id(other) not in seen]
        seen.update(map(id, fresh))
        waiting += fresh
    return sorted(found.values(), key=_name)


def until_registered(look: Callable[[], list[type]]) -> Callable[[], list[type]]:
    """Return a function that looks again only when something was registered with any abstract class since."""
    token, found = abc.get_cache_token(), look()

    def again() -> list[type]:
        nonlocal token, found
        now = abc.get_cache_token()
        if now != token:
            token, found = now, look()
        return found

    return again


def _registered(cls: type) -> list[type]:
    dump: Any = getattr(abc, "_get_dump", None)
    if dump is None or not isinstance(cls, abc.ABCMeta):
        return []
    return [one for reference in dump(cls)[0] if (one := reference()) is not None]


def _name(cls: type) -> tuple[str, str]:
    return cls.__qualname__, str(cls.__module__)
