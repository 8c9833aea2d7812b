"""Whose turn it is to write, among the processes that share a store.

SQLite lets one process write at a time, but not in turn: who has just committed begins again before a waiting process
has looked, which then waits until it gives up. Here whoever waits stands at the door, and who comes back queues behind.
The locks are the kernel's, so that a killed process leaves none behind.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["Turns"]


class Turns:
    """Two locked files: one process holds the room, at most one holds the door and is next.

    Where the filesystem has no such locks every turn is given at once, and SQLite's own waiting has to do.
    """

    def __init__(self, folder: Path) -> None:
        self._door, self._room = (
            os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            for name in ("index.door", "index.room")
        )

    def take(self) -> None:
        """Wait for the turn to write. However long it takes: a dead process holds nothing."""
        try:
            fcntl.flock(self._door, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._room, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._door, fcntl.LOCK_UN)
        except OSError:
            pass

    def give(self) -> None:
        """Let the next process write."""
        try:
            fcntl.flock(self._room, fcntl.LOCK_UN)
        except OSError:
            pass

    def is_wanted(self) -> bool:
        """Say whether another process waits for the turn that this one holds."""
        try:
            fcntl.flock(self._door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        fcntl.flock(self._door, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        """Give up the turn and the place in the queue. In a forked child the parent's stay."""
        for handle in (self._door, self._room):
            os.close(handle)
        self._door = self._room = -1
