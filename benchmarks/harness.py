"""How a measurement is made: fresh processes, fresh folders, repetitions in turn, medians, and a
check of every answer.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

__all__ = [
    "CHANGED",
    "HERE",
    "Harness",
    "Phase",
    "Samples",
    "WrongAnswerError",
    "disk_use",
    "environment",
    "median",
    "same_answer",
]

HERE = Path(__file__).resolve().parent

CHANGED = ((".mean()", ".sum()"), ("VERSION = 1", "VERSION = 2"))
"""The edit that makes a consumer a changed one; the version is for the memos, which notice
nothing.
"""

Row = dict[str, Any]


class WrongAnswerError(Exception):
    """A tool gave another answer than was expected, or did another number of calls: its figure
    would mean nothing.
    """


@frozen
class Phase:
    """One process of a measurement: its name, what it runs, and how much the store knows
    afterwards.

    `changed` edits the pipeline before. `executed` is how many calls the store should have recorded
    by then, for tools that can be asked. `before` is given the folder of the run, which holds store and inputs.
    """

    name: str
    workload: str
    size: int
    answer: Any = None
    executed: int | None = None
    changed: bool = False
    before: Callable[[Path], None] | None = None


@define
class Samples:
    """What the repetitions of one tool gave, phase by phase, or why there is nothing."""

    tool: str
    phases: dict[str, list[Row]] = field(factory=dict)
    skipped: str = ""
    spent: float = 0.0

    def median(self, phase: str, figure: str) -> float | None:
        """Return the median of one figure over the repetitions; None where it was not measured."""
        return median(row[figure] for row in self.phases.get(phase, ()) if figure in row)


@define
class Harness:
    """Runs phases for tools. `budget` ends a tool's repetitions, `limit` a process (both in
    seconds).
    """

    work: Path
    repetitions: int = 3
    budget: float = 60.0
    limit: float = 300.0
    say: Callable[[str], None] = print
    busiest: float = 0.0
    """The highest load that a process met when it began."""

    def measure(
        self,
        tools: Sequence[str],
        phases_of: Callable[[str], Sequence[Phase]],
        prepare: Callable[[str, Path], None] | None = None,
    ) -> dict[str, Samples]:
        """Return the samples of each tool. Repetitions go round the tools, so that a noisy minute
        meets all of them.

        `prepare` is given the tool and its fresh store, before the first phase.
        """
        found = {tool: Samples(tool) for tool in tools}
        for samples in found.values():
            samples.skipped = self._unavailable(samples.tool)
        for repetition in range(self.repetitions):
            for samples in found.values():
                if samples.skipped or (repetition and samples.spent > self.budget):
                    continue
                self._repeat(samples, phases_of(samples.tool), prepare)
        return found

    def _repeat(self, samples: Samples, phases: Iterable[Phase], prepare: Callable[[str, Path], None] | None) -> None:
        with self.folder() as folder:
            if prepare is not None:
                prepare(samples.tool, folder / "store")
            for phase in phases:
                self.say(f"{samples.tool}: {phase.name}")
                try:
                    row = self.run(samples.tool, phase, folder)
                except subprocess.TimeoutExpired:
                    samples.skipped = f"{phase.name}: over {self.limit / 60:g} minutes"
                    return
                except subprocess.CalledProcessError as error:
                    samples.skipped = f"{phase.name} failed: {_last_line(error.stderr)}"
                    return
                samples.spent += row["process"]
                samples.phases.setdefault(phase.name, []).append(row)

    def run(self, pipeline: str, phase: Phase, folder: Path) -> Row:
        """Run one phase in a process of its own and return its figures.

        Raises:
            WrongAnswerError: the answer or the number of executions is not what it should be.
        """
        if phase.changed:
            _edit(folder / "code")
        if phase.before is not None:
            phase.before(folder)
        os.sync()  # what earlier processes wrote is not this one's to wait for
        command = [sys.executable, str(folder / "code" / "worker.py"), pipeline, phase.workload]
        load = os.getloadavg()[0]
        self.busiest = max(self.busiest, load)
        began = time.perf_counter()
        done = subprocess.run(
            [*command, str(folder / "store"), str(phase.size)],
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
            env=environment(),
            timeout=self.limit,
        )
        row: Row = {
            "process": time.perf_counter() - began,
            **json.loads(done.stdout.splitlines()[-1]),
        }
        row["size"], row["load"] = phase.size, load
        row["disk"] = disk_use(folder / "store")
        _check(pipeline, phase, row)
        return row

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """Make a folder with a copy of the code and room for a store; it is gone afterwards."""
        folder = self.work / f"run-{os.getpid()}-{time.monotonic_ns()}"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(HERE / "pipelines", folder / "code", ignore=ignored)
        shutil.copy(HERE / "worker.py", folder / "code")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _unavailable(self, pipeline: str) -> str:
        """Import a pipeline once, so that bytecode is there and files are in the page cache; say
        why it can't be.
        """
        with self.folder() as folder:
            done = subprocess.run(
                [sys.executable, "-c", f"import {pipeline}"],
                capture_output=True,
                text=True,
                check=False,
                cwd=folder / "code",
                env=environment(),
            )
        return "" if done.returncode == 0 else f"not available: {_last_line(done.stderr)}"


def median(values: Iterable[float]) -> float | None:
    """Return the median, or None of nothing."""
    known = list(values)
    return statistics.median(known) if known else None


def disk_use(folder: Path) -> int:
    """Return the bytes of the files in `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _edit(code: Path) -> None:
    """Change the consumer in every pipeline, as a user would who saves a file."""
    for path in code.glob("*.py"):
        if path.name != "worker.py":
            text = path.read_text()
            for old, new in CHANGED:
                text = text.replace(old, new)
            path.write_text(text)


def environment() -> Mapping[str, str]:
    """Return the environment of a worker: nobody's settings, and bytecode written."""
    foreign = ("LINEAGE_", "REDUN_", "HAMILTON_", "JOBLIB_", "POLARS_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _check(pipeline: str, phase: Phase, row: Row) -> None:
    if phase.answer is not None and not same_answer(row["answer"], phase.answer):
        raise WrongAnswerError(f"{pipeline}, {phase.name}: {row['answer']} instead of {phase.answer}")
    if phase.executed is not None and row.get("executed", phase.executed) != phase.executed:
        raise WrongAnswerError(f"{pipeline}, {phase.name}: {row['executed']} executions recorded, not {phase.executed}")


def same_answer(one: Any, other: Any) -> bool:
    """Say whether two answers are the same; sums of floats may differ by how they were split."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_answer(one[key], other[key]) for key in one)
    if isinstance(one, float) or isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no message"
