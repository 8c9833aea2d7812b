"""Files as inputs: what they hold counts, not when they were touched.

A file is fingerprinted by its bytes, and the fingerprint is remembered by what the filesystem says of the file (size,
times to the nanosecond, inode, device), so that an unchanged file is not read again. A stamp younger than two seconds is
not trusted, since a second change may hide in it. After a call has read a file, the file is checked once more.

With `snapshot=True` the bytes are copied into the store when a call first needs them. Calls then read the copy, and go on
doing so when the file is gone.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lineage.codecs.paths import digest_file
from lineage.content.tree import Hole, Leaf
from lineage.digest import Digest, digest_of
from lineage.errors import CompositionError, InputChangedError

__all__ = ["File", "Fingerprints", "files", "holds", "opened"]

YOUNG = 2.0
"""Seconds after a change during which a file's stamp is not trusted."""


class File(Hole):
    """A file as a typed input of a node.

    Its name, its partition values (`month=11` among its folders) and its bytes are its identity; the folder it lies in and its
    times are not. `path` is always a local path, absolute inside a node. With `snapshot`, the store keeps a copy of the bytes.

    >>> File("data/month=11/flights.parquet").partitions
    {'month': '11'}
    """

    __slots__ = ("partitions", "path", "snapshot")

    def __init__(self, path: str | os.PathLike[str], *, snapshot: bool = False) -> None:
        self.path = Path(path)
        self.snapshot = snapshot
        parts = (part.partition("=") for part in self.path.absolute().parts[:-1] if "=" in part)
        self.partitions: dict[str, str] = {name: value for name, _, value in parts}

    @property
    def brief(self) -> str:
        """How plans and errors show it: by name, since folders are long."""
        return f"File({self.name!r})"

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def url(self) -> str:
        return self.path.absolute().as_uri()

    def __repr__(self) -> str:
        return f"File({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)


def opened(path: Path, partitions: Mapping[str, str]) -> File:
    """Return the file at `path` as a node gets it, with the partition values that it was declared with."""
    file = File(path)
    file.partitions = dict(partitions)
    return file


def files(pattern: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[File]:
    """Return the files that match a glob pattern (`data/**/*.parquet`), sorted by name, or those of a list of paths.

    Raises:
        CompositionError: nothing matches the pattern.
    """
    if isinstance(pattern, (str, os.PathLike)):
        found = sorted(name for name in glob.glob(os.fspath(pattern), recursive=True) if os.path.isfile(name))
        if not found:
            raise CompositionError(f"no file matches {os.fspath(pattern)!r} (from {os.getcwd()})")
        return [File(name) for name in found]
    return [File(name) for name in pattern]


class _Seen(NamedTuple):
    """What a file was: its stamp, the digest of its bytes, and whether an equal stamp means equal bytes."""

    stamp: str
    content: Digest
    trusted: bool


def stamp_of(path: Path) -> tuple[str, float]:
    """Return what the filesystem says of a file, and when it last changed (Unix seconds)."""
    found = path.stat()
    text = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}"
    return text, max(found.st_mtime, found.st_ctime)


def holds(info: Mapping[str, Any]) -> bool:
    """Say whether the file that `info` (of a file's leaf) describes still holds the bytes that it held.

    Raises:
        FileNotFoundError: it is gone.
    """
    path = Path(info["path"])
    if info["trusted"] and stamp_of(path)[0] == info["stamp"]:
        return True
    return bool(digest_file(path).hex() == info["content"])


class Fingerprints:
    """Content digests of files, remembered in `index` by stamp, and fixed for the length of one run."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self._seen: dict[Path, _Seen] = {}

    def leaf(self, file: File) -> Leaf:
        """Return the tree of `file`.

        Raises:
            FileNotFoundError: there is no such file, and no snapshot of it.
            InputChangedError: it changed while it was read.
        """
        path = file.path.absolute()
        seen = self._seen.get(path)
        if seen is None:
            seen = self._seen[path] = self._fingerprint(path, file.snapshot)
        identity = [part.encode() for pair in sorted(file.partitions.items()) for part in pair]
        named = digest_of("file", os.fsencode(file.name), seen.content, *identity)
        info: dict[str, Any] = {
            "path": str(path),
            "content": seen.content.hex(),
            "snapshot": file.snapshot,
            "partitions": file.partitions,
            "stamp": seen.stamp,
            "trusted": seen.trusted,
            "live": True,
        }
        return Leaf("file:File", named, info=info)

    def _fingerprint(self, path: Path, snapshot: bool) -> _Seen:
        known = self.index.stamp(str(path))
        if not path.is_file():
            if path.exists():
                raise IsADirectoryError(f"{path} is no file (an input declared with lineage.File)")
            if snapshot and known is not None:
                return _Seen("gone", known[1], True)
            raise FileNotFoundError(f"no such file: {path} (an input declared with lineage.File)")
        stamp, changed = stamp_of(path)
        trusted = time.time() - changed > YOUNG
        if trusted and known is not None and known[0] == stamp:
            return _Seen(stamp, known[1], True)
        digest = digest_file(path)
        after, _ = stamp_of(path)
        if after != stamp:
            raise InputChangedError(f"{path} changed while it was read; run again when it is at rest")
        if trusted or snapshot:
            self.index.note_stamp(str(path), stamp if trusted else f"young {stamp}", digest)
        return _Seen(stamp, digest, trusted)

    def check(self, leaf: Leaf) -> None:
        """Raise unless the file of `leaf` is still what it was when the run began.

        Raises:
            InputChangedError: it has changed, or is gone.
        """
        info = leaf.info or {}
        if info["snapshot"]:
            return  # what was read is the copy in the store
        path = Path(info["path"])
        seen = self._seen.get(path)
        try:
            if seen is None:  # it came out of a record
                same = holds(info)
            else:
                now, _ = stamp_of(path)
                same = now == seen.stamp and (seen.trusted or digest_file(path) == seen.content)
        except OSError:
            same = False
        if not same:
            raise InputChangedError(
                f"{path} changed while a call read it; what was computed from it is discarded. Run again"
            )
