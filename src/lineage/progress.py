"""Progress of long runs on a terminal: what is done, running, cached and failed. Silent elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

__all__ = ["Progress"]

PATIENCE = 0.7
"""Seconds that a run may take before anything is shown."""

EVERY = 0.1
"""Seconds between two drawings."""

_SHOWN_AS = {"hit": "cached", "cutoff": "unchanged", "executed": "done"}


class Progress:
    """Shown when standard error is a terminal (or `wanted`), once a run has taken a moment; gone when it ends."""

    def __init__(self, wanted: bool | None, graph: Any) -> None:
        self.graph = graph
        self.wanted = sys.stderr.isatty() if wanted is None else wanted
        self._counts: dict[str, int] = {}
        self._running = ""
        self._drawn = 0.0
        self._bar: Any = None
        self._task: Any = None
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Progress:
        if self.wanted:
            self._timer = threading.Timer(PATIENCE, self._start)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._bar is not None:
            self._bar.stop()

    def tell(self, verdict: str, step: Any) -> None:
        """Count what became of one step, or note that it is running."""
        if not self.wanted or not step.is_call:
            return
        if verdict == "running":
            self._running = step.node.name
        else:
            self._counts[verdict] = self._counts.get(verdict, 0) + 1
        if self._bar is not None and time.monotonic() - self._drawn > EVERY:
            self._update()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        # Output of nodes is captured and passed on by us, so the bar must not take it.
        bar = Bar(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(file=sys.__stderr__), transient=True, redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._task = bar.add_task("", total=None)
        bar.start()
        self._bar = bar
        self._update()

    def _update(self) -> None:
        self._drawn = time.monotonic()
        total = sum(1 for step in self.graph.order if step.is_call and step.state)
        done = sum(self._counts.values())
        counts = ", ".join(f"{count} {_SHOWN_AS.get(verdict, verdict)}" for verdict, count in self._counts.items())
        text = " | ".join(part for part in (self._running, counts) if part)
        self._bar.update(self._task, total=total, completed=done, description=text)
