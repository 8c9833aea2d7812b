"""The driver with very many calls that wait: `python benchmarks/pending_calls.py [CALLS] [CAPACITY]`.

An executor holds what it is given and gives it back a piece at a time, as a busy cluster does. Shown are the memory of the driver
before the run, when the executor is full and at its end, per waiting call, and the time that the driver takes for a call.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

import lineage as ln
from lineage.executors.base import Outcome, Work
from lineage.executors.perform import perform


@ln.node
def touch(x: int, text: str) -> int:
    return x + len(text)


class Busy:
    """Holds `capacity` calls, and gives back up to ten at a time."""

    name = "busy"

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.full = 0
        self._held: deque[Work] = deque()
        self._store: Any = None

    def attach(self, store: Any) -> None:
        self._store = store
        self._held.clear()

    def submit(self, work: Work) -> None:
        self._held.append(work)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        self.full = self.full or memory()
        return [perform(self._held.popleft(), self._store, self.name) for _ in range(min(10, len(self._held)))]

    def cancel(self) -> None:
        self._held.clear()

    def close(self) -> None:
        self._held.clear()


def memory(name: str = "VmRSS") -> int:
    """Return the bytes of memory of this process, from `/proc/self/status`."""
    for row in Path("/proc/self/status").read_text().splitlines():
        if row.startswith(name + ":"):
            return int(row.split()[1]) * 1024
    raise LookupError(name)


def measure(calls: int, capacity: int) -> dict[str, Any]:
    busy = Busy(capacity)
    with tempfile.TemporaryDirectory() as folder, ln.Session(folder, executors={"default": busy}):
        ln.compute(touch(-1, "warm"))
        busy.full = 0
        before = memory()
        request = [touch(x, f"{x:050d}") for x in range(calls)]
        composed = memory()
        began = time.perf_counter()
        answer = ln.compute(request)
        seconds = time.perf_counter() - began
        assert answer[-1] == calls - 1 + 50
        return {
            "calls": calls,
            "capacity": capacity,
            "before": before,
            "composed": composed,
            "pending": busy.full,
            "peak": memory("VmHWM"),
            "bytes a waiting call": round((busy.full - before) / calls),
            "microseconds a call": round(seconds / calls * 1e6, 1),
            "load": os.getloadavg()[0],
        }


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    print(json.dumps(measure(*(given or [100_000]), *([1_000] if len(given) < 2 else [])), indent=1))
