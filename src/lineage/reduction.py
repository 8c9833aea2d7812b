"""Merging many parts into one, in a tree whose groups end where a part's content says so.

Level by level the parts are cut into groups, each group is merged by one call, and what the calls gave is cut again, until
one is left. Where a group ends is decided by the digests of the parts, not by their positions: a part that is added,
changed or removed moves the ends of its own group, and every other group is found again by its content. So one of n
parts costs O(log n) calls, wherever in the order it lies. (The idea is that of prolly trees and of content-defined
chunking.)
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections import abc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, overload

from lineage.content.tree import Branch, Hole, Tree
from lineage.digest import Digest, digest_of
from lineage.errors import CompositionError, WiringError
from lineage.graph import Lazy, brief_tree, make_call, result_hint, shown, type_name
from lineage.identity import freezer
from lineage.node import Node
from lineage.signatures import item_hint, split_annotated
from lineage.spread import Part, Spread, late, listed
from lineage.wiring import brief, check_value, misfit, misfit_inside

__all__ = ["Merge", "groups", "merge_of", "reduce"]

T = TypeVar("T")

_MEAN = 8
"""How many parts a group has on average, and has exactly where all are equal. So few are not cut at all."""

_MOST = 32
"""How many parts a group has at most."""


def groups(digests: Sequence[Digest], level: int) -> Iterator[slice]:
    """Cut parts of these content digests into groups, in order; together they are all parts.

    A part ends its group when its digest says so, with a chance of one in seven; parts equal to the one before end
    one every eighth, so that a run of equals makes equal groups. A group has two parts at least, but for the last.

    >>> digests = [digest_of("part", bytes([n])) for n in range(20)]
    >>> [group.stop - group.start for group in groups(digests, 0)]
    [3, 12, 3, 2]
    >>> [group.stop - group.start for group in groups(digests[:1] * 20, 0)]
    [8, 8, 4]
    """
    count = len(digests)
    if count <= _MEAN:
        yield slice(0, count)
        return
    named = str(level).encode()
    start = run = 0
    before: Digest | None = None
    for position, digest in enumerate(digests):
        run = run + 1 if digest == before else 0
        before = digest
        size = position + 1 - start
        ends = run % _MEAN == _MEAN - 1 if run else _is_last(named, digest)
        if (ends and size > 1) or size == _MOST:
            yield slice(start, position + 1)
            start = position + 1
    if start < count:
        yield slice(start, count)


def _is_last(level: bytes, digest: Digest) -> bool:
    return int.from_bytes(digest_of("boundary", level, digest)[:8], "little") % (_MEAN - 1) == 0


# -- what merges


class Merge(NamedTuple):
    """A function that merges parts: its node, the arguments that are the same for every call, and what parts must be."""

    node: Any  # a Node; type checkers would take one in an attribute for a method
    takes_list: bool
    fixed: dict[str, Any]
    part_hint: Any

    def caller(self) -> Callable[[tuple[Tree, ...]], Hole]:
        """Return what makes the call that merges one group."""
        node = self.node if self.takes_list else self.node.folded
        kind = "tuple" if _origin(node.signature.hints[0]) is tuple else "list"
        others = tuple(freezer.freeze(value) for value in node.signature.bind(None, **self.fixed)[1:])
        return lambda group: make_call(node, (Branch(kind, group), *others))


def merge_of(merge: Any) -> Merge:
    """Return what there is to know of a node, or of a `functools.partial` of one, as a merge.

    Raises:
        CompositionError: it is no node, or merges neither two parts nor a list of them.
        WiringError: what it returns can't be merged again.
    """
    node, fixed = merge, {}
    if isinstance(merge, functools.partial):
        node, fixed = merge.func, dict(merge.keywords)
        if merge.args:
            raise CompositionError("reduce: give the fixed arguments of a merge by keyword: partial(merge, limit=3)")
    if not isinstance(node, Node):
        name = getattr(node, "__qualname__", repr(node))
        raise CompositionError(
            f"reduce: {name} is no node, so its calls would run now and not be cached. Declare it with @lineage.node"
        )
    found = _merge(node, fixed)
    _check_merge(found)
    return found


def _merge(node: Node[..., Any], fixed: dict[str, Any]) -> Merge:
    takes_list = _takes_list(node, fixed)
    if node.kind == "sink" or (node.kind == "dynamic" and not takes_list):
        raise CompositionError(f"reduce: {node.name} is a {node.kind}, which can't merge; use a plain node")
    first = node.signature.hints[0]
    return Merge(node, takes_list, fixed, _item_of(first) if takes_list else first)


def _takes_list(node: Node[..., Any], fixed: dict[str, Any]) -> bool:
    """Say whether a merge takes a list of parts. If not, it takes two.

    Raises:
        CompositionError: it takes neither.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(node.signature.parameters.values())
    open_ = [parameter for parameter in parameters if parameter.kind in kinds and parameter.name not in fixed]
    needed = [parameter for parameter in open_ if parameter.default is parameter.empty]
    left = [
        parameter.name
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY
        and parameter.default is parameter.empty
        and parameter.name not in fixed
    ]
    is_list = bool(open_) and _is_list(node.signature.hints[0], alone=len(open_) == 1)
    if open_ and open_[0] is not parameters[0]:
        raise CompositionError(f"reduce: the first parameter of {node.name} takes the parts, so it can't be fixed")
    if left or len(needed) > 2:
        names = ", ".join([*left, *(parameter.name for parameter in needed[2:])])
        raise CompositionError(
            f"reduce: {node.name} needs {names} besides two parts; fix them: functools.partial({node.name}, ...)"
        )
    if len(needed) == 2 or (len(open_) >= 2 and not is_list):
        if open_[1] is not parameters[1]:
            raise CompositionError(f"reduce: the second parameter of {node.name} takes a part, so it can't be fixed")
        return False
    if is_list:
        return True
    raise CompositionError(
        f"reduce: {node.name}({', '.join(node.signature.names)}) merges neither two parts, (a: T, b: T) -> T, "
        "nor a list of parts, (parts: list[T]) -> T"
    )


_LISTS = (list, tuple, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)


def _origin(hint: Any) -> Any:
    plain, _ = split_annotated(hint)
    return typing.get_origin(plain) or plain


def _is_list(hint: Any, *, alone: bool) -> bool:
    return _origin(hint) in _LISTS or (alone and hint is Any)


def _item_of(hint: Any) -> Any:
    plain, _ = split_annotated(hint)
    args = typing.get_args(plain)
    if _origin(hint) is tuple and len(args) != 2:
        return Any if not args else args[0]
    return args[0] if args else Any


def _check_merge(merge: Merge) -> None:
    node = merge.node
    returns = node.signature.returns
    wanted = [merge.part_hint] if merge.takes_list else node.signature.hints[:2]
    for hint in wanted:
        reason = misfit(returns, hint)
        if reason is not None:
            raise WiringError(
                f"reduce: {node.name} returns {type_name(returns)} and merges {type_name(hint)}: {reason}; "
                "what it gives must be a part that it can merge again",
                node=node.name,
            )


# -- reduce


class _Missing:
    """Stands for no `initial`, which may be anything, None too."""


_MISSING: Any = _Missing()


@overload
def reduce(merge: Callable[[list[T]], T], parts: Iterable[T], /, *, initial: T = ...) -> T: ...
@overload
def reduce(merge: Callable[[T, T], T], parts: Iterable[T], /, *, initial: T = ...) -> T: ...
def reduce(merge: Any, parts: Any, /, *, initial: Any = _MISSING) -> Any:
    """Return all of `parts` merged into one, in their order, with `initial` before them if it is given.

    `merge` is a node, or a `functools.partial` of one with fixed arguments by keyword. It takes two parts, as for
    `functools.reduce`, or a list of them: either way one call merges a whole group, of about eight. It must be
    associative, since groups are cut where contents say so: `lineage.testing.check_merge` tries it. It need not be
    commutative. A single part is handed through without a call. `parts` may be a call whose length is known only when
    it has run.

    Adding, changing or removing one of n parts makes O(log n) new calls, wherever in the order it lies.

    >>> from lineage import node
    >>> @node
    ... def add(a: int, b: int) -> int:
    ...     return a + b
    >>> reduce(add, [1, 2, 3])
    <reduce(add, list(1, 2, 3)) -> int, not computed>

    Raises:
        CompositionError: there are no parts and no `initial`; or `merge` is no node, or can't merge.
        WiringError: a part is not what `merge` takes.
    """
    found = merge_of(merge)
    what = f"reduce with {found.node.name}"
    given = listed(parts, what)
    first = () if initial is _MISSING else (initial,)
    if isinstance(given, Lazy):
        _check_lazy_parts(found, given)
    elif not given and not first:
        raise CompositionError(f"{what} has no parts to merge and no initial=, so there is no result")
    else:
        _check_parts(found, given, "part")
    _check_parts(found, list(first), "initial")
    _check_fixed(found)
    merging = _merging.giving(found.node.signature.returns, found.node)
    return merging(late(found.node), given, first, found.fixed, 0)


def _check_lazy_parts(merge: Merge, parts: Lazy) -> None:
    known, hint = item_hint(result_hint(parts), 0)
    reason = misfit(hint, merge.part_hint) if known else None
    if reason is not None:
        raise WiringError(
            f"reduce: {merge.node.name} merges {type_name(merge.part_hint)}, and the items of `{shown(parts)}` are "
            f"{type_name(hint)}: {reason}",
            node=merge.node.name,
        )


def _check_parts(merge: Merge, parts: Sequence[Any], what: str) -> None:
    """Check each part against what is merged, the calls of one node once."""
    hint = merge.part_hint
    fit: set[Any] = set()
    for position, part in enumerate(parts):
        kind = _kind_of(part)
        if kind is not None and kind in fit:
            continue
        reason = _misfit(part, hint)
        if reason is not None:
            where = f"{what} {position}" if what == "part" else what
            raise WiringError(
                f"reduce: {merge.node.name} merges {type_name(hint)}, and {where} is {reason}", node=merge.node.name
            )
        if kind is not None:
            fit.add(kind)


def _kind_of(part: Any) -> Any:
    """Return what decides whether a part fits, where that is little: the node of a call, a plain class."""
    node = getattr(part, "_lineage_node", None) if isinstance(part, Lazy) else None
    if isinstance(part, Lazy):
        return node
    return type(part) if type(part) in (int, float, str, bool, type(None)) else None


def _misfit(part: Any, hint: Any) -> str | None:
    if isinstance(part, Lazy) or _holds_calls(part):
        return misfit_inside(part, hint)
    reason = check_value(part, hint, "reduce")
    return None if reason is None else f"{brief(part)}: {reason}"


def _holds_calls(part: Any) -> bool:
    return isinstance(part, (list, tuple, dict)) and any(isinstance(item, Lazy) for item in part)


def _check_fixed(merge: Merge) -> None:
    """Let the node itself check what was fixed, as it would in a call."""
    node = merge.node
    if not merge.fixed:
        return
    names = node.signature.names[1:] if merge.takes_list else node.signature.names[2:]
    unknown = sorted(set(merge.fixed) - set(names))
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in node.signature.parameters.values())
    if unknown and not takes_any:
        raise WiringError(f"reduce: {node.name} has no parameter {', '.join(unknown)}", node=node.name)
    for name, value in merge.fixed.items():
        if name in names:
            node._admit_one(node.signature.names.index(name), value)


# -- one level


class _Merging(Spread):
    """The built-in node of `reduce`."""

    def shown(self, arguments: Sequence[Tree]) -> str:
        merge, parts, initial, _, level = arguments
        first = " and initial" if isinstance(initial, Branch) and initial.items else ""
        return f"reduce({brief_tree(merge)}, {brief_tree(parts)}{first}{f', level {level}' if level else ''})"


@functools.partial(_Merging, name="reduce")
def _merging(merge: Any, parts: Any, initial: Any, fixed: Any, level: Any) -> Tree:
    """Merge every group of one level, and what that gives at the next; the levels are what `reduce` is deep."""
    found = _merge(merge.value, fixed.value)
    given = [*initial.parts("initial"), *parts.parts(f"reduce with {found.node.name}")]
    if not given:
        raise CompositionError(
            f"reduce with {found.node.name} has no parts to merge and no initial=, so there is no result"
        )
    made = _merged(found, given, level.value)
    if len(made) == 1:
        return made[0]
    nothing = Branch("tuple", ())
    following = _merging.giving(found.node.signature.returns, found.node)
    return make_call(following, (merge.tree, Branch("list", made), nothing, fixed.tree, level.value + 1))


def _merged(merge: Merge, parts: list[Part], level: int) -> tuple[Tree, ...]:
    """Return what a level's groups come to. A group of one is its part."""
    call = merge.caller()
    trees = tuple(part.tree for part in parts)
    digests = [part.digest for part in parts] if len(parts) > _MEAN else []
    cut = groups(digests, level) if digests else iter([slice(0, len(parts))])
    return tuple(call(trees[group]) if group.stop - group.start > 1 else trees[group.start] for group in cut)
