"""Nodes that put the worker processes of this machine to the test."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import numpy as np

import lineage as ln


@ln.node
def inc(x: int) -> int:
    return x + 1


@ln.node
def pid(x: int) -> int:
    return os.getpid()


@ln.node
def segfaults(x: int) -> int:
    print("before the end", x)
    ctypes.string_at(0)
    return x


@ln.node
def exits(x: int) -> int:
    os._exit(3)


@ln.node
def is_killed(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


@ln.node
def noted(x: int, notes: Annotated[str, ln.Unhashed]) -> int:
    """Says that it ran, in a file; the first attempt of every hundredth call takes the process down."""
    with open(notes, "a") as file:
        file.write(f"{x}\n")
    if x % 100 == 50 and ln.current().attempt == 1:
        ctypes.string_at(0)
    return x


@ln.node(timeout=0.3)
def deaf(x: int) -> int:
    """Stays in native code, which hears of no signal."""
    print("busy")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
    return x


@ln.node
def fills_memory(mebibytes: int) -> int:
    held = [b"x" * (1 << 20) for _ in range(mebibytes)]
    time.sleep(5)
    return len(held)


@ln.node
def says_natively(x: int) -> int:
    print("from Python")
    ctypes.CDLL(None).puts(b"from C")
    ctypes.CDLL(None).fflush(None)
    return x


@ln.node
def query_length(x: int) -> int:
    return len((Path(__file__).parent / "process_query.sql").read_text()) + x


@ln.node
def setting(x: int) -> str:
    return os.environ.get("PROCESS_SETTING", "") + str(x)


@ln.node
def zone(x: int) -> str:
    return os.environ.get("TZ", "") + str(x)


@ln.node
def ones(n: int) -> np.ndarray:
    return np.ones(n)


@ln.node
def memory_of_its_own(values: np.ndarray, x: int) -> int:
    """The bytes that this process has for itself, with a large array read."""
    assert values.sum() == len(values)
    with open(f"/proc/{os.getpid()}/status") as file:
        line = next(line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


@ln.node
def sleeps(x: int, seconds: float, place: Annotated[str, ln.Unhashed]) -> int:
    (Path(place) / str(os.getpid())).touch()
    time.sleep(seconds)
    return x


@ln.node
def waits_for_all(x: int, others: int, place: Annotated[str, ln.Unhashed]) -> bool:
    """Leaves a file; the first one ends when all others have, and says whether they did while it ran."""
    if x:
        (Path(place) / str(x)).touch()
        return True
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if len(os.listdir(place)) == others:
            return True
        time.sleep(0.05)
    return False


@ln.node
def one_of_many(x: int, place: Annotated[str, ln.Unhashed]) -> int:
    """Leaves a file of its own for every time it runs."""
    (Path(place) / f"{x}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.002)
    return x
