"""Commands that ask what was made, by what, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lineage.commands.chosen import As, In, handles, opened, pointed, selected
from lineage.commands.printed import printed, told

__all__ = ["ASKING"]

_MANY = 20
"""Rows shown where nobody says how many."""


def log(
    *, limit: int = _MANY, status: str | None = None, user: str | None = None, since: str | None = None,
    store: In = None, json: As = False,
) -> None:  # fmt: skip
    """Show the runs, the latest first.

    Args:
        limit: how many
        status: running, ok, failed or interrupted
        user: only this person's
        since: only those that began then or later: 2026-11-25 or 2026-11-25T14:30
    """
    import lineage

    with opened(store):
        found = lineage.runs(limit=limit, status=status, user=user, since=since)
        printed(found if json else selected(found, _RUN), json=json)


_RUN = ("run", "name", "status", "started", "wall", "executed", "unchanged", "hit", "failed", "user", "commit")
_CALL = (
    "execution",
    "node",
    "status",
    "run",
    "started",
    "wall",
    "attempt",
    "rows_out",
    "bytes_out",
    "digest",
    "arguments",
)
_DATASET = ("digest", "node", "execution", "run", "made", "type", "rows", "bytes", "tags")
_STREAM = ("distance", "via", "execution", "node", "status", "run", "started", "wall", "digest", "files", "inputs")


def calls(
    x: str | None = None, /, *, run: int | None = None, node: str | None = None, status: str | None = None,
    limit: int = _MANY, store: In = None, json: As = False,
) -> None:  # fmt: skip
    """Show calls, every attempt a row, the latest first: `lineage calls --run 7 --status failed`.

    Args:
        x: only the calls behind X
        run: only what this run executed, or took over
        node: only the calls of this node
        status: ok or failed
        limit: how many
    """
    import lineage

    with opened(store):
        found = lineage.calls(x, run=run, node=node, status=status, limit=limit)
        printed(found if json else selected(found, _CALL), json=json)


def datasets(
    x: str | None = None, /, *, run: int | None = None, node: str | None = None, limit: int = _MANY,
    store: In = None, json: As = False,
) -> None:  # fmt: skip
    """Show datasets, the latest first.

    Args:
        x: only those that X made or is
        run: only those of this run
        node: only those of this node
        limit: how many
    """
    import lineage

    with opened(store):
        found = lineage.datasets(x, run=run, node=node, limit=limit)
        printed(found if json else selected(found, _DATASET), json=json)


def lineage(x: str, /, *, down: bool = False, store: In = None, json: As = False) -> None:
    """Show what X was made of, back to the files; with --down what was made of X.

    Args:
        x: what is asked about
        down: what came of X, in place of what X came of
    """
    import lineage as ln

    with opened(store):
        found = ln.downstream(x) if down else ln.upstream(x)
        printed(found if json else selected(found, _STREAM), json=json)


def logs(x: str, /, *, store: In = None, json: As = False) -> None:
    """Show what the calls behind X printed and logged; of failed ones the error too.

    Args:
        x: a call (execution:12), a run (run:3), a tag, a node, a digest
    """
    import lineage as ln

    with opened(store):
        run = pointed(x)
        found = ln.calls(run=run) if isinstance(run, int) else ln.calls(x)
        found = found.select("execution", "node", "status", "attempt", "log", "error")
        if json:
            printed(found, json=True)
            return
        for execution, node, status, attempt, log, error in found.reverse().iter_rows():
            told(f"── {node}, execution {execution}, attempt {attempt}: {status}")
            printed((log or "").rstrip("\n") or None, json=False)
            if error:
                printed(error.rstrip("\n"), json=False)


def show(x: str, /, *, rows: int = 5, store: In = None, json: As = False) -> None:
    """Show the dataset behind X: what it is, how it came to be, its first rows; of a run, where its time went.

    Args:
        x: a tag, a node, a digest, a call (execution:12), a run (run:3)
        rows: how many rows of a table
    """
    import lineage as ln

    with opened(store) as session:
        target = pointed(x)
        if isinstance(target, int):
            printed(ln.calls(run=target), json=True) if json else ln.show(target)
        elif json:
            printed(handles(session, x), json=True)
        else:
            for handle in handles(session, x):
                ln.show(handle, rows=rows)


def why(x: str, /, *, store: In = None, json: As = False) -> None:
    """Show why the calls behind X were executed: what changed in their keys since the nearest earlier record.

    Args:
        x: a run (run:3), a call, a tag, a node, a digest
    """
    import lineage as ln

    with opened(store):
        printed(ln.why(pointed(x)), json=json)


def diff(a: str, b: str, /, *, on: list[str] | None = None, store: In = None, json: As = False) -> None:
    """Show what differs between two runs, two datasets or two models.

    Args:
        a: the earlier
        b: the later
        on: the columns by which rows of tables are matched
    """
    import lineage as ln

    with opened(store):
        printed(ln.diff(pointed(a), pointed(b), on=on or ()), json=json)


def source(x: str, /, *, store: In = None, json: As = False) -> None:
    """Show the code that made X, as it was then.

    Args:
        x: a tag, a node, a digest, a call
    """
    import lineage as ln

    with opened(store):
        printed(ln.source(x), json=json)


def verify(x: str, /, *, sample: float | None = None, store: In = None, json: As = False) -> None:
    """Carry out the calls behind X once more, under other circumstances, and say whether they gave the same.

    Exits with 1 where one differs or cannot be run.

    Args:
        x: a tag, a node, a digest, a call (execution:12)
        sample: look at so many calls of all that led to it (5), or at a share of them (0.1)
    """
    import lineage as ln

    with opened(store):
        found = ln.verify(x, sample=int(sample) if sample is not None and sample >= 1 else sample)
        printed(found, json=json)
    if not found.ok:
        raise SystemExit(1)


def columns(x: str, /, *, column: str | None = None, store: In = None, json: As = False) -> None:
    """Show from which columns the columns of X came, through the nodes that made it.

    Args:
        x: a tag, a node, a digest, a call (execution:12)
        column: only this one
    """
    import lineage as ln

    with opened(store) as session:
        for handle in handles(session, x):
            printed(ln.columns(handle, column=column), json=json)


ASKING: list[Callable[..., Any]] = [
    log, calls, datasets, lineage, show, logs, why, diff, source, verify, columns,
]  # fmt: skip
