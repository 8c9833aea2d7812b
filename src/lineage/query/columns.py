"""The columns of the frames that queries return: name, type, meaning. The reference lists them from here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CALLS", "DATASETS", "RUNS", "STREAM", "Columns", "frame", "moments"]

Columns = dict[str, tuple[str, str]]
"""Column to the name of its polars type, and what it says. `time` is a Datetime in UTC, `[T]` a list of T."""

RUNS: Columns = {
    "run": ("Int64", "number of the run"),
    "name": ("String", "node of the first call that was asked for"),
    "status": ("String", "`running`, `ok`, `failed` or `interrupted`"),
    "started": ("time", "when it began"),
    "wall": ("Float64", "seconds until it ended; null while it goes on"),
    "executed": ("Int64", "calls that were executed; counted while the run goes on"),
    "unchanged": ("Int64", "calls found equal to an execution by content"),
    "hit": ("Int64", "calls found by recipe; what lies below a hit is not looked at"),
    "failed": ("Int64", "calls that failed"),
    "blocked": ("Int64", "calls not executed because an input failed"),
    "asked": ("String", "the calls that were asked for, shortened"),
    "results": ("[Int64]", "executions whose results were given, where they are known"),
    "user": ("String", "who asked"),
    "host": ("String", "on which machine"),
    "process": ("Int64", "process number of the driver"),
    "project": ("String", "as the session was told"),
    "branch": ("String", "as the session was told"),
    "commit": ("String", "git commit of the working folder; null where nothing was executed"),
    "dirty": ("Boolean", "whether tracked files differed from the commit"),
}

CALLS: Columns = {
    "execution": ("Int64", "number of the execution; later ones have higher numbers"),
    "node": ("String", "name of the node"),
    "status": ("String", "`ok` or `failed`"),
    "verdict": (
        "String",
        "`executed` or `failed`; for the calls of a run also `hit` or `unchanged`: what it took over",
    ),
    "run": ("Int64", "run that executed it"),
    "started": ("time", "when the attempt began"),
    "wall": ("Float64", "seconds"),
    "cpu": ("Float64", "processor seconds of the process in that time"),
    "memory": ("Int64", "bytes: peak memory of the process while the call ran"),
    "rows_in": ("Int64", "rows of the tables among its arguments; null where there are none"),
    "rows_out": ("Int64", "rows of the tables in its result; null where there are none"),
    "bytes_in": ("Int64", "bytes that its arguments take in the store or on disk; small values count nothing"),
    "bytes_out": ("Int64", "bytes that its result takes in the store; small values count nothing"),
    "attempt": ("Int64", "which attempt it was; every failed one has a row of its own"),
    "executor": ("String", "which executor carried it out"),
    "host": ("String", "on which machine"),
    "process": ("Int64", "in which process"),
    "digest": ("String", "digest of the result; null where it failed"),
    "note": ("String", "`equal to execution E`: it gave what an earlier one of equal key gave, whose record holds"),
    "error": ("String", "type, message and traceback"),
    "arguments": ("String", "JSON: plain values; else digest, `from` (executions), `files`, `names`, `shown`, `tree`"),
    "asked": ("String", "JSON: arguments that are no part of the key, where a run asked for others than were executed"),
    "log": ("String", "what it printed"),
    "code": ("String", "digest of the node's code and options"),
    "call_key": ("String", "digest of code and content of the arguments"),
    "reference": ("String", "`module:qualname` of the node"),
}

STREAM: Columns = {
    "distance": ("Int64", "steps from what was asked about, which is at 0"),
    "via": ("String", "`made`; or `equal`: not executed with that input, but found equal to this execution"),
    "inputs": ("[Int64]", "executions that gave its arguments"),
    "files": ("[String]", "files and folders among its arguments"),
    **{
        name: CALLS[name]
        for name in (
            *("execution", "node", "status", "run", "started", "wall", "memory", "rows_in", "rows_out"),
            *("bytes_in", "bytes_out", "digest", "note", "arguments", "code", "reference"),
        )
    },
}

DATASETS: Columns = {
    "digest": ("String", "digest of the dataset; several rows where several executions gave it"),
    "node": ("String", "name of the node that made it"),
    "execution": ("Int64", "execution that made it"),
    "run": ("Int64", "run in which it was made"),
    "made": ("time", "when its execution began"),
    "type": ("String", "type of the value, as stored"),
    "rows": ("Int64", "rows of the tables in it; null where there are none"),
    "bytes": ("Int64", "bytes that it takes in the store; small values count nothing"),
    "tags": ("[String]", "names that point to it now"),
    "note": ("String", "as in calls"),
    "reference": ("String", "`module:qualname` of the node"),
}


def frame(columns: Columns, rows: Iterable[Sequence[Any]]) -> pl.DataFrame:
    """Return rows as a frame of these columns and types; with no rows, of these columns too."""
    import polars as pl

    values = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pl.DataFrame(
        [_column(name, kind, column) for (name, (kind, _)), column in zip(columns.items(), values, strict=True)]
    )


def _column(name: str, kind: str, values: Sequence[Any]) -> pl.Series:
    import polars as pl

    if kind == "time":
        return _times(name, values)
    if kind.startswith("["):
        return _lists(name, kind[1:-1], values)
    return pl.Series(name, values, dtype=getattr(pl, kind))


def _lists(name: str, kind: str, values: Sequence[Any]) -> pl.Series:
    """Return a column of lists. Arrow makes ten thousand of them in the time in which polars makes some hundred."""
    import polars as pl
    import pyarrow as pa

    inner = {"Int64": pa.int64(), "String": pa.large_string()}[kind]
    return pl.Series(name, pa.array(values, type=pa.large_list(inner)), dtype=pl.List(getattr(pl, kind)))


def _times(name: str, seconds: Sequence[float | None]) -> pl.Series:
    import polars as pl

    exact = [None if second is None else round(second * 1_000_000) for second in seconds]
    return pl.Series(name, exact, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))


def moments(since: Any) -> float:
    """Return Unix seconds of a datetime (a naive one is local time), of ISO text, or of seconds."""
    from datetime import datetime

    if isinstance(since, (int, float)):
        return float(since)
    return (datetime.fromisoformat(since) if isinstance(since, str) else since).timestamp()
