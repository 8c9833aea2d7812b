"""Calls one after another, in this process."""

from __future__ import annotations

import threading
from collections import deque

from lineage.executors.admission import of_this_machine
from lineage.executors.base import Outcome, Work
from lineage.executors.perform import perform
from lineage.executors.timeouts import refuse_unless_enforceable
from lineage.options import Resources
from lineage.storage.store import Store

__all__ = ["Serial"]


class Serial:
    """Carries out calls in this process, in the order in which they came.

    `resources` is what the machine has, for calls that ask for some of it (default: looked up). A timeout interrupts Python code
    only: code inside a library is ended when it comes back.

    >>> Serial()
    Serial()
    """

    name = "serial"
    capacity = 256
    workers = 1

    def __init__(self, *, resources: Resources | None = None) -> None:
        self._given = resources
        self._of_thread = threading.local()  # several may share a session, each with a run of its own
        self._store: Store | None = None

    @property
    def _waiting(self) -> deque[Work]:
        try:
            found: deque[Work] = self._of_thread.waiting
        except AttributeError:
            found = self._of_thread.waiting = deque()
        return found

    def __repr__(self) -> str:
        return "Serial()"

    @property
    def resources(self) -> Resources:
        """What there is for calls."""
        return self._given or of_this_machine()

    def attach(self, store: Store) -> None:
        """Say which store values are read from and written to."""
        self._store = store
        self._waiting.clear()  # what an interrupted run left behind

    def submit(self, work: Work) -> None:
        if work.timeout is not None:
            refuse_unless_enforceable(work.node.name)
        self._waiting.append(work)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Carry out the next call, however long it takes."""
        assert self._store is not None
        return [perform(self._waiting.popleft(), self._store, self.name)]

    def cancel(self) -> None:
        self._waiting.clear()

    def close(self) -> None:
        self._waiting.clear()
