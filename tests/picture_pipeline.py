"""Nodes whose graphs the tests of pictures look at."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl

import lineage as ln

__all__ = ["broken", "clean", "fit", "interrupted", "load", "patient", "report", "score", "split"]


@ln.node
def load(month: ln.File) -> pl.DataFrame:
    return pl.read_parquet(month.path)


@ln.node
def clean(flights: pl.DataFrame, min_minutes: int = 15) -> pl.DataFrame:
    return flights.filter(pl.col("dep_delay") >= min_minutes)


@ln.node
def split(flights: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    table = flights.collect()
    return table.head(5), table.tail(5)


@ln.node
def fit(train: pl.DataFrame, alpha: float) -> dict[str, float]:
    return {"mean": float(train["dep_delay"].sum()) / train.height, "alpha": alpha}


@ln.node
def score(model: dict[str, float], test: pl.DataFrame) -> float:
    return float(test["dep_delay"].sum()) - model["mean"] * model["alpha"]


@ln.node
def broken(x: float) -> float:
    raise ValueError(f"no <number> & no way: {x > 0}")


@ln.node
def report(scores: list[float], more: float = 0.0) -> str:
    return f"{len(scores)} scores"


@ln.node
def interrupted(x: int) -> int:
    raise KeyboardInterrupt


@ln.node
def patient(gate: str) -> int:
    """Wait for a file to come."""
    while not Path(gate).exists():
        time.sleep(0.005)
    return 1


def months(folder: Path, count: int) -> list[ln.File]:
    """Return so many files of flights, made if need be."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        path = folder / f"{number:03}.parquet"
        if not path.exists():
            table = pl.DataFrame({"carrier": ["UA", "B6", "AA"] * 4, "dep_delay": [20, 3, 40 + number] * 4})
            table.write_parquet(path)
    return ln.files(folder / "*.parquet")[:count]


def pipeline(folder: Path, count: int, alphas: tuple[float, ...] = (0.1,)) -> str:
    """Return a call whose graph has about two calls a month, two per alpha, and two more."""
    train, test = split(ln.scan(ln.map(clean, ln.map(load, months(folder, count)))))
    return report([score(fit(train, alpha), test) for alpha in alphas])
