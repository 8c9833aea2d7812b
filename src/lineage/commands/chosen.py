"""What most commands take: a store, how to print, and X, which points at something recorded."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from lineage.codecs.text import load_tree
from lineage.datasets import Dataset
from lineage.defaults import default_store
from lineage.errors import NotFoundError
from lineage.session import Session

if TYPE_CHECKING:
    import polars as pl

__all__ = ["As", "In", "handles", "opened", "pointed", "selected"]

_DIGITS = 12
"""Digits of a digest that people are shown."""

_TEXT = 90
"""Characters of a long text that people are shown in a table."""

In = Annotated[str | None, Parameter(help="the store's folder; also LINEAGE_STORE")]
As = Annotated[bool, Parameter(help="print JSON", negative="", show_default=False)]


@contextlib.contextmanager
def opened(store: str | None) -> Iterator[Session]:
    """Make `store`, or the default one, that of the current session. Modules beside the working folder can be imported.

    Raises:
        NotFoundError: there is no store: questions make none.
    """
    place = store or str(default_store())
    if "://" not in place and not os.path.isdir(place):
        raise NotFoundError(
            f"there is no store in {os.path.abspath(place)}; run something first, or say which with --store or LINEAGE_STORE"
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with Session(place) as session:
        yield session


def pointed(x: str) -> Any:
    """Return the number of a run that is written `run:3`; any other text as it is."""
    run = re.fullmatch(r"run:(\d+)", x)
    return int(run[1]) if run else x


def handles(session: Session, x: str) -> list[Dataset[Any]]:
    """Return the handles of the datasets that X points at.

    Raises:
        NotFoundError: nothing that is recorded.
    """
    from lineage.query.points import point

    index = session.store.index
    rows = [index.execution(number) for number in point(session, x).executions]
    found = [row for row in rows if row["value"] is not None]
    if not found:
        raise NotFoundError(f"{x!r} points at no dataset: what it points at failed")
    return [Dataset(session.store, load_tree(session.store.unspill(row["value"])), Any, row["id"]) for row in found]


def selected(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return those of `columns` that `frame` has, digests shortened, for people to read."""
    import polars as pl

    kept = [name for name in columns if name in frame.columns]
    short = [pl.col(name).str.slice(0, _DIGITS) for name in ("digest", "commit") if name in kept]
    short += [_shortened(name) for name in ("arguments",) if name in kept]
    return frame.select(kept).with_columns(short)


def _shortened(name: str) -> pl.Expr:
    import polars as pl

    column = pl.col(name)
    return (
        pl.when(column.str.len_chars() > _TEXT).then(column.str.slice(0, _TEXT - 1) + "…").otherwise(column).alias(name)
    )
