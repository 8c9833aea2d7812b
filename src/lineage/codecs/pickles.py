"""Everything that no other codec keeps: pickle protocol 5, big buffers out of band as files of their own."""

from __future__ import annotations

import copyreg
import io
import mmap
import pickle
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lineage.codecs.plain import find_by_name, name_of
from lineage.digest import Digest
from lineage.errors import CodecError, NotFoundError

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

        stream = io.BytesIO()
        pickler = _Pickler(stream, keep_in_band)
        try:
            pickler.dump(value)
        except Exception as error:
            raise CodecError(
                f"a {type(value).__qualname__} can't be kept: pickle says {error}. "
                "Return something simpler, or add a codec with lineage.register(...)"
            ) from error
        (folder / "pickle").write_bytes(stream.getbuffer())
        for position, buffer in enumerate(big):
            (folder / f"buffer{position}").write_bytes(buffer.raw())
        return {"buffers": len(big), "classes": sorted(pickler.classes())}

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        buffers = [_mapped(files[f"buffer{position}"]) for position in range(notes["buffers"])]
        return pickle.loads(files["pickle"].read_bytes(), buffers=buffers)


class _Pickler(pickle.Pickler):
    """Remembers the classes and functions that a pickle names, whose code decides what it says when it is read."""

    def __init__(self, stream: io.BytesIO, buffer_callback: Callable[[pickle.PickleBuffer], bool]) -> None:
        super().__init__(stream, protocol=5, buffer_callback=buffer_callback)
        self._types: set[type] = set()
        self._functions: dict[int, Any] = {}

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, type):
            self._types.add(value)
        elif isinstance(value, types.FunctionType):
            self._functions[id(value)] = value
        else:
            self._types.add(type(value))
        return NotImplemented

    def classes(self) -> set[str]:
        """Return `module:qualname` of each of them that can be found by it."""
        found = set()
        for thing in (*self._types, *self._functions.values()):
            name = name_of(thing)
            if thing.__module__ not in ("builtins", copyreg.__name__) and _is_found(name, thing):
                found.add(name)
        return found


def _is_found(name: str, thing: Any) -> bool:
    try:
        return find_by_name(name) is thing
    except NotFoundError:
        return False


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
