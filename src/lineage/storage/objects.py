"""Objects as files in one folder, named by the digest of their bytes."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Literal

from blake3 import blake3

from lineage.codecs.paths import digest_file
from lineage.digest import Digest, short
from lineage.errors import CorruptObjectError, ObjectMissingError, ReadOnlyStoreError, StoreError

__all__ = ["LocalObjects", "Verify"]

Verify = Literal["always", "first", "never"]
"""When the bytes of an object are checked: at each read, at the first read of each process, or never."""


class LocalObjects:
    """`folder/ab/cdef…`, written under a temporary name, synced, made read-only and moved into place."""

    def __init__(self, folder: Path, *, verify: Verify = "first") -> None:
        self.folder = folder
        self.verify = verify
        self._checked: set[Digest] = set()
        self._unsynced: set[Path] = set()
        self._lock = threading.Lock()

    def put(self, data: bytes) -> Digest:
        digest = Digest(blake3(data).digest())
        if not self.has(digest):
            temporary = self.temporary()
            try:
                temporary.write_bytes(data)
                self._move(temporary, digest)
            except OSError as error:
                temporary.unlink(missing_ok=True)
                raise _explained(error, self.folder) from error
        return digest

    def put_file(self, path: Path) -> Digest:
        digest = digest_file(path)
        if self.has(digest):
            path.unlink()
            return digest
        try:
            self._move(path, digest)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise _explained(error, self.folder) from error
        return digest

    def has(self, digest: Digest) -> bool:
        return self._place(digest).exists()

    def path(self, digest: Digest) -> Path:
        place = self._place(digest)
        if not place.exists():
            raise ObjectMissingError(
                f"object {short(digest)} is gone from {self.folder}; materialise what needs it again",
                digest=digest,
            )
        if self.verify == "always" or (self.verify == "first" and digest not in self._checked):
            self._check(place, digest)
        return place

    def get(self, digest: Digest) -> bytes:
        return self.path(digest).read_bytes()

    def sync(self) -> None:
        with self._lock:
            folders, self._unsynced = self._unsynced, set()
        for folder in folders:
            _sync_folder(folder)

    def temporary(self) -> Path:
        """Return a new name beside the objects, on their filesystem."""
        folder = self.folder.parent / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{os.getpid()}-{threading.get_ident()}-{os.urandom(6).hex()}"

    def _place(self, digest: Digest) -> Path:
        name = digest.hex()
        return self.folder / name[:2] / name[2:]

    def _move(self, source: Path, digest: Digest) -> None:
        place = self._place(digest)
        with source.open("rb+") as file:
            os.fsync(file.fileno())
        source.chmod(0o444)
        fresh = not place.parent.exists()
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, place)
        with self._lock:
            self._checked.add(digest)
            self._unsynced.add(place.parent)
            if fresh:
                self._unsynced.add(self.folder)

    def _check(self, place: Path, digest: Digest) -> None:
        if digest_file(place) != digest:
            aside = self.folder.parent / "damaged"
            try:
                aside.mkdir(exist_ok=True)
                os.replace(place, aside / digest.hex())
            except OSError:
                aside = self.folder  # a read-only store keeps it where it is
            raise CorruptObjectError(
                f"object {short(digest)} is not what was stored; it was set aside in {aside}. "
                "Materialise what needs it again",
                digest=digest,
            )
        self._checked.add(digest)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _explained(error: OSError, folder: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"no space left for the store in {folder}. Free some, or point LINEAGE_STORE elsewhere; "
            "what was recorded is kept",
            errno=error.errno,
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnlyStoreError(f"the store in {folder} can't be written: {error}")
    return StoreError(f"the store in {folder} can't be written: {error}")
