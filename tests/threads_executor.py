"""An executor of threads, which can be told to lose calls: a second one beside `Serial`, with several calls in flight."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from typing import Any

from lineage.errors import WorkerError
from lineage.executors.base import Failure, Outcome, Work
from lineage.executors.perform import perform
from lineage.options import Resources
from lineage.records import SideData
from lineage.storage.store import Store


class Threads:
    """Runs up to `workers` calls at a time. `lose` says how many attempts of a node are lost with their worker."""

    name = "threads"

    def __init__(
        self,
        workers: int = 2,
        *,
        capacity: int | None = None,
        resources: Resources | None = None,
        lose: dict[str, int] | None = None,
    ) -> None:
        self.workers = workers
        self.capacity = capacity or workers
        self.lose = Counter(lose or {})
        if resources is not None:
            self.resources = resources
        self.submitted: list[str] = []
        self.cancelled = 0
        self.most = 0
        self.together: list[tuple[str, ...]] = []
        self._held: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._held = []

    def __repr__(self) -> str:
        return f"Threads({self.workers})"

    def attach(self, store: Store) -> None:
        self._store = store
        self.close()

    def submit(self, work: Work) -> None:
        self.submitted.append(work.node.name)
        self._held.append(work.node.name)
        self.most = max(self.most, len(self._held))
        self.together.append(tuple(sorted(self._held)))
        self._waiting.put(work)
        if len(self._threads) < self.workers:
            arguments = (self._waiting, self._done, self._store)
            self._threads.append(threading.Thread(target=self._work, args=arguments, daemon=True))
            self._threads[-1].start()

    def _work(self, waiting: Any, done: Any, store: Store) -> None:
        while (work := waiting.get()) is not None:
            if self.lose[work.node.name] > 0:
                self.lose[work.node.name] -= 1
                lost = WorkerError(f"the worker of {work.node.name} died")
                done.put(Outcome(work, Failure(lost, "", SideData(attempt=work.attempt), "platform")))
            else:
                done.put(perform(work, store, self.name))

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        try:
            found = [self._done.get(timeout=timeout) if timeout != 0 else self._done.get_nowait()]
        except queue.Empty:
            return []
        while not self._done.empty():
            found.append(self._done.get())
        for outcome in found:
            self._held.remove(outcome.work.node.name)
        return found

    def cancel(self) -> None:
        self.cancelled += 1
        self.close()

    def close(self) -> None:
        while not self._waiting.empty():
            self._waiting.get()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()
        self._begin()
