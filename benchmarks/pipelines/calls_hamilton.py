"""Trivial calls in Hamilton, whose nodes are functions that are found in a module: one is generated
for each call.

The chain is a function per call, the map one function with `@parameterize`. (Hamilton also maps
with `Parallelizable` and `Collect`; that takes two nodes an item, and its cache needs no fewer
look-ups.) It walks the graph by recursion, so Python's limit is raised for the chain. Making the
driver belongs to the measurement, as building calls does elsewhere; writing and importing the
generated module does not.
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
from hamilton.function_modifiers import parameterize, value  # noqa: F401  (the generated module uses them)

LIBRARY = "apache-hamilton"

_FAN = """
from hamilton.function_modifiers import parameterize, value

@parameterize(**{{f"added_{{i}}": {{"x": value(i), "y": value(7)}} for i in range({size})}})
def added(x: int, y: int) -> int:
    return x + y
"""


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
    return _module(f"hamilton_fan_{size}", _FAN.format(size=size))


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
