"""What most commands take: a store, and how to print."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from lineage.session import Session

if TYPE_CHECKING:
    import polars as pl

__all__ = ["As", "In", "opened", "selected"]

In = Annotated[str | None, Parameter(help="the store's folder or URL; also LINEAGE_STORE")]
As = Annotated[bool, Parameter(help="print JSON", negative="", show_default=False)]


@contextlib.contextmanager
def opened(store: str | None) -> Iterator[Session]:
    """Make `store`, or the default one, that of the current session."""
    with Session(store) as session:
        yield session


def selected(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Return those of `columns` that `frame` has, digests shortened, for people to read."""
    import polars as pl

    kept = [name for name in columns if name in frame.columns]
    short = [pl.col(name).str.slice(0, 12) for name in ("digest", "commit") if name in kept]
    return frame.select(kept).with_columns(short)
