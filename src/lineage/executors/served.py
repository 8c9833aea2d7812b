"""The process of a worker of this machine: `python -c "from lineage.executors.served import main; main()" settings`.

It ends when its driver does, whatever the driver dies of: at the end of the socket, and by the system's own signal where it has one.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import json
import logging
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from lineage import capture
from lineage.executors.parcels import Box, Parcel
from lineage.executors.wire import Board, frame, receive
from lineage.executors.worker import Tainted, Worker
from lineage.reads import listen

__all__ = ["main"]

_SEND_AFTER = 0.005
"""Seconds after which what was finished is sent, though there is more to do."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the driver that started this process until it is gone."""
    settings = json.loads(sys.argv[1])
    _die_with(settings["parent"])
    sys.path[:] = [*settings["path"], *(place for place in sys.path if place not in settings["path"])]
    sys.argv[:] = settings["argv"]
    faulthandler.enable(2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    connection = socket.socket(fileno=settings["socket"])
    board = Board(settings["board"])
    try:
        _Server(connection, board, settings).serve()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    os._exit(0)  # nothing of the user's has anything to say any more


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


class _Server:
    def __init__(self, connection: socket.socket, board: Board, settings: dict[str, Any]) -> None:
        self._connection = connection
        self._board = board
        self._settings = settings
        self._number = 0
        self._unsent: list[bytes] = []
        self._sent = time.perf_counter()
        self._output = _Output()

    def serve(self) -> None:
        listen()
        self._output.install()
        self._connection.sendall(frame(b"h", b""))
        worker: Worker | None = None
        while True:
            kind, payload = receive(self._connection)
            if kind == b"s":
                worker = Worker(pickle.loads(payload), self._settings["executor"], cpus=self._settings["cpus"])
                continue
            assert worker is not None
            boxes, parcels = pickle.loads(payload)
            began = time.perf_counter()
            if not (self._learn(worker, boxes) and self._carry_out(worker, parcels)):
                self._connection.sendall(frame(b"x", b""))
                return
            self._flush(worker)
            self._connection.sendall(frame(b"e", pickle.dumps(time.perf_counter() - began)))

    def _learn(self, worker: Worker, boxes: list[Box]) -> bool:
        """Take in nodes; say whether this process may go on."""
        if not boxes:
            return True
        try:
            with self._output.apart():
                worker.learn(boxes)
        except Tainted:
            return False
        return True

    def _carry_out(self, worker: Worker, parcels: list[Any]) -> bool:
        """Carry out parcels in order; say whether this process may go on."""
        for sent in parcels:
            parcel = Parcel._make(sent)
            self._number += 1
            if self._board.is_taken_back(self._number):
                continue
            limit = 0.0 if parcel.timeout is None else time.monotonic() + parcel.timeout
            self._board.begin(self._number, self._output.begin(), limit)
            try:
                result = worker.carry_out(parcel)
            except Tainted:
                self._flush(worker)
                return False
            extra = self._output.end()
            if extra:
                side = list(result.side)
                side[_LOG] += extra
                result = result._replace(side=tuple(side))
            self._keep(worker, frame(b"r", pickle.dumps(tuple(result), protocol=5)), durable=not result.kept)
            if worker.is_spent:
                self._flush(worker)
                return False
        return True

    def _keep(self, worker: Worker, answer: bytes, *, durable: bool) -> None:
        """Keep an answer until it is sent. One that speaks of objects is not told of before these are durable."""
        if not durable:
            self._flush(worker)
            worker.store.objects.sync()
        if not self._board.finish(self._number, answer):
            self._flush(worker)
            if not self._board.finish(self._number, answer):  # larger than the board
                self._unsent.append(answer)
                self._flush(worker)
                return
        self._unsent.append(answer)
        if time.perf_counter() - self._sent > _SEND_AFTER:
            self._flush(worker)

    def _flush(self, worker: Worker) -> None:
        if self._unsent:
            self._connection.sendall(b"".join(self._unsent))
            self._unsent.clear()
            self._board.clear(self._number)
        self._sent = time.perf_counter()


_LOG = 8
"""Where the log stands in the fields of `SideData`."""


class _Output:
    """Standard output and error of this process: one file, which the driver shows as it grows.

    What Python code writes goes into the log of its call as everywhere; what native code writes past Python is found in the file.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []
        self._at = 0

    def install(self) -> None:
        """Let all that is written through Python pass by here."""
        self._at = os.fstat(1).st_size
        sys.stdout, sys.stderr = _Stream(1, self), _Stream(2, self)
        root = logging.getLogger()
        root.addHandler(capture.log_handler())
        shown = logging.StreamHandler(_Stream(2, self, keeps=False))  # the log has it already
        shown.setLevel(logging.WARNING)
        root.addHandler(shown)

    def write(self, handle: int, data: bytes) -> None:
        os.write(handle, data) if len(data) < 4096 else _write_all(handle, data)
        end = os.lseek(handle, 0, os.SEEK_CUR)
        self._spans.append((end - len(data), end))

    def begin(self) -> int:
        """Note that a call begins, and return where its output will."""
        self._spans.clear()
        return self._at

    def end(self) -> str:
        """Return what was written past Python since the call began."""
        size = os.fstat(1).st_size
        start, self._at = self._at, size
        if size == start:
            return ""
        pieces: list[bytes] = []
        for first, last in [*self._spans, (size, size)]:
            if first > start:
                pieces.append(os.pread(1, min(first - start, capture.LIMIT), start))
            start = max(start, last)
        return b"".join(pieces).decode(errors="replace")

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Let what is written while modules are imported be shown, and belong to no call."""
        try:
            yield
        finally:
            self._at = os.fstat(1).st_size


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


class _Stream(io.TextIOBase):
    """`sys.stdout` or `sys.stderr` of a worker."""

    def __init__(self, handle: int, output: _Output, *, keeps: bool = True) -> None:
        self._handle = handle
        self._keeps = keeps
        self._output = output
        self._lock = threading.Lock()
        self.buffer = _Bytes(self)

    def write(self, text: str) -> int:
        if self._keeps:
            capture.keep(text)
        self.write_bytes(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def write_bytes(self, data: bytes) -> None:
        with self._lock:
            self._output.write(self._handle, data)

    def fileno(self) -> int:
        return self._handle

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        return "backslashreplace"


class _Bytes(io.RawIOBase):
    """What `sys.stdout.buffer` is for those who write bytes."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        whole = bytes(data)
        capture.keep(whole.decode("utf-8", "replace"))
        self._stream.write_bytes(whole)
        return len(whole)

    def fileno(self) -> int:
        return self._stream.fileno()


if __name__ == "__main__":
    main()
