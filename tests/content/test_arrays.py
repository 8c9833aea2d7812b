"""What counts in a numpy array, and what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lineage.content import arrays
from lineage.content.arrays import digest_ndarray, digest_numpy_scalar
from lineage.digest import Digest, digest_of
from lineage.errors import UnstableIdentityError

CUBE = np.arange(24, dtype="f8").reshape(2, 3, 4)
PACKED = np.dtype([("a", "i1"), ("b", "f8"), ("c", "U2", (2,))])
ALIGNED = np.dtype([("a", "i1"), ("b", "f8"), ("c", "U2", (2,))], align=True)
STRING = np.dtypes.StringDType


def _rows(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    buffer = np.frombuffer(os.urandom(3 * dtype.itemsize), dtype).copy()
    buffer[:] = [(1, 0.5, ["x", "yy"]), (2, np.nan, ["", ""]), (3, -0.0, ["é", "z"])]
    return buffer


SAME = {
    "F layout": (CUBE, np.asfortranarray(CUBE)),
    "a transposed view": (CUBE, np.ascontiguousarray(CUBE.T).T),
    "every second": (CUBE[:, :, ::2], CUBE[:, :, ::2].copy()),
    "backwards": (CUBE[::-1, :, ::-1], CUBE[::-1, :, ::-1].copy()),
    "broadcast": (np.broadcast_to(CUBE[0], (5, 3, 4)), np.stack([CUBE[0]] * 5)),
    "read-only": (CUBE, np.frombuffer(CUBE.tobytes()).reshape(CUBE.shape)),
    "unaligned": (np.frombuffer(b"x" + CUBE.tobytes(), "u1")[1:].view("f8").reshape(2, 3, 4), CUBE),
    "padding between fields": (_rows(PACKED), _rows(ALIGNED)),
    "NaN payloads": (
        np.array([0x7FF8000000000000, 0xFFF0000000000001], "u8").view("f8"),
        np.array([np.nan, np.nan]),
    ),
    "half NaN payloads": (np.array([0x7E01, 0xFC01], "u2").view("f2"), np.full(2, np.nan, "f2")),
    "swapped NaN payloads": (
        np.array([0x7FF8000000000000, 0xFFF0000000000001], ">u8").view(">f8"),
        np.array([np.nan, np.nan], ">f8"),
    ),
    "complex NaN payloads": (
        np.array([0x7FF8000000000001, 0], "u8").view("c16"),
        np.array([complex(np.nan, 0)]),
    ),
    "bytes of booleans": (np.array([2, 0], "u1").view("?"), np.array([True, False])),
    "no mask and a mask of nothing": (
        np.ma.array([1, 2]),
        np.ma.array([1, 2], mask=[False, False]),
    ),
    "what is under a mask": (
        np.ma.array([1.0, 2.0], mask=[False, True]),
        np.ma.array([1.0, np.nan], mask=[False, True]),
    ),
    "what is under the mask of a field": (
        np.ma.array([(1, 2)], mask=[(False, True)], dtype=[("a", "i4"), ("b", "i4")]),
        np.ma.array([(1, 9)], mask=[(False, True)], dtype=[("a", "i4"), ("b", "i4")]),
    ),
    "names of one type": (np.zeros(2, np.longlong), np.zeros(2, np.int64)),
}


@pytest.mark.parametrize("name", SAME)
def test_memory_does_not_count(name: str) -> None:
    one, other = SAME[name]
    assert digest_ndarray(one) == digest_ndarray(other)


def test_bytes_that_a_long_double_never_writes_do_not_count() -> None:
    clean = np.array([1, -0.0, np.nan, 2], np.longdouble)
    dirty = clean.copy()
    dirty.view("u1").reshape(4, -1)[:, 10:] = 7
    if np.finfo(np.longdouble).nmant != 63:
        pytest.skip("a long double has no padding here")
    for one, other in [(clean, dirty), (clean.view("G"), dirty.view("G"))]:
        assert digest_ndarray(one) == digest_ndarray(other)
    swapped = [x.astype(x.dtype.newbyteorder(">")) for x in (clean, dirty)]
    assert digest_ndarray(swapped[0]) == digest_ndarray(swapped[1])
    assert digest_ndarray(swapped[0]) != digest_ndarray(clean)


DIFFERENT = {
    "byte order": (np.zeros(2, "<f8"), np.zeros(2, ">f8")),
    "shape": (np.zeros((2, 3)), np.zeros((3, 2))),
    "no dimension and one": (np.array(1.0), np.array([1.0])),
    "empty shapes": (np.zeros((0, 2)), np.zeros((0, 3))),
    "empty dtypes": (np.zeros(0, "i4"), np.zeros(0, "i8")),
    "width": (np.zeros(2, "i4"), np.zeros(2, "i8")),
    "sign": (np.zeros(2, "i4"), np.zeros(2, "u4")),
    "boolean and byte": (np.zeros(2, "?"), np.zeros(2, "i1")),
    "zeros of two signs": (np.array([0.0]), np.array([-0.0])),
    "complex zeros": (np.array([complex(0.0, 0.0)]), np.array([complex(0.0, -0.0)])),
    "which part is NaN": (np.array([complex(np.nan, 0)]), np.array([complex(0, np.nan)])),
    "units": (np.zeros(1, "M8[s]"), np.zeros(1, "M8[ms]")),
    "steps of units": (np.zeros(1, "m8[25s]"), np.zeros(1, "m8[s]")),
    "times and durations": (np.zeros(1, "M8[s]"), np.zeros(1, "m8[s]")),
    "not a time": (np.array(["NaT"], "M8[s]"), np.zeros(1, "M8[s]")),
    "width of strings": (np.array(["a"], "U1"), np.array(["a"], "U2")),
    "strings and bytes": (np.array(["a"], "U1"), np.array(["a"], "S4")),
    "void and bytes": (np.array([b"a"], "V1"), np.array([b"a"], "S1")),
    "field names": (np.zeros(1, [("a", "i4")]), np.zeros(1, [("b", "i4")])),
    "order of fields": (np.zeros(1, "i4,i8"), np.zeros(1, "i8,i4")),
    "nested fields": (np.zeros(1, [("a", [("b", "i4")])]), np.zeros(1, [("a", "i4")])),
    "shape of a field": (np.zeros(1, [("a", "i4", (1,))]), np.zeros(1, [("a", "i4")])),
    "a field and none": (np.zeros(1, [("a", "i4")]), np.zeros(1, "i4")),
    "order": (CUBE, CUBE[::-1]),
    "layout taken for shape": (CUBE, CUBE.T),
    "masked and not": (np.ma.array([1, 2]), np.array([1, 2])),
    "masks": (np.ma.array([0, 0], mask=[False, True]), np.ma.array([0, 0], mask=[True, False])),
    "masked and zero": (np.ma.array([0, 0], mask=[False, True]), np.ma.array([0, 0])),
    "fill values": (np.ma.array([1], fill_value=5), np.ma.array([1], fill_value=6)),
    "hard masks": (np.ma.array([1], hard_mask=True), np.ma.array([1], hard_mask=False)),
    "where strings are cut": (np.array(["ab", "c"], STRING()), np.array(["a", "bc"], STRING())),
    "kinds of strings": (np.array(["a"], STRING()), np.array(["a"], "U1")),
    "coercing strings": (np.array(["a"], STRING()), np.array(["a"], STRING(coerce=False))),
    "missing values": (
        np.array(["a"], STRING(na_object=None)),
        np.array(["a"], STRING(na_object=np.nan)),
    ),
    "missing and empty": (
        np.array(["", None], STRING(na_object=None)),
        np.array([None, ""], STRING(na_object=None)),
    ),
    "missing and its name": (
        np.array(["nan"], STRING(na_object=np.nan)),
        np.array([np.nan], STRING(na_object=np.nan)),
    ),
    "long doubles": (np.array([1], "g"), np.array([1 + np.finfo("g").eps], "g")),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_arrays_have_different_digests(name: str) -> None:
    one, other = DIFFERENT[name]
    assert digest_ndarray(one) != digest_ndarray(other)


def test_what_is_under_a_mask_is_left_there() -> None:
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    digest_ndarray(masked)
    assert masked.data.tolist() == [1.0, 2.0]


def test_missing_strings_may_be_those_of_pandas() -> None:
    one = np.array(["a", pd.NA], STRING(na_object=pd.NA))
    other = np.array([pd.NA, "a"], STRING(na_object=pd.NA))
    assert digest_ndarray(one) == digest_ndarray(one.copy()) != digest_ndarray(other)


def test_objects_are_digested_one_by_one() -> None:
    def digest_item(item: object) -> Digest:
        return digest_of(type(item).__name__, repr(item).encode())

    one, other = np.array([1, "a", None], object), np.array([1, "a", 0], object)
    digests = [digest_ndarray(array, digest_item) for array in (one, one.copy(), other)]
    assert digests[0] == digests[1] != digests[2]
    fields = np.array([(1, "a")], [("n", "i4"), ("o", "O")])
    assert digest_ndarray(fields, digest_item) == digest_ndarray(fields.copy(), digest_item)
    masked = np.ma.array(one, mask=[False, True, False])
    assert digest_ndarray(masked, digest_item) != digest_ndarray(one, digest_item)


def test_objects_without_a_way_to_digest_them_are_refused() -> None:
    with pytest.raises(UnstableIdentityError, match="dtype object"):
        digest_ndarray(np.array([1, "a"], object))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 2)).view(np.recarray),
        np.rec.array([(1, 2)], dtype="i4,i4"),
        np.ma.masked,
    ],
)
def test_subclasses_are_refused(array: Any) -> None:
    with pytest.raises(UnstableIdentityError, match="only exactly"):
        digest_ndarray(array)


def test_strings_whose_missing_value_is_any_object_are_refused() -> None:
    with pytest.raises(UnstableIdentityError, match="na_object"):
        digest_ndarray(np.array(["a"], STRING(na_object=object())))


def test_scalars_differ_by_type_and_value_and_from_arrays() -> None:
    scalars: list[Any] = [
        np.float64(1),
        np.float32(1),
        np.int64(1),
        np.bool_(True),
        np.float64(0.0),
        np.float64(-0.0),
        np.float64("nan"),
        np.complex128(1),
        np.str_("1"),
        np.str_("1\0"),
        np.bytes_(b"1"),
        np.bytes_(b"1\0"),
        np.datetime64(1, "s"),
        np.datetime64(1, "ms"),
        np.timedelta64(1, "s"),
        np.longdouble(1),
        np.zeros((), "i4,i4")[()],
        np.void(b"1"),
    ]
    digests = {digest_numpy_scalar(scalar) for scalar in scalars}
    assert len(digests) == len(scalars)
    assert digests.isdisjoint(digest_ndarray(np.asarray(scalar)) for scalar in scalars)


def test_a_subclass_of_a_scalar_type_is_refused() -> None:
    class Metres(np.float64):
        pass

    with pytest.raises(UnstableIdentityError, match="Metres"):
        digest_numpy_scalar(Metres(1))


def test_long_arrays_are_hashed_alike_in_all_layouts() -> None:
    rows = arrays.SEGMENT_ROWS + arrays.BLOCK_ROWS + 3
    long = np.arange(2 * rows, dtype="f4").reshape(rows, 2)
    digest = digest_ndarray(long)
    assert digest == digest_ndarray(np.asfortranarray(long))
    long[-1, -1] = np.nan
    assert digest_ndarray(long) != digest
    assert digest_ndarray(long) == digest_ndarray(np.asfortranarray(long))


def test_a_forked_process_digests_large_arrays_too() -> None:
    script = """
import os, numpy as np
from lineage.content.arrays import digest_ndarray
array = np.zeros(3_000_000)
digest_ndarray(array)
child = os.fork()
if not child:
    digest_ndarray(array)
    os._exit(7)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 7


PINNED = {
    "two segments": (np.arange(2**20 + 1, dtype="<u4").astype("u1"), "a274bc79362bae1c"),
    "doubles": (CUBE, "98603dd80cf8a548"),
    "fields": (np.zeros(2, PACKED), "f15ba90e36a30eb3"),
    "strings": (np.array(["a", "b"], STRING()), "284894c6cdae0f48"),
    "masked": (np.ma.array([1, 2], mask=[False, True], dtype="<i8"), "6fd75626c83a197c"),
}


@pytest.mark.parametrize("name", PINNED)
def test_digests_change_only_by_decision(name: str) -> None:
    array, digest = PINNED[name]
    assert digest_ndarray(array).hex()[:16] == digest
