"""numpy arrays as `.npy` files, read back by memory map and read-only."""

from __future__ import annotations

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
        return type(value).__name__ == "ndarray" and value.dtype.kind in "biufcMmSU"

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        import numpy as np

        if value.dtype.hasobject:
            raise CodecError(f"an array of dtype {value.dtype} can't be kept without pickle")
        if isinstance(value, np.ma.MaskedArray):
            blank = np.array(value.data, order="C", copy=True)
            mask = np.ma.getmaskarray(value)
            blank[mask] = np.zeros((), blank.dtype)
            np.save(folder / "data.npy", blank, allow_pickle=False)
            np.save(folder / "mask.npy", np.asarray(mask, order="C"), allow_pickle=False)
            np.save(folder / "fill.npy", np.asarray(value.fill_value), allow_pickle=False)
            return {"nomask": value.mask is np.ma.nomask, "hard": bool(value.hardmask)}
        np.save(folder / "data.npy", np.asarray(value, order="C"), allow_pickle=False)
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


def _load(path: Path) -> Any:
    import numpy as np

    large = path.stat().st_size >= MAPPED_FROM
    # A memory map is an ndarray subclass; its plain view is what the producer returned.
    mapped = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    array = mapped.view(np.ndarray) if large else mapped
    array.flags.writeable = False
    return array
