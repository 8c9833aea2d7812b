"""The logical types of tables, as text: one text for two types exactly when their values mean the same."""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lineage.errors import UnstableIdentityError

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "exported",
    "field_type_name",
    "is_bytes",
    "is_bytes_view",
    "is_large",
    "is_list",
    "is_list_view",
    "is_text",
    "polars_type_name",
    "type_name",
]


def type_name(type: pa.DataType) -> str:
    """Return a text that is one for two types exactly when they are logically the same."""
    is_ = pa.types
    if isinstance(type, pa.BaseExtensionType):
        metadata = _extension_metadata(type)
        return _extension_name(type.extension_name, metadata, type_name(type.storage_type))
    if is_.is_dictionary(type) or is_.is_run_end_encoded(type):
        return type_name(type.value_type)
    if is_.is_struct(type):
        return _struct_name((field.name, field_type_name(field)) for field in type)
    if is_.is_map(type):
        return f"map<{field_type_name(type.key_field)}, {field_type_name(type.item_field)}>"
    if is_.is_fixed_size_list(type):
        return f"fixed_size_list<{field_type_name(type.value_field)}>[{type.list_size}]"
    if is_list(type):
        return f"list<{field_type_name(type.value_field)}>"
    return _leaf_name(type)


def _leaf_name(type: pa.DataType) -> str:
    if pa.types.is_union(type):
        raise UnstableIdentityError(f"no digest for the union type {type}", type=str(type))
    if pa.types.is_timestamp(type):
        return f"timestamp[{type.unit}, tz={json.dumps(type.tz)}]"
    if is_text(type):
        return "string"
    if is_bytes(type):
        return "binary"
    return str(type)


def field_type_name(field: pa.Field) -> str:
    """Return the type of a field, also where it is an extension type that nobody registered."""
    metadata = field.metadata or {}
    name = metadata.get(b"ARROW:extension:name")
    if name is None or isinstance(field.type, pa.BaseExtensionType):
        return type_name(field.type)
    serialized = metadata.get(b"ARROW:extension:metadata", b"")
    return _extension_name(_text(name), _text(serialized), type_name(field.type))


def _struct_name(fields: Iterable[tuple[str, str]]) -> str:
    return "struct<" + ", ".join(f"{json.dumps(name)}: {type}" for name, type in fields) + ">"


def _extension_name(name: str, metadata: str, storage: str) -> str:
    return f"extension<{json.dumps(name)}, {json.dumps(metadata)}, {storage}>"


def _extension_metadata(type: pa.BaseExtensionType) -> str:
    """Return the serialized parameters of a type, which the types made in C++ give only to C."""
    capsule = type.__arrow_c_schema__()
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = pointer_of(capsule, b"arrow_schema") + 2 * ctypes.sizeof(ctypes.c_void_p)
    pairs = _c_metadata(ctypes.c_void_p.from_address(address).value)
    return _text(pairs.get(b"ARROW:extension:metadata", b""))


def _c_metadata(address: int | None) -> dict[bytes, bytes]:
    """Read the pairs at `address`, as the Arrow C data interface lays them out."""
    if address is None:
        return {}

    def read(size: int) -> bytes:
        nonlocal address
        assert address is not None
        found = ctypes.string_at(address, size)
        address += size
        return found

    def read_int() -> int:
        return int.from_bytes(read(4), sys.byteorder)

    return {read(read_int()): read(read_int()) for _ in range(read_int())}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def exported(dtype: pl.DataType) -> pl.DataType:
    """Return the type in which a column can leave polars: integers of 128 bits go as text."""
    import polars as pl

    if isinstance(dtype, (pl.Int128, pl.UInt128)):
        return pl.String()
    if isinstance(dtype, pl.List):
        return pl.List(exported(_instance(dtype.inner)))
    if isinstance(dtype, pl.Array):
        return pl.Array(exported(_instance(dtype.inner)), dtype.size)
    if isinstance(dtype, pl.Struct):
        return pl.Struct([pl.Field(f.name, exported(_instance(f.dtype))) for f in dtype.fields])
    if isinstance(dtype, pl.Map):
        return pl.Map(exported(_instance(dtype.key)), exported(_instance(dtype.value)))
    if isinstance(dtype, pl.Object):
        raise UnstableIdentityError("no digest for Python objects; give the column another dtype")
    return dtype


def _instance(dtype: Any) -> pl.DataType:
    instance: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return instance


def polars_type_name(dtype: Any, arrow: pa.DataType) -> str:
    """Return the name of the Arrow type in which `dtype` leaves polars, or of what that loses."""
    import polars as pl

    if isinstance(dtype, (pl.Int128, pl.UInt128)):
        return "int128" if isinstance(dtype, pl.Int128) else "uint128"
    if isinstance(dtype, pl.Enum):
        return f"enum{json.dumps(dtype.categories.to_list())}"
    if isinstance(dtype, pl.Categorical):
        known = dtype.categories
        physical = str(known.physical())
        return f"categorical{json.dumps([known.name(), known.namespace(), physical])}"
    if isinstance(dtype, pl.BaseExtension):
        storage = arrow.storage_type if isinstance(arrow, pa.BaseExtensionType) else arrow
        inner = polars_type_name(dtype.ext_storage(), storage)
        return _extension_name(dtype.ext_name(), dtype.ext_metadata() or "", inner)
    return _polars_nested_name(dtype, arrow)


def _polars_nested_name(dtype: Any, arrow: pa.DataType) -> str:
    import polars as pl

    if isinstance(dtype, pl.List):
        return f"list<{polars_type_name(dtype.inner, arrow.value_type)}>"
    if isinstance(dtype, pl.Array):
        inner = polars_type_name(dtype.inner, arrow.value_type)
        return f"fixed_size_list<{inner}>[{dtype.size}]"
    if isinstance(dtype, pl.Struct):
        pairs = zip(dtype.fields, arrow, strict=True)
        return _struct_name((f.name, polars_type_name(f.dtype, a.type)) for f, a in pairs)
    if isinstance(dtype, pl.Map):
        key = polars_type_name(dtype.key, arrow.key_type)
        return f"map<{key}, {polars_type_name(dtype.value, arrow.item_type)}>"
    return type_name(arrow)


def is_text(type: pa.DataType) -> bool:
    is_ = pa.types
    return bool(is_.is_string(type) or is_.is_large_string(type) or is_.is_string_view(type))


def is_bytes(type: pa.DataType) -> bool:
    is_ = pa.types
    return bool(is_.is_binary(type) or is_.is_large_binary(type) or is_.is_binary_view(type))


def is_bytes_view(type: pa.DataType) -> bool:
    return bool(pa.types.is_string_view(type) or pa.types.is_binary_view(type))


def is_large(type: pa.DataType) -> bool:
    is_ = pa.types
    lists = is_.is_large_list(type) or is_.is_large_list_view(type)
    return bool(lists or is_.is_large_string(type) or is_.is_large_binary(type))


def is_list(type: pa.DataType) -> bool:
    return bool(pa.types.is_list(type) or pa.types.is_large_list(type) or is_list_view(type))


def is_list_view(type: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(type) or pa.types.is_large_list_view(type))
