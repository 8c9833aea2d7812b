"""Progress of long runs: what is done, running, cached and failed, how fast, for how long. Silent where nobody looks.

A bar on a terminal; with `progress="lines"` (or `LINEAGE_PROGRESS=lines`) a plain line now and then, for the logs of batch jobs. What
happens is only counted; a thread draws, so that a call costs the same however many there are.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lineage.errors import LineageError, NodeError
from lineage.graph import shown

__all__ = ["Mode", "Progress", "line"]

Mode = bool | str | None
"""True or `bar`, `lines`, False or `off`; None: what `LINEAGE_PROGRESS` says, else a bar on a terminal."""

PATIENCE = 0.7
"""Seconds that a run may take before anything is shown."""

EVERY = {"bar": 0.1, "lines": 10.0}
"""Seconds between two drawings."""

_FAILURES = 10
"""Failures that are listed as they happen; the rest is counted."""


class Progress:
    """Shown once a run has taken a moment. `running` says how many calls run now; `graph.wanted` how many there are."""

    def __init__(self, wanted: Mode, graph: Any) -> None:
        self.graph = graph
        self.mode = _mode(wanted)
        self.running: Callable[[], int] = lambda: 0
        self._counts: dict[str, int] = {}
        self._latest = ""
        self._failures: list[str] = []
        self._printed = 0
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._bar: Any = None
        self._task: Any = None

    @property
    def wanted(self) -> bool:
        return self.mode != "off"

    def __enter__(self) -> Progress:
        if self.wanted:
            self._thread = threading.Thread(target=self._draw_until_over, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def tell(self, verdict: str, step: Any) -> None:
        """Count what became of one step, or note that it is running."""
        if not step.is_call:
            return
        if verdict == "running":
            self._latest = step.node.name
            return
        self._counts[verdict] = self._counts.get(verdict, 0) + 1
        if verdict == "failed" and len(self._failures) < _FAILURES:
            self._failures.append(f"failed: {shown(step.hole)}: {_reason(step.error)}")

    # -- drawing, in a thread of its own

    def _draw_until_over(self) -> None:
        if self._over.wait(PATIENCE):
            return
        draw = self._draw_bar if self.mode == "bar" else self._print_line
        try:
            draw()
            while not self._over.wait(EVERY[self.mode]):
                draw()
            self._print_failures()
            if self.mode == "lines":
                self._print_line()
        finally:
            if self._bar is not None:
                self._bar.stop()

    def _print_line(self) -> None:
        self._print_failures()
        self._print(self._text())

    def _draw_bar(self) -> None:
        if self._bar is None:
            self._start_bar()
        self._print_failures()
        done = sum(self._counts.values()) - self._counts.get("retried", 0)
        text = " | ".join(part for part in (self._latest, self._text()) if part)
        self._bar.update(self._task, total=max(self.graph.wanted, done), completed=done, description=text)

    def _start_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bar

        # Output of nodes is captured and passed on by us, so the bar must not take it.
        self._bar = Bar(
            SpinnerColumn(), BarColumn(bar_width=20), TextColumn("{task.description}"),
            console=Console(file=sys.__stderr__), transient=True, redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None)
        self._bar.start()

    def _text(self) -> str:
        return line(self._counts, self.graph.wanted, self.running(), time.monotonic() - self._began)

    def _print_failures(self) -> None:
        new = self._failures[self._printed :]
        self._printed += len(new)
        for failure in new:
            self._print(failure)
        if new and self._printed == _FAILURES:
            self._print("failures from here on are only counted")

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(f"lineage: {text}", markup=False, highlight=False, soft_wrap=True)
        else:
            print(f"lineage: {text}", file=sys.__stderr__, flush=True)


def line(counts: Mapping[str, int], total: int, running: int, seconds: float) -> str:
    """Return how far a run is, as one line.

    >>> line({"hit": 100, "executed": 300, "failed": 2}, 1000, 4, 30.0)
    '402 of 1,000 calls: 300 done, 100 cached, 2 failed, 4 running; 10.1/s, 59 s left'
    """
    cached = counts.get("hit", 0) + counts.get("cutoff", 0)
    failed, blocked = counts.get("failed", 0), counts.get("blocked", 0)
    resolved = counts.get("executed", 0) + cached + failed + blocked
    parts = [
        (counts.get("executed", 0), "done"), (cached, "cached"), (failed, "failed"), (blocked, "blocked"),
        (counts.get("retried", 0), "retried"), (running, "running"),
    ]  # fmt: skip
    text = f"{resolved:,} of {max(total, resolved):,} calls"
    text += "".join(
        f"{': ' if position == 0 else ', '}{number:,} {name}"
        for position, (number, name) in enumerate(part for part in parts if part[0])
    )
    made = resolved - counts.get("hit", 0)
    if made and seconds > 0:
        rate = made / seconds
        text += f"; {rate:,.3g}/s" if rate < 1000 else f"; {rate:,.0f}/s"
        if total > resolved:
            text += f", {_duration((total - resolved) / rate)} left"
    return text


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _mode(wanted: Mode) -> str:
    if wanted is None:
        wanted = os.environ.get("LINEAGE_PROGRESS") or ("bar" if sys.stderr.isatty() else "off")
    mode = ("bar" if wanted else "off") if isinstance(wanted, bool) else wanted
    if mode not in ("bar", "lines", "off"):
        raise LineageError(f"progress={mode!r} is not known; use 'bar', 'lines' or 'off' (also in LINEAGE_PROGRESS)")
    return mode


def _reason(error: BaseException | None) -> str:
    own = error.__cause__ if isinstance(error, NodeError) and error.__cause__ is not None else error
    text = f"{type(own).__name__}: {own}".partition("\n")[0]
    return text if len(text) <= 200 else text[:199] + "…"
