"""The module-level functions: those of the current session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload

from lineage.codecs.base import Codec
from lineage.datasets import Dataset
from lineage.environments.request import Env
from lineage.identity import codecs
from lineage.incomplete import Incomplete
from lineage.names import tags_table
from lineage.node import Node
from lineage.options import Asked, AskedOfAll, AskedToRaise
from lineage.outcomes import Failed
from lineage.plans import Plan
from lineage.session import current_session

if TYPE_CHECKING:
    import polars as pl

    from lineage.verification import Verification

__all__ = [
    "compute",
    "dataset",
    "forget",
    "main",
    "materialize",
    "openlineage",
    "picture",
    "plan",
    "register",
    "show",
    "tag",
    "tags",
    "verify",
]

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
def dataset(wanted: Node[..., T], /, *, namespace: str | None = None) -> Dataset[T]: ...
@overload
def dataset(wanted: str, /, of: type[T], *, namespace: str | None = None, back: int = 0) -> Dataset[T]: ...
@overload
def dataset(wanted: str, /, of: Node[..., T], *, namespace: str | None = None, back: int = 0) -> Dataset[T]: ...
@overload
def dataset(wanted: str, /, *, namespace: str | None = None, back: int = 0) -> Dataset[Any]: ...
def dataset(wanted: Any, /, of: Any = None, *, namespace: str | None = None, back: int = 0) -> Dataset[Any]:
    """Return the handle behind a name, or of the latest successful call of a node.

    Names and runs are one's own, unless `namespace` says whose: `"user:ann"`, `"branch:prod"`, for a node also `"*"`. `back` is how
    many moves of the name ago.

    Raises:
        UnknownNameError: nobody has given the name; the error shows those that look like it.
        ForeignNameError: only others have; the error says who, and how to name theirs.
        NotFoundError: the node has no dataset, or the name was not moved so often.
    """
    return current_session().dataset(wanted, namespace=namespace, back=back)


def tag(dataset: Any, name: str) -> None:
    """Let `name` lead to `dataset` from now on: a handle, or a call, which is materialised first.

    What it led to stays in the history (`tags(name)`). To promote is to tag what another name leads to; to roll back, to tag
    what the name led to before. A name is one's own: `user:ann/prod/model` for ann, or the branch's of the session; a branch of
    the project may be named: `branch:prod/model`.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def fit(alpha: float) -> float:
    ...     return 1 / alpha
    >>> with ln.Session(tempfile.mkdtemp(), user="ann"):
    ...     ln.tag(fit(4.0), "model")
    ...     ln.tag(fit(2.0), "model")
    ...     ln.tag(ln.dataset("model", back=1), "model")  # roll back
    ...     ln.dataset("user:ann/model").value
    0.25

    Raises:
        CompositionError: it is no name, or one of somebody else's.
    """
    current_session().tag(dataset, name)


def tags(name: str | None = None) -> pl.DataFrame:
    """Return every move of a name as a table, the latest first; without a name, what each name of everybody's leads to.

    Columns: `name` (in full), `digest`, `at` (UTC), `user` (who moved it), and the `node`, `run` and `execution` that made the dataset.

    Raises:
        NotFoundError: there is no such name.
    """
    return tags_table(current_session().tags(name))


def verify(x: Any, *, sample: int | float | None = None) -> Verification:
    """Carry out the calls behind `x` once more, under other circumstances, and say whether they gave the same.

    `x` is a call (which is materialised first), a handle, or anything that `upstream` takes. `sample` looks at so many calls of
    all that led to it, or at a share of them (`0.1`), those first that were looked at least often.

    They run in a new process with another hash seed, other numbers of threads, another clock, time zone and an empty working folder,
    one after another in the opposite order. Each is compared as its node declares, the verdict is recorded with it
    (`Dataset.verdicts`), and what was computed is thrown away. Where code or packages have changed since, it is not the same call,
    and cannot be run; nor can effects, sources, and what can't be sent to another process.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     ln.verify(double(4))
    Verification: 1 deterministic
      deterministic  double(x=4)

    Raises:
        CompositionError: the sample is none.
        NotFoundError: nothing is recorded of `x`.
    """
    from lineage.verification import verify as verified

    return verified(current_session(), x, sample=sample)


def openlineage(to: Any, run: int | None = None, *, columns: bool = True) -> int:
    """Tell of a recorded run (the latest, if none is said) as OpenLineage events, and return how many there were.

    `to` is a file, which grows by a line an event; an http(s) address; or an `OpenLineageClient`. START, then COMPLETE, FAIL or ABORT, for
    the run and for each call that it executed, with its inputs, its output, and facets for version (the digest), schema, statistics,
    error and, unless not `columns`, column lineage. What was cached is told by the run that executed it.

    >>> import pathlib, tempfile, lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with ln.Session(folder / "store"):
    ...     _ = ln.compute(double(4))
    ...     ln.openlineage(folder / "events.jsonl")
    4

    Raises:
        LineageError: the client is not installed (`pip install 'lineage-graph[openlineage]'`), or nobody took the events.
        NotFoundError: there is no such run.
    """
    from lineage.events import told

    return told(current_session(), to, run, columns=columns)


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
    """Show a dataset or the dataset of a call (its handle, and the first rows of a table or the value's text), a plan, or a run.

    A run is given by its number (`dataset.origin.run`): where did its time go, and how well were the workers used? In a
    notebook all of it is shown as it would be at the end of a cell, elsewhere it is printed.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     ln.show(double(3))
    <Dataset 64d15b1b27b6: int, by double in run 1>
    6

    Raises:
        NodeError: a call failed.
        NotFoundError: there is no such run.
    """
    from lineage.pictures.showing import show

    show(x, rows)


def picture(x: Any, path: str | os.PathLike[str], *, dark: bool = False) -> Path:
    """Write a picture as a file, SVG or PNG by the suffix of `path`, and return where it is.

    Of a call, of several in a list or a dict, or of a plan it is the graph, each call with what would become of it; nothing is
    executed. Of a `Dataset` it is the graph of the executions that made it; of a run, given by its number, the timeline.
    An SVG is light or dark as its reader likes it; a PNG is light, or `dark`.

    Raises:
        MissingExtraError: `lineage-graph[pictures]` is not installed.
        CompositionError: there is no picture of such a thing, or the suffix is another.
        NotFoundError: there is no such run.
    """
    from lineage.pictures.files import write_picture

    return write_picture(x, path, dark=dark)


def main(flow: Callable[P, Any]) -> None:
    """Run a composing function from the command line: its parameters become options, its result is computed and shown.

    `python report.py --min-minutes 30` calls `report(min_minutes=30)`. `--help` lists the parameters; `--plan` shows what
    would run, and why.
    """
    from lineage.commands.flows import run_flow

    run_flow(flow)
