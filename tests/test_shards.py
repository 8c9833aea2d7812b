"""Tables in pieces: cut, shared out by key, read as one; and what a change of one piece leaves alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lineage as ln
from lineage.errors import CompositionError, LineageError, NodeError, SchemaError, WiringError
from lineage.testing import EventLog

CARRIERS = ["AA", "B6", "DL", "UA", "WN"]


@ln.node
def month(number: int, carriers: int = 5, extra: int = 0) -> pl.DataFrame:
    rows = np.arange(200 + extra)
    names = [CARRIERS[row % carriers] for row in rows]
    return pl.DataFrame({"flight": rows + 1000 * number, "carrier": names, "delay": rows / 7})


@ln.node
def months(count: int) -> list[pl.DataFrame]:
    return [month.fn(number) for number in range(count)]


@ln.node
def total(table: pl.DataFrame) -> tuple[int, int]:
    return table.height, int(table["flight"].sum())


@ln.node
def lazily(table: pl.LazyFrame) -> int:
    return int(table.select(pl.len()).collect().item())


@ln.node
def passed(table: pl.DataFrame) -> pl.DataFrame:
    return table


@ln.node
def inserted(table: pl.DataFrame, at: int) -> pl.DataFrame:
    return pl.concat([table[:at], table[:1].with_columns(flight=pl.lit(-1, pl.Int64)), table[at:]])


@ln.node
def big(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(1)
    return pl.DataFrame({"flight": draw.integers(0, 2**40, rows), "delay": draw.random(rows)})


LIBRARIES = {
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "arrow": pa.Table,
    "pandas": pd.DataFrame,
}


def as_polars(table: Any) -> pl.DataFrame:
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    return table if isinstance(table, pl.DataFrame) else pl.DataFrame(pl.from_arrow(table))


# -- partition


@pytest.mark.parametrize("library", LIBRARIES)
def test_shards_are_of_the_type_of_the_table_and_make_it_up(library: str, session: ln.Session) -> None:
    shards = ln.compute(ln.partition(ln.view(month(1), LIBRARIES[library]), rows=50))
    assert {type(shard) for shard in shards} == {LIBRARIES[library]}
    assert len(shards) > 2
    assert pl.concat([as_polars(shard) for shard in shards]).equals(month.fn(1))


def test_an_inserted_row_leaves_the_other_shards_alone(session: ln.Session, log: EventLog) -> None:
    table = big(5000)
    ln.compute(ln.map(total, ln.partition(table, rows=500)))
    log.clear()
    ln.compute(ln.map(total, ln.partition(inserted(table, 2345), rows=500)))
    assert Counter(log.names())["executed total"] == 1
    assert Counter(log.names())["cutoff total"] >= 7


def test_a_new_column_cuts_where_the_key_did(session: ln.Session) -> None:
    table = big.fn(3000)
    heights = [
        [shard.height for shard in ln.compute(ln.partition(one, by="flight", rows=300))]
        for one in (table, table.with_columns(new=pl.col("delay") * 2))
    ]
    assert heights[0] == heights[1]


def test_rows_of_equal_key_that_follow_one_another_stay_together(session: ln.Session) -> None:
    table = pl.DataFrame({"key": np.repeat(np.arange(100), 7), "x": np.arange(700)})
    shards = ln.compute(ln.partition(table, by="key", rows=20))
    assert all(shard["key"].value_counts()["count"].eq(7).all() for shard in shards)


def test_a_run_that_is_too_long_is_cut_and_the_shards_are_bounded(session: ln.Session) -> None:
    table = pl.DataFrame({"key": ["a"] * 1000, "x": np.arange(1000)})
    heights = [shard.height for shard in ln.compute(ln.partition(table, by="key", rows=20))]
    assert max(heights) <= 80
    assert sum(heights) == 1000


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"x": [1.0, None, float("nan")] * 20}),
        pl.DataFrame({"x": [1]}),
        pl.DataFrame({"x": [None] * 50}),
        pl.DataFrame({"x": [7] * 50}),
        pl.DataFrame({"x": [[1], [2]], "y": ["a", None]}),
        pl.DataFrame(height=5),
        pl.DataFrame({"x": [2**100, None]}, schema={"x": pl.Int128}),
    ],
    ids=["nan and null", "one row", "nulls", "all equal", "a nested column", "no columns", "wide integers"],
)
def test_any_table_can_be_cut(table: pl.DataFrame, session: ln.Session) -> None:
    shards = ln.compute(ln.partition(table, rows=10))
    assert pl.concat(shards).equals(table) if table.width else sum(map(len, shards)) == len(table)


def test_a_table_without_rows_is_one_shard_with_its_columns(session: ln.Session) -> None:
    shards = ln.compute(ln.partition(pl.DataFrame(schema={"x": pl.Date}), rows=10))
    assert [shard.height for shard in shards] == [0]
    assert shards[0].schema == {"x": pl.Date}
    assert ln.compute(ln.scan(ln.partition(pl.DataFrame(schema={"x": pl.Date})))).collect_schema() == {"x": pl.Date}


def test_several_tables_are_cut_as_one(session: ln.Session) -> None:
    whole = pl.concat([month.fn(1), month.fn(2)])
    for parts in ([month(1), month(2)], [month(1), month.fn(2)]):
        assert pl.concat(ln.compute(ln.partition(parts, rows=50))).equals(whole)
    assert pl.concat(ln.compute(ln.partition(months(3), rows=50))).height == 600


def test_nested_columns_alone_say_nowhere_to_cut(session: ln.Session) -> None:
    with pytest.raises(NodeError, match=r"all columns are nested \(x\)"):
        ln.compute(ln.partition(pl.DataFrame({"x": [[1]]})))
    with pytest.raises(NodeError, match=r"column 'x' is of type .*list"):
        ln.compute(ln.partition(pl.DataFrame({"x": [[1]]}), by="x"))


@pytest.mark.parametrize("rows", [0, -1, 2.5, True, "10"])
def test_rows_is_a_number_from_one(rows: Any) -> None:
    with pytest.raises(CompositionError, match="rows is how many a shard has"):
        ln.partition(month(1), rows=rows)


@pytest.mark.parametrize("by", [[], "", 3, [3], ["a", "a"], None])
def test_by_is_a_column_or_several(by: Any) -> None:
    if by != "":
        with pytest.raises(CompositionError, match="by is a column"):
            ln.shuffle([month(1)], by=by, into=2)


def test_an_unknown_column_is_named_with_the_nearest(session: ln.Session) -> None:
    @ln.node
    def promised(n: int) -> Annotated[pl.DataFrame, ln.Schema({"carrier": str})]:
        return pl.DataFrame({"carrier": ["AA"]})

    advice = "no column 'carier' to go by; did you mean 'carrier'"
    for table in (promised(1), month.fn(1)):
        with pytest.raises(WiringError, match=advice):
            ln.partition(table, by="carier")
        with pytest.raises(WiringError, match=advice):
            ln.shuffle([table], by="carier", into=2)
    with pytest.raises(SchemaError, match=advice):
        ln.compute(ln.shuffle([month(1)], by="carier", into=2))


def test_what_is_no_table_is_refused() -> None:
    wrongs: list[Any] = [total(month(1)), 3, [3], [month(1), 3]]
    for wrong in wrongs:
        with pytest.raises((WiringError, TypeError), match=r"no table|not iterable"):
            ln.partition(wrong)
    mixed: list[Any] = [month(1), ln.scan(month(2))]
    with pytest.raises(WiringError, match="of several types, DataFrame and LazyFrame"):
        ln.shuffle(mixed, by="carrier", into=2)


# -- shuffle


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_of_one_key_meet_in_one_table(library: str, session: ln.Session) -> None:
    parts = [ln.view(month(number), LIBRARIES[library]) for number in (1, 2, 3)]
    tables = [as_polars(table) for table in ln.compute(ln.shuffle(parts, by="carrier", into=3))]
    places = {carrier: place for place, table in enumerate(tables) for carrier in table["carrier"].unique()}
    assert set(places) == set(CARRIERS)
    assert sum(table["carrier"].n_unique() for table in tables) == 5
    whole = pl.concat([month.fn(number) for number in (1, 2, 3)])
    for place, table in enumerate(tables):
        here = [carrier for carrier in CARRIERS if places[carrier] == place]
        assert table.equals(whole.filter(pl.col("carrier").is_in(here)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_without_into_there_is_a_table_for_each_key(library: str, session: ln.Session) -> None:
    parts = [ln.view(month(number), LIBRARIES[library]) for number in (1, 2)]
    tables = ln.compute(ln.shuffle(parts, by="carrier"))
    assert {type(table) for table in tables} == {LIBRARIES[library]}
    assert sorted(as_polars(table)["carrier"].unique().to_list() for table in tables) == [[name] for name in CARRIERS]


def test_a_table_of_a_shuffle_is_typed_as_the_parts(session: ln.Session) -> None:
    mapped: Any = ln.map
    by_key = ln.shuffle([month(1)], by="carrier")
    with pytest.raises(WiringError, match="DataFrame is not LazyFrame"):
        mapped(lazily, by_key)
    with pytest.raises(WiringError, match="DataFrame is not LazyFrame"):
        mapped(lazily, ln.shuffle([month(1)], by="carrier", into=2))
    with pytest.raises(WiringError, match="DataFrame is not LazyFrame"):
        mapped(lazily, ln.shuffle(months(2), by="carrier", into=2))


def test_a_new_part_is_shared_out_alone_and_touches_the_tables_that_it_has_rows_for(
    session: ln.Session, log: EventLog
) -> None:
    ln.compute(ln.map(total, ln.shuffle([month(1), month(2)], by="carrier", into=4)))
    log.clear()
    ln.compute(ln.map(total, ln.shuffle([month(1), month(2), month(3, carriers=1)], by="carrier", into=4)))
    found = Counter(log.names())
    assert found["executed shuffle"] == 1
    assert found["executed total"] == 1
    assert found["cutoff total"] == 3


def test_a_changed_part_leaves_tables_with_the_same_rows_alone(session: ln.Session, log: EventLog) -> None:
    ln.compute(ln.map(total, ln.shuffle([month(1), month(2)], by="carrier")))
    log.clear()
    ln.compute(ln.map(total, ln.shuffle([month(1), month(2, extra=1)], by="carrier")))
    found = Counter(log.names())
    assert found["executed shuffle"] == 1
    assert found["executed total"] == 1  # row 200 is one more flight of AA


def test_the_number_of_parts_may_be_known_at_run_time_only(session: ln.Session) -> None:
    known = ln.shuffle([month(number) for number in range(3)], by="carrier", into=3)
    unknown = ln.shuffle(months(3), by="carrier", into=3)
    assert ln.compute(ln.map(total, unknown)) == ln.compute(ln.map(total, known))
    assert len(ln.compute(ln.map(total, ln.shuffle(months(3), by="carrier")))) == 5


def test_one_table_can_be_shared_out(session: ln.Session) -> None:
    assert sum(table.height for table in ln.compute(ln.shuffle(month(1), by="carrier", into=3))) == 200


def test_a_table_without_rows_has_its_columns(session: ln.Session) -> None:
    parts = [pl.DataFrame(schema={"k": pl.Int8, "x": pl.Date})]
    tables = ln.compute(ln.shuffle(parts, by="k", into=2))
    assert [dict(table.schema) for table in tables] == [{"k": pl.Int8, "x": pl.Date}] * 2
    assert ln.compute(ln.shuffle(parts, by="k")) == []


def test_nulls_and_nans_are_keys(session: ln.Session) -> None:
    parts = [pl.DataFrame({"k": [None, float("nan"), 0.0]}), pl.DataFrame({"k": [-0.0, float("nan"), None]})]
    tables = ln.compute(ln.shuffle(parts, by="k"))
    assert sorted(table.height for table in tables) == [2, 2, 2]


def test_keys_that_share_a_hash_are_still_two(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from lineage import pieces

    monkeypatch.setattr(pieces, "hash_rows", lambda columns: np.zeros(4, np.uint64))
    assert [table["k"].to_list() for table in pieces.groups(pl.DataFrame({"k": [1, 2, 1, 2]}), ["k"])] == [
        [1, 1],
        [2, 2],
    ]


def test_no_parts_are_refused(session: ln.Session) -> None:
    with pytest.raises(CompositionError, match="there are no parts, so nothing says what columns"):
        ln.shuffle([], by="k", into=2)
    with pytest.raises(NodeError, match="there are no parts, so nothing says what columns"):
        ln.compute(ln.shuffle(months(0), by="k", into=2))


def test_parts_with_other_columns_are_refused_naming_both(session: ln.Session) -> None:
    parts = [pl.DataFrame({"k": [1], "x": [1]}), pl.DataFrame({"k": [1], "x": ["a"]})]
    for tables in (ln.shuffle(parts, by="k", into=2), ln.partition(parts, by="k")):
        with pytest.raises(SchemaError, match="'x' is Int64 in table 0 and String in table 1"):
            ln.compute(tables)


@pytest.mark.parametrize("into", [0, -1, 10_001, 2.0, True])
def test_into_is_a_number_of_tables(into: Any) -> None:
    with pytest.raises(CompositionError, match="into is a number of tables from 1 to 10,000"):
        ln.shuffle([month(1)], by="carrier", into=into)


def test_a_table_for_each_of_too_many_keys_is_refused(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from lineage import pieces

    monkeypatch.setattr(pieces, "_MOST_KEYS", 3)
    with pytest.raises(SchemaError, match=r"more than 3 values in one bucket.*into="):
        ln.compute(ln.shuffle([pl.DataFrame({"k": range(1000)})], by="k"))


# -- scan


def test_many_shards_are_one_scan_that_reads_what_is_asked_for(session: ln.Session) -> None:
    frame = ln.compute(ln.scan([month(number) for number in range(150)]))
    assert frame.explain(optimized=False).count("SCAN") == 1
    plan = frame.filter(pl.col("flight") > 149_100).select("delay").explain()
    assert plan.count("SCAN") == 1
    assert "149 other sources" in plan
    assert "PROJECT 2/3 COLUMNS" in plan
    assert "SELECTION" in plan
    assert frame.filter(pl.col("flight") > 149_100).select(pl.len()).collect().item() == 99


def test_a_dataset_of_tables_scans_like_its_calls(session: ln.Session) -> None:
    handle = ln.materialize([month(1), month(2)])
    assert handle.scan().select(pl.len()).collect().item() == 400
    assert ln.materialize(month(1)).scan().collect().equals(month.fn(1))
    with pytest.raises(LineageError, match="only tables and lists of tables"):
        ln.materialize(total(month(1))).scan()


def test_paths_make_no_columns(tmp_path: Path) -> None:
    with ln.Session(tmp_path / "year=2013" / "store"):
        frame = ln.compute(ln.scan([month(1), month(2)]))
        assert frame.collect_schema().names() == ["flight", "carrier", "delay"]


STORED = {
    "parquet": pl.Series("x", [1, None, 3]),
    "ipc": pl.Series("x", [2**100, None], dtype=pl.Int128),
    "categories": pl.Series("x", ["a", None, "b"], dtype=pl.Categorical),
    "enum": pl.Series("x", ["a", None, "b"], dtype=pl.Enum(["b", "a"])),
    "lists": pl.Series("x", [[1], None, []], dtype=pl.List(pl.Int8)),
    "zones": pl.Series("x", [0, None], dtype=pl.Datetime("us", "Europe/Paris")),
    "nothing": pl.Series("x", [], dtype=pl.Float32),
    "nulls": pl.Series("x", [None, None], dtype=pl.Null),
}


@pytest.mark.parametrize("kind", STORED)
def test_tables_are_read_as_one_however_they_are_stored(kind: str, session: ln.Session) -> None:
    table = STORED[kind].to_frame()
    parts = [passed(table), table, passed(table[:1]), passed(table[:0])]
    whole = pl.concat([table, table, table[:1]])
    assert ln.compute(ln.scan(parts)).collect().equals(whole)
    assert ln.compute(ln.view(parts, pl.DataFrame)).equals(whole)
    assert ln.compute(passed(ln.view(parts, pl.DataFrame))).equals(whole)


@pytest.mark.parametrize("first", LIBRARIES)
@pytest.mark.parametrize("second", LIBRARIES)
def test_tables_of_any_libraries_are_scanned_together(first: str, second: str, session: ln.Session) -> None:
    tables = {
        "polars": pl.DataFrame({"x": [1.5], "y": ["a"]}),
        "lazy": ln.scan(pl.DataFrame({"x": [1.5], "y": ["a"]})),
        "arrow": pa.table({"x": [1.5], "y": ["a"]}),
        "pandas": pd.DataFrame({"x": [1.5], "y": ["a"]}),
    }
    found = ln.compute(ln.scan([tables[first], tables[second]])).collect()
    assert found.rows() == [(1.5, "a"), (1.5, "a")]


def test_several_arrow_and_pandas_tables_are_read_as_one(session: ln.Session) -> None:
    parts = [month(1), month(2)]
    assert ln.compute(ln.view(parts, pa.Table)).num_rows == 400
    assert len(ln.compute(ln.view(parts, pd.DataFrame))) == 400


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"a": [1.0], "b": ["x"]}, "'a' is Int64 in table 0 and Float64 in table 2"),
        ({"b": ["x"], "a": [1]}, "they stand as a, b in table 0 and as b, a in table 2"),
        ({"a": [1]}, "'b' is in table 0 .* and not in table 2"),
        ({"a": [1], "b": ["x"], "c": [1]}, "'c' is in table 2 .* and not in table 0"),
    ],
    ids=["type", "order", "missing", "more"],
)
def test_other_columns_are_refused_by_name(other: dict[str, Any], said: str, session: ln.Session) -> None:
    table = pl.DataFrame({"a": [1], "b": ["x"]})
    with pytest.raises(SchemaError, match=said):
        ln.compute(ln.scan([table, passed(table), pl.DataFrame(other)]))
    with pytest.raises(SchemaError, match=said):
        ln.compute(lazily(ln.scan([table, passed(table), pl.DataFrame(other)])))


def test_no_tables_need_a_schema(session: ln.Session) -> None:
    with pytest.raises(CompositionError, match="give schema="):
        ln.scan([])
    with pytest.raises(LineageError, match="give schema="):
        ln.compute(ln.scan(months(0)))
    for none in ([], months(0)):
        frame = ln.compute(ln.scan(none, schema=ln.Schema({"flight": int})))
        assert frame.collect().schema == {"flight": pl.Int64}
    assert ln.compute(lazily(ln.scan(months(1), schema=month.fn(1).schema))) == 200
    with pytest.raises(SchemaError, match="'carrier' is in table 1"):
        ln.compute(ln.scan(months(1), schema={"flight": int}))
