"""Digests of numpy arrays and scalars: their dtype, shape and values, never their place in memory.

Two arrays have one digest exactly when they have the same dtype (byte order, unit and field names
included), the same shape and the same values. Strides, flags, the bytes between the fields of a
structure and the payloads of NaNs are no part of a value. -0.0 and 0.0 are two values, for `1 / x`
tells them apart.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from blake3 import blake3

from lineage.digest import Digest, digest_of
from lineage.errors import UnstableIdentityError

__all__ = [
    "BLOCK_ROWS",
    "SEGMENT_ROWS",
    "DigestItem",
    "digest_ndarray",
    "digest_numpy_scalar",
    "in_threads",
    "one_nan",
]

DigestItem = Callable[[object], Digest]
"""Gives the digest of one element of an array of objects."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_ROWS = 128 * 1024
"""So many elements are looked at together: BLAKE3 is quick on them, and they stay in the cache."""

SEGMENT_ROWS = 8 * BLOCK_ROWS
"""So many elements are hashed as one. Changing it changes the digests of longer arrays."""


def digest_ndarray(array: _Array, digest_item: DigestItem | None = None) -> Digest:
    """Return the digest of a numpy array or masked array.

    What lies under a mask is no part of the value; the mask, the fill value and whether the mask is
    hard are. A mask that hides nothing and no mask at all are one value. `digest_item` gives the
    digests of elements of dtype object.

    Raises:
        UnstableIdentityError: the array is of a subclass, or its dtype is not one of numpy's own,
            or it holds objects and there is no `digest_item`.
    """
    if type(array) is np.ma.MaskedArray:
        return _digest_masked(array, digest_item)
    if type(array) is not np.ndarray:
        raise UnstableIdentityError(
            f"no digest for {type(array).__name__}: only exactly numpy.ndarray and "
            "numpy.ma.MaskedArray have one. Convert it with numpy.asarray",
            type=type(array).__qualname__,
        )
    return digest_of("ndarray", *_description(array), _content(array, digest_item))


def digest_numpy_scalar(scalar: np.generic, digest_item: DigestItem | None = None) -> Digest:
    """Return the digest of a numpy scalar, which is not that of the 0-d array of its value.

    Raises:
        UnstableIdentityError: as for `digest_ndarray`.
    """
    if type(scalar) is np.str_:
        return digest_of("numpy scalar", b"str", _utf8(scalar))
    if type(scalar) is np.bytes_:
        return digest_of("numpy scalar", b"bytes", bytes(scalar))
    if type(scalar) is not scalar.dtype.type:
        raise UnstableIdentityError(
            f"no digest for {type(scalar).__name__}: only numpy's own scalar types have one",
            type=type(scalar).__qualname__,
        )
    values = np.asarray(scalar)
    return digest_of("numpy scalar", *_description(values), _content(values, digest_item))


def one_nan(values: _Array) -> _Array:
    """Return real `values` with all NaNs made one; the very same array when there are none."""
    if not _has_nan(values):
        return values
    canonical = values.copy()
    canonical[np.isnan(values)] = np.nan
    return canonical


def in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
    """Do as `map` does, in threads that are kept. `function` must not call `in_threads` itself."""
    return _pool(os.getpid()).map(function, items)


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process: a forked pool has none, and would be waited for in vain."""
    return ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2)), f"lineage-digest-{process}")


def _has_nan(values: _Array) -> bool:
    if values.size == 0:
        return False
    if values.dtype.itemsize == 2:  # numpy compares half floats one by one
        bits = values.view(values.dtype.str.replace("f", "u"))
        return bool(((bits & 0x7FFF) > 0x7C00).any())
    with np.errstate(invalid="ignore"):
        return bool(np.isnan(values.max()))


def _digest_masked(array: np.ma.MaskedArray[Any, Any], digest_item: DigestItem | None) -> Digest:
    mask = np.ma.getmaskarray(array)
    values = np.array(np.ma.getdata(array), subok=False)
    _blank(values, mask)
    return digest_of(
        "masked array",
        *_description(values),
        _content(values, digest_item),
        _content(mask, None),
        digest_ndarray(_fill_value(array), digest_item),
        b"hard" if array.hardmask else b"soft",
    )


def _fill_value(array: np.ma.MaskedArray[Any, Any]) -> _Array:
    with np.errstate(over="ignore"):  # numpy's own default is more than a half float holds
        return np.asarray(array.fill_value, dtype=array.dtype)


def _blank(values: _Array, mask: _Array) -> None:
    """Set what `mask` hides to the zero of its dtype, field by field where there are fields."""
    for name in mask.dtype.names or ():
        _blank(values[name], mask[name])
    if mask.dtype.names is None:
        values[mask] = np.zeros((), values.dtype)


def _description(array: _Array) -> tuple[bytes, bytes]:
    return _dtype_name(array.dtype).encode(), np.asarray(array.shape, "<i8").tobytes()


def _content(array: _Array, digest_item: DigestItem | None) -> Digest:
    """Hash the values of `array` in C order; dtype and shape are the caller's to add."""
    if array.dtype.names is not None:
        fields = (_content(array[name], digest_item) for name in array.dtype.names)
        return digest_of("fields", *fields)
    if array.dtype.kind == "O":
        return digest_of("items", *_item_digests(array, digest_item))
    if array.dtype.kind == "T":
        return digest_of("strings", *_string_parts(array))
    return digest_of("values", *_segment_digests(array))


def _segment_digests(array: _Array) -> list[bytes]:
    """Hash every `SEGMENT_ROWS` values on their own, so that threads can share a large array."""
    if array.size == 0 or array.dtype.itemsize == 0:
        return []
    digest_one = functools.partial(_segment_digest, array)
    starts = range(0, array.size, SEGMENT_ROWS)
    return list((in_threads if len(starts) > 1 else map)(digest_one, starts))


def _segment_digest(array: _Array, start: int) -> bytes:
    hasher = blake3()
    for block in _blocks(array, start, min(start + SEGMENT_ROWS, array.size)):
        hasher.update(_canonical(block).view(np.uint8))  # type: ignore[arg-type]
    return hasher.digest()


def _blocks(array: _Array, start: int, stop: int) -> Iterator[_Array]:
    """Yield the values from `start` to `stop` in C order, copied only if not contiguous."""
    if array.flags.c_contiguous and array.flags.aligned:
        flat = array.reshape(-1)
        yield from (flat[at : min(at + BLOCK_ROWS, stop)] for at in range(start, stop, BLOCK_ROWS))
        return
    with np.nditer(  # type: ignore[call-overload]  # "contig" is missing from its stub
        array,
        flags=["external_loop", "buffered", "ranged"],
        op_flags=[["readonly", "contig", "aligned"]],
        order="C",
        buffersize=BLOCK_ROWS,
    ) as blocks:
        blocks.iterrange = (start, stop)
        yield from (np.asarray(block) for block in blocks)


def _canonical(block: _Array) -> _Array:
    """Return a contiguous vector whose bytes are equal exactly when the values of `block` are."""
    kind = block.dtype.kind
    if kind == "c":
        return _canonical(block.view(f"{block.dtype.str[0]}f{block.dtype.itemsize // 2}"))
    if kind == "f" and block.dtype.itemsize > 8:
        return _long_double_bytes(block)
    if kind == "f":
        return one_nan(block)
    if kind == "b" and block.view(np.uint8).max() > 1:  # seen as True, whatever the byte
        return block.view(np.uint8).astype(np.bool_)
    return block


def _long_double_bytes(block: _Array) -> _Array:
    """Return the bytes that carry the number: x86 never writes six of a long double's sixteen."""
    native: _Array = one_nan(block.astype(block.dtype.newbyteorder("=")))
    size = native.dtype.itemsize
    used = 10 if _long_double_bits() == 63 else size
    carrying: _Array = native.view(np.uint8).reshape(-1, size)[:, :used].reshape(-1)
    return carrying


@functools.cache
def _long_double_bits() -> int:
    return int(np.finfo(np.longdouble).nmant)


def _item_digests(array: _Array, digest_item: DigestItem | None) -> Iterator[Digest]:
    if digest_item is None:
        raise UnstableIdentityError(
            "no digest for an array of dtype object; give the array a dtype, or say how its "
            "elements are digested with digest_item"
        )
    return (digest_item(item) for item in array.flat)


def _string_parts(array: _Array) -> Iterator[bytes]:
    """Yield two parts for each element, so that a missing one is no string."""
    missing = getattr(array.dtype, "na_object", "")
    for item in array.flat:
        is_string = isinstance(missing, str) or (item is not missing and isinstance(item, str))
        yield b"string" if is_string else b"missing"
        yield _utf8(item) if is_string else b""


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _dtype_name(dtype: np.dtype[Any]) -> str:
    """Return a text that no other dtype has. Where fields stand in memory is not part of it."""
    if type(dtype).__module__ != "numpy.dtypes":
        raise UnstableIdentityError(f"no digest for dtype {dtype}: it is not one of numpy's own", dtype=str(dtype))
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return f"{_dtype_name(base)}{list(shape)}"
    if dtype.kind == "V":
        return _void_name(dtype)
    if dtype.kind == "T":
        return _string_dtype_name(dtype)
    if dtype.kind in "fc" and dtype.itemsize > (8 if dtype.kind == "f" else 16):
        return f"{dtype.str}/{_long_double_bits()}"  # the width alone doesn't say which format
    return dtype.str


def _void_name(dtype: np.dtype[Any]) -> str:
    if dtype.type not in (np.void, np.record):
        raise UnstableIdentityError(f"no digest for dtype {dtype} of {dtype.type.__name__}", dtype=str(dtype))
    prefix = "record" if dtype.type is np.record else ""
    if dtype.names is None:
        return prefix + dtype.str
    return prefix + "{" + ", ".join(_field_name(dtype, name) for name in dtype.names) + "}"


def _field_name(dtype: np.dtype[Any], name: str) -> str:
    assert dtype.fields is not None
    field = dtype.fields[name]
    title = f" ({json.dumps(str(field[2]))})" if len(field) > 2 else ""
    return f"{json.dumps(name)}{title}: {_dtype_name(field[0])}"


def _string_dtype_name(dtype: Any) -> str:
    if not hasattr(dtype, "na_object"):
        return f"string(coerce={dtype.coerce})"
    missing = dtype.na_object
    if not (missing is None or isinstance(missing, str) or _is_nan(missing)):
        raise UnstableIdentityError(
            f"no digest for dtype {dtype}: na_object should be None, NaN, pandas.NA or a string",
            dtype=str(dtype),
        )
    shown = f"{type(missing).__qualname__} {json.dumps(str(missing))}"
    return f"string(coerce={dtype.coerce}, na_object={shown})"


def _is_nan(missing: object) -> bool:
    if isinstance(missing, float):
        return missing != missing
    return type(missing).__qualname__ == "NAType" and type(missing).__module__.startswith("pandas")
