"""The table that the table pipelines make: seeded, so that everybody writes the same bytes."""

from __future__ import annotations

import numpy as np
import polars as pl

__all__ = ["make_table"]


def make_table(rows: int, seed: int) -> pl.DataFrame:
    """Return a table of 7 columns and about 60 bytes a row: two integers, three floats, a short
    string and a date.
    """
    random = np.random.default_rng(seed)
    words = pl.Series("s", [f"{'station'[: n % 7]}-{n:04d}" for n in range(5000)])
    normal = random.standard_normal(rows)
    uniform = random.random(rows)
    return pl.DataFrame(
        {
            "i0": np.arange(rows),
            "i1": random.integers(0, 1000, rows, dtype=np.int32).astype(np.int64),
            "f0": normal,
            "f1": uniform,
            "f2": normal * uniform,
            "s": words.gather(random.integers(0, 5000, rows, dtype=np.uint32)),
            "day": pl.Series(random.integers(15000, 20000, rows, dtype=np.int32)).cast(pl.Date),
        }
    )
