"""A large table and what is made of two of its columns, in Hamilton: pickled by its default result
store.

`@cache(format="parquet")` would be its way for tables, but its reader passes polars an argument
that polars 2 has removed (`row_count_offset`), and fails. Its key of a polars table is made row by
row in Python.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"

import hamilton_flow
from hamilton import driver

LIBRARY = "apache-hamilton"


def run(store: Path, rows: int) -> dict[str, float]:
    made = driver.Builder().with_modules(hamilton_flow).with_cache(str(store)).build()
    result: dict[str, float] = made.execute(["aggregate"], inputs={"rows": rows})["aggregate"]
    return result
