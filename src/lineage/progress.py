"""Progress of long runs on a terminal: what is done, running, cached and failed. Silent elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

__all__ = ["Progress"]

PATIENCE = 0.7
"""Seconds that a run may take before anything is shown."""


class Progress:
    """Shown when standard error is a terminal (or `wanted`), once a run has taken a moment; gone when it ends."""

    def __init__(self, wanted: bool | None, graph: Any) -> None:
        self.graph = graph
        self._wanted = sys.stderr.isatty() if wanted is None else wanted
        self._began = time.monotonic()
        self._counts: dict[str, int] = {}
        self._bar: Any = None
        self._task: Any = None
        self._entered = False

    def __enter__(self) -> Progress:
        self._entered = True
        return self

    def __exit__(self, *_: object) -> None:
        self._entered = False
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def tell(self, verdict: str, step: Any) -> None:
        """Count what became of one step and show it."""
        if not step.is_call:
            return
        self._counts[verdict] = self._counts.get(verdict, 0) + 1
        if not self._wanted or not self._entered or time.monotonic() - self._began < PATIENCE:
            return
        if self._bar is None:
            self._start()
        total = sum(1 for found in self.graph.order if found.is_call and found.state)
        done = sum(self._counts.values())
        self._bar.update(self._task, total=total, completed=done, description=self._text(step.node.name))

    def _text(self, node: str) -> str:
        names = {"hit": "cached", "cutoff": "unchanged"}
        counts = ", ".join(f"{count} {names.get(verdict, verdict)}" for verdict, count in self._counts.items())
        return f"{node}: {counts}"

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None)
        self._bar.start()
