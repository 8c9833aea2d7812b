"""Hashes of rows by what they say: the same in every process, machine and version of polars, whatever the layout.

They decide where tables are cut and which bucket a row belongs to, so they must never change: `tests/content/test_rowhash.py`
pins some. Equal values of one kind have equal hashes: integers of any width, floats of any width (all NaNs are one, and
-0.0 is 0.0), text however it is laid out (dictionaries, categoricals and enums too), instants and durations of any
unit (zones don't count), times, dates, decimals of one scale. Nulls have a hash of their own. The opposite is not
promised: 64 bits are for sharing out, not for telling apart.

Fixed widths go through the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", 2014); text goes through it eight bytes at a time, long text through BLAKE3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from blake3 import blake3

from lineage.content.table_types import exported, is_bytes, is_bytes_view, is_large, is_text
from lineage.errors import UnstableIdentityError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["arrow_columns", "has_row_hash", "hash_rows"]

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
_Values = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 1 << 15
"""Rows that are hashed together: their hashes stay in the cache."""

_LONG = 128
"""Texts of more bytes are hashed one by one."""

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_STEP = 0x9E3779B97F4A7C15
_KINDS = ("null", "bool", "int", "float", "text", "bytes", "date", "time", "instant", "duration", "decimal", "row")
_SEEDS = {kind: np.uint64(_STEP * (place + 1) % 2**64) for place, kind in enumerate(_KINDS)}
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)
_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def hash_rows(columns: Mapping[str, pa.ChunkedArray]) -> Hashes:
    """Return a hash for each row of `columns`, of which there is at least one. Their names don't count; their order does.

    Raises:
        UnstableIdentityError: a column is nested, or of a type that has no hash.
    """
    found: Hashes | None = None
    for name, column in columns.items():
        if not has_row_hash(column.type):
            raise UnstableIdentityError(
                f"column {name!r} is of type {column.type}, by which rows can't be told apart; use a plain column "
                "(numbers, text, dates, ...) or make one of it in a node",
                column=name,
            )
        hashes = _hash_column(column)
        if found is None:
            found = hashes
        else:
            _combine(found, hashes)
    assert found is not None
    return found


def has_row_hash(kind: pa.DataType) -> bool:
    """Say whether values of an Arrow type have a hash: all but nested ones, unions and calendar intervals."""
    is_ = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return has_row_hash(kind.storage_type)
    if is_.is_dictionary(kind) or is_.is_run_end_encoded(kind):
        return has_row_hash(kind.value_type)
    if is_text(kind) or is_bytes(kind) or is_.is_fixed_size_binary(kind):
        return True
    return bool(is_.is_null(kind) or (is_.is_primitive(kind) and not is_.is_interval(kind)) or is_.is_decimal(kind))


def arrow_columns(frame: pl.DataFrame, names: Iterable[str]) -> dict[str, pa.ChunkedArray]:
    """Return columns of a polars frame as Arrow columns. Integers of 128 bits become text."""
    names = list(names)
    chosen = frame.select(frame[name].cast(exported(frame.schema[name])) for name in names)
    table = pa.RecordBatchReader.from_stream(chosen).read_all()
    return dict(zip(names, table.columns, strict=True))


def _combine(found: Hashes, more: Hashes) -> None:
    """Fold the hashes of the next column into those of the columns before it."""
    for start in range(0, len(found), _BLOCK):
        block = found[start : start + _BLOCK]
        block *= np.uint64(_STEP)
        block ^= more[start : start + _BLOCK]
        _mix(block, _SEEDS["row"])


def _hash_column(column: pa.ChunkedArray) -> Hashes:
    found = np.empty(len(column), np.uint64)
    start = 0
    for chunk in column.chunks:
        _hash_array(chunk, found[start : start + len(chunk)])
        start += len(chunk)
    return found


def _hash_array(array: pa.Array, out: Hashes) -> None:
    """Write the hashes of `array` to `out`."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        _hash_array(array.storage, out)
    elif pa.types.is_dictionary(kind):
        _hash_dictionary(array, out)
    elif pa.types.is_run_end_encoded(kind):
        out[:] = _hashed(array.values)[_runs(array)]
    elif pa.types.is_null(kind):
        out[:] = _null()
    elif is_text(kind) or is_bytes(kind) or pa.types.is_fixed_size_binary(kind):
        for start, block in _blocks(array):
            _hash_texts(block, out[start : start + len(block)])
        _hide_nulls(array, out)
    else:
        _hash_fixed(array, out)
        _hide_nulls(array, out)


def _hashed(array: pa.Array) -> Hashes:
    found = np.empty(len(array), np.uint64)
    _hash_array(array, found)
    return found


def _hash_dictionary(array: pa.DictionaryArray, out: Hashes) -> None:
    """Hash each category once."""
    categories = np.append(_hashed(array.dictionary), _null())
    indices = array.indices
    if indices.null_count:
        indices = indices.cast(pa.int64()).fill_null(len(categories) - 1)
    out[:] = categories[indices.to_numpy(zero_copy_only=False)]


def _runs(array: pa.RunEndEncodedArray) -> _Values:
    rows = np.arange(array.offset, array.offset + len(array))
    found: _Values = np.searchsorted(array.run_ends.to_numpy(), rows, side="right")
    return found


def _null() -> np.uint64:
    found = np.zeros(1, np.uint64)
    _mix(found, _SEEDS["null"])
    return np.uint64(found[0])


def _hide_nulls(array: pa.Array, out: Hashes) -> None:
    if array.null_count:
        out[~array.is_valid().to_numpy(zero_copy_only=False)] = _null()


def _blocks(array: pa.Array) -> Iterator[tuple[int, pa.Array]]:
    for start in range(0, len(array), _BLOCK):
        yield start, array.slice(start, _BLOCK)


def _mix(values: Hashes, seed: np.uint64) -> None:
    """Scramble `values` in place."""
    values += seed
    shifted = values >> np.uint64(30)
    values ^= shifted
    values *= _FIRST
    np.right_shift(values, np.uint64(27), out=shifted)
    values ^= shifted
    values *= _SECOND
    np.right_shift(values, np.uint64(31), out=shifted)
    values ^= shifted


# -- values of one width


def _hash_fixed(array: pa.Array, out: Hashes) -> None:
    kind = array.type
    if pa.types.is_decimal(kind):
        _hash_decimals(array, out)
        return
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    values = _values(array)
    name, factor = _meaning(kind)
    for start in range(0, len(values), _BLOCK):
        block = out[start : start + _BLOCK]
        given = values[start : start + _BLOCK]
        if given.dtype.kind == "f":
            block[:] = _one_zero(given).view(np.uint64)
        else:
            block[:] = given.astype(np.int64, copy=False).view(np.uint64) if given.dtype.kind == "i" else given
        if factor > 1:  # modulo 2**64, which loses nothing of what two units share
            block *= np.uint64(factor)
        _mix(block, _SEEDS[name])


def _meaning(kind: pa.DataType) -> tuple[str, int]:
    """Return the kind of a fixed-width type, and how many of the smallest unit one of its units is."""
    is_ = pa.types
    if is_.is_boolean(kind):
        return "bool", 1
    if is_.is_floating(kind):
        return "float", 1
    if is_.is_date(kind):
        return "date", 86_400_000 if is_.is_date32(kind) else 1
    if is_.is_time(kind):
        return "time", _UNITS[kind.unit]
    if is_.is_timestamp(kind):
        return "instant", _UNITS[kind.unit]
    if is_.is_duration(kind):
        return "duration", _UNITS[kind.unit]
    return "int", 1


def _values(array: pa.Array) -> _Values:
    """Return what lies in the buffer of a fixed-width array, nulls included."""
    kind = array.type
    sign = "f" if pa.types.is_floating(kind) else "u" if pa.types.is_unsigned_integer(kind) else "i"
    width = kind.bit_width // 8
    if not len(array):
        return np.empty(0, f"{sign}{width}")
    return np.frombuffer(array.buffers()[1], f"{sign}{width}", len(array), array.offset * width)


def _one_zero(values: _Values) -> _Values:
    """Return floats as doubles of which equal ones have equal bits."""
    plain: _Values = values.astype(np.float64) + 0.0
    plain[np.isnan(plain)] = np.nan
    return plain


def _hash_decimals(array: pa.Array, out: Hashes) -> None:
    """Hash decimals as integers of 256 bits, after their scale."""
    if not len(array):
        return
    size = array.type.byte_width
    raw = np.frombuffer(array.buffers()[1], np.uint8)[array.offset * size :][: len(array) * size]
    words = raw.view("<i8").reshape(len(array), -1) if size >= 8 else raw.view("<i4").reshape(len(array), -1)
    out[:] = np.int64(array.type.scale).astype(np.uint64)
    for place in range(4):
        word = words[:, place] if place < words.shape[1] else words[:, -1] >> 63
        out ^= word.astype(np.int64).view(np.uint64)
        _mix(out, _SEEDS["decimal"])


# -- text


def _hash_texts(array: pa.Array, out: Hashes) -> None:
    seed = _SEEDS["text" if is_text(array.type) else "bytes"]
    if is_bytes_view(array.type) or pa.types.is_fixed_size_binary(array.type):
        array = array.cast(pa.large_binary())
    dtype = np.int64 if is_large(array.type) else np.int32
    offsets = np.frombuffer(array.buffers()[1], dtype, len(array) + 1, array.offset * np.dtype(dtype).itemsize)
    first, last = int(offsets[0]), int(offsets[-1])
    data = np.zeros(last - first + 8, np.uint8)
    if last > first:
        data[: last - first] = np.frombuffer(array.buffers()[2], np.uint8, last - first, first)
    starts = offsets[:-1].astype(np.int64) - first
    lengths = np.diff(offsets).astype(np.int64)
    words: Any = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))  # the eight bytes from each byte on

    out[:] = lengths.view(np.uint64)
    _mix(out, seed)
    out ^= words[starts] & _MASKS[np.minimum(lengths, 8)]
    _mix(out, seed)
    live = np.flatnonzero((lengths > 8) & (lengths <= _LONG))
    for done in range(8, _LONG, 8):
        if not len(live):
            break
        left = lengths[live] - done
        hashes = out[live]
        hashes ^= words[starts[live] + done] & _MASKS[np.minimum(left, 8)]
        _mix(hashes, seed)
        out[live] = hashes
        live = live[left > 8]
    for row in np.flatnonzero(lengths > _LONG):
        text = data[starts[row] : starts[row] + lengths[row]]
        digest = blake3(text.tobytes()).digest(8)
        out[row] = np.uint64(int.from_bytes(digest, "little")) ^ seed
