"""The files that code names literally: what is in them, and a cheap way to see that they have not
changed.

A stamp taken within two seconds of a file's last change is not trusted, because a second change may
leave it as it is: such a file is read again.
"""

from __future__ import annotations

import glob
import os
import time

import attrs
from blake3 import blake3

from lineage.code.source import Stamp, stamp_of
from lineage.digest import Digest, digest_of

__all__ = ["FileState", "file_state"]

_SETTLED_NS = 2_000_000_000


@attrs.frozen
class FileState:
    """What a literal path led to: one file, a folder's, those that match a pattern, or none."""

    digest: Digest
    stamps: tuple[tuple[str, Stamp], ...]
    read_at: int = attrs.field(eq=False)


def file_state(path: str, before: FileState | None = None) -> FileState:
    """Return the state of `path` now; `before` saves reading what has not changed since."""
    stamps = tuple((file, stamp) for file in _files(path) if (stamp := stamp_of(file)) is not None)
    if before is not None and before.stamps == stamps:
        newest = max((max(stamp[1], stamp[2]) for _, stamp in stamps), default=0)
        if before.read_at - newest > _SETTLED_NS or not stamps:
            return before
    read_at = time.time_ns()
    if not stamps:
        return FileState(digest_of("missing file"), stamps, read_at)
    parts: list[bytes] = []
    for file, _ in stamps:
        parts += [os.path.relpath(file, path).encode("utf-8", "surrogatepass"), _bytes_digest(file)]
    return FileState(digest_of("file", *parts), stamps, read_at)


def _files(path: str) -> list[str]:
    if os.path.isdir(path):
        return sorted(os.path.join(f, name) for f, _, names in os.walk(path) for name in names)
    if glob.has_magic(path) and not os.path.exists(path):
        return sorted(file for file in glob.glob(path, recursive=True) if os.path.isfile(file))
    return [path]


def _bytes_digest(file: str) -> bytes:
    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(file)
    return hasher.digest()
