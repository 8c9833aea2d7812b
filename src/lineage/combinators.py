"""Calls made of calls: of tables, of outcomes, of what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

from lineage.errors import CompositionError, WiringError
from lineage.graph import Attempt, Lazy, Pinned, View, shown, type_name
from lineage.graph import result_hint as hint_of
from lineage.identity import freezer
from lineage.node import Node
from lineage.outcomes import Failed, Ok

if TYPE_CHECKING:
    import polars as pl

    from lineage.datasets import Dataset

__all__ = ["ArrowTable", "attempt", "ref", "scan", "view"]

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


class ArrowTable(Protocol):
    """A table of any library that shows its data as Arrow: polars, pyarrow, pandas."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


def scan(parts: pl.LazyFrame | ArrowTable | Iterable[pl.LazyFrame] | Iterable[ArrowTable], /) -> pl.LazyFrame:
    """Return a table, or a list of tables with one schema, as one `polars.LazyFrame`.

    The consumer reads only the columns and rows that it asks for. Nothing is executed or copied for it.
    """
    return cast("pl.LazyFrame", View(_checked_tables(parts), "table:polars.LazyFrame"))


_VIEWS = {
    ("polars", "DataFrame"): "table:polars.DataFrame",
    ("polars", "LazyFrame"): "table:polars.LazyFrame",
    ("pyarrow", "Table"): "table:pyarrow.Table",
    ("pandas", "DataFrame"): "table:pandas.DataFrame",
}


def view(x: Any, cls: type[T]) -> T:
    """Return the table `x` read as `polars.DataFrame`, `polars.LazyFrame`, `pyarrow.Table` or `pandas.DataFrame`.

    Raises:
        CompositionError: `cls` is none of them.
    """
    kind = _VIEWS.get((cls.__module__.partition(".")[0], cls.__qualname__))
    if kind is None:
        names = ", ".join(".".join(key) for key in _VIEWS)
        raise CompositionError(f"a dataset can be viewed as {names}, not as {type_name(cls)}")
    return cast(T, View(_checked_tables(x), kind))


def _checked_tables(parts: Any) -> Any:
    tree = freezer.freeze(parts)
    for lazy in parts if isinstance(parts, (list, tuple)) else [parts]:
        if not isinstance(lazy, Lazy):
            continue
        name = type_name(hint_of(lazy)).partition("[")[0]
        if name not in ("Any", "DataFrame", "LazyFrame", "Table", "list", "tuple") and "DataFrame" not in str(
            hint_of(lazy)
        ):
            raise WiringError(
                f"`{shown(lazy)}` -> {type_name(hint_of(lazy))} is no table, so it can't be scanned or viewed"
            )
    return tree


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
