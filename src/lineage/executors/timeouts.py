"""The time that a call may take, counted from its start: one error for all executors, and how one process enforces it."""

from __future__ import annotations

import signal
import threading
from typing import Any

__all__ = ["in_time", "is_enforceable", "timed_out"]


def timed_out(node: str, seconds: float) -> TimeoutError:
    """Return the error of a call of `node` that ran for more than `seconds`, whoever noticed.

    >>> timed_out("fit", 60)
    TimeoutError('fit ran for more than 60 s')
    """
    return TimeoutError(f"{node} ran for more than {seconds:g} s")


def is_enforceable() -> bool:
    """Say whether this thread can interrupt itself: Python lets the main thread do so only."""
    return threading.current_thread() is threading.main_thread()


def in_time(seconds: float | None, node: str) -> Any:
    """Return a context manager that interrupts what runs in it after `seconds`. Only in the main thread, and only Python
    code: what runs inside a library is interrupted when it comes back.
    """
    return _no_limit if seconds is None else _Limit(seconds, node)


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
