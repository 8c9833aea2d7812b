"""Several stored tables as one: a single lazy scan of all their files, however many there are."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from lineage.errors import SchemaError

__all__ = ["Part", "check_alike", "read_as_one", "scan_as_one"]


@frozen
class Part:
    """A stored table that is not read yet: a file, or a lazy frame where no file can be scanned as it is.

    `columns` are the names of the columns, in order, and of their polars types.
    """

    columns: Mapping[str, str]
    parquet: Path | None = None
    ipc: Path | None = None
    frame: Any = None

    @property
    def form(self) -> str:
        return "parquet" if self.parquet is not None else "ipc" if self.ipc is not None else "frame"


def scan_as_one(parts: Sequence[Part]) -> Any:
    """Return the rows of all parts, part by part, as one `polars.LazyFrame` that reads what it is asked for.

    Raises:
        SchemaError: two parts have other columns.
    """
    import polars as pl

    check_alike(parts)
    frames = [_scan(list(run)) for _, run in itertools.groupby(parts, key=lambda part: part.form)]
    return frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical")


def read_as_one(parts: Sequence[Any], name: str) -> Any:
    """Return the rows of all parts as one table of the type that `name` names.

    `parts` are tables of that type, or a `Part` each for a `polars.DataFrame`.

    Raises:
        SchemaError: two parts have other columns.
    """
    if name == "polars.DataFrame":
        return scan_as_one(parts).collect(engine="in-memory")
    if name == "pyarrow.Table":
        import pyarrow as pa

        check_alike([Part({field.name: str(field.type) for field in table.schema}) for table in parts])
        return pa.concat_tables(parts).combine_chunks()
    import pandas as pd

    check_alike([Part({str(n): str(t) for n, t in zip(f.columns, f.dtypes, strict=True)}) for f in parts])
    return pd.concat(parts)


def _scan(parts: list[Part]) -> Any:
    import polars as pl

    if parts[0].parquet is not None:
        files = [part.parquet for part in parts if part.parquet is not None]
        return pl.scan_parquet(files, hive_partitioning=False, glob=False)
    if parts[0].ipc is not None:
        return pl.scan_ipc([part.ipc for part in parts if part.ipc is not None], hive_partitioning=False, glob=False)
    return pl.concat([part.frame for part in parts], how="vertical")


def check_alike(parts: Sequence[Part]) -> None:
    """Raise unless all parts have the same columns, in the same order and of the same types."""
    first = list(parts[0].columns.items())
    for position, part in enumerate(parts):
        found = list(part.columns.items())
        if found != first:
            raise SchemaError(
                f"tables that are read as one have other columns: {_difference(parts[0].columns, part.columns, position)}. "
                "Give them one schema where they are made (`select` and `cast`)"
            )


def _difference(first: Mapping[str, str], other: Mapping[str, str], position: int) -> str:
    """Return the first thing in which two schemas differ."""
    for name, dtype in first.items():
        if name not in other:
            return f"{name!r} is in table 0 ({', '.join(first)}) and not in table {position} ({', '.join(other)})"
        if other[name] != dtype:
            return f"{name!r} is {dtype} in table 0 and {other[name]} in table {position}"
    for name in other:
        if name not in first:
            return f"{name!r} is in table {position} ({', '.join(other)}) and not in table 0 ({', '.join(first)})"
    return f"they stand as {', '.join(first)} in table 0 and as {', '.join(other)} in table {position}"
