"""Everything that no other codec keeps: pickle protocol 5, big buffers out of band as files of their own."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lineage.digest import Digest
from lineage.errors import CodecError

__all__ = ["PickleCodec"]

OUT_OF_BAND = 1 << 16
"""Buffers of at least so many bytes become files, mapped read-only when they are read."""


class PickleCodec:
    """Any instance, by pickle. Its content digest is that of its structure, taken before it gets here."""

    family = "pickle"

    def identify(self, value: Any, kind: str) -> tuple[Digest, dict[str, Any]]:
        raise CodecError("instances are identified by their structure, never by their pickle")

    def lossless(self, value: Any) -> bool:
        return False

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        big: list[pickle.PickleBuffer] = []

        def keep_in_band(buffer: pickle.PickleBuffer) -> bool:
            if buffer.raw().nbytes < OUT_OF_BAND:
                return True
            big.append(buffer)
            return False

        try:
            data = pickle.dumps(value, protocol=5, buffer_callback=keep_in_band)
        except Exception as error:
            raise CodecError(
                f"a {type(value).__qualname__} can't be kept: pickle says {error}. "
                "Return something simpler, or add a codec with lineage.register(...)"
            ) from error
        (folder / "pickle").write_bytes(data)
        for position, buffer in enumerate(big):
            (folder / f"buffer{position}").write_bytes(buffer.raw())
        return {"buffers": len(big)}

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        buffers = [_mapped(files[f"buffer{position}"]) for position in range(notes["buffers"])]
        return pickle.loads(files["pickle"].read_bytes(), buffers=buffers)


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
