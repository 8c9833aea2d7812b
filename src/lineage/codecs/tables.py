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

from lineage.digest import Digest, digest_of
from lineage.errors import CodecError

__all__ = ["TableCodec"]


class TableCodec:
    """`polars.DataFrame`, `LazyFrame` (collected before it gets here) and `Series`, `pyarrow.Table`, `pandas.DataFrame`."""

    family = "table"

    def identify(self, value: Any, kind: str) -> tuple[Digest, dict[str, Any]]:
        from lineage.content.tables import digest_polars, digest_table

        name = kind.partition(":")[2]
        if name == "pandas.DataFrame":
            table = _from_pandas(value)
            found = digest_table(table)
            content = digest_of("pandas", found.digest, _pandas_shape(value, table))
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
        return content, info

    def lossless(self, value: Any) -> bool:
        """True for polars: plain types are proved by the property tests, others read back by `encode` itself."""
        return type(value).__module__.partition(".")[0] == "polars"

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        name = kind.partition(":")[2]
        if name == "pandas.DataFrame":
            return _write_arrow(_from_pandas(value), folder)
        if name == "pyarrow.Table":
            return _write_arrow(value, folder)
        return _write_polars(value.to_frame() if name == "polars.Series" else value, folder)

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        name = kind.partition(":")[2]
        if name == "polars.LazyFrame":
            return _scan(files, notes)
        if name in ("polars.DataFrame", "polars.Series"):
            frame = _read_polars(files, notes)
            return frame.to_series() if name == "polars.Series" else frame
        table = _read_arrow(files, notes)
        return table if name == "pyarrow.Table" else _to_pandas(table)


def _is_plain(dtype: Any) -> bool:
    import polars as pl

    return bool(
        dtype.is_integer() and dtype not in (pl.Int128, pl.UInt128)
        or dtype in (pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time)
        or (dtype.is_temporal() and getattr(dtype, "time_zone", None) is None)
    )


def _write_polars(frame: Any, folder: Path) -> dict[str, Any]:
    """Write `frame` as parquet, or as Arrow IPC where parquet loses something."""
    if frame.width:
        try:
            frame.write_parquet(folder / "table.parquet", compression="lz4", statistics=True)
        except Exception as error:  # polars raises several kinds, a panic among them
            (folder / "table.parquet").unlink(missing_ok=True)
            reason = error
        else:
            if all(_is_plain(dtype) for dtype in frame.dtypes) or _same(
                frame, _read_polars({"table.parquet": folder / "table.parquet"}, {})
            ):
                return {}
            (folder / "table.parquet").unlink()
            reason = CodecError("parquet does not give back the same table")
        try:
            frame.write_ipc(folder / "table.arrow", compression="lz4")
        except Exception as error:
            raise CodecError(f"a table with schema {dict(frame.schema)} can't be kept: {error}") from reason
        return {}
    (folder / "table.empty").write_bytes(b"")
    return {"height": frame.height}


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


def _scan(files: Mapping[str, Path], notes: Mapping[str, Any]) -> Any:
    import polars as pl

    if "table.parquet" in files and not notes.get("arrow"):
        return pl.scan_parquet(files["table.parquet"], hive_partitioning=False, glob=False)
    if "table.arrow" in files:
        return pl.scan_ipc(files["table.arrow"])
    return _read_polars(files, notes).lazy()


def _plain_arrow(table: Any) -> Any:
    """Return `table` with the encodings taken off that the digest doesn't see, so that every reader gets one thing."""
    import pyarrow as pa

    fields = []
    for field in table.schema:
        fields.append(pa.field(field.name, _plain_type(field.type), field.nullable))
    return table.cast(pa.schema(fields)).combine_chunks()


def _plain_type(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_large_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    return kind


def _write_arrow(table: Any, folder: Path) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    metadata = (table.schema.metadata or {}).get(b"pandas")
    plain = _plain_arrow(table)
    notes: dict[str, Any] = {"arrow": True}
    if metadata is not None:
        notes["pandas"] = metadata.decode()
    if plain.num_columns:
        try:
            pq.write_table(plain, folder / "table.parquet", compression="lz4")
            if plain.schema.equals(pq.read_schema(folder / "table.parquet").remove_metadata()):
                return notes
        except pa.ArrowException:
            pass
        (folder / "table.parquet").unlink(missing_ok=True)
    with pa.OSFile(str(folder / "table.arrow"), "wb") as sink, pa.ipc.new_file(sink, plain.schema) as out:
        out.write_table(plain)
    notes["rows"] = plain.num_rows
    return notes


def _read_arrow(files: Mapping[str, Path], notes: Mapping[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not notes.get("arrow"):
        return _plain_arrow(pa.table(_read_polars(files, notes)))
    if "table.parquet" in files:
        table = pq.read_table(files["table.parquet"], partitioning=None)
    else:
        table = pa.ipc.open_file(pa.memory_map(str(files["table.arrow"]))).read_all()
    table = table.replace_schema_metadata(None)
    if "pandas" in notes:
        table = table.replace_schema_metadata({"pandas": notes["pandas"]})
    return table


def _from_pandas(frame: Any) -> Any:
    import pyarrow as pa

    try:
        return pa.Table.from_pandas(frame)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise CodecError(f"a pandas frame that Arrow can't hold: {error}") from error


def _to_pandas(table: Any) -> Any:
    return table.to_pandas()


def _pandas_shape(frame: Any, table: Any) -> bytes:
    """What a pandas frame has beyond its Arrow table: dtypes, and the index as pandas describes it."""
    metadata = json.loads(table.schema.metadata[b"pandas"])
    parts = {
        "dtypes": [str(dtype) for dtype in frame.dtypes],
        "index": metadata["index_columns"],
        "index_dtype": str(frame.index.dtype),
        "columns": [str(type(name).__name__) for name in frame.columns],
        "column_names": [repr(name) for name in frame.columns.names],
        "attrs": repr(sorted(frame.attrs.items())),
    }
    return json.dumps(parts, sort_keys=True, default=str).encode()
