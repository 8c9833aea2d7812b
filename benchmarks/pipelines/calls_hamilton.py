"""Trivial calls in Hamilton, whose nodes are functions that are found in a module: one is generated
for each call.

This is its quickest shape. With `@parameterize` its driver takes a time per node that grows with
the nodes (0.06 ms at 500, 0.36 at 4,000), and so does a map by `Parallelizable` and `Collect` (a
cached item 0.5 ms at 500, 2.5 at 4,000); a function per call stays at 0.2. Hamilton walks the graph
by recursion, so Python's limit is raised for the chain. Making the driver belongs to the
measurement, as building calls does elsewhere; writing and importing the generated module does not.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sqlite3
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"

from hamilton import driver

LIBRARY = "apache-hamilton"


def _module(name: str, source: str) -> ModuleType:
    path = Path(__file__).parent / f"{name}.py"
    if not path.exists():
        path.write_text(source)
        importlib.invalidate_caches()
    return importlib.import_module(name)


def chain_ready(size: int) -> ModuleType:
    steps = [f"def x{i}(x{i - 1}: int) -> int:\n    return x{i - 1} + 1\n" for i in range(1, size + 1)]
    return _module(f"hamilton_chain_{size}", "\n".join(["def x0() -> int:\n    return 0\n", *steps]))


def fan_ready(size: int) -> ModuleType:
    calls = [f"def added_{i}() -> int:\n    return {i} + 7\n" for i in range(size)]
    return _module(f"hamilton_fan_{size}", "\n".join(calls))


def _driver(module: ModuleType, store: Path) -> Any:
    return driver.Builder().with_modules(module).with_cache(str(store)).build()


def chain(store: Path, size: int, module: ModuleType) -> int:
    sys.setrecursionlimit(100 * size + 1000)
    last = f"x{size}"
    return int(_driver(module, store).execute([last])[last])


def fan(store: Path, size: int, module: ModuleType) -> int:
    return sum(_driver(module, store).execute([f"added_{i}" for i in range(size)]).values())


def executed(store: Path) -> int:
    """How many results its metadata store holds; the first value of the chain is one more."""
    with contextlib.closing(sqlite3.connect(store / "metadata_store.db")) as db:
        names = "SELECT count(*) FROM cache_metadata WHERE node_name != 'x0'"
        return int(db.execute(names).fetchone()[0])
