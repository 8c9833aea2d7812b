"""Calls of nodes with an environment: in warm workers of its interpreter, whatever executor the others run on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

from lineage.code.origin import Origin, distributions_of, origin_of_module_name
from lineage.codecs.thaw import ClassChangedError
from lineage.digest import Digest
from lineage.environments.inventory import site_packages
from lineage.environments.made import Made, hold, make
from lineage.environments.resolved import Resolved
from lineage.environments.started import command, surroundings
from lineage.errors import EnvError, ExecutorError, LineageError, UndeclaredImportError, WorkerError
from lineage.executors.admission import of_this_machine
from lineage.executors.base import Failure, Outcome, Work
from lineage.executors.outpost import described
from lineage.executors.parcels import Packer, Parcel, Result, from_result
from lineage.executors.timeouts import timed_out
from lineage.options import Resources
from lineage.records import SideData
from lineage.storage.store import Store

__all__ = ["Pinned"]

_GRACE = 2.0
"""Seconds that Python code has to notice that its time is up, before its worker is ended."""


class _Job(NamedTuple):
    work: Work
    parcel: Parcel
    package: str | None
    began: float


class Pinned:
    """Workers of one environment, up to `workers` of them, started when there is something to do.

    The environment is made when it is first needed, which may take a while; `tell` hears of it.
    """

    name = "environment"

    def __init__(self, environment: Resolved, workers: int = 1, *, tell: Any = None) -> None:
        self.environment = environment
        self.workers = workers
        self._tell = tell or (lambda _: None)
        self._place: Made | None = None
        self._held: Any = None
        self._store: Store | None = None
        self._packer: Packer | None = None
        self._waiting: deque[_Job] = deque()
        self._all: list[_Worker] = []
        self._numbers = 0
        self._broken: ExecutorError | None = None
        self._agreed: dict[tuple[int, Digest], Any] = {}

    def __repr__(self) -> str:
        return f"Pinned({self.environment.place.hex()[:12]}, workers={self.workers})"

    @property
    def capacity(self) -> int:
        return 4 * self.workers

    @property
    def resources(self) -> Resources:
        """What there is for calls."""
        return of_this_machine()

    def attach(self, store: Store) -> None:
        """Say which store values are read from and written to. Forgets what an interrupted run left."""
        self.cancel()
        self._broken = None
        if store is not self._store:
            self.close()
            self._store, self._packer = store, Packer(store)

    def submit(self, work: Work) -> None:
        """Take a piece of work. The first makes the environment, if it is not there.

        Raises:
            ExecutorError: the environment can't be made, the node can't travel to its Python, or it has another environment
                by now than when it was planned.
        """
        assert self._packer is not None
        self._check_planned(work)
        self._make(work.node.name)
        self._numbers += 1
        box = self._packer.box(work)
        if box.value is not None and not self._same_python():
            raise ExecutorError(
                f"{work.node.name} is defined in a script, a notebook or a function, so its compiled code would have to travel, "
                f"which Python {self.environment.python} can't read; put it into a module"
            )
        parcel = self._packer.parcel(self._numbers, work)
        self._waiting.append(_Job(work, parcel, box.package, 0.0))
        self._hand_out()

    def _check_planned(self, work: Work) -> None:
        """See to it that a key that was made of one lock leads to no result of another."""
        node = work.node
        if (id(node), work.code) in self._agreed:
            return
        if node.environment() != self.environment or node.code_digest() != work.code:
            raise ExecutorError(
                f"the code of {node.name}, or its lock, has changed since this run was planned; ask again"
            )
        self._agreed[id(node), work.code] = node

    def _same_python(self) -> bool:
        return self.environment.python.split(".")[:2] == [str(part) for part in sys.version_info[:2]]

    def _hand_out(self) -> None:
        while self._waiting:
            worker = self._free(self._waiting[0].package)
            if worker is None:
                return
            job = self._waiting.popleft()
            assert self._packer is not None
            worker.give(job, self._packer)

    def _free(self, package: str | None) -> _Worker | None:
        """Return a worker with nothing to do and none but this code package loaded, started if there is room."""
        idle = [worker for worker in self._all if worker.job is None]
        for worker in idle:
            if worker.package in (None, package):
                return worker
        for worker in idle[:1] if len(self._all) >= self.workers else ():
            self._retire(worker)
        if len(self._all) >= self.workers:
            return None
        self._all.append(self._started())
        return self._all[-1]

    def _started(self) -> _Worker:
        assert self._store is not None
        assert self._place is not None
        return _Worker(self._place, self.environment, described(self._store))

    def _make(self, who: str) -> None:
        if self._broken is not None:
            raise self._broken
        if self._place is None:
            try:
                self._place = make(self.environment, who=who, tell=self._tell)
                self._held = hold(self._place)
            except EnvError as error:
                self._broken = ExecutorError(str(error))
                raise self._broken from error

    # -- what comes back

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Return what is done, as soon as anything is; nothing if `timeout` seconds pass first."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            found = self._collected(until)
            self._hand_out()
            if found or (until is not None and time.monotonic() >= until):
                return found

    def _collected(self, until: float | None) -> list[Outcome]:
        busy = [worker for worker in self._all if worker.job is not None]
        moments = [moment for moment in (until, *(worker.deadline for worker in busy)) if moment is not None]
        pause = max(0.0, min(moments) - time.monotonic()) if moments else None
        ready = wait([worker.pipe for worker in busy], pause)
        found = []
        for worker in busy:
            if worker.pipe in ready:
                found += self._from(worker)
            elif worker.deadline is not None and time.monotonic() >= worker.deadline:
                found.append(self._lost(worker, timed_out(worker.node, worker.seconds), "user"))
        return found

    def _from(self, worker: _Worker) -> list[Outcome]:
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):
            return [self._lost(worker, WorkerError(f"the worker of {worker.node} died: {worker.end()}"), "platform")]
        if isinstance(message, Exception):
            return [self._lost(worker, message, "platform")]
        if not isinstance(message, Result):
            return []
        job, worker.job = worker.job, None
        assert job is not None
        result = from_result(message)
        if isinstance(result, Failure):
            if isinstance(result.error, WorkerError):
                self._retire(worker)  # what it has loaded is not what was planned
            result = result._replace(error=self._explained(job.work, result.error))
        return [Outcome(job.work, result, message.kept)]

    def _lost(self, worker: _Worker, error: Exception, cause: Any) -> Outcome:
        job = worker.job
        assert job is not None
        self._retire(worker)
        return Outcome(
            job.work, Failure(error, str(error), SideData(executor=self.name, attempt=job.work.attempt), cause)
        )

    def _explained(self, work: Work, error: Exception) -> Exception:
        """Return the error of a call, said better where it comes of the environment."""
        if isinstance(error, ModuleNotFoundError) and error.name:
            return self._undeclared(work, error.name.partition(".")[0]) or error
        if isinstance(error, ClassChangedError):
            return EnvError(
                f"{work.node.name} can't read what it is given, in its environment: {error}. Two versions of a package meet "
                "in data only: give it as arrays, tables or plain values, or give both nodes one environment",
                node=work.node.reference,
            )
        return error

    def _undeclared(self, work: Work, top: str) -> LineageError | None:
        assert self._place is not None
        site = site_packages(self._place.folder)
        is_ours = top in sys.modules and origin_of_module_name(top) is Origin.PROJECT
        if is_ours or (site / top).exists() or any(site.glob(f"{top}.*")):
            return None
        package = next((found.name for found in distributions_of(top)), top)
        return UndeclaredImportError(
            f"{work.node.name} imports {top}, which its environment lacks. Add it: packages=[..., {package!r}], then "
            f"lineage env lock {work.node.reference}; or let it use what is installed here: allow_undeclared=True",
            node=work.node.reference,
            package=package,
        )

    # -- the end

    def cancel(self) -> None:
        self._waiting.clear()
        for worker in [worker for worker in self._all if worker.job is not None]:
            self._retire(worker)

    def close(self) -> None:
        for worker in list(self._all):
            self._retire(worker)
        if self._held is not None:
            self._held.close()
            self._held = self._place = None

    def _retire(self, worker: _Worker) -> None:
        worker.end()
        if worker in self._all:
            self._all.remove(worker)


class _Worker:
    """One process, and what it has to do."""

    def __init__(self, place: Made, environment: Resolved, description: dict[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        variables = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        with theirs:
            self.process = subprocess.Popen(
                command(place, "lineage.executors.pinned_worker", [str(theirs.fileno())]),
                env={**surroundings(place, environment, os.environ), **variables},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.pipe = Connection(ours.detach())
        self.pipe.send(description)
        self.job: _Job | None = None
        self.package: str | None = None
        self._known: set[int] = set()

    def give(self, job: _Job, packer: Packer) -> None:
        self.job = job._replace(began=time.monotonic())
        self.package = job.package
        if job.parcel.box not in self._known:
            self._known.add(job.parcel.box)
            box = packer.boxes[job.parcel.box]
            self._send((box, job.work.node.claims(by_value=box.value is not None)))
        self._send(job.parcel)

    def _send(self, message: Any) -> None:
        try:
            self.pipe.send(message)
        except OSError:
            pass  # it died: reading says so

    @property
    def node(self) -> str:
        return self.job.work.node.name if self.job is not None else ""

    @property
    def seconds(self) -> float:
        return self.job.work.timeout or 0.0 if self.job is not None else 0.0

    @property
    def deadline(self) -> float | None:
        if self.job is None or self.job.work.timeout is None:
            return None
        return self.job.began + self.job.work.timeout + _GRACE

    def end(self) -> str:
        """End the process and say how it ended."""
        self.pipe.close()
        self.process.kill()
        code = self.process.wait()
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
