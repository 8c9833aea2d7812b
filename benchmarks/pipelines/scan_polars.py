"""The same question to polars alone, of the very files in which `lineage` keeps the cleaned rides."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl
from scan_work import answer

LIBRARY = "polars"


def _direct(store: Path, engine: Literal["in-memory", "streaming"]) -> dict[str, float]:
    kept = [path for path in sorted((store / "objects").rglob("*")) if path.is_file() and _is_parquet(path)]
    return answer(pl.scan_parquet(kept, hive_partitioning=False, glob=False), engine)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def frame(store: Path, size: int) -> dict[str, float]:
    return _direct(store, "in-memory")


def frame_streaming(store: Path, size: int) -> dict[str, float]:
    return _direct(store, "streaming")
