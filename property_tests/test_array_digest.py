"""Two arrays have one digest exactly when they have the same dtype, shape and values."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lineage.content import arrays
from lineage.content.arrays import digest_ndarray, digest_numpy_scalar

Array = np.ndarray[Any, np.dtype[Any]]

at_leisure = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.datetime64_dtypes(endianness="?"),
    hnp.timedelta64_dtypes(endianness="?"),
    hnp.unicode_string_dtypes(endianness="?", max_len=3),
    hnp.byte_string_dtypes(max_len=3),
    hnp.nested_dtypes(),
)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
any_array = hnp.arrays(dtypes, shapes)


def _said(array: Array) -> str:
    """Write all that an array says, by way of its Python values."""
    values = [_item(array[index]) for index in np.ndindex(array.shape)]
    return f"{_dtype(array.dtype)} {array.shape} {values}"


def _dtype(dtype: np.dtype[Any]) -> str:
    if dtype.names is not None:
        assert dtype.fields is not None
        return str([(name, *map(str, dtype.fields[name][2:]), _dtype(dtype[name])) for name in dtype.names])
    if dtype.subdtype is not None:
        return f"{_dtype(dtype.subdtype[0])} {dtype.subdtype[1]}"
    return dtype.str


def _item(item: Any) -> str:
    if isinstance(item, np.ndarray):
        return _said(item)
    if isinstance(item, np.void) and item.dtype.names is not None:
        return str([_item(item[name]) for name in item.dtype.names])
    if isinstance(item, np.complexfloating):
        return f"{_item(item.real)} {_item(item.imag)}"
    if isinstance(item, np.floating):
        return "nan" if np.isnan(item) else repr(item)
    return repr(item)


@at_leisure
@given(any_array, any_array)
def test_arrays_have_one_digest_exactly_when_they_say_the_same(one: Array, other: Array) -> None:
    assert (digest_ndarray(one) == digest_ndarray(other)) == (_said(one) == _said(other))


@at_leisure
@given(st.data(), dtypes, shapes)
def test_arrays_of_one_dtype_and_shape_differ_where_a_value_does(
    data: st.DataObject, dtype: np.dtype[Any], shape: tuple[int, ...]
) -> None:
    one, other = (data.draw(hnp.arrays(dtype, shape)) for _ in range(2))
    assert (digest_ndarray(one) == digest_ndarray(other)) == (_said(one) == _said(other))


@at_leisure
@given(st.data(), any_array, st.integers(1, 3), st.integers(1, 5))
def test_strides_and_blocks_do_not_count(data: st.DataObject, array: Array, step: int, rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "SEGMENT_ROWS", rows * 2)
        whole = digest_ndarray(array)
        assert digest_ndarray(np.asfortranarray(array) if array.ndim else array) == whole
        order = data.draw(st.permutations(range(array.ndim)))
        turned = array.transpose(order)
        spread = np.zeros([step * side for side in turned.shape], array.dtype)
        view = _each(spread, step)
        view[...] = turned
        backwards = _each(view, -1)
        patch.setattr(arrays, "BLOCK_ROWS", rows)
        assert digest_ndarray(view.transpose(np.argsort(order))) == whole
        assert digest_ndarray(backwards) == digest_ndarray(backwards.copy())
        if array.ndim and array.dtype.names is None:
            assert digest_ndarray(array) == whole


def _each(array: Array, step: int) -> Array:
    """Return a view of every `step`-th element along all axes."""
    everywhere: Any = (*(slice(None, None, step) for _ in array.shape), ...)
    view: Array = array[everywhere]
    return view


@at_leisure
@given(st.data(), hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(max_side=3)))
def test_only_what_a_mask_shows_counts(data: st.DataObject, array: Array) -> None:
    mask = data.draw(hnp.arrays(np.bool_, array.shape))
    one = np.ma.array(array, mask=mask)
    under = data.draw(hnp.arrays(array.dtype, array.shape))
    other = np.ma.array(np.where(mask, under, array).astype(array.dtype), mask=mask)
    assert digest_ndarray(one) == digest_ndarray(other)
    flipped = np.ma.array(array, mask=~mask)
    assert digest_ndarray(one) != digest_ndarray(flipped)


@at_leisure
@given(any_array)
def test_digesting_changes_nothing(array: Array) -> None:
    before = array.tobytes()
    digest_ndarray(array)
    assert array.tobytes() == before


@at_leisure
@given(hnp.arrays(hnp.scalar_dtypes(), 2))
def test_scalars_have_one_digest_exactly_when_they_say_the_same(pair: Array) -> None:
    one, other = pair[0], pair[1]
    assert (digest_numpy_scalar(one) == digest_numpy_scalar(other)) == (_item(one) == _item(other))


SCRIPT = """
import numpy as np
from lineage.content.arrays import digest_ndarray
array = np.array([(1, "a"), (2, "b")], [("n", "f8"), ("s", "U3")])
print(digest_ndarray(array).hex(), digest_ndarray(np.array(["x"], np.dtypes.StringDType())).hex())
"""


def test_the_hash_seed_of_a_process_does_not_count() -> None:
    printed = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(printed) == 1
