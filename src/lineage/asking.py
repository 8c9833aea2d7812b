"""The module-level functions that ask about the past: those of `lineage.query`, of the current session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lineage.session import current_session

if TYPE_CHECKING:
    import polars as pl

    from lineage.query.differences import Diff
    from lineage.query.source import Source
    from lineage.query.why import Why

__all__ = ["calls", "columns", "datasets", "diff", "downstream", "runs", "source", "upstream", "why"]


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


def columns(x: Any, /, *, column: str | None = None) -> pl.DataFrame:
    """Return a frame that says from which columns each column of `x` came, and those from which columns, back to where they begin.

    Nodes that take and return lazy frames are seen through: polars' own plan says which columns it reads for each. What hides its
    columns is `opaque`, with the reason, and never guessed: nodes of whole tables, `map_batches`, a `collect` inside a node, code that
    has changed since. `x` is anything that `upstream` takes; with `column`, only what led to that one. The nodes in question are
    called once more, with frames without rows. The columns of the frame are `lineage.table_columns.SCHEMA`.

    >>> import polars as pl, tempfile, lineage as ln
    >>> @ln.node
    ... def table(rows: int) -> pl.LazyFrame:
    ...     return pl.LazyFrame({"a": range(rows), "b": range(rows)})
    >>> @ln.node
    ... def doubled(table: pl.LazyFrame) -> pl.LazyFrame:
    ...     return table.filter(pl.col("b") > 2).select(twice=pl.col("a") * 2)
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     ln.columns(ln.materialize(doubled(table(9)))).select("column", "kind", "from_node", "from_column").rows()
    [('twice', 'value', 'table', 'a'), ('twice', 'rows', 'table', 'b'), ('a', 'begins', None, None), ('b', 'begins', None, None)]

    Raises:
        NotFoundError: nothing is recorded of `x`, or it has no such column.
    """
    from lineage import table_columns

    return table_columns.columns_frame(current_session(), x, column)


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


def why(x: Any, /) -> Why:
    """Return why calls ran, or would: what differs from the earlier call of the same node that is most like each.

    Of a call that is not there yet: why each call would execute. Of the number of a run: why each call that it executed was.
    Of anything else that `upstream` takes: why its call was executed, and those above it in the same run. Print what is
    returned, or take `.changes` (records), `.calls` or `.frame()` (columns `lineage.query.why.WHY`).

    Compared leaf by leaf are functions and classes (with a diff), constants, packages, arguments, files and inputs, tables
    column by column. Of a node with very many executions the latest 50,000 are looked through.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def scale(x: int, by: int) -> int:
    ...     return x * by
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     _ = ln.compute(scale(1, by=2), scale(5, by=7))
    ...     ln.why(scale(1, by=3))
    1 call would execute
    scale(x=1, by=3) (compared with execution 1 of run 1)
      argument by: 2 → 3

    Raises:
        NotFoundError: nothing is recorded of `x`.
    """
    from lineage.query import why

    return why.why(current_session(), x)


def diff(a: Any, b: Any, /, *, on: str | Sequence[str] = ()) -> Diff:
    """Return what differs between two runs (their numbers), datasets, models or plain values.

    Datasets are handles, calls that have a result, nodes, and texts as in `upstream`. Tables: schema, number of rows, columns
    that differ and their statistics; with `on`, a key, `added`, `removed` and `changed` are frames of rows. Models: their
    parameters and what fitting left in them. Runs: facts, and the calls that different executions answered, each with
    what differs from the other run's call that is most alike. For datasets of one node the differences of their calls
    stand there too. What is returned is false where nothing differs; print it, or take `.records()` or `.frame()`
    (columns `lineage.query.differences.DIFF`).

    >>> import lineage as ln
    >>> ln.diff({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]})
    Diff of two values: dict, dict
      value ['b'][1]: 2 → 3

    Raises:
        NotFoundError: nothing is recorded of one of them.
        CompositionError: a column of the key is missing, or a key comes twice in a table.
    """
    from lineage.query import diff

    return diff.diff(current_session(), a, b, on)


def source(x: Any, /) -> Source:
    """Return the code that made what `x` points at: its function and what that reaches of the project's, as recorded.

    `x` is anything that `upstream` takes; the code of a node is what it is now. What is returned prints as text. Of a node with
    `version=` it is the function as it was when that version first ran; constants are shortened.

    >>> import lineage as ln
    >>> @ln.node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> ln.source(double).node, ln.source(double).packages
    ('double', {})

    Raises:
        NotFoundError: nothing is recorded of `x`.
    """
    from lineage.query import source

    return source.source(current_session(), x)
