"""Whose fault a failure is, whether the call is tried again, and how it is reported: which node, with which arguments, after how many
attempts, what it printed, how to see it again.

Errors of the node's own code and failures of what carries it out (the platform) are counted apart: a lost worker takes
none of the retries that the node was given.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from lineage.content.tree import Hole
from lineage.errors import ExecutorError, LineageError, NodeError, WorkerError
from lineage.executors.base import Cause, Failure, Work
from lineage.graph import shown
from lineage.options import Retry
from lineage.outcomes import Failed

__all__ = ["PLATFORM_RETRIES", "Tries", "as_failed", "cause_of", "explained", "pause_before_retry", "with_others"]

PLATFORM_RETRIES = 3
"""How often a call is tried again whose worker was lost, where its node does not say."""

_LOG_LINES = 20
_LISTED = 5

_chance = random.Random()
"""Of our own: the global generator is the nodes'."""


class Tries:
    """How often a call has failed so far, by whose fault."""

    __slots__ = ("inputs", "platform", "user")

    def __init__(self) -> None:
        self.user = 0
        self.platform = 0
        self.inputs = 0

    @property
    def total(self) -> int:
        return self.user + self.platform + self.inputs

    def count(self, cause: Cause) -> None:
        setattr(self, cause, getattr(self, cause) + 1)


def cause_of(failure: Failure) -> Cause:
    """Return whose fault a failure is. Running out of memory says something of the machine, wherever it was noticed."""
    return "platform" if isinstance(failure.error, (MemoryError, WorkerError)) else failure.cause


def pause_before_retry(retry: Retry | None, tries: Tries, failure: Failure, *, is_effect: bool = False) -> float | None:
    """Return the seconds to wait before a call is tried again that has failed `tries`, this time by `failure`; None if it is not.

    An effect whose worker was lost may have happened, so that it is not tried again.
    """
    retry = retry or _NO_RETRY
    cause = cause_of(failure)
    if cause == "inputs" or isinstance(failure.error, ExecutorError):
        return None
    if cause == "platform":
        allowed = 0 if is_effect else PLATFORM_RETRIES if retry.platform is None else retry.platform
        return _pause(retry, retry.platform_backoff, tries.platform) if tries.platform <= allowed else None
    if tries.user > retry.count or not isinstance(_own(failure.error), retry.on):
        return None
    return _pause(retry, retry.backoff, tries.user)


_NO_RETRY = Retry()


def _pause(retry: Retry, backoff: float, failed: int) -> float:
    if not backoff:
        return 0.0
    pause = min(retry.cap, backoff * 2.0 ** min(failed - 1, 60))
    return pause * (1 + retry.jitter * _chance.random())


def _own(error: BaseException) -> BaseException:
    """Return the node's own error."""
    return error.__cause__ if isinstance(error, NodeError) and error.__cause__ is not None else error


def explained(call: Hole, work: Work, failure: Failure, tries: Tries) -> NodeError:
    """Return the error that people see for a failed call, caused by the node's own."""
    error = failure.error
    what = f"{type(error).__name__}: {error}" if not isinstance(error, LineageError) else str(error)
    lines = [f"{shown(call)} failed{_after(tries)}: {what}"]
    place = _place(failure)
    if place:
        lines.append(f"  at {place}")
    log = failure.side.log.strip().splitlines()
    if log:
        lines.append("  its log ends with:")
        lines += [f"    {line}" for line in log[-_LOG_LINES:]]
    if isinstance(error, MemoryError):
        lines.append(
            "  it ran out of memory: give it less at a time, or more (resources=lineage.Resources(memory=...))"
        )
    lines.append(f"  to see it again: {work.node.name}.fn(...) with these arguments, or materialise it once more")
    cls = type(error) if isinstance(error, NodeError) else NodeError
    raised = cls(
        "\n".join(lines),
        node=work.node.name,
        call=work.key.hex(),
        log=failure.side.log,
        error_type=type(error).__name__,
        traceback_text=failure.traceback,
        attempts=max(1, tries.total),
        platform_attempts=tries.platform,
    )
    raised.__cause__ = error
    return raised


def _after(tries: Tries) -> str:
    """Return how many attempts of which kind there were, where that says something."""
    if tries.total < 2 and not tries.platform:
        return ""
    parts = [f"{tries.user} by errors of its own"] if tries.user else []
    parts += [f"{tries.platform} by failures of what carried it out"] if tries.platform else []
    parts += [f"{tries.inputs} for want of its inputs"] if tries.inputs else []
    attempts = f"{tries.total} attempt{'s' if tries.total > 1 else ''}"
    return f" after {attempts}" + (f" ({', '.join(parts)})" if parts != [f"{tries.user} by errors of its own"] else "")


def _place(failure: Failure) -> str:
    """Return the innermost line of the traceback."""
    lines = [line.strip() for line in failure.traceback.splitlines() if line.strip().startswith("File ")]
    return lines[-1] if lines else ""


def as_failed(error: BaseException | None) -> Failed:
    """Return a failed call's error as data."""
    cause = error if error is None else _own(error)
    facts = error.facts if isinstance(error, LineageError) else {}
    return Failed(
        f"{type(cause).__name__}: {cause}",
        log=facts.get("log", ""),
        traceback=facts.get("traceback_text", ""),
        call=facts.get("call", ""),
    )


def with_others(error: Exception, others: Iterable[tuple[str, Exception]], count: int, run: int) -> Exception:
    """Return `error` with a few lines on the `count` other calls that failed too: call by call, and where the rest is found."""
    if not count or not isinstance(error, NodeError):
        return error
    lines = [f"  {count} other call{'s' if count > 1 else ''} failed too; what succeeded is kept:"]
    for (call, other), _ in zip(others, range(_LISTED), strict=False):
        own = _own(other)
        lines.append(f"    {call}: {type(own).__name__}: {_first_line(own)}")
    if count > _LISTED:
        lines.append(f"    … and {count - _LISTED} more")
    lines.append(f'  lineage.calls(run={run}, status="failed") lists them all, with their logs')
    error.message += "\n" + "\n".join(lines)
    error.facts["others"] = count
    return error


def _first_line(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    return text if len(text) <= 200 else text[:199] + "…"
