"""What killed processes leave behind, and how it is told from what living ones are using.

Every process that may write holds a lock on a file of its own in `alive/`. Temporary names begin with, and scratch
folders hold, the number of their process. One whose number belongs to no process here and to no lock that is held is
swept at the next opening, unless a file of its name and `.keep` lies beside it. The locks tell processes in another container, whose numbers mean nothing here.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from lineage.codecs.paths import remove_tree

__all__ = ["Presence", "sweep"]

_TEMPORARY = re.compile(r"(\d+)-")
_SCRATCH = re.compile(r"[0-9a-f]+-(\d+)-\d+$")


class Presence:
    """A sign, for as long as this process lives, that what bears its number in `root` is in use."""

    def __init__(self, root: Path) -> None:
        folder = root / "alive"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{os.getpid()}-{os.urandom(6).hex()}"
        self._process = os.getpid()
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass  # a filesystem without locks: process numbers have to do

    def close(self) -> None:
        if self._handle >= 0:
            if os.getpid() == self._process:  # a forked child leaves its parent's sign alone
                self.path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1


def sweep(root: Path) -> int:
    """Remove from the store in `root` what dead processes left unfinished, and return how many things that were."""
    alive = _alive(root)
    swept = 0
    for folder, pattern in (("tmp", _TEMPORARY), ("scratch", _SCRATCH)):
        for name, process in _named(root / folder, pattern):
            if process not in alive and not _runs(process) and not (root / folder / f"{name}.keep").exists():
                _remove(root / folder / name)
                swept += 1
    return swept


def _named(folder: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        match = pattern.match(name)
        if match is not None:
            yield name, int(match[1])


def _alive(root: Path) -> set[int]:
    """Return the numbers of processes that hold a lock in `alive/`, and remove the files of those that are gone."""
    found: set[int] = set()
    for name, process in _named(root / "alive", _TEMPORARY):
        path = root / "alive" / name
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            found.add(process)
        else:
            if not _runs(process):
                path.unlink(missing_ok=True)
        finally:
            os.close(handle)
    return found


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
