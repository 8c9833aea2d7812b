"""The frozen form of any value: a tree whose digest says what the value is.

A value is a scalar (itself), an `Atom` (one small thing, written as text), a `Branch` (a container or an instance, made
of trees), a `Leaf` (something heavy, kept as objects of its own) or a `Hole` (a place for a value that is not known
yet). Trees are immutable, so that nobody can change an argument after it was bound or a result after it was recorded.

Digests are Merkle digests: that of a branch is made from those of its items. So the digest of `[f(1), f(2)]` is known as
soon as those of `f(1)` and `f(2)` are, and a field of a result has a digest of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Union, cast

from lineage.digest import Digest, digest_of

__all__ = ["SCALARS", "Atom", "Branch", "Hole", "Leaf", "Tree", "digest_tree", "fill", "holes", "leaves"]


class Hole:
    """A place in a tree for something that is resolved when the graph is planned: a call, a reference, a file."""

    __slots__ = ()


class Atom:
    """A small value written as text, such as a `Decimal` or a `datetime`.

    `kind` names the type and `text` is the one way to write the value. `code` is the identity of a class or function that
    the value carries, if it carries one.
    """

    __slots__ = ("code", "digest", "kind", "text")

    def __init__(self, kind: str, text: str, code: Digest | None = None) -> None:
        self.kind = kind
        self.text = text
        self.code = code
        self.digest = digest_of("atom " + kind, text.encode("utf-8", "surrogatepass"), code or b"")

    def __repr__(self) -> str:
        return f"<{self.kind} {self.text}>"


class Leaf:
    """A heavy value, kept as objects: a table, an array, a file, a pickle.

    `kind` is `family:type` (`table:polars.DataFrame`); the family names the codec, the type what a reader gets. `content`
    is the digest of what it holds, whatever it is read as. `value` is the live value until it is stored; `code` the
    identity of the class of an instance; `info` what people want to know (rows, schema), never hashed.
    """

    __slots__ = ("code", "content", "digest", "info", "kind", "value")

    def __init__(
        self,
        kind: str,
        content: Digest,
        *,
        value: Any = None,
        info: dict[str, Any] | None = None,
        code: Digest | None = None,
    ) -> None:
        self.kind = kind
        self.content = content
        self.value = value
        self.info = info
        self.code = code
        # Code is what it does, wherever it is defined; its kind only says where to find it.
        named = "code" if kind.startswith("code:") else kind
        self.digest = digest_of("leaf " + named, content, code or b"")

    @property
    def family(self) -> str:
        return self.kind.partition(":")[0]

    @property
    def is_inline(self) -> bool:
        """Say whether the tree's own text says all of it, so that it needs no object."""
        return self.family in ("code", "failed", "file")

    def viewed_as(self, kind: str) -> Leaf:
        return Leaf(kind, self.content, value=self.value, info=self.info, code=self.code)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.content.hex()[:12]}>"


class Branch:
    """A container or an instance, made of trees.

    `kind` says which (`list`, `dict`, `attrs`...); `text` and `code` name the class of an instance and its identity. A
    dict's items alternate keys and values. `digest` is None while there are holes below.
    """

    __slots__ = ("code", "digest", "items", "kind", "text")

    def __init__(self, kind: str, items: tuple[Tree, ...], text: str = "", code: Digest | None = None) -> None:
        self.kind = kind
        self.items = items
        self.text = text
        self.code = code
        parts: list[bytes] = []
        for item in items:
            scalar = SCALARS.get(type(item))
            part = scalar(item) if scalar is not None else _known_digest(item)
            if part is None:
                self.digest: Digest | None = None
                return
            parts.append(part)
        self.digest = _branch_digest(kind, text, code, parts)

    def __repr__(self) -> str:
        return f"<{self.kind} of {len(self.items)}>"


Tree = Union[None, bool, int, float, str, Atom, Leaf, Branch, Hole]  # noqa: UP007 (aliases itself)

_NONE = digest_of("none")
_TRUE = digest_of("bool", b"1")
_FALSE = digest_of("bool", b"0")


def _digest_int(value: int) -> Digest:
    found = _INTEGERS.get(value)
    if found is None:
        found = digest_of("int", value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True))
        if len(_INTEGERS) < _REMEMBERED:
            _INTEGERS[value] = found
    return found


_REMEMBERED = 1 << 16
_INTEGERS: dict[int, Digest] = {}
"""Digests of the integers met so far: small ones come again and again."""


def _digest_float(value: float) -> Digest:
    return digest_of("float", b"nan" if value != value else value.hex().encode())


def _digest_str(value: str) -> Digest:
    return digest_of("str", value.encode("utf-8", "surrogatepass"))


SCALARS: dict[type, Callable[[Any], Digest]] = {
    int: _digest_int,
    str: _digest_str,
    float: _digest_float,
    bool: lambda value: _TRUE if value else _FALSE,
    type(None): lambda value: _NONE,
}
"""How plain values are digested, by exact type."""


def _known_digest(tree: Tree) -> Digest | None:
    scalar = SCALARS.get(type(tree))
    if scalar is not None:
        return scalar(tree)
    return getattr(tree, "digest", None) if isinstance(tree, (Atom, Leaf, Branch)) else None


def _branch_digest(kind: str, text: str, code: Digest | None, parts: list[bytes]) -> Digest:
    # A class that has an identity is known by it, so that it may move to another module.
    named = code if code is not None else text.encode()
    if kind in ("set", "frozenset"):
        parts = sorted(set(parts))
    elif kind == "state":
        parts = sorted(parts)
    elif kind in _KEYED:
        parts = _last_of_each_key(parts)
    return digest_of("branch " + kind, named, *parts)


_KEYED = frozenset({"dict", "OrderedDict"})


def _last_of_each_key(parts: list[Any]) -> list[Any]:
    """Return alternating keys and values as a dict keeps them: calls that were two keys may come to one."""
    if len(parts) <= 2:
        return parts
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return parts if len(found) * 2 == len(parts) else [part for pair in found.items() for part in pair]


def digest_tree(tree: Tree, resolve: Callable[[Hole], Digest] | None = None) -> Digest:
    """Return the digest of `tree`, asking `resolve` for those of its holes.

    >>> digest_tree(1) == digest_tree(True)
    False

    Raises:
        LookupError: there are holes and no `resolve`.
    """
    known = _known_digest(tree)
    if known is not None:
        return known
    if isinstance(tree, Branch):
        parts: list[bytes] = [digest_tree(item, resolve) for item in tree.items]
        return _branch_digest(tree.kind, tree.text, tree.code, parts)
    if resolve is None:
        raise LookupError("the tree has holes, so its digest is not known yet")
    return resolve(cast(Hole, tree))


def holes(tree: Tree) -> Iterator[Hole]:
    """Yield the holes of `tree`, from left to right."""
    if isinstance(tree, Hole):
        yield tree
    elif isinstance(tree, Branch) and tree.digest is None:
        for item in tree.items:
            if isinstance(item, Hole):  # without a generator for each of many
                yield item
            elif isinstance(item, Branch) and item.digest is None:
                yield from holes(item)


def leaves(tree: Tree) -> Iterator[Leaf]:
    """Yield the leaves of `tree`, from left to right."""
    if isinstance(tree, Leaf):
        yield tree
    elif isinstance(tree, Branch):
        for item in tree.items:
            if isinstance(item, (Leaf, Branch)):
                yield from leaves(item)


def fill(tree: Tree, resolve: Callable[[Hole], Tree]) -> Tree:
    """Return `tree` with what `resolve` gives in the place of each hole."""
    if isinstance(tree, Hole):
        return resolve(tree)
    if isinstance(tree, Branch) and tree.digest is None:
        items = tuple(fill(item, resolve) for item in tree.items)
        return Branch(tree.kind, _distinct(tree.kind, items), tree.text, tree.code)
    return tree


def _distinct(kind: str, items: tuple[Tree, ...]) -> tuple[Tree, ...]:
    """Return the items as the container keeps them, now that calls that were different may have come to one value."""
    if kind in ("set", "frozenset"):
        return tuple({_known_digest(item): item for item in items}.values())
    if kind in _KEYED:
        keys = {_known_digest(key): key for key in items[::2]}
        if len(keys) * 2 != len(items):
            values = dict(zip(map(_known_digest, items[::2]), items[1::2], strict=True))
            return tuple(part for digest, key in keys.items() for part in (key, values[digest]))
    return items
