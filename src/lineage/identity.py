"""Where content and code meet: values carry code, and code carries constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from lineage import code
from lineage.codecs.freeze import Freezer
from lineage.codecs.registry import standard_codecs
from lineage.content.tree import digest_tree, holes
from lineage.digest import Digest
from lineage.errors import UnstableIdentityError

__all__ = ["codecs", "digest_value", "freezer", "identify"]

codecs = standard_codecs()
"""The codecs of this process. `lineage.register` adds to them."""


def digest_constant(value: object, identify: Callable[[object], Digest]) -> Digest:
    """Return the digest of a value that code refers to; `identify` answers for code inside it."""
    tree = Freezer(codecs.families, codecs.kinds, identify, code.hides_state).freeze(value)
    hole = next(holes(tree), None)
    if hole is not None:
        raise UnstableIdentityError(f"it is, or holds, {hole!r}, which must be an argument to count as an input")
    return digest_tree(tree)


def identify(thing: Any) -> Digest:
    """Return the identity of a function, class or node: what it does, or which distribution it comes from."""
    as_node = getattr(thing, "code_digest", None) if hasattr(thing, "__lineage_function__") else None
    if as_node is not None:  # a node is more than its function: a kind, a contract, perhaps a version
        return cast(Digest, as_node())
    return code.identify(thing, digest_constant=digest_constant)


freezer = Freezer(codecs.families, codecs.kinds, identify)


def digest_value(value: object) -> Digest:
    """Return the content digest of `value`: equal for equal values of the same type, in every process.

    >>> digest_value({1, 2}) == digest_value({2, 1}), digest_value(1) == digest_value(1.0)
    (True, False)

    Raises:
        UnstableIdentityError: some part of it can't be told from another.
    """
    return digest_tree(freezer.freeze(value))
