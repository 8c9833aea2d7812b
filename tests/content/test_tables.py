"""What counts in a table, and what does not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lineage.content import tables
from lineage.content.arrays import BLOCK_ROWS
from lineage.content.tables import digest_array, digest_polars, digest_table
from lineage.errors import UnstableIdentityError

TABLE = pa.table(
    {
        "key": pa.array([1, None, 3, 4], pa.int64()),
        "word": pa.array(["a", None, "", "a long string, not inlined"]),
        "share": pa.array([0.5, float("nan"), None, -0.0]),
        "yes": pa.array([True, None, False, True]),
        "many": pa.array([["x", None], None, [], ["y"]]),
        "pair": pa.array([{"a": 1, "b": "p"}, None, {"a": None, "b": None}, {"a": 4, "b": "q"}]),
    }
)


def _each(change: Callable[[pa.ChunkedArray], Any]) -> pa.Table:
    return pa.table({name: change(TABLE.column(name)) for name in TABLE.column_names})


def _rechunked() -> pa.Table:
    return pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 0), TABLE.slice(1, 2), TABLE.slice(3)])


def _sliced() -> pa.Table:
    return pa.concat_tables([TABLE.slice(2), TABLE, TABLE]).combine_chunks().slice(2, 4)


def _encoded() -> pa.Table:
    leaves = {"key", "word", "share", "yes"}
    return pa.table(
        {n: c.dictionary_encode() if n in leaves else c for n, c in zip(TABLE.column_names, TABLE, strict=True)}
    )


def _run_ends() -> pa.Table:
    leaves = {"key", "word", "share", "yes"}
    return pa.table(
        {n: pc.run_end_encode(c) if n in leaves else c for n, c in zip(TABLE.column_names, TABLE, strict=True)}
    )


def _larger() -> pa.Table:
    return TABLE.cast(
        pa.schema(
            [
                pa.field("key", pa.int64()),
                pa.field("word", pa.large_string()),
                pa.field("share", pa.float64()),
                pa.field("yes", pa.bool_()),
                pa.field("many", pa.large_list(pa.large_string())),
                pa.field("pair", pa.struct({"a": pa.int64(), "b": pa.large_string()})),
            ]
        )
    )


def _views() -> pa.Table:
    return TABLE.set_column(1, "word", TABLE["word"].cast(pa.string_view())).set_column(
        4, "many", pa.array(TABLE["many"].to_pylist(), pa.list_view(pa.string()))
    )


def _through_polars() -> pa.Table:
    frame = pl.from_arrow(TABLE)
    assert isinstance(frame, pl.DataFrame)
    return frame.to_arrow()


def _through_parquet() -> pa.Table:
    file = io.BytesIO()
    pq.write_table(TABLE, file)
    return pq.read_table(file)


def _garbage_under_nulls() -> pa.Table:
    def dirty(column: pa.ChunkedArray) -> pa.Array:
        array = column.combine_chunks()
        if array.type != pa.int64():
            return array
        full = pc.fill_null(array, 77)
        buffers = [array.buffers()[0], full.buffers()[1]]
        return pa.Array.from_buffers(array.type, len(array), buffers)

    return _each(dirty)


def _metadata() -> pa.Table:
    return TABLE.replace_schema_metadata({"pandas": "{}"})


@pytest.mark.parametrize(
    "variant",
    [
        _rechunked,
        _sliced,
        _encoded,
        _run_ends,
        _larger,
        _views,
        _through_polars,
        _through_parquet,
        _garbage_under_nulls,
        _metadata,
    ],
)
def test_the_layout_of_a_table_does_not_count(variant: Callable[[], pa.Table]) -> None:
    assert digest_table(variant()) == digest_table(TABLE)
    assert digest_table(variant()).columns == digest_table(TABLE).columns
    assert digest_table(variant()).types == digest_table(TABLE).types


def test_a_polars_frame_has_the_digest_of_its_arrow_table() -> None:
    frame = pl.from_arrow(TABLE)
    assert isinstance(frame, pl.DataFrame)
    assert digest_polars(frame) == digest_table(TABLE)


def test_garbage_under_a_null_list_does_not_count() -> None:
    items = pa.array([1, 2, 3])
    mask = pa.py_buffer(b"\x05")
    offsets = pa.py_buffer(np.array([0, 1, 2, 3], "i4").tobytes())
    dirty = pa.Array.from_buffers(pa.list_(pa.int64()), 3, [mask, offsets], children=[items])
    assert digest_array(dirty) == digest_array(pa.array([[1], None, [3]]))


def test_where_the_items_of_list_views_stand_does_not_count() -> None:
    items = pa.array([0, 1, 2, 3])
    views = pa.ListViewArray.from_arrays([0, 2, 1, 3], [1, 1, 1, 1], items)
    assert digest_array(views) == digest_array(pa.array([[0], [2], [1], [3]]))
    shared = pa.ListViewArray.from_arrays([1, 0, 0], [2, 0, 3], items)
    assert digest_array(shared) == digest_array(pa.array([[1, 2], [], [0, 1, 2]]))


def test_all_nans_are_one() -> None:
    bits = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001], "u8")
    dirty = pa.array(bits.view("f8"), from_pandas=False)
    assert digest_array(dirty) == digest_array(pa.array([float("nan")] * 3))


def _array(values: list[Any], type: Any = None) -> pa.Array:
    return pa.array(values, type)


NAN = float("nan")
POINT = pa.struct({"a": pa.int64()})
DIFFERENT = {
    "zeros of two signs": (_array([0.0]), _array([-0.0])),
    "null and zero": (_array([None], pa.int64()), _array([0])),
    "null and empty string": (_array([None], pa.string()), _array([""])),
    "null and empty list": (_array([None], pa.list_(pa.int8())), _array([[]], pa.list_(pa.int8()))),
    "list of null and empty list": (
        _array([[None]], pa.list_(pa.int8())),
        _array([[]], pa.list_(pa.int8())),
    ),
    "null and NaN": (_array([None], pa.float64()), _array([NAN])),
    "null and False": (_array([None], pa.bool_()), _array([False])),
    "where strings are cut": (_array(["ab", "c"]), _array(["a", "bc"])),
    "string and binary": (_array(["a"]), _array([b"a"])),
    "widths of integers": (_array([1], pa.int32()), _array([1], pa.int64())),
    "signs of integers": (_array([1], pa.uint8()), _array([1], pa.int8())),
    "integer and float": (_array([0]), _array([0.0])),
    "order of rows": (_array([1, 2]), _array([2, 1])),
    "which row is null": (_array([1, None, 1]), _array([1, 1, None])),
    "cuts of lists": (_array([[1], [2]]), _array([[1, 2], []])),
    "cuts of inner lists": (_array([[[1], [2]]]), _array([[[1, 2], []]])),
    "depth of lists": (_array([[1]]), _array([[[1]]])),
    "null struct and struct of nulls": (_array([None], POINT), _array([{"a": None}], POINT)),
    "names of struct fields": (_array([{"a": 1}]), _array([{"b": 1}])),
    "order of struct fields": (_array([{"a": 1, "b": 2}]), _array([{"b": 2, "a": 1}])),
    "order in a map": (
        _array([[("a", 1), ("b", 2)]], pa.map_(pa.string(), pa.int8())),
        _array([[("b", 2), ("a", 1)]], pa.map_(pa.string(), pa.int8())),
    ),
    "map and list of structs": (
        _array([[("a", 1)]], pa.map_(pa.string(), pa.int8())),
        _array(
            [[{"key": "a", "value": 1}]],
            pa.list_(pa.struct({"key": pa.string(), "value": pa.int8()})),
        ),
    ),
    "list and fixed-size list": (_array([[1, 2]]), _array([[1, 2]], pa.list_(pa.int64(), 2))),
    "size of lists of which there are none": (
        _array([None], pa.list_(pa.int64(), 2)),
        _array([None], pa.list_(pa.int64(), 3)),
    ),
    "scale of decimals": (
        _array([Decimal("1.0")], pa.decimal128(9, 1)),
        _array([Decimal("1.00")], pa.decimal128(9, 2)),
    ),
    "precision of decimals": (
        _array([Decimal("1.0")], pa.decimal128(9, 1)),
        _array([Decimal("1.0")], pa.decimal128(10, 1)),
    ),
    "zones": (_array([0], pa.timestamp("us", "UTC")), _array([0], pa.timestamp("us"))),
    "named zones": (
        _array([0], pa.timestamp("us", "UTC")),
        _array([0], pa.timestamp("us", "Europe/Paris")),
    ),
    "time units": (_array([0], pa.timestamp("us")), _array([0], pa.timestamp("ms"))),
    "duration units": (_array([0], pa.duration("us")), _array([0], pa.duration("ms"))),
    "dates": (_array([0], pa.date32()), _array([0], pa.date64())),
    "times and integers": (_array([0], pa.time64("us")), _array([0], pa.int64())),
    "extension and storage": (
        pa.ExtensionArray.from_storage(pa.json_(), _array(["1"])),
        _array(["1"]),
    ),
    "parameters of an extension": (
        pa.ExtensionArray.from_storage(pa.opaque(pa.int8(), "a", "v"), _array([1], pa.int8())),
        pa.ExtensionArray.from_storage(pa.opaque(pa.int8(), "b", "v"), _array([1], pa.int8())),
    ),
    "null type and nulls of a type": (_array([None]), _array([None], pa.int8())),
    "number of nulls": (_array([None]), _array([None, None])),
    "types of empty columns": (_array([], pa.int8()), _array([], pa.int16())),
    "struct without fields": (_array([{}], pa.struct([])), _array([None], pa.struct([]))),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_columns_have_different_digests(name: str) -> None:
    one, other = DIFFERENT[name]
    assert digest_array(one) != digest_array(other)
    assert digest_table(pa.table({"x": one})) != digest_table(pa.table({"x": other}))


def test_names_and_order_of_columns_count_but_a_renamed_column_keeps_its_digest() -> None:
    ones, twos = pa.array([1]), pa.array([2])
    table = digest_table(pa.table({"a": ones, "b": twos}))
    turned = digest_table(pa.table({"b": twos, "a": ones}))
    renamed = digest_table(pa.table({"a": ones, "c": twos}))
    assert len({table, turned, renamed}) == 3
    assert table.columns == turned.columns
    assert table.columns["b"] == renamed.columns["c"]


def test_rows_without_columns_count() -> None:
    frames = [pl.DataFrame(height=rows) for rows in (0, 1, 2)]
    assert len({digest_polars(frame).digest for frame in frames}) == 3
    assert [digest_polars(frame).rows for frame in frames] == [0, 1, 2]


def test_an_empty_table_has_the_digest_of_its_schema() -> None:
    assert digest_table(TABLE.slice(0, 0)) == digest_table(TABLE.schema.empty_table())
    assert digest_table(TABLE.slice(0, 0)) != digest_table(TABLE.select(["key"]).slice(0, 0))


def test_two_columns_of_one_name_are_refused() -> None:
    twins = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["x", "x"])
    with pytest.raises(UnstableIdentityError, match="2 columns are named 'x'"):
        digest_table(twins)


def test_a_union_is_refused_by_the_name_of_its_column() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(UnstableIdentityError, match=r"column 'u': no digest for the union type") as e:
        digest_table(pa.table({"u": pa.array([1])}).set_column(0, "u", union))
    assert e.value.facts == {"column": "u"}


def test_python_objects_in_polars_are_refused_by_the_name_of_their_column() -> None:
    frame = pl.DataFrame({"fine": [1], "odd": pl.Series([object()], dtype=pl.Object)})
    with pytest.raises(UnstableIdentityError, match="column 'odd': no digest for Python objects"):
        digest_polars(frame)


def test_an_extension_type_that_nobody_registered_is_still_one() -> None:
    field = pa.field("x", pa.string(), metadata={"ARROW:extension:name": "arrow.json"})
    loose = pa.table([pa.array(["1"])], pa.schema([field]))
    json = pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1"]))
    assert digest_table(loose) == digest_table(pa.table({"x": json}))
    assert digest_table(loose) != digest_table(pa.table({"x": ["1"]}))


WORDS = ["a", None, "b"]
POLARS_TYPES = {
    "string": pl.Series(WORDS),
    "categorical": pl.Series(WORDS, dtype=pl.Categorical),
    "categorical of a name": pl.Series(WORDS, dtype=pl.Categorical(pl.Categories("names"))),
    "enum": pl.Series(WORDS, dtype=pl.Enum(["a", "b"])),
    "enum of another order": pl.Series(WORDS, dtype=pl.Enum(["b", "a"])),
    "enum of more": pl.Series(WORDS, dtype=pl.Enum(["a", "b", "c"])),
    "integer of 64 bits": pl.Series([1, None, 2]),
    "integer of 128 bits": pl.Series([1, None, 2], dtype=pl.Int128),
    "unsigned integer of 128 bits": pl.Series([1, None, 2], dtype=pl.UInt128),
    "strings of integers": pl.Series(["1", None, "2"]),
    "list": pl.Series([[1, 2], None, [3, 4]]),
    "array": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int64, 2)),
    "list of wide integers": pl.Series([[1, 2], None, [3, 4]], dtype=pl.List(pl.Int128)),
    "list of categoricals": pl.Series([["a"], None, []], dtype=pl.List(pl.Categorical)),
    "list of strings": pl.Series([["a"], None, []]),
    "struct of enums": pl.Series([{"e": "a"}, None, {"e": None}], dtype=pl.Struct({"e": pl.Enum(["a"])})),
    "struct of strings": pl.Series([{"e": "a"}, None, {"e": None}]),
    "struct of wide integers": pl.Series([{"e": 1}, None, None], dtype=pl.Struct({"e": pl.Int128})),
    "map": pl.Series([{"a": 1}, None, {}], dtype=pl.Map(pl.String, pl.Int64)),
    "map of wide integers": pl.Series([{"a": 1}, None, {}], dtype=pl.Map(pl.String, pl.Int128)),
    "nulls": pl.Series([None, None, None]),
    "half floats": pl.Series([1.0, None, 2.0], dtype=pl.Float16),
    "durations": pl.Series([timedelta(0), None, timedelta(1)]),
    "durations in ms": pl.Series([timedelta(0), None, timedelta(1)], dtype=pl.Duration("ms")),
}


def test_no_two_types_of_polars_are_taken_for_one() -> None:
    found = {n: digest_polars(s.to_frame("x")).columns["x"] for n, s in POLARS_TYPES.items()}
    assert len(set(found.values())) == len(POLARS_TYPES)


@pytest.mark.parametrize("name", POLARS_TYPES)
def test_slices_and_chunks_of_polars_do_not_count(name: str) -> None:
    series = POLARS_TYPES[name]
    parts = pl.concat([series.slice(0, 1), series.slice(1)], rechunk=False)
    again = pl.concat([series, series], rechunk=True).slice(3)
    whole = digest_polars(series.to_frame("x"))
    assert digest_polars(parts.to_frame("x")) == whole == digest_polars(again.to_frame("x"))
    assert digest_polars(series.slice(1).to_frame("x")) != whole


def test_a_categorical_is_its_words_whatever_their_codes() -> None:
    pl.Series(["z", "y", "x"], dtype=pl.Categorical)
    one = pl.DataFrame({"c": ["x", "y"]}, schema={"c": pl.Categorical})
    other = pl.DataFrame({"c": ["y", "x"]}, schema={"c": pl.Categorical}).reverse()
    assert digest_polars(one) == digest_polars(other)


def test_an_arrow_dictionary_is_an_encoding_even_if_polars_wrote_it() -> None:
    frame = pl.DataFrame({"c": ["x", "y"]}, schema={"c": pl.Categorical})
    assert digest_table(pa.table(frame)) == digest_table(pa.table({"c": ["x", "y"]}))


def test_integers_of_128_bits_keep_all_their_bits() -> None:
    numbers = [2**127 - 1, 2**127 - 2, -(2**127), 2**64, 0]
    frames = [pl.DataFrame({"x": [n]}, schema={"x": pl.Int128}) for n in numbers]
    assert len({digest_polars(frame) for frame in frames}) == len(numbers)


def test_threads_give_the_digest_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(400_000)
    table = pa.table({"a": rows, "b": rows / 7, "c": pa.array(rows % 5).cast(pa.string())})
    together = digest_table(table)
    monkeypatch.setattr(tables, "_THREADS_FROM_BYTES", 1 << 40)
    assert digest_table(table) == together
    assert list(together.columns) == ["a", "b", "c"]


def test_a_forked_process_digests_large_tables_too() -> None:
    script = """
import os, numpy as np, pyarrow as pa
from lineage.content.tables import digest_table
table = pa.table({name: np.arange(200_000) for name in "abc"})
digest_table(table)
child = os.fork()
if not child:
    digest_table(table)
    os._exit(7)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 7


def test_nulls_among_the_codes_of_run_ends_count() -> None:
    words = pc.run_end_encode(pa.array(["a", "a", "b"]))
    encoded = pa.DictionaryArray.from_arrays(pa.array([None, 0, 2], pa.int32()), words)
    assert digest_array(encoded) == digest_array(pa.array([None, "a", "b"]))


def test_rows_beyond_one_block_count() -> None:
    rows = 2 * BLOCK_ROWS + 5
    words = pa.array(np.arange(rows)).cast(pa.string())
    nested = pa.ListArray.from_arrays(np.arange(0, 2 * rows + 1, 2), pa.array(np.arange(2 * rows)))
    for array in (words, words.cast(pa.string_view()), words.dictionary_encode(), nested):
        whole = digest_array(array)
        parts = pa.chunked_array([array.slice(0, 77), array.slice(77, rows - 78), array.slice(rows - 1)])
        assert digest_array(parts) == whole != digest_array(array.slice(0, rows - 1))


PINNED = {
    "key": "d889f6057254fa7a",
    "word": "c7335585d16b1590",
    "share": "12dc70d1db3425c1",
    "yes": "2cd2507d934ddc9b",
    "many": "fd86c67e0678ed98",
    "pair": "515944a7342a70ed",
}


def test_digests_change_only_by_decision() -> None:
    found = digest_table(TABLE)
    assert {name: digest.hex()[:16] for name, digest in found.columns.items()} == PINNED
    assert found.digest.hex()[:16] == "47232846647ad577"
    assert found.types["pair"] == 'struct<"a": int64, "b": string>'
