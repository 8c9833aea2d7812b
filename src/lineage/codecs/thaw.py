"""From a tree to a fresh value, which nobody else holds."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable
from typing import Any

from lineage.codecs.atoms import read_atom
from lineage.codecs.freeze import Identify
from lineage.codecs.plain import find_by_name
from lineage.codecs.scans import read_as_one, scan_as_one
from lineage.content.tree import Atom, Branch, Leaf, Tree, digest_tree
from lineage.errors import CorruptObjectError, NotFoundError
from lineage.outcomes import Failed

__all__ = ["ClassChangedError", "Thawer"]


class ClassChangedError(NotFoundError):
    """A stored instance whose class is gone or has changed: the record is a miss."""


class Thawer:
    """Makes values of trees. `read` gives the value of a stored leaf, `identify` the identity of today's classes."""

    def __init__(self, read: Callable[[Leaf], Any], identify: Identify) -> None:
        self.read = read
        self.identify = identify

    def thaw(self, tree: Tree) -> Any:
        """Return a new value for `tree`, which must have no holes.

        Raises:
            ClassChangedError: the tree holds an instance of a class that is gone or has changed.
            ObjectMissingError, CorruptObjectError: an object can't be read.
        """
        if isinstance(tree, Branch):
            build = _BUILDERS.get(tree.kind)
            if build is not None:
                return build([self.thaw(item) for item in _in_order(tree)])
            if tree.kind in ("scan", "joined"):
                return self._as_one(tree)
            return self._instance(tree)
        if isinstance(tree, Leaf):
            return self._leaf(tree)
        if isinstance(tree, Atom):
            return self._enum(tree) if tree.kind in ("enum", "flag") else read_atom(tree)
        return tree

    def _as_one(self, branch: Branch) -> Any:
        """Return several tables as one, read together."""
        name = branch.text.partition(":")[2] or "polars.LazyFrame"
        tables = [item for item in branch.items if isinstance(item, Leaf)]
        if name.startswith("polars."):
            tables = [leaf.viewed_as("table:part") for leaf in tables]
        parts = [self._leaf(leaf) for leaf in tables]
        return scan_as_one(parts) if name == "polars.LazyFrame" else read_as_one(parts, name)

    def _leaf(self, leaf: Leaf) -> Any:
        if leaf.family == "failed":
            return Failed(**(leaf.info or {}))
        if leaf.family == "code":  # code is immutable: the live object serves
            return leaf.value if leaf.value is not None else self._class(leaf.kind[5:], leaf.content)
        if leaf.family == "pickle" and leaf.code is not None:
            self._class(leaf.kind.partition(":")[2], leaf.code)
        return self.read(leaf)

    def _enum(self, atom: Atom) -> Any:
        class_name, _, member = atom.text.partition(" ")
        cls = self._class(class_name, atom.code)
        try:
            return cls(int(member)) if atom.kind == "flag" else cls[member]
        except (KeyError, ValueError) as error:
            raise ClassChangedError(f"{class_name} has no member {member} any more") from error

    def _class(self, name: str, code: bytes | None) -> Any:
        try:
            cls = find_by_name(name)
        except NotFoundError as error:
            raise ClassChangedError(f"a stored {name} can't be read: {error}") from error
        if code is not None and self.identify(cls) != code:
            raise ClassChangedError(f"{name} has changed since this was stored")
        return cls

    def _instance(self, branch: Branch) -> Any:
        items = [self.thaw(item) for item in branch.items]
        if branch.kind == "namedtuple":
            return self._class(branch.text, branch.code)._make(items)
        if branch.kind not in ("attrs", "dataclass"):
            raise CorruptObjectError(f"a record holds a value of unknown kind {branch.kind!r}")
        cls = self._class(branch.text, branch.code)
        value = cls.__new__(cls)
        for name, part in zip(items[::2], items[1::2], strict=True):
            object.__setattr__(value, name, part)
        return value


def _in_order(branch: Branch) -> tuple[Tree, ...]:
    """Return the items of a branch in the order in which they are put in: a set's shows when one goes through it."""
    if branch.kind in ("set", "frozenset"):
        return tuple(sorted(branch.items, key=digest_tree))
    return branch.items


def _pairs(items: list[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(items[::2], items[1::2], strict=True)


def _defaultdict(items: list[Any]) -> Any:
    return collections.defaultdict(items[0], _pairs(items[1:]))


def _partial(items: list[Any]) -> Any:
    function, arguments, keywords = items
    return functools.partial(function, *arguments, **keywords)


_BUILDERS: dict[str, Callable[[list[Any]], Any]] = {
    "list": lambda items: items,
    "tuple": tuple,
    "dict": lambda items: dict(_pairs(items)),
    "set": set,
    "frozenset": frozenset,
    "OrderedDict": lambda items: collections.OrderedDict(_pairs(items)),
    "Counter": lambda items: collections.Counter(dict(_pairs(items))),
    "defaultdict": _defaultdict,
    "deque": lambda items: collections.deque(items[1:], maxlen=items[0]),
    "range": lambda items: range(*items),
    "slice": lambda items: slice(*items),
    "partial": _partial,
}
