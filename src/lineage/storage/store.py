"""A store: objects and an index in one place, and the leaves that they keep."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from lineage.codecs.base import Blob, Codec, Manifest
from lineage.codecs.freeze import Freezer
from lineage.codecs.plain import check_importable
from lineage.content.tree import Leaf, Tree, leaves
from lineage.digest import Digest, short
from lineage.errors import (
    CodecError,
    CorruptObjectError,
    MutationError,
    ObjectMissingError,
    StoreError,
    UntrustedPickleError,
)
from lineage.storage.index import SqliteIndex
from lineage.storage.objects import LocalObjects, Verify

__all__ = ["Store"]

SPILL = 1 << 20
"""The text of a value up to so many characters stands in its record; a longer one is an object."""


class Store:
    """One folder with an index and objects.

    Promises: a leaf is stored once, whoever makes it; what `read` returns has the content that was stored or it raises;
    reading a leaf of a family other than `pickle` runs no code from the store.
    """

    def __init__(
        self, root: Path, freezer: Freezer, *, verify: Verify = "first", trusted: bool = True
    ) -> None:
        self.root = root.absolute()
        self.freezer = freezer
        self.codecs = freezer.codecs
        self.trusted = trusted
        writable = _is_writable(self.root)
        self.objects = LocalObjects(self.root / "objects", verify=verify)
        self.index = SqliteIndex(
            self.root / "index.sqlite", before_commit=self.objects.sync, writable=writable
        )

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    # -- leaves

    def keep(self, tree: Tree) -> int:
        """Store every leaf of `tree` that is not stored yet and return the number of bytes written.

        Raises:
            CodecError: a leaf can't be kept without loss.
            MutationError: a leaf has changed since its digest was taken.
        """
        return sum(self._keep(leaf) for leaf in leaves(tree))

    def _keep(self, leaf: Leaf) -> int:
        if leaf.family == "code" and leaf.value is not None:
            check_importable(leaf.value)
        if leaf.is_inline:
            return 0
        known = self.index.manifest(leaf.content)
        if known is not None and all(self.objects.has(blob.digest) for blob in known.blobs):
            return 0
        if leaf.value is None:
            raise ObjectMissingError(f"dataset {short(leaf.content)} is gone; materialise it again")
        manifest = self._encode(leaf)
        self.index.add_manifest(leaf.content, manifest, leaf.info or {})
        return manifest.size

    def _encode(self, leaf: Leaf) -> Manifest:
        codec = self._codec(leaf.family)
        folder = self.objects.temporary()
        folder.mkdir()
        try:
            notes = codec.encode(leaf.value, leaf.kind, folder)
            if not codec.lossless(leaf.value):
                self._check_lossless(leaf, codec, folder, notes)
            blobs = []
            for path in sorted(folder.iterdir()):
                size = path.stat().st_size
                blobs.append(Blob(path.name, self.objects.put_file(path), size))
            return Manifest(leaf.family, tuple(blobs), notes)
        except OSError as error:
            raise StoreError(f"a {leaf.kind} can't be written to {self.root}: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _check_lossless(self, leaf: Leaf, codec: Codec, folder: Path, notes: dict[str, Any]) -> None:
        files = {path.name: path for path in folder.iterdir()}
        back = codec.decode(files, notes, leaf.kind)
        if self._identify(back, leaf) != leaf.content:
            if self._identify(leaf.value, leaf) != leaf.content:
                raise MutationError(f"a {leaf.kind} changed after its call was built; pass a copy")
            raise CodecError(
                f"a {type(leaf.value).__qualname__} does not survive being stored: what is read back differs. "
                "Return plainer data, or add a codec with lineage.register(...)"
            )

    def _identify(self, value: Any, leaf: Leaf) -> Digest:
        if leaf.family == "pickle":
            frozen = self.freezer.freeze(value)
            return frozen.content if isinstance(frozen, Leaf) else Digest(b"")
        return self._codec(leaf.family).identify(value, leaf.kind)[0]

    def read(self, leaf: Leaf) -> Any:
        """Return a fresh value of a stored leaf.

        Raises:
            ObjectMissingError, CorruptObjectError: it is gone or damaged.
            UntrustedPickleError: it is a pickle and the store is not trusted.
        """
        manifest = self.manifest(leaf)
        if leaf.family == "pickle" and not self.trusted:
            raise UntrustedPickleError(
                f"{leaf.kind} is a pickle, which can run code when it is read, and {self.root} is not trusted. "
                "Open it with Session(trusted=True) if you know who wrote it"
            )
        files = {blob.name: self.objects.path(blob.digest) for blob in manifest.blobs}
        files["view"] = self.root / "views" / leaf.content.hex()
        try:
            return self._codec(leaf.family).decode(files, manifest.notes, leaf.kind)
        except (KeyError, EOFError) as error:
            raise CorruptObjectError(f"dataset {short(leaf.content)} can't be decoded: {error!r}") from error

    def manifest(self, leaf: Leaf) -> Manifest:
        found = self.index.manifest(leaf.content)
        if found is None:
            raise ObjectMissingError(f"dataset {short(leaf.content)} is not in {self.root}", digest=leaf.content)
        return found

    def has(self, tree: Tree) -> bool:
        """Say whether every object of `tree` is there (not whether it is whole: reading finds out)."""
        for leaf in leaves(tree):
            if leaf.is_inline:
                continue
            manifest = self.index.manifest(leaf.content)
            if manifest is None or not all(self.objects.has(blob.digest) for blob in manifest.blobs):
                return False
        return True

    def _codec(self, family: str) -> Codec:
        try:
            return self.codecs[family]
        except KeyError:
            raise CodecError(
                f"no codec for the family {family!r}; registered: {', '.join(sorted(self.codecs))}. "
                "Add it with lineage.register(...)"
            ) from None

    # -- the text of values

    def spill(self, text: str) -> str:
        """Return what stands in the record for the text of a value."""
        return text if len(text) <= SPILL else "@" + self.objects.put(text.encode()).hex()

    def unspill(self, text: str) -> str:
        return self.objects.get(Digest(bytes.fromhex(text[1:]))).decode() if text.startswith("@") else text

    def close(self) -> None:
        self.index.close()


def _is_writable(root: Path) -> bool:
    if not root.exists():
        return True
    return os.access(root, os.W_OK)
