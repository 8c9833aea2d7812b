"""One measurement in a process of its own: `worker.py PIPELINE WORKLOAD STORE SIZE` prints one line
of JSON.

The pipelines are imported from the folder in which this file lies: the harness copies both to a
fresh folder, so that it can edit them as a user would. What a workload does to get ready (generated
modules) is not timed, the library's import is timed apart, and opening and closing the store
belongs to the work.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    pipeline, workload, store, size = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    began = time.perf_counter()
    module = importlib.import_module(pipeline)
    imported = time.perf_counter() - began
    found = {"import": imported, "memory_after_import": _status("VmRSS")}
    spent = time.process_time()
    found.update(_WORKLOADS[workload](module, workload, store, size))
    found["cpu"] = time.process_time() - spent  # less of it is due to a busy machine than of time
    found["peak"] = max(_status("VmHWM"), _peak_of_calls())
    if hasattr(module, "executed") and store.exists():
        found["executed"] = module.executed(store)
    print(json.dumps(found))


def _timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - began


def _run(module: Any, workload: str, store: Path, size: int) -> dict[str, Any]:
    """Time one run and return its answer."""
    ready = getattr(module, f"{workload}_ready", None)
    more = () if ready is None else (ready(size),)
    answer, seconds = _timed(getattr(module, workload), store, size, *more)
    return {"answer": answer, "seconds": seconds}


def _template(module: Any, workload: str, store: Path, size: int) -> dict[str, Any]:
    """Record calls that differ from those of `fan`, to fill an index with."""
    answer, seconds = _timed(module.fan, store, size, 8)
    return {"answer": answer, "seconds": seconds}


def _questions(module: Any, workload: str, store: Path, size: int) -> dict[str, Any]:
    """Ask a pipeline for seconds by question."""
    return dict(module.questions(store, size))


def _build(module: Any, workload: str, store: Path, size: int) -> dict[str, Any]:
    """Build calls and hold them: seconds, and resident memory that they add."""
    module.build(10)  # what is done once per node
    gc.collect()
    before = _status("VmRSS")
    calls, seconds = _timed(module.build, size)
    held = _status("VmRSS") - before
    _, freed = _timed(calls.clear)
    return {"seconds": seconds, "held": held, "freed": freed}


def _build_chain(module: Any, workload: str, store: Path, size: int) -> dict[str, Any]:
    """Build one chain of calls, each made from the one before, and free it."""
    module.build(10)
    gc.collect()
    before = _status("VmRSS")
    held_calls = [None]
    _, seconds = _timed(lambda: held_calls.append(module.build_chain(size)))
    held = _status("VmRSS") - before
    _, freed = _timed(held_calls.clear)
    return {"seconds": seconds, "held": held, "freed": freed}


def _build_traced(module: Any, workload: str, store: Path, size: int) -> dict[str, Any]:
    """Bytes that Python allocates for built calls, their list and arguments included."""
    module.build(10)
    tracemalloc.start()
    calls = module.build(size)
    held = tracemalloc.get_traced_memory()[0]
    del calls
    return {"held": held}


def _hashing(module: Any, workload: str, store: Path, size: int) -> dict[str, Any]:
    """Hash the table, and an array of as many bytes; the first time (libraries loaded), and the
    best of three more.
    """
    import numpy as np
    import pyarrow as pa

    table = module.make_table(size, 1)
    volume = int(pa.table(table).nbytes)
    array = np.random.default_rng(1).standard_normal(volume // 8)
    found: dict[str, Any] = {"bytes": volume}
    for name, function, value in [
        ("table", _digest_polars, table),
        ("array", _digest_ndarray, array),
        ("joblib table", _joblib_hash, table),
        ("joblib array", _joblib_hash, array),
    ]:
        try:
            first = _timed(function, value)[1]
            found[name] = {
                "first": first,
                "best": min(_timed(function, value)[1] for _ in range(3)),
            }
        except ImportError as error:
            found[name] = {"error": str(error)}
    return found


def _digest_polars(table: Any) -> Any:
    from lineage.content.tables import digest_polars

    return digest_polars(table)


def _digest_ndarray(array: Any) -> Any:
    from lineage.content.arrays import digest_ndarray

    return digest_ndarray(array)


def _joblib_hash(value: Any) -> Any:
    import joblib

    return joblib.hash(value)


_WORKLOADS: dict[str, Callable[[Any, str, Path, int], dict[str, Any]]] = {
    "chain": _run,
    "fan": _run,
    "run": _run,
    "plan": _run,
    "store": _run,
    "node": _run,
    "frame": _run,
    "frame_streaming": _run,
    "template": _template,
    "graph": _run,
    "questions": _questions,
    "build": _build,
    "build_chain": _build_chain,
    "build_traced": _build_traced,
    "hashing": _hashing,
}


def _status(field: str) -> int:
    """Return a field of /proc/self/status in bytes; 0 where there is none.

    Not `ru_maxrss`: that is inherited from the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)


def _peak_of_calls() -> int:
    """Return the peak that `lineage` saw in this process: it begins the system's anew for each long call."""
    perform = sys.modules.get("lineage.executors.perform")
    return int(perform._meter.peak) if perform is not None else 0


if __name__ == "__main__":
    main()
