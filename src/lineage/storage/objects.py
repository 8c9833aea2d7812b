"""Objects as files in one folder, named by the digest of their bytes.

What is read is checked. A large object that was checked, or written, since the machine started need not be read whole again by
the next process, as long as its file looks untouched (`Memory`). After a crash of the machine everything is checked anew.
"""

from __future__ import annotations

import errno
import functools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from blake3 import blake3

from lineage.codecs.paths import digest_file
from lineage.digest import Digest, short
from lineage.errors import CorruptObjectError, ObjectMissingError, ReadOnlyStoreError, StoreError

__all__ = ["LocalObjects", "Verify", "explained"]

Verify = Literal["always", "first", "never"]
"""When the bytes of an object are checked: at each read; at the first read of each process (of a large object: since the
machine started) and whenever the file looks touched since; or never."""

LARGE = 1 << 20
"""Bytes from which on it is remembered between processes that an object was checked."""

_YOUNG = 20_000_000
"""Nanoseconds within which two changes of a file may show one time, so that its stamp says nothing yet."""


class _Stamp(NamedTuple):
    """What the filesystem says of a file. A change of its bytes, of its permissions or of its name changes `changed`."""

    size: int
    modified: int
    changed: int
    inode: int
    device: int

    def is_young(self) -> bool:
        return time.time_ns() - max(self.modified, self.changed) <= _YOUNG


Memory = Callable[[Digest], str | None]
"""Gives the text with which an object was remembered as whole, if it was."""


class LocalObjects:
    """`folder/ab/cdef…`, written under a temporary name, synced, made read-only and moved into place."""

    def __init__(
        self, folder: Path, *, verify: Verify = "first", memory: Memory | None = None, writable: bool = True
    ) -> None:
        if verify not in ("always", "first", "never"):
            raise ValueError(f"verify is 'always', 'first' or 'never', not {verify!r}")
        self.folder = folder
        self.verify = verify
        self.writable = writable
        # Their single operations are atomic: no lock, which a forked child might inherit locked.
        self._checked: dict[Digest, _Stamp] = {}
        self._memory = memory
        self._to_remember: dict[Digest, _Stamp] = {}
        self._unsynced: set[Path] = set()

    def put(self, data: bytes) -> Digest:
        digest = Digest(blake3(data).digest())
        if self._is_there(digest):
            return digest
        try:
            temporary = self.temporary()
            try:
                temporary.write_bytes(data)
                self._move(temporary, digest)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise explained(error, self.folder) from error
        return digest

    def put_file(self, path: Path) -> Digest:
        try:
            digest = digest_file(path)
            if self._is_there(digest):
                path.unlink()
            else:
                self._move(path, digest)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise explained(error, self.folder) from error
        return digest

    def has(self, digest: Digest) -> bool:
        return self._place(digest).exists()

    def path(self, digest: Digest) -> Path:
        place = self._place(digest)
        try:
            stamp = _stamp(place)
            if self.verify == "always" or (self.verify == "first" and not self._is_known_whole(digest, stamp)):
                self._check(place, digest, stamp)
        except FileNotFoundError:
            raise ObjectMissingError(
                f"object {short(digest)} is gone from {self.folder}; materialise what needs it again",
                digest=digest,
            ) from None
        except OSError as error:
            raise StoreError(f"object {short(digest)} in {self.folder} can't be read: {error}") from error
        return place

    def get(self, digest: Digest) -> bytes:
        try:
            return self.path(digest).read_bytes()
        except OSError as error:
            raise StoreError(f"object {short(digest)} in {self.folder} can't be read: {error}") from error

    def sync(self) -> None:
        while True:
            try:
                folder = self._unsynced.pop()
            except KeyError:
                return
            try:
                _sync_folder(folder)
            except OSError as error:
                self._unsynced.add(folder)
                raise explained(error, self.folder) from error

    def temporary(self) -> Path:
        """Return a new name beside the objects, on their filesystem. It begins with the number of this process."""
        if not self.writable:
            raise ReadOnlyStoreError(f"the store at {self.folder.parent} is read-only, so nothing can be kept there")
        folder = self.folder.parent / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{os.getpid()}-{threading.get_ident()}-{os.urandom(6).hex()}"

    def set_aside(self, digest: Digest) -> CorruptObjectError:
        """Move a damaged object out of the way, and return the error that says so."""
        place = self._place(digest)
        aside = self.folder.parent / "damaged" if self.writable else None
        try:
            if aside is not None:
                aside.mkdir(exist_ok=True)
                os.replace(place, aside / digest.hex())
        except FileNotFoundError:
            pass  # another process was first
        except OSError:
            aside = None  # a read-only store keeps it where it is
        self._checked.pop(digest, None)
        return CorruptObjectError(
            f"object {short(digest)} is not what was stored"
            + (f"; it was set aside in {aside}. " if aside is not None else ". ")
            + "Materialise what needs it again",
            digest=digest,
        )

    def _place(self, digest: Digest) -> Path:
        name = digest.hex()
        return self.folder / name[:2] / name[2:]

    def _is_there(self, digest: Digest) -> bool:
        """Say whether `digest` need not be written. What is there is checked as a reader would check it."""
        try:
            self.path(digest)
        except (ObjectMissingError, CorruptObjectError):
            return False
        self._note(self._place(digest).parent)  # whoever put it may not have made it durable yet
        return True

    def _move(self, source: Path, digest: Digest) -> None:
        place = self._place(digest)
        with source.open("rb+") as file:
            os.fsync(file.fileno())
        source.chmod(0o444)
        if not place.parent.exists():
            if not self.folder.exists():
                self._note(self.folder.parent)
            place.parent.mkdir(parents=True, exist_ok=True)
            self._note(self.folder)
        os.replace(source, place)
        self._note(place.parent)
        try:
            self._trust(digest, _stamp(place))
        except FileNotFoundError:
            pass  # set aside by another process, which found it damaged: it will be looked at again

    def _note(self, folder: Path) -> None:
        self._unsynced.add(folder)

    def _check(self, place: Path, digest: Digest, stamp: _Stamp) -> None:
        if digest_file(place) != digest:
            raise self.set_aside(digest)
        self._trust(digest, stamp)

    def _trust(self, digest: Digest, stamp: _Stamp) -> None:
        if not stamp.is_young():
            self._checked[digest] = stamp
        if self._memory is not None and stamp.size >= LARGE:
            self._to_remember[digest] = stamp

    # -- remembering between processes

    def _is_known_whole(self, digest: Digest, stamp: _Stamp) -> bool:
        if self._checked.get(digest) == stamp:
            return True
        if self._memory is None or stamp.size < LARGE or stamp.is_young():
            return False
        remembered = self._memory(digest)
        if remembered is None or remembered != _text(stamp):
            return False
        self._checked[digest] = stamp
        return True

    def to_remember(self, *, wait: bool = False) -> Iterator[tuple[Digest, str]]:
        """Yield what has been found or made whole, with the text to remember it by, once its file has been at rest for a
        moment. With `wait`, wait for that moment.
        """
        waiting = list(self._to_remember.items())
        if wait and any(stamp.is_young() for _, stamp in waiting):
            time.sleep(_YOUNG / 1e9)
        for digest, stamp in waiting:
            if not stamp.is_young():
                del self._to_remember[digest]
                text = _text(stamp)
                if text is not None and self._is_still(digest, stamp):
                    yield digest, text

    def _is_still(self, digest: Digest, stamp: _Stamp) -> bool:
        try:
            return _stamp(self._place(digest)) == stamp
        except OSError:
            return False


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return _Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev)


def _text(stamp: _Stamp) -> str | None:
    """Return the text to remember a checked file by. It holds until the machine is started anew; None where that can't be told."""
    boot = _boot()
    return None if boot is None else " ".join([boot, *map(str, stamp)])


@functools.cache
def _boot() -> str | None:
    """Return what names the time since the machine started."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def explained(error: OSError, folder: Path) -> StoreError:
    """Return what an error of the operating system means to somebody who only wanted a result kept."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or _is_short_write(error):
        return StoreError(
            f"no space left for the store in {folder}. Free some, or point LINEAGE_STORE elsewhere; "
            "what was recorded is kept",
            errno=error.errno,
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return ReadOnlyStoreError(f"the store in {folder} can't be written: {error}")
    return StoreError(f"the store in {folder} can't be written: {error}")


def _is_short_write(error: OSError) -> bool:
    """Say whether a library that sets no error number means a full disk: polars quotes the system, numpy counts."""
    text = str(error)
    return error.errno is None and ("os error 28" in text or " requested and " in text)
