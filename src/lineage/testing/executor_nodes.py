"""The nodes that executors are tried with. The contract copies this file into a project of its own and imports it from there."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import polars as pl

import lineage as ln

__all__ = [
    "Peculiar",
    "Point",
    "Sizes",
    "add",
    "array",
    "column_sum",
    "countdown",
    "fails",
    "fails_peculiarly",
    "file_length",
    "is_upset",
    "lazily",
    "length",
    "merge",
    "moved",
    "odd_only",
    "point",
    "product",
    "reads_setting",
    "remembers",
    "returns_wrong",
    "says",
    "sizes",
    "sleeps",
    "spoils",
    "table",
    "third_time",
    "total",
    "upsets",
    "who",
    "worth",
    "writes_setting",
    "written",
]

REMEMBERED: list[int] = []


@dataclass
class Point:
    x: int
    y: float


class Sizes(TypedDict):
    rows: int
    names: list[str]


class Peculiar(Exception):
    """An error that pickles as something that can't be made again."""

    def __init__(self, number: int, lock: object) -> None:
        super().__init__(f"peculiar {number}")
        self.lock = lock


@ln.node
def add(x: int, y: int = 1) -> int:
    return x + y


@ln.node
def total(xs: list[int]) -> int:
    return sum(xs)


@ln.node
def merge(a: int, b: int) -> int:
    return a + b


@ln.node
def table(rows: int, seed: int = 0) -> pl.DataFrame:
    numbers = np.random.default_rng(seed).normal(size=rows)
    return pl.DataFrame({"i": range(rows), "x": numbers, "s": [f"row {i % 7}" for i in range(rows)]})


@ln.node
def sizes(frame: pl.DataFrame) -> Sizes:
    return {"rows": frame.height, "names": frame.columns}


@ln.node
def lazily(frame: pl.LazyFrame) -> float:
    return float(frame.select(pl.col("x").sum()).collect().item())


@ln.node
def array(n: int) -> np.ndarray:
    return np.arange(n, dtype="f8")


@ln.node
def column_sum(values: np.ndarray) -> float:
    return float(values.sum())


@ln.node
def product(n: int) -> np.ndarray:
    """A matrix product, whose last bits depend on how many threads BLAS has."""
    a = np.random.default_rng(1).normal(size=(n, n))
    return a @ a.T


@ln.node
def point(x: int) -> Point:
    return Point(x, x / 2)


@ln.node
def moved(p: Point, by: int) -> Point:
    return Point(p.x + by, p.y)


@ln.node
def written(text: str) -> Path:
    place = ln.scratch() / "note.txt"
    place.write_text(text)
    return place


@ln.node
def length(path: Path) -> int:
    return len(path.read_text())


@ln.node
def file_length(file: ln.File) -> int:
    return len(file.path.read_bytes())


@ln.dynamic
def countdown(n: int) -> int:
    return n if n <= 0 else countdown(add(n, -2))


@ln.node
def fails(x: int) -> int:
    print("about to fail with", x)
    raise ValueError(f"no {x}")


@ln.node
def fails_peculiarly(x: int) -> int:
    raise Peculiar(x, threading.Lock())


@ln.node
def returns_wrong(x: int) -> int:
    return str(x)  # type: ignore[return-value]


@ln.node
def odd_only(x: int) -> int:
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@ln.node(retries=2)
def third_time(x: int) -> int:
    attempt = ln.current().attempt
    print("attempt", attempt)
    if attempt < 3:
        raise OSError(f"attempt {attempt}")
    return x + attempt


@ln.node(timeout=0.3)
def sleeps(seconds: float) -> float:
    print("going to sleep")
    time.sleep(seconds)
    return seconds


@ln.node
def says(x: int) -> int:
    print("to standard output", x)
    print("to standard error", file=sys.stderr)
    logging.getLogger("contract").warning("logged %s", x)
    return x


@ln.node
def worth(result: ln.Ok[int] | ln.Failed) -> str:
    return str(result.value) if isinstance(result, ln.Ok) else f"failed: {result.error}"


@ln.node(version="1")
def writes_setting(x: int) -> int:
    """Writes a global of another module, which it does not read."""
    import contract_state  # type: ignore[import-not-found]

    contract_state.SETTING = x
    return x


@ln.node
def reads_setting(after: int) -> int:
    import contract_state

    return int(contract_state.SETTING) + 0 * after


@ln.node
def remembers(x: int) -> int:
    REMEMBERED.append(x)
    return len(REMEMBERED)


@ln.node(version="1")
def upsets(x: int) -> int:
    """Changes what a process has one of."""
    os.chdir("/")
    os.environ["CONTRACT"] = str(x)
    os.environ.pop("PATH", None)
    warnings.simplefilter("error")
    np.seterr(all="raise")
    return x


@ln.node(version="1")
def is_upset(after: int) -> list[str]:
    """Says what is not as it should be."""
    found = []
    if os.getcwd() == "/":
        found.append("folder")
    if "CONTRACT" in os.environ or "PATH" not in os.environ:
        found.append("environment")
    if np.geterr()["divide"] == "raise":
        found.append("numpy")
    warnings.warn("this is no error", UserWarning, stacklevel=1)
    return found


@ln.node
def spoils(numbers: list[int]) -> int:
    """Changes what it was given."""
    numbers.append(99)
    return len(numbers)


@ln.node
def who(x: int) -> int:
    return os.getpid()
