"""pandas frames as Arrow tables, and what a frame has beyond one: its index, its labels, its dtypes.

A frame becomes a table of its columns, then of the levels of its index, named by position, since labels may be anything.
The rest is its *shape*, a JSON object. What this can't hold (columns of Python objects above all) is left to pickle.
"""

from __future__ import annotations

from typing import Any

from lineage.codecs.atoms import read_atom, write_atom
from lineage.content.tree import Atom
from lineage.errors import CodecError, UnstableIdentityError

__all__ = ["from_pandas", "to_pandas"]

_LABELS = (str, int, float, bool, type(None))


def from_pandas(frame: Any) -> tuple[Any, dict[str, Any]]:
    """Return the Arrow table and the shape of a frame.

    Raises:
        CodecError: Arrow can't hold it without loss.
    """
    import pandas as pd
    import pyarrow as pa

    if frame.attrs or not frame.flags.allows_duplicate_labels:
        raise CodecError("a pandas frame with attrs or flags is kept as a pickle")
    columns = [_from_series(frame.iloc[:, position]) for position in range(frame.shape[1])]
    levels: list[Any] = []
    shape: dict[str, Any] = {
        "rows": len(frame),
        "columns": _labels(frame.columns),
        "dtypes": [_dtype(dtype) for dtype in frame.dtypes],
        "index_names": [_label(name) for name in frame.index.names],
    }
    if type(frame.index) is pd.RangeIndex:
        shape["range"] = [frame.index.start, frame.index.stop, frame.index.step]
    else:
        levels = [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
        shape["levels"] = [_dtype(level.dtype) for level in levels]
        shape["multi"] = isinstance(frame.index, pd.MultiIndex)
        shape["freq"] = getattr(frame.index, "freqstr", None)
    arrays = columns + [_from_series(level.to_series()) for level in levels]
    return pa.table(arrays, names=[str(position) for position in range(len(arrays))]), shape


def _from_series(series: Any) -> Any:
    import pandas as pd
    import pyarrow as pa

    _dtype(series.dtype)
    values = series.array
    try:
        if isinstance(series.dtype, pd.CategoricalDtype):
            return pa.array(values.codes)
        # NaN is a number and not a missing one, wherever a dtype has both.
        found = pa.array(series.to_numpy() if isinstance(series.dtype, _numpy_dtype()) else values, from_pandas=False)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise CodecError(f"a pandas frame that Arrow can't hold: {error}") from error
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _numpy_dtype() -> type:
    import numpy as np

    return np.dtype


def _dtype(dtype: Any) -> Any:
    """Return the JSON of a dtype that Arrow keeps and gives back."""
    import numpy as np
    import pandas as pd

    if isinstance(dtype, np.dtype) and dtype.kind in "biufmM" and dtype.itemsize <= 8 and dtype.isnative:
        return str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        categories = dtype.categories
        return {
            "categories": [_label(category) for category in categories.tolist()],
            "dtype": _dtype(categories.dtype),
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, pd.DatetimeTZDtype):
        return {"unit": dtype.unit, "zone": _zone(dtype.tz)}
    if isinstance(dtype, pd.StringDtype):
        return {"storage": dtype.storage, "nan": dtype.na_value is not pd.NA}
    if type(dtype).__name__ in _MASKED and type(dtype).__module__.startswith("pandas."):
        return {"masked": str(dtype)}
    raise CodecError(f"a pandas column of dtype {dtype} is kept as a pickle")


_MASKED = frozenset(
    ["BooleanDtype", "Float32Dtype", "Float64Dtype"]
    + [f"{sign}Int{width}Dtype" for sign in ("", "U") for width in (8, 16, 32, 64)]
)


def _read_dtype(shape: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(shape, str):
        return np.dtype(shape)
    if "categories" in shape:
        labels = pd.Index([_read_label(label) for label in shape["categories"]], dtype=_read_dtype(shape["dtype"]))
        return pd.CategoricalDtype(labels, ordered=shape["ordered"])
    if "zone" in shape:
        return pd.DatetimeTZDtype(shape["unit"], _read_label(shape["zone"]))
    if "storage" in shape:
        return pd.StringDtype(shape["storage"], na_value=np.nan if shape["nan"] else pd.NA)
    return pd.api.types.pandas_dtype(shape["masked"])


def _zone(zone: Any) -> Any:
    return _label(zone)


def _label(label: Any) -> Any:
    """Return the JSON of a label: a scalar, a tuple of labels, or anything that is written as text."""
    if type(label) in _LABELS:
        return label
    if type(label) is tuple:
        return {"tuple": [_label(part) for part in label]}
    try:
        atom = write_atom(label)
    except UnstableIdentityError as error:
        raise CodecError(str(error)) from error
    if atom is None:
        raise CodecError(f"a pandas frame with the label {label!r} is kept as a pickle")
    return {"atom": [atom.kind, atom.text]}


def _read_label(label: Any) -> Any:
    if not isinstance(label, dict):
        return label
    if "tuple" in label:
        return tuple(_read_label(part) for part in label["tuple"])
    return read_atom(Atom(*label["atom"]))


def _labels(columns: Any) -> Any:
    import pandas as pd

    names = [_label(name) for name in columns.names]
    if type(columns) is pd.RangeIndex:
        return {"range": [columns.start, columns.stop, columns.step], "names": names}
    if isinstance(columns, pd.MultiIndex):
        levels = [[_label(part) for part in columns.get_level_values(level)] for level in range(columns.nlevels)]
        return {"levels": levels, "names": names, "dtypes": [_label_dtype(level.dtype) for level in columns.levels]}
    return {
        "labels": [_label(label) for label in columns.tolist()],
        "dtype": _label_dtype(columns.dtype),
        "names": names,
    }


def _label_dtype(dtype: Any) -> Any:
    return "object" if dtype == object else _dtype(dtype)  # noqa: E721 (a dtype, not a type)


def _read_labels(shape: Any) -> Any:
    import pandas as pd

    names = [_read_label(name) for name in shape["names"]]
    if "range" in shape:
        return pd.RangeIndex(*shape["range"], name=names[0])
    if "levels" in shape:
        levels = [
            pd.Index([_read_label(part) for part in level], dtype=_read_label_dtype(dtype))
            for level, dtype in zip(shape["levels"], shape["dtypes"], strict=True)
        ]
        return pd.MultiIndex.from_arrays(levels, names=names)
    labels = [_read_label(label) for label in shape["labels"]]
    return pd.Index(labels, dtype=_read_label_dtype(shape["dtype"]), name=names[0], tupleize_cols=False)


def _read_label_dtype(shape: Any) -> Any:
    return object if shape == "object" else _read_dtype(shape)


def to_pandas(table: Any, shape: dict[str, Any]) -> Any:
    """Return the frame that `from_pandas` took apart."""
    import pandas as pd

    dtypes = [_read_dtype(dtype) for dtype in (*shape["dtypes"], *shape.get("levels", ()))]
    arrays = [_to_array(column, dtype) for column, dtype in zip(table.columns, dtypes, strict=True)]
    width = len(shape["dtypes"])
    names = [_read_label(name) for name in shape["index_names"]]
    if "range" in shape:
        index: Any = pd.RangeIndex(*shape["range"], name=names[0])
    elif shape["multi"]:
        index = pd.MultiIndex.from_arrays(arrays[width:], names=names)
    else:
        index = pd.Index(arrays[width], name=names[0])
        if shape["freq"] is not None:
            index.freq = shape["freq"]
    frame = pd.DataFrame(dict(enumerate(arrays[:width])), index=index)
    frame.columns = _read_labels(shape["columns"])
    return frame


def _to_array(column: Any, dtype: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Categorical.from_codes(column.to_numpy(), dtype=dtype)
    if isinstance(dtype, np.dtype):
        # A copy: pandas would let its reader write to memory that is mapped.
        return np.array(column.to_numpy(), dtype=dtype)
    return dtype.__from_arrow__(column)
