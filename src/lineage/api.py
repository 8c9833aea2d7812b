"""The module-level functions: those of the current session."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, ParamSpec, TypeVar, Unpack, overload

from lineage.codecs.base import Codec
from lineage.datasets import Dataset
from lineage.environments.request import Env
from lineage.identity import codecs
from lineage.incomplete import Incomplete
from lineage.node import Node
from lineage.options import Asked, AskedOfAll, AskedToRaise
from lineage.outcomes import Failed
from lineage.plans import Plan
from lineage.session import current_session

__all__ = ["compute", "dataset", "forget", "main", "materialize", "plan", "register", "show", "tag"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")


@overload
def compute(x: T, /, **asked: Unpack[Asked]) -> T: ...
@overload
def compute(a: A, b: B, /, **asked: Unpack[Asked]) -> tuple[A, B]: ...
@overload
def compute(a: A, b: B, c: C, /, **asked: Unpack[Asked]) -> tuple[A, B, C]: ...
@overload
def compute(a: Any, b: Any, c: Any, d: Any, /, *more: Any, **asked: Unpack[Asked]) -> tuple[Any, ...]: ...
def compute(*values: Any, **asked: Unpack[Asked]) -> Any:
    """Return the value of a call (or of several, as a tuple), executing only what is missing.

    Calls may stand anywhere in lists, dicts, tuples and records. A plain value is returned as it is. `refresh` names nodes
    to execute again; `executor` is the default one for this request: an executor, a name bound in the session, or
    `"processes:4"` and the like. `retries`, `timeout` (seconds) and `resources` hold for nodes that say nothing of their
    own. `on_failure="stop"` gives everything up at the first failure that nothing catches, where otherwise all that does
    not depend on it is finished first.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     ln.compute(double(double(3)), retries=2, timeout=60)
    12

    Raises:
        NodeError: a call failed. What was finished is kept.
        ExecutorError: a call asks for more than its executor will ever have. Nothing has run.
    """
    return current_session().compute(*values, **asked)


@overload
def materialize(x: T, /, **asked: Unpack[AskedToRaise]) -> Dataset[T]: ...
@overload
def materialize(a: A, b: B, /, **asked: Unpack[AskedToRaise]) -> tuple[Dataset[A], Dataset[B]]: ...
@overload
def materialize(a: Any, b: Any, c: Any, /, *more: Any, **asked: Unpack[AskedToRaise]) -> tuple[Dataset[Any], ...]: ...
@overload
def materialize(
    x: T, /, *, on_failure: Literal["continue"], **asked: Unpack[AskedOfAll]
) -> Dataset[T] | Incomplete[T] | Failed: ...
@overload
def materialize(
    a: Any, b: Any, /, *more: Any, on_failure: Literal["continue"], **asked: Unpack[AskedOfAll]
) -> tuple[Dataset[Any] | Incomplete[Any] | Failed, ...]: ...
def materialize(*values: Any, **asked: Any) -> Any:
    """Return the handle of a call's dataset, executing only what is missing and loading nothing.

    The options are those of `compute`. With `on_failure="continue"` failures are no error: a call that failed is a `Failed` in place
    of its handle, and a list or a dict with one in it an `Incomplete`, whose parts are handles and `Failed`.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def invert(x: int) -> float:
    ...     return 1 / x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     parts = ln.materialize(ln.map(invert, [2, 0]), on_failure="continue")
    ...     parts[0].value, parts[1].error
    (0.5, 'ZeroDivisionError: division by zero')

    Raises:
        NodeError: a call failed.
        ExecutorError: a call asks for more than its executor will ever have. Nothing has run.
    """
    return current_session().materialize(*values, **asked)


def plan(*values: Any, refresh: Iterable[Any] = (), env: Env | None = None) -> Plan:
    """Return what materialising would do, call by call, and why. Runs nothing."""
    return current_session().plan(*values, refresh=refresh, env=env)


@overload
def dataset(wanted: Node[..., T], /) -> Dataset[T]: ...
@overload
def dataset(wanted: str, /, of: type[T]) -> Dataset[T]: ...
@overload
def dataset(wanted: str, /, of: Node[..., T]) -> Dataset[T]: ...
@overload
def dataset(wanted: str, /) -> Dataset[Any]: ...
def dataset(wanted: Any, /, of: Any = None) -> Dataset[Any]:
    """Return the handle behind a name, or of the latest successful call of a node.

    Raises:
        NotFoundError: there is none.
    """
    return current_session().dataset(wanted)


def tag(dataset: Dataset[Any], name: str) -> None:
    """Let `name` point to `dataset` from now on; what it pointed to stays in the history."""
    current_session().tag(dataset, name)


def forget(x: Any) -> None:
    """Forget the record of a call or of a dataset's call, so that it is executed again next time."""
    current_session().forget(x)


def register(cls: type, codec: Codec) -> None:
    """Keep values of exactly `cls` with `codec` (see `lineage.codecs.base.Codec`).

    Raises:
        CodecError: the type, or the codec's family, has one already.
    """
    codecs.register(cls, codec)


def show(x: Any, rows: int = 5) -> None:
    """Print a dataset, or the dataset of a call: its handle, and the first rows of a table or the value's text."""
    handle = x if isinstance(x, Dataset) else materialize(x)
    for one in handle if isinstance(handle, tuple) else (handle,):
        print(repr(one))
        value = one.value
        head = getattr(value, "head", None)
        shown = head(rows) if head is not None else value
        print(shown.collect() if type(shown).__name__ == "LazyFrame" else shown)


def main(flow: Callable[P, Any]) -> None:
    """Run a composing function from the command line: its parameters become options, its result is computed and shown.

    `python report.py --min-minutes 30` calls `report(min_minutes=30)`. `--help` lists the parameters; `--plan` shows what
    would run, and why.
    """
    from lineage.cli import run_flow

    run_flow(flow)
