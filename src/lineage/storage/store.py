"""A store: objects and an index in one place, and the leaves that they keep."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.codecs.base import Blob, Codec, Manifest
from lineage.codecs.freeze import Freezer
from lineage.codecs.plain import check_importable, find_by_name
from lineage.codecs.text import dump_tree
from lineage.codecs.thaw import ClassChangedError
from lineage.content.tree import Leaf, Tree, leaves
from lineage.digest import Digest, short
from lineage.errors import (
    CodecError,
    CorruptObjectError,
    LineageError,
    MutationError,
    NotFoundError,
    ObjectMissingError,
    UntrustedPickleError,
)
from lineage.files import opened
from lineage.fingerprints import declared
from lineage.storage.downloads import LIMIT, Downloads
from lineage.storage.index import SqliteIndex
from lineage.storage.inputs import place_of
from lineage.storage.leftovers import Presence, sweep
from lineage.storage.objects import LocalObjects, Verify, explained

if TYPE_CHECKING:
    import tempfile

__all__ = ["Store"]

SPILL = 1 << 20
"""The text of a value up to so many characters stands in its record; a longer one is an object."""

BESIDE = 1 << 23
"""From so many bytes on, a value is looked at again while its files are made durable."""


class Store:
    """One folder with an index and objects.

    Promises: a leaf is stored once, whoever makes it; what `read` returns has the content that was stored or it raises;
    reading a leaf of a family other than `pickle` runs no code from the store. With `read_only`, or where the folder
    can't be written, what is there is served and nothing is changed. An `index` may be given by who keeps one elsewhere.
    """

    def __init__(
        self,
        root: Path,
        freezer: Freezer,
        *,
        verify: Verify = "first",
        trusted: bool = True,
        read_only: bool = False,
        downloads: int = LIMIT,
        index: Any = None,
    ) -> None:
        self.root = root.absolute()
        self.place = str(self.root)
        self.freezer = freezer
        self.codecs = freezer.codecs
        self.trusted = trusted
        writable = not read_only and _is_writable(self.root)
        self.objects = LocalObjects(self.root / "objects", verify=verify, memory=self._remembered, writable=writable)
        self.index: Any = index or SqliteIndex(
            self.root / "index.sqlite", before_commit=self.objects.sync, writable=writable
        )
        self._borrowed: tempfile.TemporaryDirectory[str] | None = None
        self._downloads: Downloads | None = None
        self._download_limit = downloads
        self._presence: Presence | None = None
        if writable:
            try:
                self._presence = Presence(self.root)
                if index is None:
                    sweep(self.root)
            except OSError as error:
                self.index.close()
                raise explained(error, self.root) from error

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
        if leaf.family == "table":  # it may be seen as a table of another library than it is of
            leaf = leaf.viewed_as(self.freezer.kind_of(type(leaf.value)) or leaf.kind)
        manifest = self._encode(leaf)
        self.index.add_manifest(leaf.content, manifest, leaf.info or {})
        return manifest.size

    def _encode(self, leaf: Leaf) -> Manifest:
        codec = self._codec(leaf.family)
        folder: Path | None = None
        try:
            folder = self.objects.temporary()
            folder.mkdir()
            notes = codec.encode(leaf.value, leaf.kind, folder)
            if not codec.lossless(leaf.value):
                self._check_lossless(leaf, codec, folder, notes)
            if "classes" in notes:
                notes["classes"] = {name: self.freezer.identify(find_by_name(name)).hex() for name in notes["classes"]}
            blobs = self._put_files(leaf, folder) if codec.lossless(leaf.value) else self._put_all(folder)
            return Manifest(leaf.family, blobs, notes)
        except OSError as error:
            raise explained(error, self.root) from error
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def _put_files(self, leaf: Leaf, folder: Path) -> tuple[Blob, ...]:
        """Put what was encoded, and look meanwhile whether the value is still what it was: the disk is slower."""
        if sum(path.stat().st_size for path in folder.iterdir()) < BESIDE:
            self._check_unchanged(leaf)
            return self._put_all(folder)
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1, "lineage-check") as beside:
            check = beside.submit(self._check_unchanged, leaf)
            blobs = self._put_all(folder)
            check.result()
        return blobs

    def _put_all(self, folder: Path) -> tuple[Blob, ...]:
        sizes = {path: path.stat().st_size for path in sorted(folder.iterdir())}
        return tuple(Blob(path.name, self.objects.put_file(path), size) for path, size in sizes.items())

    def _check_lossless(self, leaf: Leaf, codec: Codec, folder: Path, notes: dict[str, Any]) -> None:
        files = {path.name: path for path in folder.iterdir()}
        back = codec.decode(files, notes, leaf.kind)
        if self._identify(back, leaf) != leaf.content:
            self._check_unchanged(leaf)
            raise CodecError(
                f"a {type(leaf.value).__qualname__} does not survive being stored: what is read back differs. "
                "Return plainer data, or add a codec with lineage.register(...)"
            )

    def _check_unchanged(self, leaf: Leaf) -> None:
        """Raise if the live value is not what it was when its digest was taken: others may hold it and write to it."""
        if self._identify(leaf.value, leaf) != leaf.content:
            raise MutationError(
                f"a {leaf.kind.partition(':')[2]} was changed after its digest was taken, before it was stored; "
                "pass or return a copy of what is written to later"
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
        if leaf.family == "file":
            return opened(declared(leaf.info or {}, leaf.kind), str(place_of(leaf, self)))
        manifest = self.manifest(leaf)
        if leaf.family == "pickle" and not self.trusted:
            raise UntrustedPickleError(
                f"{leaf.kind} is a pickle, which can run code when it is read, and {self.root} is not trusted. "
                "Open it with Session(trusted=True) if you know who wrote it"
            )
        self._check_classes(manifest)
        files = {blob.name: self._whole(blob) for blob in manifest.blobs}
        files["view"] = self.views() / leaf.content.hex()
        try:
            return self._codec(leaf.family).decode(files, manifest.notes, leaf.kind)
        except (LineageError, MemoryError):
            raise
        except OSError as error:
            raise explained(error, self.root) from error
        except Exception as error:
            raise CorruptObjectError(f"dataset {short(leaf.content)} can't be decoded: {error!r}") from error

    def _whole(self, blob: Blob) -> Path:
        """Return the file of an object, which even a store that verifies nothing has looked at the length of."""
        path = self.objects.path(blob.digest)
        if path.stat().st_size != blob.size:
            raise self.objects.set_aside(blob.digest)
        return path

    def _check_classes(self, manifest: Manifest) -> None:
        """Raise unless the classes in a pickle are those that it was made with: other code may read it otherwise."""
        for name, code in manifest.notes.get("classes", {}).items():
            try:
                same = self.freezer.identify(find_by_name(name)).hex() == code
            except NotFoundError as error:
                raise ClassChangedError(f"a stored {name} can't be read: {error}") from error
            if not same:
                raise ClassChangedError(f"{name} has changed since this was stored")

    def views(self) -> Path:
        """Return the folder in which stored files stand under the names that people gave them."""
        return self._room() / "views"

    def _room(self) -> Path:
        """Return the folder for what can be made again: the store's own, or a temporary one where it can't be written."""
        if self.index.writable:
            return self.root
        if self._borrowed is None:
            import tempfile

            self._borrowed = tempfile.TemporaryDirectory(prefix="lineage-views-", ignore_cleanup_errors=True)
        return Path(self._borrowed.name)

    @property
    def downloads(self) -> Downloads:
        """Copies of remote inputs."""
        if self._downloads is None:
            self._downloads = Downloads(self._room(), limit=self._download_limit, verify=self.objects.verify)
        return self._downloads

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
        """Return the text of a value whose record says `text`.

        A text that is gone or damaged becomes that of a leaf that is not in the store: whoever reads it is told.
        """
        if not text.startswith("@"):
            return text
        digest = Digest(bytes.fromhex(text[1:]))
        try:
            return self.objects.get(digest).decode()
        except (ObjectMissingError, CorruptObjectError):
            return dump_tree(Leaf("text:lost", digest))

    # -- the end of a run

    def flush(self, *, wait: bool = False) -> None:
        """Make what was recorded durable, and remember which large objects are whole."""
        if self.index.writable:
            for digest, text in self.objects.to_remember(wait=wait):
                self.index.note_stamp(f"object {digest.hex()}", text, digest)
        self.index.flush()

    def _remembered(self, digest: Digest) -> str | None:
        known = self.index.stamp(f"object {digest.hex()}")
        return None if known is None else known[0]

    def close(self) -> None:
        try:
            try:
                self.flush(wait=True)
            finally:
                self.index.close()
        finally:
            if self._presence is not None:
                self._presence.close()
            if self._borrowed is not None:
                self._borrowed.cleanup()


def _is_writable(root: Path) -> bool:
    index = root / "index.sqlite"
    if not root.exists():
        nearest = next(folder for folder in root.parents if folder.exists())
        return os.access(nearest, os.W_OK)
    return os.access(root, os.W_OK) and (not index.exists() or os.access(index, os.W_OK))
