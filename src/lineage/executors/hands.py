"""The driver's side of one worker process of this machine: starts it, talks to it without ever waiting for it, and says how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from lineage.executors.base import Work
from lineage.executors.outpost import Description
from lineage.executors.wire import BOARD, Board, FrameReader, frame, room
from lineage.executors.worker import environment

__all__ = ["Hand", "Kind", "Sent", "Waiting", "stack_in"]

_BUFFER = 1 << 20
_START = "from lineage.executors.served import main; main()"


class Kind(NamedTuple):
    """What a worker is started for: a code package, so many cores, a working folder. Calls of another kind need another worker."""

    package: str | None
    cpus: int
    folder: str


class Waiting(NamedTuple):
    """A piece of work, and what the driver knows of those like it."""

    line: Any
    work: Work


class Sent(NamedTuple):
    """A piece of work that a worker has, under the number of its call there (counted from 1)."""

    number: int
    waiting: Waiting


class Hand:
    """One worker process, and the work that it was given."""

    def __init__(self, kind: Kind, description: Description, executor: str) -> None:
        self.kind = kind
        self.batches: deque[deque[Sent]] = deque()
        """What was sent and has not come back, batch by batch."""
        self.boxes: set[int] = set()
        """The nodes that it knows."""
        self.is_ready = False
        self.is_leaving = False
        self.is_slow = False
        """Whether the call that it runs takes so long that nothing should wait behind it."""
        self._watched = 0, 0.0
        self.ended_for: str | None = None
        """Why it was killed, if it was."""
        self._given = 0
        self._board_file, self.output = room("board", BOARD), room("output")
        self._shown = 0
        self._punched = 0
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        with theirs:
            self.process = _start(kind, executor, theirs.fileno(), self._board_file, self.output)
        ours.setblocking(False)
        self.connection = ours
        self.board = Board(self._board_file)
        self._reader = FrameReader()
        self._unsent = bytearray()
        self._put(frame(b"s", pickle.dumps(description)))

    def fileno(self) -> int:
        return self.connection.fileno()

    # -- work

    @property
    def in_hand(self) -> int:
        """How many calls it was given that have not come back."""
        return sum(len(batch) for batch in self.batches)

    def next_number(self) -> int:
        return self._given + 1

    def give(self, batch: list[Waiting], message: bytes) -> None:
        """Send a batch; `message` has its parcels, numbered from `next_number` on."""
        self.batches.append(deque(map(Sent, range(self._given + 1, self._given + 1 + len(batch)), batch)))
        self._given += len(batch)
        self._put(frame(b"b", message))

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def _put(self, data: bytes) -> None:
        if not self._unsent:
            sent = self._try_to_send(data)
            if sent == len(data):
                return
            data = data[sent:]
        self._unsent += data

    def push(self) -> None:
        """Send more of what waits to be sent."""
        del self._unsent[: self._try_to_send(self._unsent)]

    def _try_to_send(self, data: bytes | bytearray) -> int:
        try:
            return self.connection.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # it is gone, which reading will tell

    def pull(self) -> tuple[list[tuple[int, bytes]], bool]:
        """Return the messages that have arrived (kind, payload), and whether the process is gone."""
        found: list[tuple[int, bytes]] = []
        while True:
            try:
                data = self.connection.recv(_BUFFER)
            except BlockingIOError:
                return found, False
            except OSError:
                return found, True
            if not data:
                return found, True
            found += self._reader.feed(data)

    def rest(self) -> list[tuple[int, bytes]]:
        """Return what a process that is gone had finished and may not have sent."""
        return FrameReader().feed(self.board.kept()[1])

    # -- what waits behind a call that takes long

    def seconds_of_call(self, now: float) -> float:
        """Return for how long, at least, the call that runs has been running."""
        begun = self.board.begun
        if begun != self._watched[0]:
            self._watched = begun, now
        return now - self._watched[1]

    def hold_back(self) -> None:
        """Let nothing be begun after the call that runs. It takes a moment until that is certain."""
        self.is_slow = True
        self.board.take_back(self.board.begun, self._given)

    def taken_back(self) -> list[Waiting]:
        """Return the work that was held back and will not be begun here."""
        begun = self.board.begun
        found = [sent.waiting for batch in self.batches for sent in batch if sent.number > begun]
        left = (deque(sent for sent in batch if sent.number <= begun) for batch in self.batches)
        self.batches = deque(batch for batch in left if batch)
        return found

    # -- output

    def show(self) -> str:
        """Return what was written to its standard output and error since this was last asked."""
        size = os.fstat(self.output).st_size
        if size <= self._shown:
            return ""
        pieces = [os.pread(self.output, min(_BUFFER, size - self._shown), self._shown)]
        self._shown += len(pieces[0])
        self._forget_output()
        return pieces[0].decode("utf-8", "replace")

    def _forget_output(self) -> None:
        """Give back the memory of what was shown and belongs to no running call."""
        until = min(self._shown, self.board.output)
        if until - self._punched > _BUFFER:
            _punch(self.output, until)
            self._punched = until

    def last_words(self) -> str:
        """Return what the call that was begun last has written."""
        start, size = self.board.output, os.fstat(self.output).st_size
        return (
            os.pread(self.output, min(_BUFFER, size - start), start).decode("utf-8", "replace") if size > start else ""
        )

    # -- memory and the end

    def memory(self) -> int:
        """Return the bytes of memory that it has to itself; 0 where that can't be told."""
        try:
            with open(f"/proc/{self.process.pid}/status", "rb") as file:
                for line in file:
                    if line.startswith(b"RssAnon"):
                        return int(line.split()[1]) * 1024
        except OSError:
            pass
        return 0

    def kill(self, why: str) -> None:
        """End it now, with what it started."""
        self.ended_for = why
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def how_it_ended(self) -> str:
        """Return how the process came to its end, for people. It must be gone."""
        code = self.process.wait()
        if self.ended_for is not None:
            return self.ended_for
        if code == -signal.SIGKILL:
            return "was killed (SIGKILL); if nobody did that, the machine ran out of memory: see resources=Resources(memory=...)"
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            return f"died of {name}"
        return f"exited with code {code}"

    def release(self) -> None:
        """Let go of a process that is gone."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)  # what it started
        self.process.wait()
        self.connection.close()
        self.board.close()
        os.close(self._board_file)
        os.close(self.output)

    def close(self) -> None:
        """End it and what it runs."""
        self.kill("was ended")
        self.release()


def stack_in(log: str) -> str:
    """Return what a dying process wrote of where it was, as a traceback: the innermost call last, without lineage's own.

    >>> stack_in('Fatal Python error\\n  File "/p/a.py", line 3 in inner\\n  File "/p/a.py", line 9 in outer')
    'Traceback (most recent call last):\\n  File "/p/a.py", line 9, in outer\\n  File "/p/a.py", line 3, in inner\\n'
    """
    found = [
        f'  File "{file}", line {line}, in {name}'
        for file, line, name in _FRAME.findall(log.rpartition("Fatal Python error")[2])
        if not file.startswith((_OURS, "<"))
    ]
    return "\n".join(["Traceback (most recent call last):", *reversed(found), ""]) if found else ""


_FRAME = re.compile(r'^  File "([^"]+)", line (\d+) in (.+)$', re.MULTILINE)
_OURS = str(Path(__file__).parent.parent)


def _start(kind: Kind, executor: str, connection: int, board: int, output: int) -> subprocess.Popen[bytes]:
    import lineage

    settings = {
        "socket": connection, "board": board, "parent": os.getpid(), "executor": executor, "cpus": kind.cpus,
        "path": [place or os.getcwd() for place in sys.path], "argv": sys.argv[:1],
    }  # fmt: skip
    ours = str(Path(lineage.__file__).parent.parent)
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.append({ours!r}); {_START}", json.dumps(settings)]
    return _starter.start(command, kind.folder, {**os.environ, **environment(kind.cpus)}, (connection, board), output)


class _Starter:
    """Starts processes from a thread of its own, which lives as long as this process: the system ends a worker with the
    thread that started it.
    """

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._process = 0
        self._lock = threading.Lock()

    def start(
        self, command: list[str], folder: str, variables: dict[str, str], passed: tuple[int, ...], output: int
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                self._wanted = queue.SimpleQueue()
                threading.Thread(target=self._serve, name="lineage-starter", daemon=True).start()
        answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._wanted.put((answer, command, folder, variables, passed, output))
        found = answer.get()
        if isinstance(found, BaseException):
            raise found
        return found  # type: ignore[no-any-return]

    def _serve(self) -> None:
        while True:
            answer, command, folder, variables, passed, output = self._wanted.get()
            try:
                answer.put(
                    subprocess.Popen(
                        command, cwd=folder, env=variables, pass_fds=passed, stdin=subprocess.DEVNULL,
                        stdout=output, stderr=output, start_new_session=True,
                    )
                )  # fmt: skip
            except BaseException as error:
                answer.put(error)


_starter = _Starter()


def _punch(handle: int, until: int) -> None:
    """Give back the memory behind the first `until` bytes of a file, whose length stays."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        keep_size_and_punch = 3
        libc = ctypes.CDLL(None, use_errno=True)
        libc.fallocate(handle, keep_size_and_punch, ctypes.c_long(0), ctypes.c_long(until))
