"""Laws of tables in pieces: nothing is lost or made up, order is kept, equal keys meet, and a change stays where it is."""

from __future__ import annotations

import functools
import itertools
import math
import tempfile
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

import lineage as ln
from lineage.content.cuts import cut_points
from lineage.content.rowhash import arrow_columns, has_row_hash, hash_rows
from lineage.content.tables import digest_polars, digest_table
from lineage.pieces import groups, partition, split
from lineage.testing.strategies import TableValue, layouts, table_values

FRAMES = dataframes(
    max_cols=4,
    max_size=30,
    allow_null=True,
    allowed_dtypes=[
        *(pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary),
        *(pl.Date, pl.Time, pl.Datetime, pl.Duration, pl.Decimal(12, 3), pl.Categorical, pl.Enum(["a", "b"])),
        *(pl.List(pl.Int8), pl.Struct({"a": pl.String}), pl.Null),
    ],
)
SMALL = st.sampled_from([1, 2, 3, 8, 100])


def keys_of(frame: pl.DataFrame) -> list[str]:
    return [name for name, column in arrow_columns(frame, frame.columns).items() if has_row_hash(column.type)]


def said(row: tuple[Any, ...]) -> str:
    """Return a row as text, with one NaN and one zero."""
    return repr(tuple(0.0 if value == 0 and isinstance(value, float) else value for value in row))


@given(FRAMES, SMALL, st.data())
def test_the_shards_of_a_frame_are_the_frame(frame: pl.DataFrame, rows: int, data: st.DataObject) -> None:
    keys = keys_of(frame)
    assume(keys or not frame.width)
    by = data.draw(st.none() | st.lists(st.sampled_from(keys), min_size=1, unique=True)) if keys else None
    shards = partition(frame, by, rows)
    assert digest_polars(pl.concat(shards)) == digest_polars(frame)
    assert shards[0].schema == frame.schema
    assert all(shard.height for shard in shards) or len(shards) == 1
    if by is None:
        low, high = max(1, rows // 4), max(1, 2 * rows - max(1, rows // 4))
        assert all(low <= shard.height <= max(high, 4 * rows) for shard in shards[:-1])


@given(table_values(), SMALL, st.data())
def test_layouts_are_hashed_and_cut_alike(value: TableValue, rows: int, data: st.DataObject) -> None:
    one, other = data.draw(layouts(value)), data.draw(layouts(value))
    keys = [field.name for field in one.schema if has_row_hash(field.type)]
    assume(keys)
    by = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    hashes = [hash_rows({name: table.column(name) for name in by}).tolist() for table in (one, other)]
    assert hashes[0] == hashes[1]
    for keys_or_all in (by, None):
        first, second = (partition(table, keys_or_all, rows) for table in (one, other))
        assert [digest_table(shard).digest for shard in first] == [digest_table(shard).digest for shard in second]


@given(table_values(), SMALL, st.data())
def test_the_shards_of_an_arrow_table_are_the_table(value: TableValue, rows: int, data: st.DataObject) -> None:
    table = data.draw(layouts(value))
    assume(not value.columns or any(has_row_hash(field.type) for field in table.schema))
    shards = partition(table, None, rows)
    assert sum(shard.num_rows for shard in shards) == table.num_rows
    if table.num_columns:
        assert digest_table(pa.concat_tables(shards)) == digest_table(table)


@given(FRAMES, st.integers(1, 9), st.data())
def test_sharing_out_loses_no_row_and_keeps_their_order(frame: pl.DataFrame, into: int, data: st.DataObject) -> None:
    keys = keys_of(frame)
    assume(keys)
    by = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    empty, *pieces = split(frame.with_row_index("row nr"), by, into)
    assert len(pieces) == into
    assert empty.height == 0
    rows = [piece["row nr"].to_list() for piece in pieces if piece is not None]
    assert all(rows), "a piece without rows is None"
    assert all(found == sorted(found) for found in rows)
    assert sorted(itertools.chain.from_iterable(rows)) == list(range(frame.height))
    for piece in pieces:
        if piece is not None:
            nrs = piece["row nr"].to_list()
            assert digest_polars(piece.drop("row nr")) == digest_polars(frame[nrs])


@given(FRAMES, st.integers(0, 30), st.data())
def test_equal_keys_meet_from_whatever_part(frame: pl.DataFrame, at: int, data: st.DataObject) -> None:
    keys = keys_of(frame)
    assume(keys and frame.height)
    by = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    place: dict[str, int] = {}
    for part in (frame[:at], frame[at:], frame.reverse()):
        for bucket, piece in enumerate(split(part, by, 5)[1:]):
            for row in piece.select(by).rows() if piece is not None else ():
                assert place.setdefault(said(row), bucket) == bucket


@given(FRAMES, st.data())
def test_groups_are_one_key_each(frame: pl.DataFrame, data: st.DataObject) -> None:
    keys = keys_of(frame)
    assume(keys)
    by = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    found = groups(frame.with_row_index("row nr"), by)
    distinct = [{said(row) for row in group.select(by).rows()} for group in found]
    assert all(len(of_one) == 1 for of_one in distinct)
    assert len(set.union(set(), *distinct)) == len(found)
    rows = [group["row nr"].to_list() for group in found]
    assert all(found == sorted(found) for found in rows)
    assert sorted(itertools.chain.from_iterable(rows)) == list(range(frame.height))


@given(st.lists(st.integers(0, 3), max_size=200), st.sampled_from([4, 8, 20]))
def test_runs_of_equal_keys_stay_whole_unless_too_long(keys: list[int], rows: int) -> None:
    hashes = hash_rows({"key": pa.chunked_array([pa.array(keys, pa.int64())])})
    whole = np.arange(len(keys)).astype(np.uint64)
    cuts = cut_points(hashes, rows, lambda: whole)
    ends = [0, *cuts, len(keys)]
    assert all(b - a <= 4 * rows for a, b in itertools.pairwise(ends))
    for cut in cuts:
        if keys[cut] == keys[cut - 1]:
            run = [len(list(same)) for key, same in itertools.groupby(keys)]
            assert max(run) > rows, "a run was cut that is no longer than a shard"


def shards_of(keys: list[int] | np.ndarray[Any, Any], rows: int) -> list[bytes]:
    array = np.asarray(keys, np.int64)
    hashes = hash_rows({"key": pa.chunked_array([pa.array(array)])})
    ends = [0, *cut_points(hashes, rows, lambda: hashes), len(array)]
    return [array[a:b].tobytes() for a, b in itertools.pairwise(ends)]


@given(st.integers(0, 2**32), st.sampled_from(["insert", "delete", "update", "swap"]))
@settings(max_examples=30)
def test_a_changed_row_changes_one_shard_seldom_two(seed: int, change: str) -> None:
    draw = np.random.default_rng(seed)
    table = draw.integers(0, 2**60, 6_000)
    before = set(shards_of(table, 100))
    changed = []
    for _ in range(30):
        at = int(draw.integers(0, len(table) - 1))
        if change == "insert":
            new = np.insert(table, at, draw.integers(0, 2**60))
        elif change == "delete":
            new = np.delete(table, at)
        elif change == "update":
            new = np.concatenate([table[:at], [1], table[at + 1 :]])
        else:
            new = np.concatenate([table[:at], table[at : at + 2][::-1], table[at + 2 :]])
        changed.append(len(set(shards_of(new, 100)) - before))
    assert sum(changed) / len(changed) < 1.5
    assert sorted(changed)[-3] <= 2


@given(st.integers(0, 2**32), st.integers(1, 2_000), st.integers(0, 500))
def test_appended_rows_change_nothing_but_the_last_shard(seed: int, rows: int, more: int) -> None:
    table = np.random.default_rng(seed).integers(0, 2**60, rows + more)
    before = shards_of(table[:rows], 20)
    assert shards_of(table, 20)[: len(before) - 1] == before[:-1]


@given(st.lists(st.integers(0, 9), max_size=300), st.lists(st.integers(0, 9), max_size=40), st.sampled_from([1, 4, 10]))
def test_tables_cut_alike_once_are_cut_alike_as_long_as_they_are_alike(
    tail: list[int], head: list[int], rows: int
) -> None:
    whole, rest = shards_of(head + tail, rows), shards_of(tail, rows)
    start = 8 * len(head)
    cuts = list(itertools.accumulate(map(len, whole)))
    if start in (0, *cuts):
        assert whole[([0, *cuts]).index(start) :] == rest or not tail


@ln.node
def passed(table: pl.DataFrame) -> pl.DataFrame:
    return table


@functools.cache
def the_session() -> ln.Session:
    return ln.Session(tempfile.mkdtemp(prefix="lineage-shards-"))


@given(FRAMES, st.integers(1, 4), st.data())
@settings(max_examples=25)
def test_what_is_shared_out_in_a_graph_is_what_is_shared_out_of_the_whole(
    frame: pl.DataFrame, into: int, data: st.DataObject
) -> None:
    keys = keys_of(frame)
    assume(keys)
    by = data.draw(st.lists(st.sampled_from(keys), min_size=1, unique=True))
    size = max(1, math.ceil(frame.height / 3))
    parts = [passed(frame[start : start + size]) for start in range(0, max(1, frame.height), size)]
    found = the_session().compute(ln.shuffle(parts, by=by, into=into))
    empty, *pieces = split(frame, by, into)
    assert [digest_polars(table) for table in found] == [
        digest_polars(empty if piece is None else piece) for piece in pieces
    ]
    assert digest_polars(the_session().compute(ln.scan(parts)).collect()) == digest_polars(frame)


def test_arrow_columns_are_the_columns() -> None:
    frame = pl.DataFrame({"b": [1], "a": ["x"]})
    assert list(arrow_columns(frame, ["a", "b"])) == ["a", "b"]
