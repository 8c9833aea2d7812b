"""Tables as parquet: polars frames and series, Arrow tables, pandas frames.

Parquet with lz4 and statistics: on this design's test table it writes at the speed of the disk and a projection reads
only the columns asked for (`docs/decisions/004-parquet.md` has the measurements). What parquet can't give back exactly
is kept as an Arrow IPC file instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lineage.codecs.pandas_frames import from_pandas, to_pandas
from lineage.codecs.scans import Part
from lineage.digest import Digest, digest_of
from lineage.errors import CodecError, CorruptObjectError

__all__ = ["TableCodec"]


class TableCodec:
    """`polars.DataFrame`, `LazyFrame` (collected before it gets here) and `Series`, `pyarrow.Table`, `pandas.DataFrame`."""

    family = "table"

    def identify(self, value: Any, kind: str) -> tuple[Digest, dict[str, Any]]:
        from lineage.content.tables import digest_polars, digest_table

        name = kind.partition(":")[2]
        if name == "pandas.DataFrame":
            table, shape = from_pandas(value)
            found = digest_table(table)
            content = digest_of("pandas", found.digest, json.dumps(shape, sort_keys=True).encode())
        elif name == "pyarrow.Table":
            found = digest_table(value)
            content = digest_of("arrow", found.digest)
        else:
            found = digest_polars(value.to_frame() if name == "polars.Series" else value)
            content = digest_of("polars", found.digest)
        info = {
            "rows": found.rows,
            "schema": dict(found.types),
            "columns": {column: digest.hex() for column, digest in found.columns.items()},
        }
        if name == "pandas.DataFrame":
            info |= {
                "rows": len(value),
                "schema": {str(n): str(t) for n, t in zip(value.columns, value.dtypes, strict=True)},
            }
        return content, info

    def lossless(self, value: Any) -> bool:
        """True for polars: plain types are proved by the property tests, others read back by `encode` itself."""
        return type(value).__module__.partition(".")[0] == "polars"

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        name = kind.partition(":")[2]
        if name == "pandas.DataFrame":
            table, shape = from_pandas(value)
            _write_ipc(table, folder)
            return {"arrow": True, "pandas": shape}
        if name == "pyarrow.Table":
            return _write_arrow(_plain_arrow(value), folder)
        return _write_polars(value.to_frame() if name == "polars.Series" else value, folder)

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        """Return the table as its type, or as the `Part` of a scan where the kind is `table:part`."""
        name = kind.partition(":")[2]
        if name == "part":
            return _part(files, notes)
        if "pandas" in notes and name.startswith("polars."):
            return _as_polars(_unlabelled(_read_arrow(files, notes), notes["pandas"]), name)
        if name == "polars.LazyFrame":
            return _scan(files, notes)
        if name in ("polars.DataFrame", "polars.Series"):
            frame = _read_polars(files, notes)
            return frame.to_series() if name == "polars.Series" else frame
        table = _read_arrow(files, notes)
        if name == "pandas.DataFrame":
            return to_pandas(table, notes["pandas"]) if "pandas" in notes else table.to_pandas()
        return _unlabelled(table, notes["pandas"]) if "pandas" in notes else table


def _unlabelled(table: Any, shape: dict[str, Any]) -> Any:
    """Return the columns of a pandas frame as a table; its index stays behind."""
    import pyarrow as pa

    return _plain_arrow(pa.Table.from_pandas(to_pandas(table, shape), preserve_index=False))


def _as_polars(table: Any, name: str) -> Any:
    import polars as pl

    frame: Any = pl.from_arrow(table)
    if name == "polars.LazyFrame":
        return frame.lazy()
    return frame.to_series() if name == "polars.Series" else frame


def _is_plain(dtype: Any) -> bool:
    import polars as pl

    return bool(
        (dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128))
        or dtype in (pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time)
        or (dtype.is_temporal() and getattr(dtype, "time_zone", None) is None)
    )


def _write_polars(frame: Any, folder: Path) -> dict[str, Any]:
    """Write `frame` as parquet, or as Arrow IPC where parquet loses something."""
    if frame.width:
        try:
            frame.write_parquet(folder / "table.parquet", compression="lz4", statistics=True)
        except BaseException as error:
            _raise_unless_of_polars(error)
            (folder / "table.parquet").unlink(missing_ok=True)
            reason: BaseException = error
        else:
            if all(_is_plain(dtype) for dtype in frame.dtypes) or _same(
                frame, _read_polars({"table.parquet": folder / "table.parquet"}, {})
            ):
                return {"columns": _columns(frame.schema)}
            (folder / "table.parquet").unlink()
            reason = CodecError("parquet does not give back the same table")
        try:
            frame.write_ipc(folder / "table.arrow", compression="lz4")
        except BaseException as error:
            _raise_unless_of_polars(error)
            raise CodecError(f"a table with schema {dict(frame.schema)} can't be kept: {error}") from reason
        return {"columns": _columns(frame.schema)}
    (folder / "table.empty").write_bytes(b"")
    return {"height": frame.height}


def _raise_unless_of_polars(error: BaseException) -> None:
    """Let everything through but what polars says of a table that it can't write: several kinds, a panic among them."""
    if isinstance(error, (OSError, MemoryError)):
        raise error
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error


def _same(one: Any, other: Any) -> bool:
    from lineage.content.tables import digest_polars

    return digest_polars(one).digest == digest_polars(other).digest


def _read_polars(files: Mapping[str, Path], notes: Mapping[str, Any]) -> Any:
    import polars as pl

    if "table.parquet" in files:
        if notes.get("arrow"):
            return pl.from_arrow(_read_arrow(files, notes))
        return pl.read_parquet(files["table.parquet"], hive_partitioning=False, glob=False)
    if "table.arrow" in files:
        return pl.read_ipc(files["table.arrow"])
    return pl.DataFrame(height=notes["height"]) if notes["height"] else pl.DataFrame()


def _columns(schema: Any) -> dict[str, str]:
    """Return a schema as text, kept beside a table so that many can be compared without opening them."""
    return {name: str(dtype) for name, dtype in schema.items()}


def _scan(files: Mapping[str, Path], notes: Mapping[str, Any]) -> Any:
    import polars as pl

    if "table.parquet" in files and (not notes.get("arrow") or _reads_alike(files["table.parquet"])):
        return pl.scan_parquet(files["table.parquet"], hive_partitioning=False, glob=False)
    if "table.arrow" in files:
        return pl.scan_ipc(files["table.arrow"])
    return _read_polars(files, notes).lazy()


def _part(files: Mapping[str, Path], notes: Mapping[str, Any]) -> Part:
    """Return a stored table as a part of a scan, opening its file only where nobody noted its columns."""
    if "pandas" in notes or ("arrow" in notes and "table.parquet" not in files) or "height" in notes:
        frame = TableCodec().decode(files, notes, "table:polars.LazyFrame")
        return Part(_columns(frame.collect_schema()), frame=frame)
    columns = notes.get("columns") or _columns(_scan(files, notes).collect_schema())
    if "table.parquet" not in files:
        return Part(columns, ipc=files["table.arrow"])
    if notes.get("arrow") and not _reads_alike(files["table.parquet"]):
        return Part(columns, frame=_scan(files, notes))
    return Part(columns, parquet=files["table.parquet"])


def _reads_alike(path: Path) -> bool:
    """Say whether polars finds in a parquet file that Arrow wrote what it would find in the Arrow table."""
    import polars as pl
    import pyarrow.parquet as pq

    empty: Any = pl.from_arrow(pq.read_schema(path).empty_table())
    return all(map(_is_plain, empty.dtypes)) and bool(pl.read_parquet_schema(path) == dict(empty.schema))


def _plain_arrow(table: Any) -> Any:
    """Return `table` without what its digest doesn't see (encodings, layouts, nullability), so that every reader gets
    one thing."""
    import pyarrow as pa

    columns = [_plain_column(column) for column in table.columns]
    fields = [pa.field(field.name, column.type) for field, column in zip(table.schema, columns, strict=True)]
    if not fields:
        return table  # which has rows all the same
    return pa.table(columns, schema=pa.schema(fields)).combine_chunks()


def _plain_column(column: Any) -> Any:
    import pyarrow as pa

    kind = _plain_type(column.type)
    if column.type.equals(kind, check_metadata=True):
        return column
    try:
        return pa.chunked_array([_plain_array(chunk) for chunk in column.chunks], kind)
    except (pa.ArrowException, ValueError) as error:
        raise CodecError(f"a column of type {column.type} can't be kept: {error}") from error


def _plain_type(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if _is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_type(kind.value_type), kind.list_size)
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain_type(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain_type(kind.key_type), _plain_type(kind.item_type))
    return kind


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    is_kind = (pa.types.is_list, pa.types.is_large_list, pa.types.is_list_view, pa.types.is_large_list_view)
    return any(is_one(kind) for is_one in is_kind)


def _plain_array(array: Any) -> Any:
    """Return `array` as its plain type, built from its parts: Arrow's own casts know only some of these."""
    import pyarrow as pa

    kind = array.type
    plain = _plain_type(kind)
    if kind.equals(plain, check_metadata=True):
        return array
    if pa.types.is_dictionary(kind):
        return _plain_array(array.dictionary).take(array.indices)
    if pa.types.is_run_end_encoded(kind):
        return _run_end_decoded(array)
    if pa.types.is_struct(kind):
        if not kind.num_fields:
            return pa.array([None if null else {} for null in array.is_null().to_pylist()], plain)
        parts = [_plain_array(part) for part in array.flatten()]
        return pa.StructArray.from_arrays(parts, fields=list(plain), mask=array.is_null())
    if pa.types.is_fixed_size_list(kind):
        start, size = array.offset, kind.list_size
        if not size:  # Arrow divides by it
            return pa.array([None if null else [] for null in array.is_null().to_pylist()], plain)
        held = array.values.slice(start * size, len(array) * size)
        return pa.FixedSizeListArray.from_arrays(_plain_array(held), type=plain, mask=array.is_null())
    if _is_list(kind) or pa.types.is_map(kind):
        return _plain_lists(array, plain)
    return array.cast(plain)


def _run_end_decoded(array: Any) -> Any:
    """Return the values of a run-end encoded array, nested ones too, which Arrow's own function doesn't know."""
    import numpy as np
    import pyarrow as pa

    ends = np.asarray(array.run_ends, dtype=np.int64)
    rows = np.arange(array.offset, array.offset + len(array))
    return _plain_array(array.values).take(pa.array(np.searchsorted(ends, rows, side="right")))


def _plain_lists(array: Any, plain: Any) -> Any:
    """Lay the lists of `array` out one after the other; what nulls and gaps hide is left out."""
    import numpy as np
    import pyarrow as pa

    valid = np.asarray(array.is_valid())
    if pa.types.is_list_view(array.type) or pa.types.is_large_list_view(array.type):
        starts = np.asarray(array.offsets, dtype=np.int64)
        lengths = np.asarray(array.sizes, dtype=np.int64)
    else:
        offsets = np.asarray(array.offsets, dtype=np.int64)
        starts, lengths = offsets[:-1], np.diff(offsets)
    lengths = np.where(valid, lengths, 0)
    ends = np.cumsum(lengths)
    taken = np.repeat(starts - (ends - lengths), lengths) + np.arange(int(lengths.sum()))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    mask = pa.array(~valid)
    if pa.types.is_map(plain):
        keys, items = (_plain_array(part).take(pa.array(taken)) for part in (array.keys, array.items))
        return pa.MapArray.from_arrays(offsets, keys, items, type=plain, mask=mask)
    held = _plain_array(array.values).take(pa.array(taken))
    return pa.ListArray.from_arrays(offsets, held, type=plain, mask=mask)


def _write_arrow(table: Any, folder: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    notes: dict[str, Any] = {"arrow": True}
    if table.num_columns and all(map(_fits_parquet, table.schema.types)):
        try:
            pq.write_table(table, folder / "table.parquet", compression="lz4")
            if table.schema.equals(pq.read_schema(folder / "table.parquet")):
                return notes
        except pa.ArrowException:
            pass
        except OSError as error:
            if error.errno is not None:  # the system's, and not parquet's own
                raise
        (folder / "table.parquet").unlink(missing_ok=True)
    _write_ipc(table, folder)
    notes["rows"] = table.num_rows
    return notes


def _fits_parquet(kind: Any) -> bool:
    """Say whether parquet is known to give back what it is given of an Arrow type."""
    import pyarrow as pa

    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_fixed_size_list(kind):
        return False
    if pa.types.is_nested(kind):
        parts = [kind.field(position).type for position in range(kind.num_fields)]
        return bool(parts) and all(map(_fits_parquet, parts))
    return not (pa.types.is_null(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_duration(kind))


def _write_ipc(table: Any, folder: Path) -> None:
    import pyarrow as pa

    try:
        with pa.OSFile(str(folder / "table.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
            out.write_table(table)
    except pa.ArrowException as error:
        raise CodecError(f"a table with schema {table.schema} can't be kept: {error}") from error


def _read_arrow(files: Mapping[str, Path], notes: Mapping[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not notes.get("arrow"):
        # Not pa.table(frame), which imports pandas to see whether it is one of its frames.
        return _plain_arrow(pa.RecordBatchReader.from_stream(_read_polars(files, notes)).read_all())
    if "table.parquet" in files:
        # Read as one file, not as a data set, which takes dots in names for paths and guesses partitions.
        with pq.ParquetFile(files["table.parquet"]) as file:
            return file.read().replace_schema_metadata(None)
    if "table.arrow" not in files:
        raise CorruptObjectError("a table has neither a parquet nor an Arrow file")
    table = pa.ipc.open_file(pa.memory_map(str(files["table.arrow"]))).read_all()
    if not table.num_columns and notes.get("rows"):
        return pa.table([pa.nulls(notes["rows"])], names=["rows"]).select([])
    return table
