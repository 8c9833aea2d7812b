"""The nodes of the Hamilton table pipeline."""

from __future__ import annotations

import polars as pl
from source_table import make_table


def table(rows: int) -> pl.DataFrame:
    return make_table(rows, 1)


def aggregate(table: pl.DataFrame) -> dict:  # type: ignore[type-arg]  # Hamilton refuses dict[str, float]
    lengths = pl.col("s").str.len_bytes().sum()
    found = table.lazy().select(pl.col("f0").mean(), lengths).collect()
    return {"f0": found["f0"][0], "s": found["s"][0]}
