"""Taxi rides as the yellow cabs of New York record them: 18 columns, seeded, about as compressible as the real ones.

`python source_taxi.py FOLDER FILES ROWS` writes FILES parquet files of ROWS rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["make_rides", "write_rides"]

_START = 1_417_392_000
"""December 2014 in seconds, whose 31 days the rides begin in."""


def make_rides(rows: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    begin = _START + random.integers(0, 31 * 86_400, rows)
    miles = random.lognormal(0.6, 0.8, rows).round(2)
    seconds = (100 + miles * random.normal(240, 60, rows).clip(60)).astype(np.int64)
    fare = (2 * (2.5 + 2.5 * miles + seconds / 300)).round() / 2
    tip = np.where(random.random(rows) < 0.5, (fare * 0.2).round(2), 0.0)
    tolls = np.where(random.random(rows) < 0.05, 5.33, 0.0)
    extra = random.choice(np.array([0.0, 0.5, 1.0]), rows)
    longitude, latitude = random.normal(-73.98, 0.03, rows), random.normal(40.75, 0.03, rows)

    def instant(since: np.ndarray) -> pl.Series:
        return pl.Series(since * 1000).cast(pl.Datetime("ms"))

    def word(words: list[str], weights: list[float]) -> pl.Series:
        return pl.Series(words).gather(random.choice(len(words), rows, p=weights).astype(np.uint32))

    def single(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)

    return pl.DataFrame(
        {
            "vendor_id": word(["CMT", "VTS"], [0.5, 0.5]),
            "pickup_at": instant(begin),
            "dropoff_at": instant(begin + seconds),
            "passenger_count": random.choice(7, rows, p=[0.01, 0.7, 0.14, 0.04, 0.02, 0.05, 0.04]).astype(np.int8),
            "trip_distance": single(miles),
            "pickup_longitude": single(longitude),
            "pickup_latitude": single(latitude),
            "rate_code_id": word(list("123456"), [0.97, 0.02, 0.003, 0.003, 0.003, 0.001]),
            "store_and_fwd_flag": word(["N", "Y"], [0.99, 0.01]),
            "dropoff_longitude": single(longitude + random.normal(0, 0.01, rows)),
            "dropoff_latitude": single(latitude + random.normal(0, 0.01, rows)),
            "payment_type": word(["CRD", "CSH", "NOC", "DIS"], [0.57, 0.42, 0.007, 0.003]),
            "fare_amount": single(fare),
            "extra": single(extra),
            "mta_tax": single(np.full(rows, 0.5)),
            "tip_amount": single(tip),
            "tolls_amount": single(tolls),
            "total_amount": single(fare + tip + tolls + extra + 0.5),
        }
    )


def write_rides(folder: Path, count: int, rows: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        make_rides(rows, number).write_parquet(folder / f"rides-{number:02d}.parquet", compression="lz4")


if __name__ == "__main__":
    write_rides(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
