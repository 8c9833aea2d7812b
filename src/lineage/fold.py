"""A node of two parts, made into one of a list of parts: the calls of `reduce`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from lineage import code
from lineage.digest import Digest, digest_of
from lineage.node import Node

__all__ = ["Fold"]

R = TypeVar("R")


class Fold(Node[..., R], Generic[R]):
    """`merge(merge(a, b), c)` as one call, with the options of `merge` and known by what it does.

    Its parameters are the list of parts and what `merge` takes besides two parts.
    """

    def __init__(self, merge: Node[..., R]) -> None:
        self.merge = merge
        self._known_as: tuple[Digest, Digest] | None = None
        super().__init__(_folding(merge), merge.given, merge.kind, merge.name)

    @property
    def declared(self) -> Node[..., Any]:
        return self.merge

    def code(self) -> code.CodeFingerprint:
        return self.merge.code()

    def code_digest(self) -> Digest:
        digest = self.merge.code_digest()
        if self._known_as is None or self._known_as[0] != digest:
            self._known_as = (digest, digest_of("folded", digest))
        return self._known_as[1]

    def still_is(self, digest: Digest) -> bool:
        known = self._known_as
        if known is not None and known[1] == digest and self.merge.still_is(known[0]):
            return True
        return self.code_digest() == digest

    def packages(self) -> Mapping[str, str]:
        return self.merge.packages()

    def leaves(self) -> str:
        return self.merge.leaves()


def _folding(merge: Node[..., R]) -> Callable[..., R]:
    """Return the function that merges a list; by its name, `module:merge.folded`, other processes find its node."""
    fn = merge.fn

    def folded(parts: Any, /, **fixed: Any) -> Any:
        return functools.reduce(functools.partial(_merged, fn, fixed), parts)

    names = list(merge.signature.names)
    hints = dict(zip(names, merge.signature.hints, strict=True))
    others = [
        parameter.replace(kind=parameter.KEYWORD_ONLY) if parameter.kind is not parameter.VAR_KEYWORD else parameter
        for parameter in list(merge.signature.parameters.values())[2:]
        if parameter.kind is not parameter.VAR_POSITIONAL
    ]
    own = next(name for name in ("parts", "_parts", "__parts") if name not in {other.name for other in others})
    first = inspect.Parameter(own, inspect.Parameter.POSITIONAL_ONLY)
    folded.__signature__ = inspect.Signature([first, *others])  # type: ignore[attr-defined]
    folded.__annotations__ = {
        own: types.GenericAlias(list, (hints[names[0]],)),
        **{other.name: hints[other.name] for other in others if other.kind is not other.VAR_KEYWORD},
        "return": merge.signature.returns,
    }
    folded.__module__, folded.__name__ = fn.__module__, "folded"
    folded.__qualname__ = f"{fn.__qualname__}.folded"
    folded.__doc__ = fn.__doc__
    return folded


def _merged(fn: Callable[..., Any], fixed: Mapping[str, Any], one: Any, other: Any) -> Any:
    return fn(one, other, **fixed)
