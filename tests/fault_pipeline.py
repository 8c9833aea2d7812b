"""What the tests of faults run in other processes: a pipeline with a result of every kind, and a way to die in it.

Run as a program it is a *zygote*: it loads the libraries once and forks for each request, so that a hundred deaths take
seconds. A request is a line of JSON; so is the answer.
"""

from __future__ import annotations

import copyreg
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import polars as pl
import pyarrow.parquet  # noqa: F401  (loaded before forking)

import lineage as ln
from lineage.storage import groups as groups_module


class Model:
    """A plain class, which is kept as a pickle with its buffer beside it."""

    def __init__(self, weights: np.ndarray[Any, Any]) -> None:
        self.weights = weights

    def score(self) -> float:
        return float(self.weights.sum())


# Python adds the names of slots to a class when an instance is first pickled.
copyreg._slotnames(Model)  # type: ignore[attr-defined]


@attrs.frozen
class Report:
    rows: int
    total: float


@ln.node
def table(n: int) -> pl.DataFrame:
    return pl.DataFrame({"x": range(n), "name": [str(i) for i in range(n)]})


@ln.node
def array(frame: pl.DataFrame) -> np.ndarray:
    return frame["x"].to_numpy() * 2.0


@ln.node
def model(values: np.ndarray) -> Model:
    return Model(np.repeat(values, 20))


@ln.node
def folder(frame: pl.DataFrame) -> Path:
    place = ln.scratch() / "out"
    (place / "deep").mkdir(parents=True)
    (place / "a.txt").write_text("some text")
    (place / "deep" / "b.txt").write_text(str(frame.height))
    return place


@ln.node
def long_list(n: int) -> list[str]:
    return [f"{i:0100d}" for i in range(n)]


@ln.node
def report(frame: pl.DataFrame, fitted: Model, place: Path, texts: list[str]) -> Report:
    return Report(frame.height + int((place / "deep" / "b.txt").read_text()) + len(texts), fitted.score())


def everything() -> Any:
    frame = table(500)
    return report(frame, model(array(frame)), folder(frame), long_list(11_000))


NODES = ["array", "folder", "long_list", "model", "report", "table"]
EXPECTED = Report(500 + 500 + 11_000, sum(range(500)) * 2.0 * 20)


class Steps:
    """Counts the steps of a write, and dies before the one that it is told to."""

    def __init__(self, fatal: int, fatal_name: str) -> None:
        self.fatal = fatal
        self.fatal_name = fatal_name
        self.names: list[str] = []
        self.process = os.getpid()

    def step(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) == self.fatal or name == self.fatal_name:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.step(f"before {name}")
            found = function(*arguments, **named)
            self.step(f"after {name}")
            return found

        return counted

    def install(self) -> None:
        """Count the changes that Python makes to files, and the statements by which SQLite does."""
        for name in ("fsync", "replace", "rename", "mkdir", "chmod", "link", "unlink"):
            setattr(os, name, self.around(name, getattr(os, name)))
        sys.addaudithook(self._on_event)
        groups_module.GROUP_ROWS = 6  # so that some groups are committed in the middle, however quick the machine
        opened = groups_module._open
        groups_module._open = lambda *arguments: _Counted(opened(*arguments), self)  # type: ignore[assignment]

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+"):
            self.step(f"open {Path(str(arguments[0])).name[-12:]}")


class _Counted:
    """A connection whose writing statements are steps."""

    def __init__(self, connection: Any, steps: Steps) -> None:
        self._connection = connection
        self._steps = steps

    def execute(self, statement: str, *values: Any) -> Any:
        if statement.startswith(("SELECT", "PRAGMA cache", "PRAGMA data_version")):
            return self._connection.execute(statement, *values)
        return self._steps.around(" ".join(statement.split()[:3]), self._connection.execute)(statement, *values)

    def executemany(self, statement: str, rows: Sequence[Any]) -> None:
        for row in rows:  # each is a step, as it would be on its own
            self.execute(statement, row)

    def close(self) -> None:
        self._steps.around("close", self._connection.close)()


def run(store: str, *, die_at: int = 0, die_on: str = "", count: bool = False) -> dict[str, Any]:
    """Compute everything in `store` and say what happened. With `die_at` or `die_on`, die at that step."""
    steps = Steps(die_at, die_on)
    if die_at or die_on or count:
        steps.install()
    events: list[tuple[str, str]] = []
    with ln.Session(
        store, verify="always", on_event=lambda verdict, node, _: events.append((verdict, node))
    ) as session:
        value = session.compute(everything())
    return {
        "right": value == EXPECTED,
        "executed": sorted(node for verdict, node in events if verdict == "executed"),
        "events": events,
        "steps": steps.names,
    }


def race(store: str, start: float, parts: list[int]) -> dict[str, Any]:
    """Compute graphs that overlap with those of others, beginning at one time."""
    time.sleep(max(0.0, start - time.time()))
    with ln.Session(store) as session:
        found = {}
        for part in parts:
            handle = session.materialize(square_sum(table(part)))
            found[str(part)] = [handle.digest.hex(), handle.value]
        drawn = session.materialize(shown(noise(len("seed"))))
    return {"found": found, "noise": [drawn.digest.hex(), drawn.value]}


@ln.node
def square_sum(frame: pl.DataFrame) -> int:
    return int((frame["x"] ** 2).sum())


@ln.node(version="1")
def noise(n: int) -> list[int]:
    return list(os.urandom(n))


@ln.node
def shown(numbers: list[int]) -> str:
    return str(numbers)


@ln.node(version="1")
def slow(number: int, seconds: float) -> int:
    time.sleep(seconds)
    return number


def chain(store: str) -> dict[str, Any]:
    """Compute ten calls of which each takes a while."""
    with ln.Session(
        store, on_event=lambda verdict, node, text: print(verdict, text, file=sys.stderr, flush=True)
    ) as session:
        return {"value": session.compute([slow(number, 0.1) for number in range(10)])}


REQUESTS: dict[str, Callable[..., dict[str, Any]]] = {"run": run, "race": race, "chain": chain}


def answer(request: dict[str, Any]) -> None:
    """Do what is asked in a child and write its answer to the file that the request names."""
    out = Path(request.pop("out"))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            found = REQUESTS[request.pop("do")](**request)
            out.write_text(json.dumps(found))
            code = 0
        except BaseException as error:
            out.write_text(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        asked = json.loads(sys.argv[1])
        print(json.dumps(REQUESTS[asked.pop("do")](**asked)))
        return
    # Loaded at first use otherwise, by every child again.
    for name in ("pandas", "typeguard", "threadpoolctl", "beartype.door", "polars.lazyframe", "numpy.random"):
        importlib.import_module(name)
    for found in (table, array, model, folder, long_list, report):
        found.code_digest()
    print("ready", flush=True)
    for line in sys.stdin:
        answer(json.loads(line))


if __name__ == "__main__":
    # As a module of its own, so that keys are those of the tests.
    importlib.import_module("fault_pipeline").main()
