"""The module-level functions that ask about the past: those of `lineage.query`, of the current session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.session import current_session

if TYPE_CHECKING:
    import polars as pl

__all__ = ["calls", "datasets", "downstream", "runs", "upstream"]


def runs(
    *, status: str | None = None, user: str | None = None, since: Any = None, limit: int | None = None
) -> pl.DataFrame:
    """Return a frame of the runs of the store, the latest first; those that go on are among them.

    `status` is `running`, `ok`, `failed` or `interrupted`; `since` a datetime, ISO text or Unix seconds. The columns are
    `lineage.query.columns.RUNS`.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     _ = ln.compute(double(double(3)))
    ...     ln.runs().select("run", "name", "status", "executed", "hit").rows()
    [(1, 'double', 'ok', 2, 0)]
    """
    from lineage.query import frames

    return frames.runs(current_session(), status=status, user=user, since=since, limit=limit)


def calls(
    x: Any = None,
    /,
    *,
    node: Any = None,
    run: int | None = None,
    status: str | None = None,
    since: Any = None,
    limit: int | None = None,
) -> pl.DataFrame:
    """Return a frame of executions, the latest first, every attempt a row: `calls(run=7, status="failed")`.

    `x` is anything that `upstream` takes. `node` is a node or its name, `status` `ok` or `failed`. With `run` the calls whose
    results the run took over are there too, with the `verdict` `hit` or `unchanged`: a row is then the execution that
    answered, and `asked` shows ignored arguments where others were asked for. The columns are
    `lineage.query.columns.CALLS`.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def half(x: int) -> float:
    ...     return 1 / x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     _ = ln.compute(ln.map(ln.attempt(half), [2, 0, 4]))
    ...     ln.calls(run=1, status="failed").select("node", "arguments").rows()
    [('half', '{"x": 0}')]

    Raises:
        NotFoundError: there is no such run, or nothing is recorded of `x`.
    """
    from lineage.query import frames

    return frames.calls(current_session(), x, node=node, run=run, status=status, since=since, limit=limit)


def datasets(
    x: Any = None, /, *, node: Any = None, run: int | None = None, since: Any = None, limit: int | None = None
) -> pl.DataFrame:
    """Return a frame of what successful calls gave, the latest first. A digest that several calls gave has a row for each.

    `x` is anything that `upstream` takes. The columns are `lineage.query.columns.DATASETS`.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def is_even(x: int) -> bool:
    ...     return x % 2 == 0
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     digest = ln.materialize(is_even(2), is_even(4))[0].digest
    ...     ln.datasets(digest).select("execution", "node", "type").rows()
    [(2, 'is_even', 'bool'), (1, 'is_even', 'bool')]

    Raises:
        NotFoundError: nothing is recorded of `x`.
    """
    from lineage.query import frames

    return frames.datasets(current_session(), x, node=node, run=run, since=since, limit=limit)


def upstream(x: Any, /) -> pl.DataFrame:
    """Return a frame of the executions that `x` was made of, its own among them at distance 0.

    `x` is a `Dataset`, a call that has a result, a node (its latest successful execution), the number of a run, a digest (all
    executions that gave it), a file (those that were given it), or a text: a tag, the name of a node, the path of a file,
    or the beginning of a digest. Where a text may mean several of these, say which: `tag:`, `node:`, `file:`, `digest:`,
    `run:`, `execution:`. The columns are `lineage.query.columns.STREAM`.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     ln.upstream(ln.materialize(double(double(3)))).select("distance", "node", "inputs").rows()
    [(0, 'double', [1]), (1, 'double', [])]

    Raises:
        NotFoundError: nothing is recorded of `x`.
        AmbiguousError: a text may mean several things.
    """
    from lineage.query import streams

    return streams.upstream(current_session(), x)


def downstream(x: Any, /) -> pl.DataFrame:
    """Return a frame of the executions that took `x`, and of what came of those: `downstream("data/2024-01.csv")`.

    `x` is what `upstream` takes; a node stands for all of its successful executions. What a file came to begins at distance 1,
    with the calls that were given it or a folder around it. `via` is `equal` where a call was not executed with that
    input: it was found equal to the execution of the row, which was made from others.

    Raises:
        NotFoundError: nothing is recorded of `x`.
        AmbiguousError: a text may mean several things.
    """
    from lineage.query import streams

    return streams.downstream(current_session(), x)
