"""Calls made of calls: over lists, of outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast, overload

from lineage.errors import CompositionError
from lineage.graph import Attempt, Lazy, Pinned
from lineage.identity import freezer
from lineage.node import Kind, Node
from lineage.options import Options
from lineage.outcomes import Failed, Ok

if TYPE_CHECKING:
    from lineage.datasets import Dataset

__all__ = ["attempt", "flatten", "map", "ref", "starmap"]

A = TypeVar("A")
B = TypeVar("B")
P = ParamSpec("P")
T = TypeVar("T")

_python_map = map


def map(fn: Callable[Concatenate[A, P], B], xs: Iterable[A], /, *args: P.args, **fixed: P.kwargs) -> list[B]:
    """Return one call of `fn` per item of `xs`, in the order of `xs`; other arguments are the same for all.

    `fn` is a node, a function that composes nodes, or a `functools.partial` of one. `xs` may be a call whose length is
    known only when it has run.

    >>> from lineage import node
    >>> @node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> map(double, [1, 2])
    [<double(x=1) -> int, not computed>, <double(x=2) -> int, not computed>]

    Raises:
        CompositionError: `fn` returns plain values: it is not a node.
    """
    if isinstance(xs, Lazy):
        return cast("list[B]", _spread_map(fn, xs, args, fixed))
    return _mapped(fn, list(xs), args, fixed)


def _mapped(fn: Any, items: Any, args: Any, fixed: Any) -> list[Any]:
    return [_composed(fn, fn(item, *args, **fixed)) for item in items]


def starmap(fn: Callable[..., B], xs: Iterable[Iterable[Any]], /, **fixed: Any) -> list[B]:
    """Return one call of `fn` per tuple of arguments in `xs`.

    >>> from lineage import node
    >>> @node
    ... def add(x: int, y: int) -> int:
    ...     return x + y
    >>> starmap(add, [(1, 2)])
    [<add(x=1, y=2) -> int, not computed>]
    """
    if isinstance(xs, Lazy):
        raise CompositionError("starmap needs a list of tuples that is known; for a call use lineage.map with a lambda")
    return [_composed(fn, fn(*items, **fixed)) for items in xs]


def _composed(fn: Any, made: Any) -> Any:
    if isinstance(made, Lazy) or isinstance(freezer.freeze(made), Lazy) or _has_calls(made):
        return made
    name = getattr(fn, "__qualname__", repr(fn))
    raise CompositionError(
        f"{name} returned {made!r:.60}, a plain value, so it would run now and not be cached. "
        "Declare it with @lineage.node, or let it call one"
    )


def _has_calls(made: Any) -> bool:
    from lineage.content.tree import holes

    return next(holes(freezer.freeze(made)), None) is not None


def _built_in(kind: Kind, name: str) -> Callable[[Callable[..., Any]], Any]:
    """Make a node of one of our own functions, findable under the function's name."""
    return lambda fn: Node(fn, Options(version="1"), kind, name)


@_built_in("spread", "map")
def _spread_map(fn: Any, items: Any, args: Any, fixed: Any) -> Any:
    return _mapped(fn, items, args, fixed)


def flatten(xs: Iterable[Iterable[A]]) -> list[A]:
    """Return the items of the lists in `xs`, one after another.

    >>> flatten([[1, 2], [3]])
    [1, 2, 3]
    """
    if isinstance(xs, Lazy):
        return cast("list[A]", _flat(xs))
    lists = list(xs)
    if any(isinstance(items, Lazy) for items in lists):
        return cast("list[A]", _flat(lists))
    return [item for items in lists for item in items]


@_built_in("plain", "flatten")
def _flat(lists: list[Any]) -> list[Any]:
    return [item for items in lists for item in items]


@overload  # a result that can be called is taken for a node: give `attempt` the node instead
def attempt(fn: Callable[P, T]) -> Callable[P, Ok[T] | Failed]: ...  # type: ignore[overload-overlap]
@overload
def attempt(fn: T) -> Ok[T] | Failed: ...
def attempt(fn: Any) -> Any:
    """Return `fn` such that its calls give `Ok(value)`, or `Failed` with error, log and traceback; nothing else fails.

    A failure is never cached as a success: it is tried again in the next run.

    >>> from lineage import node
    >>> @node
    ... def invert(x: float) -> float:
    ...     return 1 / x
    >>> attempt(invert)(0.0)
    <attempt(invert(x=0.0)) -> Ok[float] | Failed, not computed>
    """
    if isinstance(fn, Lazy):
        return Attempt(fn)

    def attempted(*args: Any, **kwargs: Any) -> Any:
        made = fn(*args, **kwargs)
        if not isinstance(made, Lazy):
            raise CompositionError(f"attempt needs a node or a function that returns one call, not {made!r:.60}")
        return Attempt(made)

    return attempted


@overload
def ref(wanted: Node[..., T], /) -> T: ...
@overload
def ref(wanted: Dataset[T], /) -> T: ...
@overload
def ref(wanted: Any, /, of: type[T]) -> T: ...
@overload
def ref(wanted: Any, /, of: Node[..., T]) -> T: ...
@overload
def ref(wanted: str, /) -> Any: ...
def ref(wanted: Any, /, of: Any = Any) -> Any:
    """Return a recorded dataset as a lazy input: by name, by node (its latest successful one) or by handle.

    It is resolved once when the graph is planned, and recorded as an input. `of` gives its type: a type, or the node
    that makes it.

    >>> ref("prod/model", of=dict)
    <ref('prod/model') -> dict, not computed>
    """
    from lineage.datasets import Dataset, record_of

    hint = of.signature.returns if isinstance(of, Node) else of
    if isinstance(wanted, Node):
        return Pinned(f"latest {wanted.name}", wanted, wanted.signature.returns if hint is Any else hint)
    if isinstance(wanted, Dataset):
        name = f"dataset {wanted.digest.hex()} {wanted._execution}"
        return Pinned(name, record_of(wanted), wanted._hint if hint is Any else hint)
    if not isinstance(wanted, str):
        raise CompositionError(f"ref takes a name, a node or a Dataset, not {wanted!r:.60}")
    return Pinned(wanted, wanted, hint)
