"""Logical digests of tables: what the columns say, never how Arrow lays them out.

Equal digests mean equal values of equal types in an equal order. Chunks, offsets, the three layouts
of strings and of lists, dictionary and run-end encodings, schema metadata, nullability, the names
of list items, and whatever lies under nulls or outside a slice are layout. So a table that is read
back must not show them: what decoding keeps belongs in a digest, and these are not in this one.

A column is hashed as streams: validity, lengths, bytes, and those of its children. Every stream is
the plain concatenation of its rows, so no trace of the blocks in which it was fed is left. Children
are fed only what a valid parent holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import attrs
import numpy as np
import pyarrow as pa
from blake3 import blake3

from lineage.content.arrays import BLOCK_ROWS, in_threads, one_nan
from lineage.content.table_types import (
    exported,
    field_type_name,
    is_bytes,
    is_bytes_view,
    is_large,
    is_list,
    is_list_view,
    is_text,
    polars_type_name,
    type_name,
)
from lineage.digest import Digest, digest_of
from lineage.errors import UnstableIdentityError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableDigest", "digest_array", "digest_polars", "digest_table"]

_T = TypeVar("_T")
_Ints = np.ndarray[Any, np.dtype[np.int64]]
_Bools = np.ndarray[Any, np.dtype[np.bool_]]
_Values = np.ndarray[Any, np.dtype[Any]]

_THREADS_FROM_BYTES = 1 << 20
"""Below this size a table is hashed sooner than threads are woken."""


@attrs.frozen
class TableDigest:
    """What a table is. Two are equal when their tables are.

    A column's digest holds its type, rows and values, and not its name: a renamed column keeps it.
    """

    digest: Digest
    rows: int
    columns: Mapping[str, Digest] = attrs.field(eq=False)
    types: Mapping[str, str] = attrs.field(eq=False)


def digest_table(table: pa.Table) -> TableDigest:
    """Return the digest of an Arrow table and of each of its columns, in their order.

    A dictionary type is an encoding here: the digest is that of the plain values.

    Raises:
        UnstableIdentityError: two columns have one name, or a column is of a union type.
    """
    names = [field.name for field in table.schema]
    _refuse_twins(names)
    types = {field.name: _of_column(field.name, field_type_name, field) for field in table.schema}
    return _digest(table, types)


def digest_polars(frame: pl.DataFrame) -> TableDigest:
    """Return the digest of a polars frame: that of the Arrow table of the same content and types.

    Arrow has no types for Categorical, Enum and the integers of 128 bits; a column of these has
    the digest of no Arrow column. The names of a Categorical's categories and those of an Enum,
    in order, belong to its type.

    Raises:
        UnstableIdentityError: a column holds Python objects.
    """
    plain = {n: _of_column(n, exported, dtype) for n, dtype in frame.schema.items()}
    changed = {name: dtype for name, dtype in plain.items() if dtype != frame.schema[name]}
    # Not pa.table(frame), which imports pandas to see whether it is one of its frames.
    stream = frame.with_columns(frame[n].cast(dtype) for n, dtype in changed.items()) if changed else frame
    table = pa.RecordBatchReader.from_stream(stream).read_all()
    types = {
        name: _of_column(name, polars_type_name, dtype, table.schema.field(name).type)
        for name, dtype in frame.schema.items()
    }
    return _digest(table, types)


def digest_array(array: pa.Array | pa.ChunkedArray) -> Digest:
    """Return the digest that a column of these values has.

    Raises:
        UnstableIdentityError: the type is or holds a union.
    """
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return _digest_column(type_name(array.type), array.type, len(array), chunks)


def _refuse_twins(names: Sequence[str]) -> None:
    for name, times in Counter(names).items():
        if times > 1:
            raise UnstableIdentityError(f"{times} columns are named {name!r}; give each a name of its own", column=name)


def _of_column(name: str, function: Callable[..., _T], *arguments: Any) -> _T:
    try:
        return function(*arguments)
    except UnstableIdentityError as error:
        raise UnstableIdentityError(f"column {name!r}: {error}", column=name) from None


def _digest(table: pa.Table, types: dict[str, str]) -> TableDigest:
    def digest_one(name: str) -> Digest:
        column = table.column(name)
        return _digest_column(types[name], column.type, table.num_rows, column.chunks)

    # The largest go first, so that no thread is left with one at the end.
    names = sorted(types, key=lambda name: -table.column(name).nbytes)
    by_threads = len(names) > 1 and table.nbytes >= _THREADS_FROM_BYTES
    found = dict(zip(names, (in_threads if by_threads else map)(digest_one, names), strict=True))
    columns = {name: found[name] for name in types}
    parts = [part for name, digest in columns.items() for part in (_utf8(name), digest)]
    digest = digest_of("table content", _int(table.num_rows), *parts)
    return TableDigest(digest, table.num_rows, columns, types)


def _digest_column(name: str, type: pa.DataType, rows: int, chunks: Sequence[pa.Array]) -> Digest:
    sink = _sink(type)
    for chunk in chunks:
        sink.add(chunk)
    return digest_of("column content", _utf8(name), _int(rows), sink.digest())


def _int(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _sink(type: pa.DataType) -> _Sink:
    """Return what hashes the values of a type."""
    is_ = pa.types
    if isinstance(type, pa.BaseExtensionType):
        return _sink(type.storage_type)
    if is_.is_dictionary(type) or is_.is_run_end_encoded(type):
        return _sink(type.value_type)
    if is_.is_null(type):
        return _NullSink()
    if is_.is_boolean(type):
        return _BitSink()
    if is_text(type) or is_bytes(type):
        return _BytesSink()
    if is_.is_map(type):
        return _ListSink(_sink(pa.struct([type.key_field, type.item_field])))
    if is_list(type) or is_.is_fixed_size_list(type):
        return _ListSink(_sink(type.value_type))
    if is_.is_struct(type):
        return _StructSink([_sink(field.type) for field in type])
    return _FixedSink(type)


class _Stream:
    """The bytes of arrays, one after another."""

    def __init__(self) -> None:
        self._hasher = blake3()

    def write(self, values: _Values) -> None:
        if values.size:
            self._hasher.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8))  # type: ignore[arg-type]

    def digest(self) -> bytes:
        return self._hasher.digest()


class _Validity:
    """Nothing up to the first null; then a byte for each row. How many rows there are is known."""

    def __init__(self) -> None:
        self._stream: _Stream | None = None

    def add(self, rows: int, valid: _Bools | None) -> None:
        if self._stream is None:
            if valid is None:
                return
            self._stream = _Stream()
            valid = valid[int(valid.argmin()) :]
        self._stream.write(np.ones(rows, np.bool_) if valid is None else valid)

    def digest(self) -> bytes:
        return b"" if self._stream is None else self._stream.digest()


class _Sink:
    """Hashes arrays of one type as if they were one.

    `rows` picks the rows to hash, -1 standing for a null; None means all of them, in order.
    """

    _kind: ClassVar[str]

    def __init__(self) -> None:
        self._validity = _Validity()

    def add(self, array: pa.Array, rows: _Ints | None = None) -> None:
        for start in range(0, len(array) if rows is None else len(rows), BLOCK_ROWS):
            if rows is None:
                self._add_block(*_decoded(array.slice(start, BLOCK_ROWS), None))
            else:
                self._add_block(*_decoded(array, rows[start : start + BLOCK_ROWS]))

    def digest(self) -> Digest:
        return digest_of(self._kind, self._validity.digest(), *self._digests())

    def _add_block(self, array: pa.Array, rows: _Ints | None) -> None:
        valid = _valid(array, rows)
        self._validity.add(len(array) if rows is None else len(rows), valid)
        self._add_values(array, rows, valid)

    def _add_values(self, array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> None:
        raise NotImplementedError

    def _digests(self) -> Iterable[bytes]:
        raise NotImplementedError


class _NullSink(_Sink):
    """Hashes nothing: the type says it all."""

    _kind = "nulls"

    def add(self, array: pa.Array, rows: _Ints | None = None) -> None:
        pass

    def _digests(self) -> Iterable[bytes]:
        return ()


class _FixedSink(_Sink):
    """Hashes values of one width, zero where they are null."""

    _kind = "fixed"

    def __init__(self, type: pa.DataType) -> None:
        super().__init__()
        self._dtype = _fixed_dtype(type)
        self._stream = _Stream()

    def _add_values(self, array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> None:
        if self._dtype.itemsize == 0:
            return
        values = _blanked(_pick(_view(array, 1, self._dtype), rows), valid)
        self._stream.write(one_nan(values) if self._dtype.kind == "f" else values)

    def _digests(self) -> Iterable[bytes]:
        return (self._stream.digest(),)


class _BitSink(_Sink):
    """Hashes booleans as a byte each, zero where they are null."""

    _kind = "bits"

    def __init__(self) -> None:
        super().__init__()
        self._stream = _Stream()

    def _add_values(self, array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> None:
        self._stream.write(_blanked(_bits(array, 1, rows), valid))

    def _digests(self) -> Iterable[bytes]:
        return (self._stream.digest(),)


class _BytesSink(_Sink):
    """Hashes strings and binaries as lengths and bytes, so that it counts where they are cut."""

    _kind = "bytes"

    def __init__(self) -> None:
        super().__init__()
        self._lengths, self._bytes = _Stream(), _Stream()

    def _add_values(self, array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> None:
        if is_bytes_view(array.type):
            array, rows = _offset_layout(array, rows, valid), None
        starts, lengths = _spans(array, rows, valid)
        self._lengths.write(lengths)
        run = _run(starts, lengths, ordered=rows is None)
        if run is None:
            held = np.flatnonzero(lengths)
            array = _taken(array, held if rows is None else rows[held], int(lengths.sum()))
            run = _run(*_spans(array, None, None), ordered=True)
        self._bytes.write(_data(array, *(run or (0, 0))))

    def _digests(self) -> Iterable[bytes]:
        return (self._lengths.digest(), self._bytes.digest())


class _ListSink(_Sink):
    """Hashes lists of all layouts, and maps, as lengths and the items of those that are valid."""

    _kind = "lists"

    def __init__(self, items: _Sink) -> None:
        super().__init__()
        self._lengths = _Stream()
        self._items = items

    def _add_values(self, array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> None:
        starts, lengths = _spans(array, rows, valid)
        self._lengths.write(lengths)
        run = _run(starts, lengths, ordered=rows is None and not is_list_view(array.type))
        if run is None:
            self._items.add(array.values, _ranges(starts, lengths))
        else:
            self._items.add(array.values.slice(*run))

    def _digests(self) -> Iterable[bytes]:
        return (self._lengths.digest(), self._items.digest())


class _StructSink(_Sink):
    """Hashes the fields of the structures that are valid."""

    _kind = "structs"

    def __init__(self, fields: Sequence[_Sink]) -> None:
        super().__init__()
        self._fields = fields

    def _add_values(self, array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> None:
        if valid is not None:
            rows = np.flatnonzero(valid) if rows is None else rows[valid]
        for index, field in enumerate(self._fields):
            field.add(array.field(index), rows)

    def _digests(self) -> Iterable[bytes]:
        return (field.digest() for field in self._fields)


def _decoded(array: pa.Array, rows: _Ints | None) -> tuple[pa.Array, _Ints | None]:
    """Return the plain array behind extensions and encodings, and the rows of it that are meant."""
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif isinstance(array, pa.DictionaryArray):
            array, rows = array.dictionary, _codes(array.indices, rows)
        elif isinstance(array, pa.RunEndEncodedArray):
            array, rows = array.values, _runs(array, rows)
        else:
            return array, rows


def _codes(indices: pa.Array, rows: _Ints | None) -> _Ints:
    sign = "u" if pa.types.is_unsigned_integer(indices.type) else "i"
    codes = _view(indices, 1, np.dtype(f"{sign}{indices.type.bit_width // 8}"))
    found = _pick(codes, rows).astype(np.int64)
    valid = _valid(indices, rows)
    if valid is not None:
        found[~valid] = -1
    return found


def _runs(array: pa.RunEndEncodedArray, rows: _Ints | None) -> _Ints:
    ends = array.run_ends
    wanted = np.arange(len(array)) if rows is None else rows
    bounds = _view(ends, 1, np.dtype(f"i{ends.type.bit_width // 8}"))
    found: _Ints = np.searchsorted(bounds, wanted + array.offset, side="right")
    found[wanted < 0] = -1
    return found


def _valid(array: pa.Array, rows: _Ints | None) -> _Bools | None:
    """Return which rows are not null; None if all are."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array) if rows is None else len(rows), np.bool_)
    valid = None if rows is None else rows >= 0
    if array.null_count:
        bits = _bits(array, 0, rows)
        valid = bits if valid is None else valid & bits
    return None if valid is None or valid.all() else valid


def _bits(array: pa.Array, buffer: int, rows: _Ints | None) -> _Bools:
    """Return the bits of a buffer of `array` as booleans."""
    packed = np.frombuffer(array.buffers()[buffer] or b"\0", np.uint8)
    if rows is not None:
        at = rows.clip(0) + array.offset
        picked: _Bools = (packed[at >> 3] >> (at & 7) & 1).astype(np.bool_)
        return picked
    first, skipped = divmod(array.offset, 8)
    packed = packed[first : first + (skipped + len(array) + 7) // 8]
    return np.unpackbits(packed, bitorder="little")[skipped : skipped + len(array)].view(np.bool_)


def _view(array: pa.Array, buffer: int, dtype: np.dtype[Any], more: int = 0) -> _Values:
    """Return a buffer of `array` from its offset on, `more` values longer than the array."""
    if len(array) == 0:
        return np.zeros(more, dtype)
    offset = array.offset * dtype.itemsize
    return np.frombuffer(array.buffers()[buffer], dtype, len(array) + more, offset)


def _pick(values: _Values, rows: _Ints | None) -> _Values:
    if rows is None:
        return values
    if len(values) == 0:  # all rows are null
        return np.zeros((len(rows), *values.shape[1:]), values.dtype)
    return values[rows]


def _blanked(values: _Values, valid: _Bools | None) -> _Values:
    """Return `values` with zero bits where they are not valid."""
    if valid is None:
        return values
    bits = values.view(f"u{values.dtype.itemsize}")
    kept: _Values = bits * valid.reshape(-1, *(1,) * (values.ndim - 1))  # far sooner than a mask
    return kept.view(values.dtype)


def _fixed_dtype(type: pa.DataType) -> np.dtype[Any]:
    width = type.bit_width // 8
    if pa.types.is_floating(type):
        return np.dtype(f"f{width}")
    if width in (1, 2, 4, 8):
        return np.dtype(f"u{width}")
    return np.dtype(("u8", (width // 8,))) if width % 8 == 0 else np.dtype(("u1", (width,)))


def _spans(array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> tuple[_Ints, _Ints]:
    """Return where each list or string starts among the values and how long it is; 0 if null."""
    starts, lengths = _raw_spans(array, rows)
    return starts, lengths if valid is None else np.where(valid, lengths, 0)


def _raw_spans(array: pa.Array, rows: _Ints | None) -> tuple[_Ints, _Ints]:
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        at = np.arange(len(array)) if rows is None else rows
        return (at + array.offset) * size, np.full(len(at), size)
    dtype = np.dtype(np.int64 if is_large(array.type) else np.int32)
    if is_list_view(array.type):
        starts, lengths = (_pick(_view(array, buffer, dtype), rows) for buffer in (1, 2))
        return _wide(starts), _wide(lengths)
    offsets = _view(array, 1, dtype, more=1)
    starts = _wide(_pick(offsets[:-1], rows))
    return starts, _pick(offsets[1:], rows) - starts


def _wide(values: _Values) -> _Ints:
    return values.astype(np.int64, copy=False)


def _run(starts: _Ints, lengths: _Ints, *, ordered: bool) -> tuple[int, int] | None:
    """Return start and length of the values if they stand together, in order; else None."""
    total = int(lengths.sum())
    if total == 0:
        return 0, 0
    if not ordered:
        held = lengths > 0
        starts, lengths = starts[held], lengths[held]
        together = bool((starts[1:] == starts[:-1] + lengths[:-1]).all())
    else:
        together = int(starts[-1] + lengths[-1] - starts[0]) == total
    return (int(starts[0]), total) if together else None


def _ranges(starts: _Ints, lengths: _Ints) -> _Ints:
    """Return the rows of all values, list by list."""
    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1])


def _offset_layout(array: pa.Array, rows: _Ints | None, valid: _Bools | None) -> pa.Array:
    """Return the rows of a view array as large binaries."""
    if rows is not None:
        views = _blanked(_pick(_view(array, 1, np.dtype(("u8", (2,)))), rows), valid)
        buffers = [None, pa.py_buffer(views), *array.buffers()[2:]]
        array = pa.Array.from_buffers(pa.binary_view(), len(rows), buffers)
    return array.cast(pa.large_binary())


def _taken(array: pa.Array, rows: _Ints, size: int) -> pa.Array:
    if size > np.iinfo(np.int32).max:
        array = array.cast(pa.large_binary())
    return array.take(pa.array(rows))


def _data(array: pa.Array, start: int, size: int) -> _Values:
    data = array.buffers()[2]
    return np.frombuffer(data, np.uint8, size, start) if size else np.zeros(0, np.uint8)
