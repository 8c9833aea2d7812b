"""A worker in a pinned environment: it carries out calls that come over a pipe, one after another.

Before the first call of a node it looks whether its code says here what the driver said of it; if not, nothing is run.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from lineage import capture
from lineage.environments.current import here
from lineage.environments.started import enter
from lineage.errors import WorkerError
from lineage.executors.base import Failure
from lineage.executors.outpost import Outpost
from lineage.executors.packages import unpacked
from lineage.executors.parcels import Box, Parcel, Result, as_result, unboxed, unparcelled
from lineage.executors.perform import perform
from lineage.node import Node
from lineage.records import SideData
from lineage.settings import fixed_settings

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Serve the pipe of that number until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who interrupts the driver has it end its workers
    pipe = Connection(int(arguments[0]))
    try:
        enter()
        environment = here()
        assert environment is not None
        with fixed_settings(frozenset(environment.packages)), capture.capturing():
            _serve(pipe)
    except EOFError:
        return
    except Exception as error:
        pipe.send(error if isinstance(error, WorkerError) else WorkerError("".join(traceback.format_exception(error))))


def _serve(pipe: Connection) -> None:
    worker = _Worker(pipe.recv())
    pipe.send("ready")
    while (message := pipe.recv()) is not None:
        if isinstance(message, Parcel):
            pipe.send(worker.call(message))
        else:
            worker.learn(*message)


class _Worker:
    """A store, and the nodes that were met."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.store = Outpost(description)
        self._folder: str | None = None
        self._nodes: dict[int, Node[..., Any]] = {}
        self._refused: dict[int, Exception] = {}

    def learn(self, box: Box, claims: tuple[str, ...]) -> None:
        """Find a node, and compare its code with what the driver claims of it."""
        try:
            if box.package is not None:
                self._unpack(box.package)
            node = unboxed(box, self._folder)
            _compare(box, node.claims(by_value=box.value is not None), claims)
            self._nodes[box.number] = node
        except Exception as error:
            self._refused[box.number] = error

    def _unpack(self, package: str) -> None:
        folder = self.store.root / "packages"
        folder.mkdir(exist_ok=True)
        place = str(unpacked(self.store.objects.path(bytes.fromhex(package)), folder / package[:32]))  # type: ignore[arg-type]
        self._folder = place
        if place not in sys.path:
            sys.path.insert(0, place)

    def call(self, parcel: Parcel) -> Result:
        """Carry out one attempt."""
        if parcel.box in self._refused:
            return self._refusal(parcel, self._refused[parcel.box])
        node = self._nodes[parcel.box]
        self.store.learn(parcel.kept)
        outcome = perform(unparcelled(parcel, node, node.code_digest(), self._folder), self.store, "environment")
        self.store.objects.sync()
        return as_result(parcel.number, outcome.result, self.store.handed_over())

    def _refusal(self, parcel: Parcel, error: Exception) -> Result:
        side = SideData(executor="environment", process=os.getpid())
        if not isinstance(error, (ModuleNotFoundError, WorkerError)):
            error = WorkerError(f"a worker can't find the node: {type(error).__name__}: {error}")
        cause: Any = "platform" if isinstance(error, WorkerError) else "user"
        failure = Failure(error, "".join(traceback.format_exception(error)), side, cause)
        return as_result(parcel.number, failure, ())


def _compare(box: Box, found: tuple[str, ...], claimed: tuple[str, ...]) -> None:
    if found == claimed:
        return
    there, here_ = sorted(set(claimed) - set(found)), sorted(set(found) - set(claimed))
    raise WorkerError(
        f"{box.name} is not the same code in its environment as where it was planned. There: {'; '.join(there[:3]) or 'less'}. "
        f"In the worker: {'; '.join(here_[:3]) or 'less'}. Was a file edited meanwhile? Ask again"
    )
