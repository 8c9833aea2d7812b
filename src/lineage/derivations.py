"""From which columns a column was made, as polars' own plans say.

A node that takes and returns lazy frames composes a plan. It is given frames of the same columns and no rows, which note what is asked
of them, and each column of what it returns is asked for alone: polars' optimiser then reads the columns that this one needs, and no
others, through joins, filters, windows and groups. What hides its columns from the optimiser (a function of Python's over
whole frames, a frame that is collected inside the node) is opaque: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Kind", "Source", "Trace", "traced"]

Kind = Literal["value", "rows", "either"]
"""What a column is needed for: its values make the column's; it decides which rows there are, and in which order (filters, keys of joins and
groups, sorting); or one of the two or both: where a key is handed on, plans don't tell."""

_ROWS = "\N{NO-BREAK SPACE}rows"
"""A column that no table has: the cheapest to read, which polars therefore takes to count rows."""

Schemas = Mapping[str, "pl.Schema"]
Compose = Callable[[dict[str, "pl.LazyFrame"]], Any]


@frozen
class Source:
    """A column of the frame that a node was given as `parameter`."""

    parameter: str
    column: str
    kind: Kind


@frozen
class Trace:
    """For each column of a result, what it was made from; or why that can't be said."""

    columns: dict[str, tuple[Source, ...]]
    opaque: str | None = None


def traced(compose: Compose, schemas: Schemas) -> Trace:
    """Return what each column of the lazy frame that `compose` returns is made from.

    `compose` is called with a lazy frame for each name in `schemas`, possibly several times.

    >>> import polars as pl
    >>> found = traced(lambda given: given["t"].filter(pl.col("a") > 1).select(c="b"), {"t": pl.Schema({"a": pl.Int64, "b": pl.String})})
    >>> [(source.column, source.kind) for source in found.columns["c"]]
    [('b', 'value'), ('a', 'rows')]
    """
    try:
        return _Tracer(compose, schemas).trace()
    except _OpaqueError as error:
        return Trace({}, str(error))
    except Exception as error:  # of the node's code, which is given no rows, or of polars
        return Trace({}, f"it can't be composed of frames without rows: {type(error).__name__}: {error}")


class _OpaqueError(Exception):
    """Something hides its columns."""


class _Tracer:
    def __init__(self, compose: Compose, schemas: Schemas) -> None:
        self.compose = compose
        self.schemas = schemas
        self.asked: dict[str, set[str]] = {}
        self.has_row_column = False

    def trace(self) -> Trace:
        import polars as pl

        plan = self.composed()
        _check_plan(plan)
        names = plan.collect_schema().names()
        rows = self.needed(plan.select(pl.len()), counts=True)
        return Trace({name: tuple(self.sources(plan, name, rows)) for name in names})

    def composed(self) -> pl.LazyFrame:
        import polars as pl

        self.asked.clear()
        plan = self.compose({name: self.probe(name, schema) for name, schema in self.schemas.items()})
        if self.asked:
            raise _OpaqueError("it collects a frame that it is given")
        if not isinstance(plan, pl.LazyFrame):
            raise _OpaqueError(f"it returns a {type(plan).__name__}")
        return plan

    def probe(self, parameter: str, schema: pl.Schema) -> pl.LazyFrame:
        """Return a frame without rows that notes which of its columns are asked for."""
        import polars as pl
        from polars.io.plugins import register_io_source

        def columns_now() -> pl.Schema:
            grown: dict[str, Any] = {**schema, **({_ROWS: pl.Boolean} if self.has_row_column else {})}
            return pl.Schema(grown)

        def read(columns: list[str] | None, *_: object) -> Iterator[pl.DataFrame]:
            known = columns_now()
            found = list(known) if columns is None else columns
            self.asked.setdefault(parameter, set()).update(found)
            yield pl.DataFrame(schema={name: known[name] for name in found})

        return register_io_source(read, schema=columns_now)

    def needed(self, plan: pl.LazyFrame, *, counts: bool = False) -> set[tuple[str, str]]:
        """Return the columns that polars reads to collect `plan`.

        It reads one to know the number of rows where it needs none else. The frames grow a column for that, unless the plan
        would take it for one of its own (which is no matter where all that is asked for `counts` rows).
        """
        self.asked.clear()
        before = _text(plan)
        self.has_row_column = True
        try:
            self.has_row_column = counts or _text(plan) == before
            plan.collect(engine="in-memory")
        finally:
            self.has_row_column = False
        return {(given, column) for given, columns in self.asked.items() for column in columns if column != _ROWS}

    def sources(self, plan: pl.LazyFrame, name: str, rows: set[tuple[str, str]]) -> Iterator[Source]:
        found = self.needed(plan.select(name))
        values = found - rows
        for parameter, schema in self.schemas.items():
            own = [column for column in schema if (parameter, column) in values]
            yield from (Source(parameter, column, "value") for column in own)
        for parameter, schema in self.schemas.items():
            shared = [column for column in schema if (parameter, column) in found & rows]
            yield from (Source(parameter, column, "rows" if values else "either") for column in shared)


def _text(plan: pl.LazyFrame) -> str:
    """Return a plan as text, without the number of columns that its sources have."""
    return re.sub(r"PROJECT \*/\d+ COLUMNS", "", plan.explain(optimized=False))


def _check_plan(plan: pl.LazyFrame) -> None:
    if "OPAQUE_PYTHON" in plan.explain(optimized=False):
        raise _OpaqueError("a function of Python's takes a whole frame in it (map_batches)")
