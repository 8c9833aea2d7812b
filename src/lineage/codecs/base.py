"""What a codec is: the way in which one family of heavy values becomes files and comes back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from attrs import frozen

from lineage.digest import Digest

__all__ = ["Blob", "Codec", "Manifest"]


@frozen
class Blob:
    """One stored file of a dataset: its name in the codec's folder, the digest of its bytes, its size in bytes."""

    name: str
    digest: Digest
    size: int


@frozen
class Manifest:
    """How a content digest is kept: the family of its codec, its files, and what the codec noted to read them back."""

    family: str
    blobs: tuple[Blob, ...]
    notes: Mapping[str, Any]

    @property
    def size(self) -> int:
        return sum(blob.size for blob in self.blobs)


class Codec(Protocol):
    """Values of one family, to files and back.

    Promises: `identify` gives equal digests for equal values of one kind, in every process and on every machine;
    `decode` of what `encode` wrote has the digest that `identify` gave. The engine checks the second at every write
    unless `lossless` answers for the value.
    """

    family: str

    def identify(self, value: Any, kind: str) -> tuple[Digest, dict[str, Any]]:
        """Return the content digest of `value` and what people want to know of it (rows, schema)."""

    def lossless(self, value: Any) -> bool:
        """Say whether the property tests prove that this value survives, so that it need not be read back."""

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        """Write `value` as files into `folder` and return what `decode` needs besides them.

        Raises:
            CodecError: the value can't be kept without loss.
        """

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        """Return the value, as the type that `kind` names. The files must not be changed."""
