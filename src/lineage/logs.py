"""What a call printed and logged, attempt by attempt."""

from __future__ import annotations

from typing import Any

from lineage.datasets import Dataset
from lineage.digest import Digest
from lineage.errors import CompositionError, NodeError, NotFoundError
from lineage.graph import Call
from lineage.outcomes import Failed
from lineage.session import Session, current_session

__all__ = ["logs"]


def logs(x: Any, /) -> str:
    """Return what a call printed and logged when it was last executed, every attempt of it.

    `x` is a call, a `Dataset`, a `Failed`, the `NodeError` of a call, its key in hexadecimal, or the number of an execution.
    Where there were several attempts, a line goes before each that says how it ended.

    >>> import tempfile, lineage as ln
    >>> @ln.node
    ... def fit(x: int) -> int:
    ...     print(f"fitting {x}")
    ...     return x
    >>> with ln.Session(tempfile.mkdtemp()):
    ...     _ = ln.compute(fit(3))
    ...     ln.logs(fit(3))
    fitting 3
    'fitting 3\\n'

    Raises:
        NotFoundError: it was never executed here.
    """
    session = current_session()
    attempts = _attempts(session, x)
    if len(attempts) == 1:
        return str(attempts[0]["log"] or "")
    return "".join(f"-- attempt {row['attempt']}: {_ended(row)}\n{row['log'] or ''}" for row in attempts)


def _ended(row: dict[str, Any]) -> str:
    return "ok" if row["status"] == "ok" else str(row["error"] or "failed").partition("\n")[0]


def _attempts(session: Session, x: Any) -> list[dict[str, Any]]:
    """Return the executions of one call in one run, from its first attempt to the one that is asked for."""
    index = session.store.index
    number = _number(x)
    if number is not None:
        row = index.execution(number)
        if not row:
            raise NotFoundError(f"there is no execution {number} in {session.root}")
        found = index.attempts(row["call_key"], number + 1)
    else:
        key = _key(session, x)
        found = index.attempts(key) if key is not None else []
        if not found:
            raise NotFoundError(f"{x!r:.200} was never executed in {session.root}, so it has no log; compute it first")
    return _of_one_run(found)


def _number(x: Any) -> int | None:
    if isinstance(x, Dataset):
        if x._execution is None:
            raise CompositionError("a collection of datasets has no log of its own; take each of them")
        return x._execution
    return x if isinstance(x, int) and not isinstance(x, bool) else None


def _key(session: Session, x: Any) -> Digest | None:
    if isinstance(x, Call):
        return session.key_of(x)
    text: Any = x.call if isinstance(x, Failed) else x.facts.get("call") if isinstance(x, NodeError) else x
    try:
        return Digest(bytes.fromhex(text))
    except (TypeError, ValueError):
        raise CompositionError(
            f"logs takes a call, a Dataset, a Failed, a NodeError, the key of a call or the number of an execution, not {x!r:.80}"
        ) from None


def _of_one_run(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last of `rows` and the attempts before it."""
    found = [rows[-1]]
    for row in reversed(rows[:-1]):
        if row["run"] == found[0]["run"] and row["attempt"] == found[0]["attempt"] - 1:
            found.insert(0, row)
    return found
