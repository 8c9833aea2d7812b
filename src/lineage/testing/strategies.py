"""Hypothesis strategies for Arrow tables: what a table says, and all the ways to lay it out.

`table_values()` draws what a table says, as plain Python; `layouts(value)` draws an Arrow table
that says it, with its own chunks, offsets, encodings and garbage wherever nobody may look. So a law
about values is stated on the first and tried on the second:

    @given(st.data(), table_values())
    def test_layout_does_not_count(data, value):
        one, other = data.draw(layouts(value)), data.draw(layouts(value))
        assert digest_table(one) == digest_table(other)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

__all__ = [
    "ColumnValue",
    "TableValue",
    "arrays",
    "column_values",
    "layouts",
    "table_values",
    "types",
    "values",
]

_Draw = Any

_INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64()]
_FLOATS = [pa.float16(), pa.float32(), pa.float64()]
_TIMES = [
    pa.timestamp("us", "Europe/Paris"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns"),
    pa.timestamp("us"),
    pa.duration("us"),
    pa.duration("ms"),
    pa.date32(),
    pa.date64(),
    pa.time32("s"),
    pa.time64("ns"),
]
_DECIMALS = [pa.decimal128(10, 2), pa.decimal128(10, 3), pa.decimal256(50, 2)]
_TEXTS = [pa.string(), pa.binary(), pa.binary(2), pa.binary(0)]
_OTHERS = [pa.null(), pa.bool_(), pa.uuid(), pa.json_()]
_LEAVES = [*_INTS, *_FLOATS, *_TIMES, *_DECIMALS, *_TEXTS, *_OTHERS]


@attrs.frozen
class ColumnValue:
    """What a column says: a name, a type in its plainest layout, and a Python value for each row.

    Temporal values and decimals are the integers that Arrow keeps; a map is a list of pairs; a
    struct a tuple.
    """

    name: str
    type: pa.DataType
    values: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.name!r}: {self.type} = {self.values!r}"


@attrs.frozen
class TableValue:
    """What a table says. Two say the same when their `str` is the same, so 0.0 is not -0.0."""

    columns: tuple[ColumnValue, ...]
    rows: int

    def __str__(self) -> str:
        return f"{self.rows} rows, " + "; ".join(map(str, self.columns))


def types(max_leaves: int = 4) -> st.SearchStrategy[pa.DataType]:
    """Draw Arrow types, nested ones and extension types included, in their plainest layout."""
    return st.recursive(st.sampled_from(_LEAVES), _nested_types, max_leaves=max_leaves)


def values(type: pa.DataType) -> st.SearchStrategy[Any]:
    """Draw Python values of a type, None among them, from so few that equal ones are common."""
    if pa.types.is_null(type):
        return st.none()
    return st.none() | _held_values(type)


@st.composite
def column_values(draw: _Draw, *, rows: int | None = None, name: str = "x") -> ColumnValue:
    """Draw what a column says."""
    type = draw(types())
    rows = draw(st.integers(0, 5)) if rows is None else rows
    return ColumnValue(name, type, tuple(draw(_lists_of(values(type), rows))))


@st.composite
def table_values(draw: _Draw, *, max_columns: int = 3) -> TableValue:
    """Draw what a table says; tables of no rows and of no columns are among them."""
    rows = draw(st.integers(0, 5))
    names = draw(st.lists(st.sampled_from(["", "a", "b", "ab"]), unique=True, max_size=max_columns))
    return TableValue(tuple(draw(column_values(rows=rows, name=name)) for name in names), rows)


@st.composite
def arrays(draw: _Draw, type: pa.DataType, held: Sequence[Any]) -> pa.Array:
    """Draw an array that says `held`, in any layout and with garbage wherever nobody may look."""
    before, after = draw(st.integers(0, 9)), draw(st.integers(0, 2))
    padded = [*draw(_lists_of(values(type), before)), *held, *draw(_lists_of(values(type), after))]
    return draw(_encoded(type, padded)).slice(before, len(held))


@st.composite
def layouts(draw: _Draw, value: TableValue) -> pa.Table:
    """Draw an Arrow table that says `value`."""
    if not value.columns:
        return _table_of_no_columns(value.rows)
    columns = [draw(_chunked(column.type, column.values)) for column in value.columns]
    metadata = st.none() | st.just({"written": "by somebody"})
    fields = [
        pa.field(column.name, array.type, metadata=draw(metadata))
        for column, array in zip(value.columns, columns, strict=True)
    ]
    return pa.table(columns, pa.schema(fields, draw(metadata)))


def _nested_types(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    names = st.lists(st.sampled_from(["", "a", "b"]), unique=True, max_size=3)
    return st.one_of(
        inner.map(pa.list_),
        st.builds(pa.list_, inner, st.integers(0, 2)),
        names.flatmap(lambda ns: st.tuples(*(inner for _ in ns)).map(lambda ts: _struct(ns, ts))),
        st.builds(pa.map_, st.sampled_from([pa.string(), pa.int32()]), inner),
    )


def _struct(names: Sequence[str], inner: Sequence[pa.DataType]) -> pa.DataType:
    return pa.struct([pa.field(name, type) for name, type in zip(names, inner, strict=True)])


def _held_values(type: pa.DataType) -> st.SearchStrategy[Any]:
    is_ = pa.types
    if isinstance(type, pa.BaseExtensionType):
        return _held_values(type.storage_type)
    if is_.is_struct(type):
        return st.tuples(*(values(field.type) for field in type))
    if is_.is_map(type):
        pairs = st.tuples(_held_values(type.key_type), values(type.item_type))
        return st.lists(pairs, max_size=2)
    if is_.is_fixed_size_list(type):
        return _lists_of(values(type.value_type), type.list_size)
    if is_.is_list(type):
        return st.lists(values(type.value_type), max_size=3)
    return st.sampled_from(_few(type))


def _few(type: pa.DataType) -> list[Any]:
    """Return some values that are easily taken for one another."""
    is_ = pa.types
    if is_.is_floating(type):
        return [0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf")]
    if is_.is_boolean(type):
        return [False, True]
    if is_.is_string(type):
        return ["", "a", "b", "ab", "\0", "é", "more than the twelve inline bytes", "nan"]
    if is_.is_fixed_size_binary(type):
        width = type.byte_width
        return [bytes(width), b"a" * width, b"ab" * (width // 2)]
    if is_.is_binary(type):
        return [b"", b"a", b"ab", b"\0", b"\xff", b"more than the twelve inline bytes"]
    day = 86_400_000 if is_.is_date64(type) else 1
    return [0, day, 2 * day, 100 * day]


def _lists_of(elements: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(elements, min_size=size, max_size=size)


def _table_of_no_columns(rows: int) -> pa.Table:
    return pa.table({"x": pa.nulls(rows)}).select([])


@st.composite
def _chunked(draw: _Draw, type: pa.DataType, held: Sequence[Any]) -> pa.ChunkedArray:
    """Cut the rows anywhere; all chunks take the type of the first, as Arrow wants."""
    cut = draw(st.integers(0, len(held)))
    whole = draw(arrays(type, held))
    chunks = [whole.slice(0, cut), whole.slice(cut)]
    again = draw(arrays(type, held[cut:]))
    if again.type == whole.type:
        chunks[1] = again
    return pa.chunked_array(chunks, whole.type)


@st.composite
def _encoded(draw: _Draw, type: pa.DataType, held: Sequence[Any]) -> pa.Array:
    """Draw a plain, dictionary-encoded or run-end-encoded array."""
    if isinstance(type, pa.BaseExtensionType):
        storage = draw(_plain(type.storage_type, held, keep=True))
        return pa.ExtensionArray.from_storage(type, storage)
    encoding = draw(st.sampled_from(["plain", "plain", "dictionary", "run ends"]))
    if encoding == "dictionary" and not pa.types.is_nested(type):
        return draw(_dictionary(type, held))
    if encoding == "run ends":
        return draw(_run_ends(type, held))
    return draw(_plain(type, held))


@st.composite
def _dictionary(draw: _Draw, type: pa.DataType, held: Sequence[Any]) -> pa.Array:
    """Nulls stand among the codes or the words, at will; the words are in an order of their own."""
    words = {repr(value): value for value in [*draw(_lists_of(values(type), 1)), *held]}
    order = draw(st.permutations(list(words)))
    codes = [order.index(repr(value)) for value in held]
    by_code = draw(st.booleans())
    mask = np.array([by_code and value is None for value in held], np.bool_)
    indices = pa.array(np.array(codes, draw(st.sampled_from(["u1", "i4", "i8"]))), mask=mask)
    return pa.DictionaryArray.from_arrays(indices, draw(_encoded(type, [words[k] for k in order])))


@st.composite
def _run_ends(draw: _Draw, type: pa.DataType, held: Sequence[Any]) -> pa.Array:
    """Runs end where values change, and at will before that."""
    cuts = [draw(st.booleans()) or repr(a) != repr(b) for a, b in itertools.pairwise(held)]
    ends = [i + 1 for i, cut in enumerate(cuts) if cut] + ([len(held)] if held else [])
    runs = draw(_plain(type, [held[end - 1] for end in ends]))
    width = draw(st.sampled_from([pa.int16(), pa.int32(), pa.int64()]))
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, width), runs)


@st.composite
def _plain(draw: _Draw, type: pa.DataType, held: Sequence[Any], *, keep: bool = False) -> pa.Array:
    """Draw an array with any values under its nulls; with `keep`, of exactly this type."""
    if pa.types.is_null(type):
        return pa.nulls(len(held))
    garbage = _held_values(type)
    filled = [draw(garbage) if value is None else value for value in held]
    validity = _bitmap([value is not None for value in held])
    if pa.types.is_struct(type):
        return draw(_structs(type, filled, validity))
    if pa.types.is_map(type) or pa.types.is_list(type) or pa.types.is_fixed_size_list(type):
        return draw(_lists(type, held, filled, validity))
    array = _leaf(type, filled, draw(st.integers(0, 3)))
    if not keep:
        array = array.cast(draw(st.sampled_from(_layouts_of(type))))
    return pa.Array.from_buffers(array.type, len(held), [validity, *array.buffers()[1:]])


def _layouts_of(type: pa.DataType) -> list[pa.DataType]:
    if pa.types.is_string(type):
        return [pa.string(), pa.large_string(), pa.string_view()]
    if pa.types.is_binary(type):
        return [pa.binary(), pa.large_binary(), pa.binary_view()]
    return [type]


def _bitmap(bits: Sequence[bool]) -> pa.Buffer:
    """Pack bits, with ones in the padding."""
    packed = np.packbits(np.array([*bits, *[True] * 8], np.bool_), bitorder="little")
    return pa.py_buffer(packed.tobytes())


def _leaf(type: pa.DataType, filled: Sequence[Any], payload: int) -> pa.Array:
    is_ = pa.types
    if is_.is_boolean(type):
        return pa.Array.from_buffers(type, len(filled), [None, _bitmap(filled)])
    if is_.is_string(type) or is_.is_binary(type):
        return pa.array(filled, type)
    if is_.is_floating(type):
        raw = _float_bytes(filled, type.bit_width // 8, payload)
    elif is_.is_fixed_size_binary(type) and not is_.is_decimal(type):
        raw = b"".join(filled)
    else:
        width = type.bit_width // 8
        raw = b"".join(value.to_bytes(width, "little") for value in filled)
    return pa.Array.from_buffers(type, len(filled), [None, pa.py_buffer(raw)])


def _float_bytes(filled: Sequence[float], width: int, payload: int) -> bytes:
    """Write floats, NaNs with a sign and payload of their own."""
    floats = np.array(filled, f"f{width}")
    bits = floats.view(f"u{width}")
    bits[np.isnan(floats)] |= bits.dtype.type(payload & 1)
    bits[np.isnan(floats)] |= bits.dtype.type((payload >> 1) << (8 * width - 1))
    return floats.tobytes()


@st.composite
def _structs(draw: _Draw, type: pa.DataType, filled: Sequence[Any], validity: pa.Buffer) -> pa.Array:
    children = [draw(arrays(field.type, [value[index] for value in filled])) for index, field in enumerate(type)]
    pairs = zip(type, children, strict=True)
    laid_out = pa.struct([pa.field(field.name, child.type) for field, child in pairs])
    return pa.Array.from_buffers(laid_out, len(filled), [validity], children=children)


@st.composite
def _lists(
    draw: _Draw,
    type: pa.DataType,
    held: Sequence[Any],
    filled: Sequence[Any],
    validity: pa.Buffer,
) -> pa.Array:
    """Draw lists, some of which hold items while they are null."""
    keeps_garbage = pa.types.is_fixed_size_list(type) or draw(st.booleans())
    shown = filled if keeps_garbage else [value or [] for value in held]
    if pa.types.is_fixed_size_list(type):
        items = draw(arrays(type.value_type, [item for value in shown for item in value]))
        laid_out = pa.list_(items.type, type.list_size)
        return pa.Array.from_buffers(laid_out, len(held), [validity], children=[items])
    if pa.types.is_map(type):
        return draw(_maps(type, shown, validity))
    kinds = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]
    kind = draw(st.sampled_from(kinds))
    if kind in (pa.list_, pa.large_list):
        items = draw(arrays(type.value_type, [item for value in shown for item in value]))
        offsets = np.cumsum([0, *map(len, shown)]).astype("i4" if kind is pa.list_ else "i8")
        buffers = [validity, pa.py_buffer(offsets.tobytes())]
        return pa.Array.from_buffers(kind(items.type), len(held), buffers, children=[items])
    return draw(_list_views(kind, type.value_type, shown, validity))


@st.composite
def _list_views(draw: _Draw, kind: Any, type: pa.DataType, shown: Sequence[Any], validity: pa.Buffer) -> pa.Array:
    """Draw lists whose items stand in any order, with others between them."""
    items, starts = list(draw(st.lists(values(type), max_size=1))), [0] * len(shown)
    for index in draw(st.permutations(range(len(shown)))):
        starts[index] = len(items)
        items += [*shown[index], *draw(st.lists(values(type), max_size=1))]
    array = draw(arrays(type, items))
    dtype = "i4" if kind is pa.list_view else "i8"
    ints = (np.array(numbers, dtype) for numbers in (starts, [len(value) for value in shown]))
    buffers = [validity, *(pa.py_buffer(numbers.tobytes()) for numbers in ints)]
    return pa.Array.from_buffers(kind(array.type), len(shown), buffers, children=[array])


@st.composite
def _maps(draw: _Draw, type: pa.DataType, shown: Sequence[Any], validity: pa.Buffer) -> pa.Array:
    pairs = [pair for value in shown for pair in value]
    entry = pa.struct([pa.field("key", type.key_type), pa.field("value", type.item_type)])
    entries = draw(_structs(entry, pairs, _bitmap([True] * len(pairs))))
    offsets = np.cumsum([0, *map(len, shown)]).astype("i4")
    laid_out = pa.map_(entries.type.field(0).type, entries.type.field(1).type)
    fields = [entries.field(0), entries.field(1)]
    bits = _bitmap([True] * len(pairs))
    entries = pa.Array.from_buffers(
        pa.struct([laid_out.key_field, laid_out.item_field]), len(pairs), [bits], children=fields
    )
    buffers = [validity, pa.py_buffer(offsets.tobytes())]
    return pa.Array.from_buffers(laid_out, len(shown), buffers, children=[entries])
