"""What runs inside a Ray worker: a warm process that is handed messages with a batch of calls in each."""

from __future__ import annotations

import os
import pickle
import sys
import time
from typing import Any

from lineage import capture
from lineage.errors import WorkerError
from lineage.executors.outpost import Description
from lineage.executors.parcels import Box, Parcel
from lineage.executors.worker import ENVIRONMENT, Tainted, Worker

__all__ = ["ENVIRONMENT", "RayWorker"]

_ENOUGH = 8 << 20
"""Characters of results with which a worker comes back though there is more to do: what travels is small values."""


class RayWorker:
    """One worker process. It comes back early where calls take longer than was thought, so that the rest may go elsewhere."""

    def begin(self, description: Description, cpus: int) -> str:
        """Make ready, and return the name of the machine that this is, as Ray knows it."""
        import ray

        self._worker = Worker(description, "ray", cpus=cpus)
        self._is_tainted = False
        self._machine = str(ray.get_runtime_context().get_node_id())
        return self._machine

    def open(self, nodes: bytes) -> str:
        """Make nodes ready before a call of theirs comes, and return the name of the machine."""
        try:
            self._open(pickle.loads(nodes))
        except Tainted:
            self._is_tainted = True
        return self._machine

    def carry_out(self, message: bytes, patience: float) -> tuple[bytes, float, bool]:
        """Carry out calls in order; return the outcomes of those that were begun within `patience` seconds, the seconds that
        they took together, and whether what is left has to go to another process.
        """
        began = time.perf_counter()
        boxes, parcels = pickle.loads(message)
        answers: list[Any] = []
        try:
            if not self._is_spent():
                self._open(boxes)
                self._carry_out(parcels, answers, began + patience)
        except Tainted as why:
            if not self._worker.has_run:
                raise WorkerError(f"a new worker has other code than this process: {why}") from None
            self._is_tainted = True
        self._worker.store.objects.sync()
        sys.stdout.flush()
        return pickle.dumps(answers, protocol=5), time.perf_counter() - began, self._is_spent()

    def _is_spent(self) -> bool:
        return self._is_tainted or self._worker.is_spent

    def _carry_out(self, parcels: list[Parcel], answers: list[Any], until: float) -> None:
        size = 0
        with capture.capturing():
            for parcel in parcels:
                answers.append(self._worker.carry_out(parcel))
                text = answers[-1].text
                size += len(text[0]) if type(text) is tuple else 0
                if time.perf_counter() > until or size > _ENOUGH or self._worker.is_spent:
                    return

    def _open(self, boxes: list[tuple[Box, dict[str, str | None]]]) -> None:
        for _, variables in boxes:
            for name, value in variables.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        if boxes:
            self._worker.learn([box for box, _ in boxes])
