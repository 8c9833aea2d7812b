from __future__ import annotations

import datetime
import decimal
import os
import subprocess
import sys
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from lineage.content.rowhash import arrow_columns, has_row_hash, hash_rows
from lineage.errors import UnstableIdentityError


def hashes(values: Any, kind: pa.DataType | None = None) -> list[int]:
    array = values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values, kind)
    chunked = array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
    return list(hash_rows({"key": chunked}).tolist())


PINNED = {
    "int": (pa.array([0, 1, -1]), [487617019471545679, 17911839290282890590, 4048727598324417001]),
    "float": (pa.array([0.0, 1.5, float("nan")]), [17909611376780542444, 8519669092459956334, 16610167965410978692]),
    "text": (
        pa.array(["", "a", "carrier AA", "é" * 100]),
        [12333050083454351081, 11809955622954083702, 4522354301085431466, 13007765681760515389],
    ),
    "null": (pa.array([None], pa.int64()), [16294208416658607535]),
    "bool": (pa.array([False, True]), [7960286522194355700, 13757245211066428519]),
    "instant": (pa.array([1], pa.timestamp("ms")), [15743932607293797367]),
    "decimal": (pa.array([decimal.Decimal("1.50")]), [10883758498728286677]),
}


@pytest.mark.parametrize("kind", PINNED)
def test_the_hashes_never_change(kind: str) -> None:
    array, expected = PINNED[kind]
    assert hashes(array) == expected


def test_another_process_with_another_hash_seed_finds_the_same() -> None:
    code = (
        "import pyarrow as pa; from lineage.content.rowhash import hash_rows;"
        "print(hash_rows({'a': pa.chunked_array([['x', None, 'long' * 99]]), 'b': pa.chunked_array([[1, 2, 3]])}).tolist())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


TEXTS = ["", "a", "a\0", "eight by", "eight byt", "x" * 16, "x" * 127, "x" * 128, "x" * 129, "é" * 500, None, "a"]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    ids=str,
)
def test_text_is_what_it_says_however_it_is_laid_out(kind: pa.DataType) -> None:
    array = pa.array(TEXTS, pa.string())
    laid_out = array.dictionary_encode() if pa.types.is_dictionary(kind) else array.cast(kind)
    assert hashes(laid_out) == hashes(array)


@pytest.mark.parametrize(
    "dtype", [pl.String, pl.Categorical, pl.Enum([text for text in dict.fromkeys(TEXTS) if text is not None])], ids=str
)
def test_categories_are_their_text(dtype: Any) -> None:
    frame = pl.DataFrame({"key": TEXTS}, schema={"key": dtype})
    assert hash_rows(arrow_columns(frame, ["key"])).tolist() == hashes(TEXTS, pa.string())


def test_a_text_is_no_other_text() -> None:
    texts = [text * size for text in ("a", "b", "\0") for size in range(1, 300)] + [""]
    assert len(set(hashes(texts))) == len(texts)


def test_slices_chunks_and_runs_are_layout() -> None:
    array = pa.array([None, *TEXTS, "z"], pa.string())
    assert hashes(array.slice(1, len(TEXTS))) == hashes(TEXTS, pa.string())
    assert hashes(pa.chunked_array([array.slice(1, 5), array.slice(6, 7)])) == hashes(TEXTS, pa.string())
    numbers = pa.array([1, 1, 1, None, None, 2])
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([3, 5, 6], pa.int32()), pa.array([1, None, 2]))
    assert hashes(runs) == hashes(numbers)
    assert hashes(runs.slice(2, 3)) == hashes(numbers)[2:5]


def test_what_lies_under_a_null_is_not_seen() -> None:
    valid = pa.py_buffer(np.packbits([1, 0, 1], bitorder="little").tobytes())
    hidden = pa.Array.from_buffers(pa.int64(), 3, [valid, pa.py_buffer(np.array([1, 99, 2]).tobytes())])
    assert hashes(hidden) == hashes([1, None, 2], pa.int64())


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint8(), pa.int16(), pa.uint16(), pa.int32(), pa.uint32(), pa.uint64()], ids=str
)
def test_integers_of_any_width_are_their_value(kind: pa.DataType) -> None:
    assert hashes([0, 1, 100], kind) == hashes([0, 1, 100], pa.int64())


def test_a_negative_integer_of_any_width_is_its_value() -> None:
    assert hashes([-1, -100], pa.int8()) == hashes([-1, -100], pa.int64())


def test_floats_of_any_width_are_their_value_and_nan_and_zero_are_one() -> None:
    assert hashes([1.5, -2.0], pa.float32()) == hashes([1.5, -2.0], pa.float64())
    assert hashes(np.array([1.5, -2.0], np.float16)) == hashes([1.5, -2.0], pa.float64())
    payload = np.array([0x7FF8000000000001, 0xFFF8000000000000], np.uint64).view(np.float64)
    assert len(set(hashes(payload))) == 1
    assert len(set(hashes([0.0, -0.0]))) == 1


def test_instants_and_durations_of_any_unit_and_zone_are_one() -> None:
    moment = datetime.datetime(2013, 7, 1, 12)
    units = [pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("s", "UTC")]
    assert len({hashes([moment], kind)[0] for kind in units}) == 1
    hour = datetime.timedelta(hours=1)
    assert len({hashes([hour], pa.duration(unit))[0] for unit in ("s", "ms", "us", "ns")}) == 1
    noon = datetime.time(12)
    assert (
        len({hashes([noon], kind)[0] for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))})
        == 1
    )
    day = datetime.date(2013, 7, 1)
    assert hashes([day], pa.date32()) == hashes([day], pa.date64())


@pytest.mark.parametrize(
    "kind", [pa.decimal32(6, 2), pa.decimal64(10, 2), pa.decimal128(20, 2), pa.decimal256(50, 2)], ids=str
)
def test_decimals_of_one_scale_are_their_value(kind: pa.DataType) -> None:
    values = [decimal.Decimal("1.50"), decimal.Decimal("-1.50"), None, decimal.Decimal("0.00")]
    assert hashes(values, kind) == hashes(values, pa.decimal128(38, 2))


def test_the_kinds_differ() -> None:
    one = [pa.array([1]), pa.array([1.0]), pa.array([True]), pa.array(["1"]), pa.array([b"1"]), pa.array([None])]
    assert len({hashes(array)[0] for array in one}) == len(one)


def test_bytes_of_fixed_size_are_bytes() -> None:
    assert hashes([b"abc", None], pa.binary(3)) == hashes([b"abc", None], pa.binary())


def test_the_order_of_columns_counts_and_their_names_do_not() -> None:
    a, b = pa.chunked_array([[1, 2]]), pa.chunked_array([[2, 1]])
    assert hash_rows({"x": a, "y": b}).tolist() == hash_rows({"p": a, "q": b}).tolist()
    assert hash_rows({"x": a, "y": b}).tolist() != hash_rows({"x": b, "y": a}).tolist()
    assert len(set(hash_rows({"x": a, "y": a}).tolist())) == 2


def test_no_rows_have_no_hashes() -> None:
    for kind in (
        pa.int64(),
        pa.string(),
        pa.decimal128(5, 1),
        pa.null(),
        pa.bool_(),
        pa.dictionary(pa.int8(), pa.string()),
    ):
        assert hashes([], kind) == []


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int8()), pa.struct([("a", pa.int8())]), pa.month_day_nano_interval()], ids=str
)
def test_a_nested_key_is_refused_by_name(kind: pa.DataType) -> None:
    assert not has_row_hash(kind)
    with pytest.raises(UnstableIdentityError, match=r"column 'key' is of type .*make one of it in a node"):
        hashes([None], kind)


def test_the_hashes_are_spread_evenly() -> None:
    for column in (
        pa.array(range(100_000)),
        pa.array([f"N{i}" for i in range(100_000)]),
        pa.array(np.arange(100_000) / 7),
    ):
        counts = np.bincount(np.array(hashes(column), np.uint64) % np.uint64(10))
        assert counts.min() > 9_500
        assert counts.max() < 10_500
