"""Copies of what lies elsewhere: the bytes of remote inputs, by content, kept on this machine within a limit.

They stand beside the objects of a store and are no part of it: nothing is lost when they are removed, at any time and by anybody;
they are fetched again. Past the limit those go first that have not been used for longest, and none that was used within the last hour,
since a call may be about to read it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from lineage.codecs.paths import link_into, remove_tree
from lineage.digest import Digest
from lineage.storage.objects import LocalObjects, Verify

__all__ = ["LIMIT", "Downloads"]

LIMIT = 20 << 30
"""So many bytes of copies are kept unless a session says otherwise."""

RESTING = 3600.0
"""Seconds after its last use during which a copy is not removed."""


class _Entry(NamedTuple):
    used: float
    path: Path
    files: dict[tuple[int, int], int]
    """The bytes on disk of each file, by its inode: a copy and the names under which it is read are one."""


class Downloads:
    """Copies in `root/downloads`, and in `root/opened` the names and folders under which nodes read them."""

    def __init__(self, root: Path, *, limit: int = LIMIT, verify: Verify = "first") -> None:
        self.objects = LocalObjects(root / "downloads", verify=verify)
        self.opened = root / "opened"
        self.limit = limit
        self._lock = threading.Lock()
        self._total: int | None = None

    def temporary(self) -> Path:
        """Return a new name for what is being fetched. What a killed process leaves there is swept."""
        return self.objects.temporary()

    def put_file(self, path: Path) -> Digest:
        """Keep the bytes of the file at `path`, which is consumed, and return their digest."""
        size = path.stat().st_size
        digest = self.objects.put_file(path)
        with self._lock:
            if self._total is None:
                self._total = _total(self._entries())
            else:
                self._total += size
            if self._total > self.limit:
                self._total = self._shrink()
        return digest

    def path(self, digest: Digest) -> Path:
        """Return the copy of what has this digest, checked as an object is.

        Raises:
            ObjectMissingError, CorruptObjectError: it must be fetched again.
        """
        found = self.objects.path(digest)
        _touch(found)
        return found

    def view(self, key: Digest, name: str, sources: Mapping[str, Path | None]) -> Path:
        """Return a path called `name` where `sources` stand: see `link_into`."""
        place = self.opened / key.hex()
        target = link_into(place, name, sources)
        _touch(place)
        return target

    # -- the limit

    def _shrink(self) -> int:
        """Remove what was used longest ago until the rest is within the limit; return how much that is."""
        kept: dict[tuple[int, int], int] = {}
        total = 0
        for entry in sorted(self._entries(), key=lambda entry: -entry.used):
            added = sum(size for inode, size in entry.files.items() if inode not in kept)
            if total + added > self.limit and time.time() - entry.used > RESTING:
                _remove(entry.path)
            else:
                kept |= entry.files
                total += added
        return total

    def _entries(self) -> Iterator[_Entry]:
        for folder in (self.objects.folder, self.opened):
            for place in _inside(folder):
                if folder is self.objects.folder:
                    yield from (entry for path in _inside(place) if (entry := _entry(path)) is not None)
                elif (entry := _entry(place)) is not None:
                    yield entry


def _total(entries: Iterator[_Entry]) -> int:
    files: dict[tuple[int, int], int] = {}
    for entry in entries:
        files |= entry.files
    return sum(files.values())


def _inside(folder: Path) -> list[Path]:
    try:
        return [Path(entry.path) for entry in os.scandir(folder)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entry(path: Path) -> _Entry | None:
    files: dict[tuple[int, int], int] = {}
    try:
        used = path.stat().st_atime
        members = (
            [path]
            if path.is_file()
            else [member for member in path.rglob("*") if member.is_file() and not member.is_symlink()]
        )
        for member in members:
            found = member.stat()
            files[found.st_dev, found.st_ino] = found.st_size
    except OSError:
        return None  # somebody else removed it
    return _Entry(used, path, files)


def _touch(path: Path) -> None:
    """Note that `path` was used, in a time that nothing else goes by."""
    try:
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    except OSError:
        pass


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            aside = path.with_name(path.name + "-old")
            path.rename(aside)  # nobody finds half of it
            remove_tree(aside)
        else:
            path.unlink()
    except OSError:
        pass
