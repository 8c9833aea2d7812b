"""What a worker of this machine and its driver share: a socket for messages, a board in memory, a file for output.

The board says, at each instant, how many calls the worker has begun and finished, and holds what came of the finished ones
that were not sent yet. It outlives the worker: when that dies, nothing that was finished is lost, and it is known what ran.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import tempfile
from typing import Any

__all__ = ["BOARD", "Board", "FrameReader", "frame", "receive", "room"]

BOARD = 1 << 20
"""Bytes of a board."""

_HEAD = 64
_BEGUN, _FINISHED, _KEPT, _OUTPUT, _SKIP_AFTER, _SKIP_UP_TO = range(6)
_LENGTH = struct.Struct("<QB")


class Board:
    """Numbers and bytes that two processes see."""

    def __init__(self, handle: int) -> None:
        self._map = mmap.mmap(handle, BOARD)
        self._numbers = memoryview(self._map)[:_HEAD].cast("Q")
        self._deadline = memoryview(self._map)[_HEAD : _HEAD + 8].cast("d")
        self._start = _HEAD + 8

    # -- the worker writes

    def begin(self, number: int, output: int, deadline: float) -> None:
        """Note that the call `number` (counted from 1) begins, and where in the file of output it does."""
        self._numbers[_OUTPUT] = output
        self._deadline[0] = deadline
        self._numbers[_BEGUN] = number

    def is_taken_back(self, number: int) -> bool:
        """Say whether the driver has taken the call `number` back, so that it must not be begun."""
        return self._numbers[_SKIP_AFTER] < number <= self._numbers[_SKIP_UP_TO]

    def finish(self, number: int, answer: bytes) -> bool:
        """Keep what came of the call `number`; say whether there was room."""
        at = self._numbers[_KEPT]
        end = at + len(answer)
        if self._start + end > BOARD:
            return False
        self._map[self._start + at : self._start + end] = answer
        self._numbers[_KEPT] = end
        self._numbers[_FINISHED] = number
        self._deadline[0] = 0.0
        return True

    def clear(self, number: int) -> None:
        """Forget what was kept: all up to `number` is on its way."""
        self._numbers[_FINISHED] = number
        self._numbers[_KEPT] = 0
        self._deadline[0] = 0.0

    # -- the driver writes

    def take_back(self, after: int, up_to: int) -> None:
        """Let no call be begun any more whose number is above `after`, up to `up_to`. One may be about to be."""
        self._numbers[_SKIP_UP_TO] = 0
        self._numbers[_SKIP_AFTER] = after
        self._numbers[_SKIP_UP_TO] = up_to

    # -- the driver reads

    @property
    def begun(self) -> int:
        return int(self._numbers[_BEGUN])

    @property
    def output(self) -> int:
        """Where the output of the call that was begun last begins."""
        return int(self._numbers[_OUTPUT])

    @property
    def deadline(self) -> float:
        """When (on the monotonic clock) the call that runs should be over; 0 if it may take its time."""
        return float(self._deadline[0])

    def kept(self) -> tuple[int, bytes]:
        """Return how many calls are finished, and what is kept of the last of them."""
        length = self._numbers[_KEPT]
        return int(self._numbers[_FINISHED]), bytes(self._map[self._start : self._start + length])

    def close(self) -> None:
        self._numbers.release()
        self._deadline.release()
        self._map.close()


def room(name: str, size: int = 0) -> int:
    """Return a new file that is in memory and has no name, where the system has such files."""
    try:
        handle = os.memfd_create(f"lineage-{name}", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        handle, path = tempfile.mkstemp(prefix=f"lineage-{name}-")
        os.unlink(path)
    if size:
        os.ftruncate(handle, size)
    return handle


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return a message as bytes that say how long it is."""
    return _LENGTH.pack(len(payload), kind[0]) + payload


def receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """Wait for a message and return its kind and payload.

    Raises:
        EOFError: the other side is gone.
    """
    length, kind = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return bytes([kind]), bytes(_exactly(connection, length))


def _exactly(connection: socket.socket, size: int) -> bytearray:
    found = bytearray(size)
    view = memoryview(found)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError("the other side is gone")
        view = view[count:]
    return found


class FrameReader:
    """Takes messages out of what arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: Any) -> list[tuple[int, bytes]]:
        """Return the messages (kind, payload) that are whole now."""
        buffer = self._buffer
        buffer += data
        found: list[tuple[int, bytes]] = []
        at, size, head = 0, len(buffer), _LENGTH.size
        while size - at >= head:
            length, kind = _LENGTH.unpack_from(buffer, at)
            if size - at - head < length:
                break
            found.append((kind, bytes(buffer[at + head : at + head + length])))
            at += head + length
        if at:
            del buffer[:at]
        return found
