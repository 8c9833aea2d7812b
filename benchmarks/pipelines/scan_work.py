"""What is asked of the taxi rides: 3 of their 18 columns."""

from __future__ import annotations

from typing import Literal

import polars as pl

__all__ = ["answer", "tips"]


def tips(rides: pl.LazyFrame) -> pl.LazyFrame:
    """Return the tip and the fare by the number of passengers, in double precision: sums depend on no engine then."""
    amounts = pl.col("tip_amount", "fare_amount").cast(pl.Float64)
    return rides.group_by("passenger_count").agg(amounts.mean()).sort("passenger_count")


def answer(rides: pl.LazyFrame, engine: Literal["in-memory", "streaming"]) -> dict[str, float]:
    found = tips(rides).collect(engine=engine)
    return {f"{column} {row}": value for column in found.columns[1:] for row, value in enumerate(found[column])}
