"""The module-level functions: those of the current session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, overload

from lineage.codecs.base import Codec
from lineage.datasets import Dataset
from lineage.identity import codecs
from lineage.node import Node
from lineage.plans import Plan
from lineage.session import current_session

__all__ = ["compute", "dataset", "forget", "main", "materialize", "picture", "plan", "register", "show", "tag"]

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")


@overload
def compute(x: T, /, *, executor: Any = None, refresh: Iterable[Any] = ()) -> T: ...
@overload
def compute(a: A, b: B, /, *, executor: Any = None, refresh: Iterable[Any] = ()) -> tuple[A, B]: ...
@overload
def compute(a: A, b: B, c: C, /, *, executor: Any = None, refresh: Iterable[Any] = ()) -> tuple[A, B, C]: ...
@overload
def compute(
    a: Any, b: Any, c: Any, d: Any, /, *more: Any, executor: Any = None, refresh: Iterable[Any] = ()
) -> tuple[Any, ...]: ...
def compute(*values: Any, executor: Any = None, refresh: Iterable[Any] = ()) -> Any:
    """Return the value of a call (or of several, as a tuple), executing only what is missing.

    Calls may stand anywhere in lists, dicts, tuples and records. A plain value is returned as it is. `refresh` names nodes
    to execute again; `executor` is the default one for this request.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     ln.compute(double(double(3)))
    12

    Raises:
        NodeError: a call failed. Everything that could be finished is finished and kept.
    """
    return current_session().compute(*values, executor=executor, refresh=refresh)


@overload
def materialize(x: T, /, *, executor: Any = None, refresh: Iterable[Any] = ()) -> Dataset[T]: ...
@overload
def materialize(
    a: A, b: B, /, *, executor: Any = None, refresh: Iterable[Any] = ()
) -> tuple[Dataset[A], Dataset[B]]: ...
@overload
def materialize(
    a: Any, b: Any, c: Any, /, *more: Any, executor: Any = None, refresh: Iterable[Any] = ()
) -> tuple[Dataset[Any], ...]: ...
def materialize(*values: Any, executor: Any = None, refresh: Iterable[Any] = ()) -> Any:
    """Return the handle of a call's dataset, executing only what is missing and loading nothing.

    Raises:
        NodeError: a call failed.
    """
    return current_session().materialize(*values, executor=executor, refresh=refresh)


def plan(*values: Any, refresh: Iterable[Any] = ()) -> Plan:
    """Return what materialising would do, call by call, and why. Runs nothing."""
    return current_session().plan(*values, refresh=refresh)


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
    from lineage.cli import run_flow

    run_flow(flow)
