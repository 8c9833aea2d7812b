"""Calls on Ray beside plain Ray, in one run: `.venv/bin/python benchmarks/measure_ray.py [--quick]`.

Rates are calls a second over the whole of a run, recorded durably where they are lineage's; each is the best of three. Plain Ray is
used as its documentation shows: a remote function called for each item, and an actor for each core. What it returns is kept nowhere.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "pipelines"))
os.environ["PYTHONPATH"] = str(HERE / "pipelines")  # for the workers of plain Ray

import ray_calls as calls  # noqa: E402

import lineage as ln  # noqa: E402

CORES = 2
REPETITIONS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and once: does it work?")
    parser.add_argument("--pending", type=int, help="only: peak memory of a driver with so many calls")
    options = parser.parse_args()
    if options.pending:
        print(_peak_with(options.pending))
        return 0
    few, many, naps, times = (300, 1_000, 50, 1) if options.quick else (3_000, 20_000, 1_000, REPETITIONS)
    rows = [
        ("plain Ray, a task a call", _plain_tasks(few, times)),
        ("plain Ray, actors, a message a call", _plain_actors(few, times)),
        ("lineage, one by one", _rate(ln.Ray(cpus=CORES, batch=0), calls.increment, few, times)),
        ("lineage, in batches", _rate(ln.Ray(cpus=CORES), calls.increment, many, times)),
        ("lineage, calls of 10 ms", _rate(ln.Ray(cpus=CORES), calls.nap, naps, times)),
    ]
    for name, rate in rows:
        print(f"{name:40} {rate:12,.0f} calls/s {1e6 / rate:10,.1f} µs a call")
    one_by_one, plain = rows[2][1], rows[0][1]
    print(f"one by one, of plain tasks: {one_by_one / plain:.2f} (promised: 0.8); in batches: promised 10,000 a second")
    pending = 10_000 if options.quick else 100_000
    command = [sys.executable, __file__, "--pending", str(pending)]
    peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    print(f"peak memory of a driver with {pending:,} calls: {int(peak) / 2**20:,.0f} MiB")
    return 0


def _best(run: Callable[[int], None], count: int, times: int) -> float:
    best = float("inf")
    for number in range(times):
        began = time.perf_counter()
        run(number)
        best = min(best, time.perf_counter() - began)
    return count / best


def _plain_tasks(count: int, times: int) -> float:
    import ray

    ray.init(address="local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    try:
        task = ray.remote(calls.plain_increment)
        ray.get([task.remote(x) for x in range(100)])
        return _best(lambda _: _check(ray.get([task.remote(x) for x in range(count)])), count, times)
    finally:
        ray.shutdown()


def _plain_actors(count: int, times: int) -> float:
    import ray

    ray.init(address="local", num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    try:
        actors = [ray.remote(calls.Plain).remote() for _ in range(CORES)]
        ray.get([actor.increment.remote(0) for actor in actors])

        def run(_: int) -> None:
            _check(ray.get([actors[x % CORES].increment.remote(x) for x in range(count)]))

        return _best(run, count, times)
    finally:
        ray.shutdown()


def _rate(executor: Any, node: Any, count: int, times: int) -> float:
    store = tempfile.mkdtemp(prefix="bench-ray-")
    try:
        with ln.Session(store, executors={"default": executor}, progress=False) as session:
            session.compute(ln.map(node, range(-100, 0)))  # the workers are warm, and what a call takes is known

            def run(number: int) -> None:
                first = number * count
                _check(session.compute(ln.map(node, range(first, first + count))), first)

            return _best(run, count, times)
    finally:
        shutil.rmtree(store)


def _check(found: list[int], first: int = 0) -> None:
    assert found == list(range(first + 1, first + len(found) + 1)), "a wrong answer"


def _peak_with(count: int) -> int:
    _rate(ln.Ray(cpus=CORES), calls.increment, count, 1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
