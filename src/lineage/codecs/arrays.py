"""numpy arrays as `.npy` files, read back by memory map and read-only."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lineage.digest import Digest, digest_of
from lineage.errors import CodecError

__all__ = ["ArrayCodec"]

MAPPED_FROM = 1 << 16
"""Arrays of at least so many bytes are memory-mapped; smaller ones are read."""


class ArrayCodec:
    """`numpy.ndarray` and `numpy.ma.MaskedArray`, in C order; object arrays are left to pickle."""

    family = "array"

    def identify(self, value: Any, kind: str) -> tuple[Digest, dict[str, Any]]:
        from lineage.content.arrays import digest_ndarray

        info = {"shape": list(value.shape), "dtype": value.dtype.str, "nbytes": int(value.nbytes)}
        return digest_of(kind, digest_ndarray(value)), info

    def lossless(self, value: Any) -> bool:
        return type(value).__name__ == "ndarray" and value.dtype.kind in "biufcMmSU" and value.dtype.metadata is None

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        import numpy as np

        if value.dtype.hasobject:
            raise CodecError(f"an array of dtype {value.dtype} can't be kept without pickle")
        if isinstance(value, np.ma.MaskedArray):
            blank = _packed(_blanked(value))
            mask = np.ma.getmaskarray(value)
            _save(folder / "data.npy", blank)
            _save(folder / "mask.npy", np.asarray(mask, order="C"))
            with np.errstate(over="ignore"):  # numpy's own default is more than a half float holds
                fill = np.asarray(value.fill_value, value.dtype)
            _save(folder / "fill.npy", _packed(fill))
            # A mask that hides nothing and none at all have one digest, so readers get one of them.
            return {"nomask": not mask.tobytes().strip(b"\0"), "hard": bool(value.hardmask)}
        _save(folder / "data.npy", _packed(value))
        return {}

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        import numpy as np

        data = _load(files["data.npy"])
        if "mask.npy" not in files:
            return data
        mask = np.ma.nomask if notes["nomask"] else np.load(files["mask.npy"], allow_pickle=False)
        fill = np.load(files["fill.npy"], allow_pickle=False)[()]
        frozen = np.ma.MaskedArray(data, mask=mask, fill_value=fill, hard_mask=notes["hard"])
        if mask is not np.ma.nomask:
            frozen.mask.flags.writeable = False
        return frozen


def _blanked(array: Any) -> Any:
    """Return the data of a masked array, with nothing where it is masked."""
    import numpy as np

    blank: Any = np.array(array.data, order="C", copy=True, subok=False)
    _blank(blank, np.ma.getmaskarray(array))
    return blank


def _blank(values: Any, mask: Any) -> None:
    import numpy as np

    for name in mask.dtype.names or ():
        _blank(values[name], mask[name])
    if mask.dtype.names is None:
        values[mask] = np.zeros((), values.dtype)


def _packed(array: Any) -> Any:
    """Return `array` in C order, its fields without the gaps between them, which are no part of its value."""
    import numpy as np

    if array.dtype.names is not None:
        from numpy.lib import recfunctions

        array = array.astype(recfunctions.repack_fields(array.dtype, recurse=True), copy=False)
    return np.asarray(array, order="C")


def _save(path: Path, array: Any) -> None:
    import numpy as np

    try:
        with warnings.catch_warnings():  # about field names that numpy of 2018 can't read
            warnings.simplefilter("ignore", UserWarning)
            np.save(path, array, allow_pickle=False)
    except ValueError as error:
        raise CodecError(f"an array of dtype {array.dtype} can't be kept: {error}") from error


def _load(path: Path) -> Any:
    import numpy as np

    large = path.stat().st_size >= MAPPED_FROM
    # A memory map is an ndarray subclass; its plain view is what the producer returned.
    mapped = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    array = mapped.view(np.ndarray) if large else mapped
    array.flags.writeable = False
    return array
