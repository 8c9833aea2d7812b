"""Calls on processes of this machine beside plain pools, in one run: `.venv/bin/python benchmarks/measure_processes.py [--quick]`.

Rates are calls a second over the whole of a run, each the best of three. Those of lineage are recorded durably, and found again by the next
run; what a pool returns is kept nowhere. "of it driver" is the processor time of the process that asks, which bounds the rate of small calls.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "pipelines"))
os.environ["PYTHONPATH"] = str(HERE / "pipelines")  # for the workers of plain pools

import process_calls as calls  # noqa: E402

import lineage as ln  # noqa: E402

WORKERS = 2
REPETITIONS = 3


class Rate(NamedTuple):
    """Seconds a call, and of them the processor's in the process that asks."""

    wall: float
    driver: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once: does it work?")
    options = parser.parse_args()
    small, naps, times = (1_000, 50, 1) if options.quick else (10_000, 1_000, REPETITIONS)
    print(f"{WORKERS} workers on {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    for title, count, node, plain in (
        ("trivial", small, calls.increment, calls.plain_increment),
        ("of 10 ms", naps, calls.nap, calls.plain_nap),
    ):
        print(f"\n{count:,} calls, {title}")
        _show("Serial", _lineage(ln.Serial(), node, count, times))
        _show(f"Processes({WORKERS})", _lineage(ln.Processes(WORKERS), node, count, times))
        _show("ProcessPoolExecutor, one by one", _pool(plain, count, times, 1))
        _show("ProcessPoolExecutor, by hundreds", _pool(plain, count, times, 100))
    return 0


def _show(name: str, rate: Rate) -> None:
    print(
        f"{name:36}{1 / rate.wall:12,.0f} calls/s{rate.wall * 1e6:12,.1f} µs a call, of it driver {rate.driver * 1e6:,.1f}"
    )


def _best(run: Callable[[int], None], count: int, times: int) -> Rate:
    found = []
    for number in range(times):
        wall, driver = time.perf_counter(), time.process_time()
        run(number)
        found.append(Rate((time.perf_counter() - wall) / count, (time.process_time() - driver) / count))
    return min(found)


def _lineage(executor: Any, node: Any, count: int, times: int) -> Rate:
    store = tempfile.mkdtemp(prefix="bench-processes-")
    try:
        with ln.Session(store, executors={"default": executor}, progress="off") as session:
            session.compute(ln.map(node, range(-100, 0)))  # the workers are warm, and what a call takes is known

            def run(number: int) -> None:
                first = number * count
                _check(session.compute(ln.map(node, range(first, first + count))), first)

            return _best(run, count, times)
    finally:
        shutil.rmtree(store)


def _pool(function: Callable[[int], int], count: int, times: int, chunk: int) -> Rate:
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(function, range(-100, 0)))
        return _best(lambda _: _check(list(pool.map(function, range(count), chunksize=chunk)), 0), count, times)


def _check(found: list[int], first: int) -> None:
    assert found == list(range(first + 1, first + len(found) + 1)), "a wrong answer"


if __name__ == "__main__":
    sys.exit(main())
