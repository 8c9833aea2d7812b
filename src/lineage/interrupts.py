"""Ctrl-C and SIGTERM while a run is on: what runs is ended, what is done is kept, the run is recorded as interrupted.

Either is raised where the main thread is, as Python does with Ctrl-C. Code of the user's may take that for something else and go on
(`except:`), so it is noted too, and raised again before anything that such code returned is recorded.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Stops", "insistently"]


class Stops:
    """Within a `with` block of the main thread, SIGTERM is answered as Ctrl-C is, by an exit with code 143; `check()` raises
    what was asked for and not heeded. A second SIGTERM ends the process at once. Handlers of the user's are left alone.
    """

    def __init__(self) -> None:
        self._asked: BaseException | None = None
        self._before: dict[int, tuple[Any, Any]] = {}

    def __enter__(self) -> Stops:
        if threading.current_thread() is threading.main_thread():
            self._answer(signal.SIGINT, signal.default_int_handler, self._interrupt)
            self._answer(signal.SIGTERM, signal.SIG_DFL, self._terminate)
        return self

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        for number, (usual, ours) in self._before.items():
            if signal.getsignal(number) == ours:
                signal.signal(number, usual)
        if not isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt or SystemExit if the run was asked to stop."""
        if self._asked is not None:
            raise self._asked

    def _answer(self, number: int, usual: Any, handler: Callable[[int, FrameType | None], None]) -> None:
        if signal.getsignal(number) == usual:
            self._before[number] = (usual, handler)
            signal.signal(number, handler)

    def _interrupt(self, _: int, __: FrameType | None) -> None:
        self._asked = KeyboardInterrupt()
        raise self._asked

    def _terminate(self, number: int, _: FrameType | None) -> None:
        if isinstance(self._asked, SystemExit):
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self._asked = SystemExit(128 + number)
        raise self._asked


def insistently(do: Callable[[], None]) -> None:
    """Do what must be done before the end, and once more if that is interrupted. It must bear to be done twice."""
    try:
        do()
    except (KeyboardInterrupt, SystemExit):
        do()
        raise
