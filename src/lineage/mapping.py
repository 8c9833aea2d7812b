"""Calls over sequences: one per item, in the order of the items, whether their number is known or not.

Where all lengths are known when the graph is composed, these are plain loops. Where one is known only when a call has run, a
built-in node composes then, with the items as lazies.
"""

from __future__ import annotations

import builtins
import functools
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, cast, overload

from lineage.content.tree import Branch, Tree, holes
from lineage.errors import CompositionError
from lineage.graph import Item, Lazy, brief_tree, result_hint
from lineage.identity import freezer
from lineage.limits import check_fanout
from lineage.signatures import item_hint, known_length
from lineage.spread import Spread, late, listed, spread

__all__ = ["flatten", "map", "starmap", "zip"]

A = TypeVar("A")
A1 = TypeVar("A1")
A2 = TypeVar("A2")
A3 = TypeVar("A3")
A4 = TypeVar("A4")
B = TypeVar("B")
P = ParamSpec("P")


def map(fn: Callable[Concatenate[A, P], B], xs: Iterable[A], /, *args: P.args, **fixed: P.kwargs) -> list[B]:
    """Return one call of `fn` per item of `xs`, in the order of `xs`; other arguments are the same for all.

    `fn` is a node, a function that composes nodes, or a `functools.partial` of one. `xs` is any sequence or iterator (a set is
    gone through in the order of digests), or a call whose length is known only when it has run. Of nothing comes `[]`.

    >>> from lineage import node
    >>> @node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> map(double, [1, 2])
    [<double(x=1) -> int, not computed>, <double(x=2) -> int, not computed>]

    Raises:
        CompositionError: `fn` returns plain values: it is not a node. Or `xs` is no sequence, or has more items than
            `max_fanout` lets through.
    """
    items = listed(xs, _what("map", fn))
    if not isinstance(items, Lazy):
        return [_composed(fn, fn(item, *args, **fixed)) for item in items]
    item: Any = _sample(items)
    made = None if item is None else _composed(fn, fn(item, *args, **fixed))
    return cast("list[B]", _spread_call(_map, fn, made, items, args, fixed))


@overload
def starmap(
    fn: Callable[Concatenate[A1, A2, P], B], xs: Iterable[tuple[A1, A2]], /, *args: P.args, **fixed: P.kwargs
) -> list[B]: ...
@overload
def starmap(
    fn: Callable[Concatenate[A1, A2, A3, P], B], xs: Iterable[tuple[A1, A2, A3]], /, *args: P.args, **fixed: P.kwargs
) -> list[B]: ...
@overload
def starmap(
    fn: Callable[Concatenate[A1, A2, A3, A4, P], B],
    xs: Iterable[tuple[A1, A2, A3, A4]],
    /,
    *args: P.args,
    **fixed: P.kwargs,
) -> list[B]: ...
@overload
def starmap(fn: Callable[..., B], xs: Iterable[list[Any]], /, **fixed: Any) -> list[B]: ...
def starmap(fn: Callable[..., Any], xs: Any, /, *args: Any, **fixed: Any) -> Any:
    """Return one call of `fn` per tuple of arguments in `xs`; other arguments are the same for all.

    `xs`, and each of the tuples, may be a call whose length is known only when it has run.

    >>> from lineage import node
    >>> @node
    ... def add(x: int, y: int) -> int:
    ...     return x + y
    >>> starmap(add, [(1, 2)])
    [<add(x=1, y=2) -> int, not computed>]

    Raises:
        CompositionError: as for `map`.
    """
    what = _what("starmap", fn)
    rows: Any = listed(xs, what)
    if not isinstance(rows, Lazy):
        rows = [listed(row, what) for row in rows]
        if not any(isinstance(row, Lazy) for row in rows):
            return [_composed(fn, fn(*row, *args, **fixed)) for row in rows]
    row: Any = _sample(rows) if isinstance(rows, Lazy) else None
    is_known = row is not None and known_length(result_hint(row)) is not None
    made = _composed(fn, fn(*row, *args, **fixed)) if is_known else None
    return _spread_call(_starmap, fn, made, rows, args, fixed)


@overload
def zip(a: Iterable[A1], /) -> list[tuple[A1]]: ...
@overload
def zip(a: Iterable[A1], b: Iterable[A2], /) -> list[tuple[A1, A2]]: ...
@overload
def zip(a: Iterable[A1], b: Iterable[A2], c: Iterable[A3], /) -> list[tuple[A1, A2, A3]]: ...
@overload
def zip(a: Iterable[A1], b: Iterable[A2], c: Iterable[A3], d: Iterable[A4], /) -> list[tuple[A1, A2, A3, A4]]: ...
@overload
def zip(
    a: Iterable[Any], b: Iterable[Any], c: Iterable[Any], d: Iterable[Any], /, *more: Iterable[Any]
) -> list[tuple[Any, ...]]: ...
def zip(*sequences: Iterable[Any]) -> list[Any]:
    """Return the items of several sequences side by side, as tuples. All must have one length.

    A sequence may be a call whose length is known only when it has run; its items stay lazy.

    >>> zip([1, 2], "a b".split())
    [(1, 'a'), (2, 'b')]

    Raises:
        CompositionError: the lengths differ, or one of them is no sequence.
    """
    known: list[Any] = [listed(items, "zip") for items in sequences]
    if any(isinstance(items, Lazy) for items in known):
        hints = tuple(_item_hint(items) for items in known)
        return cast("list[Any]", _zip.giving(types.GenericAlias(list, (types.GenericAlias(tuple, hints),)))(known))
    _check_lengths([len(items) for items in known], [f"{items!r:.40}" for items in known])
    return list(builtins.zip(*known, strict=True))


def flatten(xs: Iterable[Iterable[A]]) -> list[A]:
    """Return the items of the sequences in `xs`, one after another: one level, no deeper.

    Any of them may be a call whose length is known only when it has run; its items stay lazy.

    >>> flatten([[1, 2], [3]])
    [1, 2, 3]

    Raises:
        CompositionError: one of them is no sequence.
    """
    lists = listed(xs, "flatten")
    if not isinstance(lists, Lazy):
        known: list[Any] = [listed(items, "flatten") for items in lists]
        if not any(isinstance(items, Lazy) for items in known):
            check_fanout(sum(len(items) for items in known), "flatten")
            return [item for items in known for item in items]
        lists = cast(Any, known)
        hints = {str(hint): hint for hint in (_item_hint(items) for items in known)}
        hint = next(iter(hints.values())) if len(hints) == 1 else Any
    else:
        hint = item_hint(_item_hint(lists), 0)[1]
    return cast("list[A]", _flatten.giving(types.GenericAlias(list, (hint,)))(lists))


# -- what is composed, and of which type it will be


def _what(name: str, fn: Any) -> str:
    plain = fn.func if isinstance(fn, functools.partial) else fn
    return f"{name} of {getattr(plain, 'name', None) or getattr(plain, '__qualname__', repr(plain))}"


def _composed(fn: Any, made: Any) -> Any:
    if isinstance(made, Lazy) or _has_calls(made):
        return made
    name = getattr(fn, "__qualname__", repr(fn))
    raise CompositionError(
        f"{name} returned {made!r:.60}, a plain value, so it would run now and not be cached. "
        "Declare it with @lineage.node, or let it call one"
    )


def _has_calls(made: Any) -> bool:
    return made == [] or next(holes(freezer.freeze(made)), None) is not None


def _sample(xs: Lazy) -> Item | None:
    """Return an item that stands for all, so that wrong wiring is told now; None where their type is not known."""
    known, hint = item_hint(result_hint(xs), 0)
    return Item(xs, 0, hint) if known and hint is not Any else None


def _spread_call(spreading: Spread, fn: Any, made: Any, items: Any, args: Any, fixed: Any) -> Any:
    """Return the call that composes later. What a partial fixes are arguments like others; they may be calls."""
    before: tuple[Any, ...] = ()
    while isinstance(fn, functools.partial):
        before, fixed = (*fn.args, *before), {**fn.keywords, **fixed}
        fn = fn.func
    return spreading.giving(_list_of(made), fn)(late(fn), items, before, args, fixed)


def _list_of(made: Any) -> Any:
    return types.GenericAlias(list, (result_hint(made) if isinstance(made, Lazy) else Any,))


def _item_hint(items: Any) -> Any:
    return item_hint(result_hint(items), 0)[1] if isinstance(items, Lazy) else Any


# -- the built-in nodes


@spread("map")
def _map(fn: Any, items: Any, before: Any, args: Any, fixed: Any) -> Tree:
    same = functools.partial(fn.value, *before.value)
    after, named = args.value, fixed.value
    found = items.parts(_what("map", fn.value))
    return freezer.freeze([_composed(fn.value, same(item.value, *after, **named)) for item in found])


@spread("starmap")
def _starmap(fn: Any, rows: Any, before: Any, args: Any, fixed: Any) -> Tree:
    same, what = functools.partial(fn.value, *before.value), _what("starmap", fn.value)
    after, named = args.value, fixed.value
    found = [[item.value for item in row.parts(what)] for row in rows.parts(what)]
    return freezer.freeze([_composed(fn.value, same(*row, *after, **named)) for row in found])


@spread("flatten")
def _flatten(lists: Any) -> Tree:
    found = tuple(item.tree for items in lists.parts("flatten") for item in items.parts("flatten"))
    check_fanout(len(found), "flatten")
    return Branch("list", found)


@spread("zip")
def _zip(sequences: Any) -> Tree:
    columns = [items.parts("zip") for items in sequences.parts("zip")]
    _check_lengths([len(column) for column in columns], [brief_tree(items.tree) for items in sequences.parts("zip")])
    rows = builtins.zip(*([part.tree for part in column] for column in columns), strict=True)
    return Branch("list", tuple(Branch("tuple", row) for row in rows))


def _check_lengths(lengths: Sequence[int], names: Sequence[str]) -> None:
    if len(set(lengths)) > 1:
        told = "; ".join(f"{name} has {length}" for name, length in builtins.zip(names, lengths, strict=True))
        raise CompositionError(f"zip needs sequences of one length: {told}")
