"""The memo by hand with an uncompressed Arrow IPC file per table, read by memory map; no checks of
any kind.

It neither hashes nor notices edits: its user raises `VERSION`. It syncs what it writes, as
`lineage` does.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pyarrow as pa
from source_table import make_table

LIBRARY = "pyarrow"
VERSION = 1


def produce(store: Path, rows: int, seed: int) -> pl.LazyFrame:
    path = store / f"produce-{rows}-{seed}.arrow"
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        table = pa.table(make_table(rows, seed))
        with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, table.schema) as out:
            out.write_table(table, max_chunksize=1 << 20)
        _sync(temporary)
        temporary.rename(path)
    mapped = pl.from_arrow(pa.ipc.open_file(pa.memory_map(str(path))).read_all())
    assert isinstance(mapped, pl.DataFrame)
    return mapped.lazy()


def aggregate(table: pl.LazyFrame) -> dict[str, float]:
    lengths = pl.col("s").str.len_bytes().sum()
    found = table.select(pl.col("f0").mean(), lengths).collect()
    return {"f0": found["f0"][0], "s": found["s"][0]}


def run(store: Path, rows: int) -> dict[str, float]:
    store.mkdir(exist_ok=True)
    path = store / f"aggregate-{rows}-{VERSION}.json"
    if not path.exists():
        path.write_text(json.dumps(aggregate(produce(store, rows, 1))))
        _sync(path)
    result: dict[str, float] = json.loads(path.read_text())
    return result


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
