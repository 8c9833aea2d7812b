"""Nodes that run on Ray in tests."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import lineage as ln


@ln.node
def increment(x: int) -> int:
    return x + 1


@ln.node
def add(x: int, y: int) -> int:
    return x + y


@ln.node
def marked(x: int, folder: str, seconds: float) -> int:
    """Leaves a mark for each time that it runs."""
    with open(Path(folder) / str(x), "a") as file:
        file.write("x")
    time.sleep(seconds)
    return x


@ln.node
def dies_once(x: int, folder: str) -> int:
    """Ends its worker at the first attempt of 7."""
    with open(Path(folder) / str(x), "a") as file:
        file.write("x")
    if x == 7 and (Path(folder) / "7").read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@ln.node(retries=ln.Retry(platform=1, platform_backoff=0))
def always_dies(x: int) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return x


@ln.node(timeout=0.5)
def stuck_in_native_code(x: int) -> int:
    return sum(range(10**13))  # asks for no signals on its way


@ln.node(timeout=0.5)
def stuck_in_python(x: int) -> int:
    print("on my way")
    while True:
        time.sleep(0.01)


@ln.node
def talks(x: int) -> int:
    print(f"hello {x}")
    print(f"careful {x}", file=sys.stderr)
    return x


@ln.node(version="1")
def surroundings() -> dict[str, str]:
    return {
        "hash": (sys.flags.hash_randomization and "random") or "fixed",
        "zone": time.tzname[0],
        "encoding": sys.getfilesystemencoding(),
        "python": sys.executable,
    }


@ln.node
def reads_a_variable() -> str:
    return os.environ.get("LINEAGE_TEST_COLOUR", "none")


@ln.node
def depends_on_where(x: int) -> int:
    return x + OFFSET


OFFSET = 1 if "ray_driver" not in sys.modules and "default_worker" not in sys.argv[0] else 2
"""Another on workers, so that they are found out."""


@ln.node(resources=ln.Resources(cpus=2))
def wide(x: int) -> int:
    return x * 10


@ln.node(resources=ln.Resources(cpus=64))
def wider_than_there_is(x: int) -> int:
    return x


@ln.node(resources=ln.Resources(memory=1 << 50))
def larger_than_there_is(x: int) -> int:
    return x


@ln.node(resources=ln.Resources(custom={"telescope": 1}))
def needs_a_telescope(x: int) -> int:
    return x


@ln.node
def numbers(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float64)


@ln.node
def mapped_from(values: np.ndarray, position: int) -> tuple[float, str]:
    """Returns a value, and the file that the values lie in."""
    found: object = values
    while not isinstance(found, np.memmap) and getattr(found, "base", None) is not None:
        found = found.base  # type: ignore[attr-defined]
    name = str(found.filename) if isinstance(found, np.memmap) else type(found).__name__
    return float(values[position]), name
