"""The time that a call may take, counted from its start: one error for all executors, and how one process enforces it."""

from __future__ import annotations

import signal
import threading
from typing import Any

from lineage.errors import ExecutorError

__all__ = ["in_time", "refuse_unless_enforceable", "timed_out"]


def timed_out(node: str, seconds: float) -> TimeoutError:
    """Return the error of a call of `node` that ran for more than `seconds`, whoever noticed.

    >>> timed_out("fit", 60)
    TimeoutError('fit ran for more than 60 s')
    """
    return TimeoutError(f"{node} ran for more than {seconds:g} s")


def refuse_unless_enforceable(node: str) -> None:
    """Refuse a timeout of `node` in a thread that can't interrupt itself: Python lets the main thread do so only.

    Raises:
        ExecutorError: this is another thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ExecutorError(
            f"{node} has a timeout, and in this process only the main thread can hold it to that. Ask from the main "
            "thread, use executor='processes', or say timeout=math.inf on the node"
        )


def in_time(seconds: float | None, node: str) -> Any:
    """Return a context manager that interrupts what runs in it after `seconds`: Python code at once, what runs inside a
    library when it comes back.

    Raises:
        ExecutorError: this is not the main thread.
    """
    if seconds is None:
        return _no_limit
    refuse_unless_enforceable(node)
    return _Limit(seconds, node)


class _NoLimit:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


_no_limit = _NoLimit()


class _Limit:
    __slots__ = ("before", "is_over", "node", "seconds")

    def __init__(self, seconds: float, node: str) -> None:
        self.seconds = seconds
        self.node = node
        self.is_over = False

    def __enter__(self) -> None:
        self.before: Any = signal.signal(signal.SIGALRM, self._interrupt)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def _interrupt(self, *_: object) -> None:
        self.is_over = True
        raise timed_out(self.node, self.seconds)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)
        swallowed = kind is None or (issubclass(kind, Exception) and not issubclass(kind, TimeoutError))
        if self.is_over and swallowed:
            raise timed_out(self.node, self.seconds)  # the code took the interruption for something else, and went on
