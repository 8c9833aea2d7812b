"""What goes wrong, seen elsewhere, when trips are cut, filtered, sampled and added up by hand; and does not here."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

import lineage as ln
from lineage.errors import LineageError, NodeError, UndeclaredReadError


def trips(rows: int, seed: int = 0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": np.arange(rows),
            "zone": generator.integers(0, 20, rows),
            "fare": generator.gamma(2.0, 6.0, rows).round(2),
        }
    )


class Limits(NamedTuple):
    low: float
    high: float


@ln.node
def limits(table: pl.LazyFrame) -> Limits:
    """Percentiles of the whole, not of a shard."""
    found = table.select(
        pl.col("fare").quantile(0.02, "nearest").alias("low"), pl.col("fare").quantile(0.98, "nearest").alias("high")
    ).collect()
    return Limits(found["low"][0], found["high"][0])


@ln.node
def within(shard: pl.DataFrame, low: float, high: float) -> pl.DataFrame:
    """Both ends belong to it, so that a column of one value keeps its rows; so does a fare that is not known."""
    return shard.filter(pl.col("fare").is_between(low, high) | pl.col("fare").is_null())


@ln.node
def count(shard: pl.DataFrame) -> int:
    return shard.height


@ln.node
def add(one: int, other: int) -> int:
    return one + other


def kept(table: pl.DataFrame, rows: int) -> int:
    shards = ln.partition(table, rows=rows)
    ends = limits(ln.scan(shards))
    return ln.reduce(add, ln.map(count, ln.map(within, shards, low=ends.low, high=ends.high)))


def test_a_filter_by_percentiles_keeps_the_same_rows_in_any_number_of_shards(session: ln.Session) -> None:
    table = trips(20_000)
    found = {rows: ln.compute(kept(table, rows)) for rows in (100_000, 5_000, 700)}
    assert len(set(found.values())) == 1
    assert 0.95 * 20_000 < found[700] < 0.97 * 20_000


@pytest.mark.parametrize("value", [7.0, None])
def test_a_column_of_one_value_keeps_its_rows(session: ln.Session, value: float | None) -> None:
    table = trips(500).with_columns(pl.lit(value, pl.Float64).alias("fare"))

    @ln.node
    def all_of(shard: pl.DataFrame) -> pl.DataFrame:
        low, high = shard["fare"].min(), shard["fare"].max()
        return shard.filter(pl.col("fare").is_between(low, high) | pl.col("fare").is_null())

    assert ln.compute(ln.reduce(add, ln.map(count, ln.map(all_of, ln.partition(table, rows=50))))) == 500


def test_one_value_that_is_missing_costs_one_row_and_not_all(session: ln.Session) -> None:
    table = trips(1_000).with_columns(pl.when(pl.col("id") == 17).then(None).otherwise(pl.col("fare")).alias("fare"))
    assert ln.compute(kept(table, 100)) == pytest.approx(960, abs=5)


@pytest.mark.parametrize("rows", [0, 1, 2, 6, 10, 18])
def test_few_rows_make_no_shards_for_nothing(session: ln.Session, rows: int) -> None:
    shards = ln.compute(ln.partition(trips(rows), rows=4))
    assert sum(shard.height for shard in shards) == rows
    assert all(shard.height for shard in shards) or len(shards) == 1  # no rows at all are one shard with a schema
    assert max(shard.height for shard in shards) <= 16
    assert ln.compute(ln.reduce(add, ln.map(count, ln.partition(trips(rows), rows=4)))) == rows


def test_a_shard_without_rows_is_merged_like_any_other(session: ln.Session) -> None:
    parts = [trips(10), trips(0), trips(5)]
    assert ln.compute(ln.reduce(add, ln.map(count, parts))) == 15
    assert ln.compute(ln.scan(parts)).select(pl.len()).collect().item() == 15


def test_an_unseeded_sample_is_refused_and_a_seeded_one_is_not(session: ln.Session) -> None:
    @ln.node
    def at_random(table: pl.DataFrame) -> list[int]:
        return random.Random().sample(table["id"].to_list(), 10)

    @ln.node
    def by_seed(table: pl.DataFrame, seed: int) -> list[int]:
        return table.sample(10, seed=seed)["id"].to_list()

    with pytest.raises(UndeclaredReadError, match=r"random"):
        ln.compute(at_random(trips(100)))
    assert ln.compute(by_seed(trips(100), 7)) == by_seed.fn(trips(100), 7)


def test_a_later_file_of_another_schema_is_named(session: ln.Session, tmp_path: Path) -> None:
    """Its schema is not taken from the first file alone."""

    @ln.node
    def read(file: ln.File) -> pl.DataFrame:
        return pl.read_parquet(file.path)

    @ln.node
    def fares(table: pl.LazyFrame) -> float:
        return float(table.select(pl.col("fare").sum()).collect().item())

    trips(5).write_parquet(tmp_path / "1.parquet")
    trips(5).with_columns(pl.col("fare").cast(pl.Float32)).write_parquet(tmp_path / "2.parquet")
    with pytest.raises((NodeError, LineageError), match=r"fare.*Float(32|64)"):
        ln.compute(fares(ln.scan(ln.map(read, ln.files(tmp_path / "*.parquet")))))


def test_a_consumer_of_three_columns_reads_three(session: ln.Session) -> None:
    wide = trips(1_000).with_columns(*(pl.lit("x" * 50).alias(f"c{n}") for n in range(15)))
    frame = ln.compute(ln.scan(ln.partition(wide, rows=100)))
    assert "PROJECT 3/18 COLUMNS" in frame.select("id", "zone", "fare").explain()


def test_a_file_that_lies_around_is_warned_about(session: ln.Session, tmp_path: Path) -> None:
    """Data that a node takes from the working folder is no input: the next run would not see it change."""
    (tmp_path / "left-over.csv").write_text("fare\n1.5\n")
    here = str(tmp_path)

    @ln.node(name="total")
    def total(folder: str) -> float:
        return sum(float(line) for line in Path(folder, "left-over.csv").read_text().splitlines()[1:])

    with pytest.warns(UserWarning, match=r"left-over.csv.*no input"):
        assert ln.compute(total(here)) == 1.5
