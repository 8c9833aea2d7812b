"""Whether a failed call is tried again, and how it is reported: which node, with which arguments, after how many attempts, what it printed, how to see it again."""

from __future__ import annotations

from lineage.content.tree import Hole
from lineage.errors import LineageError, NodeError
from lineage.executors.base import Failure, Work
from lineage.graph import shown
from lineage.options import Retry

__all__ = ["explained", "pause_before_retry"]

_LOG_LINES = 20


def pause_before_retry(retry: Retry, attempt: int, failure: Failure) -> float | None:
    """Return the seconds to wait before a call is tried again, after its failed `attempt`; None if it is not."""
    error = failure.error
    cause = error.__cause__ if isinstance(error, NodeError) and error.__cause__ is not None else error
    if failure.cause == "inputs" or attempt > retry.count or not isinstance(cause, retry.on):
        return None
    return retry.backoff * float(2 ** (attempt - 1))


def explained(call: Hole, work: Work, failure: Failure) -> NodeError:
    """Return the error that people see for a failed call, caused by the node's own."""
    error, attempts = failure.error, work.attempt
    what = f"{type(error).__name__}: {error}" if not isinstance(error, LineageError) else str(error)
    tried = f" after {attempts} attempts" if attempts > 1 else ""
    lines = [f"{shown(call)} failed{tried}: {what}"]
    place = _place(failure)
    if place:
        lines.append(f"  at {place}")
    log = failure.side.log.strip().splitlines()
    if log:
        lines.append("  its log ends with:")
        lines += [f"    {line}" for line in log[-_LOG_LINES:]]
    lines.append(f"  to see it again: {work.node.name}.fn(...) with these arguments, or materialise it once more")
    cls = type(error) if isinstance(error, NodeError) else NodeError
    raised = cls(
        "\n".join(lines),
        node=work.node.name,
        call=work.key.hex(),
        log=failure.side.log,
        error_type=type(error).__name__,
        traceback_text=failure.traceback,
        attempts=attempts,
    )
    raised.__cause__ = error
    return raised


def _place(failure: Failure) -> str:
    """Return the innermost line of the traceback."""
    lines = [line.strip() for line in failure.traceback.splitlines() if line.strip().startswith("File ")]
    return lines[-1] if lines else ""
