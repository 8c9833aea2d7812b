"""What runs inside a Ray worker: a warm process that is handed messages with a batch of calls in each."""

from __future__ import annotations

import os
import pickle
import sys
import time
from typing import Any

from lineage import capture
from lineage.digest import Digest
from lineage.errors import WorkerError
from lineage.executors.base import Failure, Outcome
from lineage.executors.outpost import Description, Outpost
from lineage.executors.packages import unpacked
from lineage.executors.parcels import Box, Parcel, as_result, unboxed, unparcelled
from lineage.executors.perform import perform
from lineage.node import Node
from lineage.records import SideData
from lineage.settings import fixed_settings

__all__ = ["ENVIRONMENT", "RayWorker"]

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "LANG": "C.UTF-8",
    "POLARS_ENGINE_AFFINITY": "in-memory",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""What workers start with, whoever starts them."""

_ENOUGH = 8 << 20
"""Characters of results with which a worker comes back though there is more to do: what travels is small values."""


class RayWorker:
    """One worker process. It comes back early where calls take longer than was thought, so that the rest may go elsewhere."""

    def begin(self, description: Description) -> str:
        """Make ready, and return the name of the machine that this is, as Ray knows it."""
        import ray

        time.tzset()
        self._store = Outpost(description)
        self._nodes: dict[int, tuple[Box, Node[..., Any] | Exception]] = {}
        self._machine = str(ray.get_runtime_context().get_node_id())
        return self._machine

    def open(self, nodes: bytes) -> str:
        """Make nodes ready before a call of theirs comes, and return the name of the machine."""
        self._open(pickle.loads(nodes))
        return self._machine

    def carry_out(self, message: bytes, patience: float) -> tuple[bytes, float]:
        """Carry out calls in order, and return the outcomes of those that were begun within `patience` seconds, and the
        seconds that they took together.
        """
        began = time.perf_counter()
        boxes, parcels = pickle.loads(message)
        self._open(boxes)
        answers = []
        size, took = 0, 0.0
        with capture.capturing(), self._settings(parcels):
            for parcel in parcels:
                answers.append(self._carry_out(parcel))
                text = answers[-1].text
                size += len(text[0]) if type(text) is tuple else 0
                took = time.perf_counter() - began
                if took > patience or size > _ENOUGH:
                    break
        self._store.objects.sync()
        sys.stdout.flush()
        return pickle.dumps(answers, protocol=5), time.perf_counter() - began

    def _open(self, boxes: list[tuple[Box, dict[str, str | None]]]) -> None:
        for box, variables in boxes:
            for name, value in variables.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
            self._nodes[box.number] = box, self._opened(box)

    def _opened(self, box: Box) -> Node[..., Any] | Exception:
        """Return the node in a box, or why there is none."""
        try:
            if box.package is not None:
                place = self._store.views().parent / "code" / box.package
                place.parent.mkdir(parents=True, exist_ok=True)
                folder = str(unpacked(self._store.objects.path(Digest(bytes.fromhex(box.package))), place))
                if folder not in sys.path:
                    sys.path.insert(0, folder)
            node = unboxed(box)
            if node.code_digest() != box.code:
                return WorkerError(
                    f"a worker has other code or packages for {box.name} than this process: {_differences(box, node)}",
                    node=box.name,
                )
            return node
        except Exception as error:
            return error

    def _settings(self, parcels: list[Parcel]) -> Any:
        nodes = [self._nodes[parcel.box][1] for parcel in parcels]
        packages = frozenset(name for node in nodes if isinstance(node, Node) for name in node.packages())
        cpus = max((parcel.resources.cpus for parcel in parcels if parcel.resources is not None), default=1)
        return fixed_settings(packages, max(1, int(cpus)))

    def _carry_out(self, parcel: Parcel) -> Any:
        box, node = self._nodes[parcel.box]
        if not isinstance(node, Node):
            side = SideData(time.time(), attempt=parcel.attempt, executor="ray", process=os.getpid())
            return as_result(parcel.number, Failure(node, f"{type(node).__name__}: {node}", side, "platform"), ())
        self._store.learn(parcel.kept)
        work = unparcelled(parcel, node, box.code)
        outcome: Outcome = perform(work, self._store, "ray")
        return as_result(parcel.number, outcome.result, self._store.handed_over())


def _differences(box: Box, node: Node[..., Any]) -> str:
    """Return which parts of a node's identity are not the same here."""
    import json

    there = json.loads(box.leaves)["leaves"]
    here = json.loads(node.leaves())["leaves"]
    differing = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    return ", ".join(differing[:5]) or "how it is declared"
