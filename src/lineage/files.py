"""Files as inputs: what they hold counts, not when they were touched.

A file is fingerprinted by its bytes, and the fingerprint is remembered by what the filesystem says of the file (size,
times to the nanosecond, inode, device), so that an unchanged file is not read again. A stamp younger than two seconds is
not trusted, since a second change may hide in it. After a call has read a file, the file is checked once more.
"""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lineage.codecs.paths import digest_file
from lineage.content.tree import Hole, Leaf
from lineage.digest import Digest, digest_of
from lineage.errors import CompositionError, InputChangedError

__all__ = ["File", "Fingerprints", "files"]

YOUNG = 2.0
"""Seconds after a change during which a file's stamp is not trusted."""


class File(Hole):
    """A file as a typed input of a node.

    Its name, its partition values (`month=11` among its folders) and its bytes are its identity; the folder it lies in and its
    times are not. `path` is always a local path.

    >>> File("data/month=11/flights.parquet").partitions
    {'month': '11'}
    """

    __slots__ = ("partitions", "path", "snapshot")

    def __init__(self, path: str | os.PathLike[str], *, snapshot: bool = False) -> None:
        self.path = Path(path)
        self.snapshot = snapshot
        parts = (part.partition("=") for part in self.path.parts[:-1] if "=" in part)
        self.partitions: dict[str, str] = {name: value for name, _, value in parts}

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


def stamp_of(path: Path) -> tuple[str, float]:
    """Return what the filesystem says of a file, and when it last changed (Unix seconds)."""
    found = path.stat()
    text = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}"
    return text, max(found.st_mtime, found.st_ctime)


class Fingerprints:
    """Content digests of files, remembered in `index` by stamp, and fixed for the length of one run."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self._seen: dict[Path, tuple[str, Digest, bool]] = {}

    def leaf(self, file: File) -> Leaf:
        """Return the tree of `file`.

        Raises:
            FileNotFoundError: there is no such file.
        """
        path = file.path.absolute()
        if path not in self._seen:
            self._seen[path] = self._fingerprint(path)
        _, content, _ = self._seen[path]
        identity = [part for pair in sorted(file.partitions.items()) for part in pair]
        named = digest_of("file", file.name.encode(), content, *(part.encode() for part in identity))
        info: Mapping[str, Any] = {"path": str(path), "content": content.hex(), "snapshot": file.snapshot}
        return Leaf("file:File", named, info=dict(info))

    def _fingerprint(self, path: Path) -> tuple[str, Digest, bool]:
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path} (an input declared with lineage.File)")
        stamp, changed = stamp_of(path)
        trusted = time.time() - changed > YOUNG
        known = self.index.stamp(str(path))
        if trusted and known is not None and known[0] == stamp:
            return stamp, known[1], True
        digest = digest_file(path)
        after, _ = stamp_of(path)
        if after != stamp:
            raise InputChangedError(f"{path} changed while it was read; run again when it is at rest")
        if trusted:
            self.index.note_stamp(str(path), stamp, digest)
        return stamp, digest, trusted

    def check(self, leaf: Leaf) -> None:
        """Raise unless the file of `leaf` is still what it was when the run began.

        Raises:
            InputChangedError: it has changed, or is gone.
        """
        path = Path((leaf.info or {})["path"])
        stamp, digest, trusted = self._seen[path]
        try:
            now, _ = stamp_of(path)
            same = now == stamp and (trusted or digest_file(path) == digest)
        except OSError:
            same = False
        if not same:
            raise InputChangedError(
                f"{path} changed while a call read it; what was computed from it is discarded. Run again"
            )
