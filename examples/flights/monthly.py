"""Flights month by month: delays by carrier added up in a tree, and a model for each carrier.

Each month is a file, each call of a node a dataset. A month that is added, corrected or taken away costs its own cleaning and counting,
a few additions, and the models of those carriers whose flights changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl
from attrs import frozen
from sklearn.linear_model import LinearRegression

import lineage as ln

FEATURES = ["distance", "hour", "sched_arr_time"]


@frozen
class CarrierModel:
    """A model of one carrier's delays."""

    carrier: str
    flights: int
    model: LinearRegression


class Monthly(NamedTuple):
    """Delays by carrier over all months, and one model for each carrier."""

    delays: pl.DataFrame
    models: list[CarrierModel]


@ln.node
def cleaned(month: ln.File, longest_delay: int = 300) -> pl.DataFrame:
    """Return the flights of a month that arrived."""
    return pl.scan_parquet(month.path).filter(pl.col("arr_delay").abs() <= longest_delay).collect()


@ln.node
def delays(flights: pl.DataFrame) -> pl.DataFrame:
    """Return flights and minutes late by carrier: whole numbers, whose sums don't depend on how they are grouped."""
    late = pl.col("arr_delay").clip(0).sum().alias("minutes_late")
    return flights.group_by("carrier").agg(pl.len().cast(pl.Int64).alias("flights"), late).sort("carrier")


@ln.node
def added(some: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """Add up what is known of two sets of flights."""
    return pl.concat([some, more]).group_by("carrier").sum().sort("carrier")


@ln.node
def fitted(flights: pl.DataFrame) -> CarrierModel:
    """Fit the delays of one carrier."""
    features = flights.select(pl.col(FEATURES).cast(pl.Float64)).to_numpy()
    model = LinearRegression().fit(features, flights["arr_delay"].cast(pl.Float64).to_numpy())
    return CarrierModel(flights["carrier"][0], flights.height, model)


def monthly(folder: str | Path, longest_delay: int = 300) -> Monthly:
    """Compose the report on the months in `folder`; nothing runs here."""
    months = ln.map(cleaned, ln.files(f"{folder}/*.parquet"), longest_delay=longest_delay)
    return Monthly(
        delays=ln.reduce(added, ln.map(delays, months)),
        models=ln.map(fitted, ln.shuffle(months, by="carrier")),
    )
