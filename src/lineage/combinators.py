"""Calls made of calls: of outcomes, of what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from lineage.errors import CompositionError
from lineage.graph import Attempt, LatestOf, Lazy, Pinned
from lineage.node import Node
from lineage.outcomes import Failed, Ok

if TYPE_CHECKING:
    from lineage.datasets import Dataset

__all__ = ["attempt", "ref"]

P = ParamSpec("P")
T = TypeVar("T")


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
def ref(wanted: Node[..., T], /, *, namespace: str | None = None) -> T: ...
@overload
def ref(wanted: Dataset[T], /) -> T: ...
@overload
def ref(wanted: Any, /, of: type[T], *, namespace: str | None = None) -> T: ...
@overload
def ref(wanted: Any, /, of: Node[..., T], *, namespace: str | None = None) -> T: ...
@overload
def ref(wanted: str, /, *, namespace: str | None = None) -> Any: ...
def ref(wanted: Any, /, of: Any = Any, *, namespace: str | None = None) -> Any:
    """Return a recorded dataset as a lazy input: by name, by node (its latest successful one) or by handle.

    It is resolved once in a run, when the graph is planned, and recorded as an input with its name. `of` gives its type: a type,
    or the node that makes it. Names and runs are one's own, unless `namespace` says whose (`"user:ann"`, `"branch:prod"`; for a
    node `"*"`, anybody's) or the name does: `"branch:prod/model"`. See `lineage.names`.

    >>> ref("prod/model", of=dict)
    <ref('prod/model') -> dict, not computed>

    Raises:
        CompositionError: `wanted` is nothing of the kind.
    """
    from lineage.datasets import Dataset, record_of

    hint = of.signature.returns if isinstance(of, Node) else of
    if isinstance(wanted, Node):
        whose = f"latest {wanted.name}" + (f" of {namespace}" if namespace else "")
        return Pinned(whose, LatestOf(wanted, namespace), wanted.signature.returns if hint is Any else hint)
    if isinstance(wanted, Dataset):
        name = f"dataset {wanted.digest.hex()} {wanted._execution}"
        return Pinned(name, record_of(wanted), wanted._hint if hint is Any else hint)
    if not isinstance(wanted, str):
        raise CompositionError(f"ref takes a name, a node or a Dataset, not {wanted!r:.60}")
    name = wanted if namespace is None else f"{namespace}/{wanted}"
    return Pinned(name, name, hint)
