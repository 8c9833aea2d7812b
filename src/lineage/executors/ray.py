"""Calls on a Ray cluster: of this machine, or of many.

Values travel through the store, calls as small parcels. Ray tries nothing again by itself: what a lost worker had is told to the
engine, which decides.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from lineage.errors import WorkerError
from lineage.executors.base import Failure, Outcome, Work
from lineage.executors.batching import Waiting
from lineage.executors.machines import Amounts, asked, check_possible, within_cores
from lineage.executors.outpost import described
from lineage.executors.ray_connection import Connection, connect
from lineage.executors.ray_pool import Lost, Pool
from lineage.executors.ray_post import Post
from lineage.executors.ray_reach import check_machines
from lineage.executors.ray_worker import ENVIRONMENT, RayWorker
from lineage.executors.timeouts import timed_out
from lineage.options import Resources
from lineage.records import SideData

__all__ = ["Ray"]

_STORE_MEMORY = 128 << 20
"""Bytes of memory that a cluster of one's own sets aside for what travels between its processes: calls and small results."""

_MOST_HELD = 20_000
"""Pieces of work that are taken in at once. More would only wait here instead of in the engine."""

_MACHINES_FOR = 1.0
"""Seconds for which it is taken that no machine comes or goes."""


class Ray:
    """Carries out calls on a Ray cluster.

    `address` is None for a cluster of this machine alone, started for this process, on loopback, and ended with it;
    `"auto"` for the one that runs here already; `"ray://host:10001"` or `"host:6379"` for one elsewhere. `cpus`, `gpus` and
    `custom` say what a cluster of one's own has (default: the machine's cores); `workers` limits how many calls run at once;
    `batch` is how many seconds of small calls a worker gets at once (0: one call at a time); `python` is the interpreter of the workers of a
    cluster that is joined (default: this one where all of the cluster is this machine, else the cluster's own, which must have `lineage` in
    it); `start` is for how many seconds a machine may take to start a worker.

    >>> Ray(cpus=2)
    Ray()
    >>> Ray("auto")
    Ray('auto')
    """

    name = "ray"

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: float | None = None,
        gpus: float | None = None,
        custom: dict[str, float] | None = None,
        workers: int | None = None,
        batch: float = 0.05,
        python: str | None = None,
        start: float = 60.0,
    ) -> None:
        self.address = address
        self._amounts = {"num_cpus": cpus, "num_gpus": gpus, "resources": custom}
        self._workers = workers
        self._batch = batch
        self._python = python
        self._start_limit = start
        self._connection: Connection | None = None
        self._pool: Pool | None = None
        self._store: Any = None
        self._post: Post | None = None
        self._seen: tuple[float, dict[str, Amounts]] = (-1.0, {})
        self._reached: set[str] = set()
        self._sizes: dict[int, tuple[Resources | None, Amounts]] = {}  # held, so that their ids stay theirs

    def __repr__(self) -> str:
        return f"Ray({self.address!r})" if self.address is not None else "Ray()"

    @property
    def capacity(self) -> int:
        """How many pieces of work it likes to hold at once: what its workers do in a second or so, and a few more."""
        pool = self._pool
        return _MOST_HELD if pool is None else pool.appetite(_MOST_HELD)

    @property
    def workers(self) -> int:
        """How many calls it runs at a time, as it stands."""
        return 0 if self._pool is None else len(self._pool)

    @property
    def messages(self) -> int:
        """How many batches of calls workers were sent."""
        return 0 if self._pool is None else self._pool.sent

    def attach(self, store: Any) -> None:
        """Say which store values are read from and written to, and see that all machines reach it. Joins or starts the cluster.

        Raises:
            ExecutorError: there is no such cluster, or its workers can't reach the store or have no `lineage`.
        """
        if self._connection is None:
            amounts = {name: amount for name, amount in self._amounts.items() if amount is not None}
            self._connection = connect(self.address, {"object_store_memory": _STORE_MEMORY, **amounts}, ENVIRONMENT)
        if self._pool is None:
            self._pool = Pool(
                self._connection.ray,
                start=self._start,
                begin=lambda actor, wanted: actor.begin.remote(
                    described(self._store), max(1, int(wanted.get("CPU", 1)))
                ),
                machines=self._machines,
                seconds=self._batch,
                most=self._workers,
                grows=bool(self._connection.may_grow_to()),
            )
        self._pool.drop()
        self._sizes.clear()
        if store is not self._store:
            self._store, self._post = store, Post(store)
            self._reached.clear()
            self._look_around()
            self._pool.begin_anew(self._post)
        else:
            self._look_around()

    def check(self, node: str, resources: Resources | None) -> None:
        """Refuse calls that no machine of the cluster can ever carry out.

        Raises:
            ExecutorError: they need more than the largest has, or than one would have that the cluster may add.
        """
        self._size(node, resources)

    def submit(self, work: Work) -> None:
        assert self._pool is not None
        assert self._post is not None
        waiting = Waiting(work, alone=work.timeout is not None or work.node.kind == "sink")
        self._pool.add(waiting, self._size(work.node.name, work.resources), self._post.package(work))

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        assert self._pool is not None
        found = self._pool.collect(timeout)
        outcomes = [self._lost(one) if isinstance(one, Lost) else one for one in found]
        for outcome in outcomes:
            if outcome.result.side.log:
                sys.stdout.write(outcome.result.side.log)
        return outcomes

    def cancel(self) -> None:
        if self._pool is not None:
            self._pool.drop()

    def close(self) -> None:
        """End all workers, leave the cluster, and end the cluster if it was started here."""
        if self._pool is not None:
            self._pool.close()
            self._pool = self._store = self._post = None
        if self._connection is not None:
            self._connection.leave()
            self._connection = None
        self._reached.clear()

    # -- the cluster

    def _start(self, wanted: Amounts) -> Any:
        assert self._connection is not None
        ray = self._connection.ray
        options: dict[str, Any] = {
            "num_cpus": wanted.get("CPU", 0),
            "num_gpus": wanted.get("GPU", 0),
            "memory": wanted.get("memory"),
            "resources": {n: a for n, a in wanted.items() if n not in ("CPU", "GPU", "memory")},
            "max_restarts": 0,
            "max_task_retries": 0,
            "runtime_env": self._runtime_env(),
        }
        return ray.remote(**options)(RayWorker).remote()

    def _runtime_env(self) -> dict[str, Any] | None:
        """Return in what a worker runs, where it does not inherit it from this process."""
        assert self._connection is not None
        if self._connection.is_private:
            return None
        python = self._python or (sys.executable if self._is_all_here() else None)
        return {"env_vars": ENVIRONMENT, **({"py_executable": python} if python else {})}

    def _is_all_here(self) -> bool:
        assert self._connection is not None
        return all(node["NodeManagerHostname"] == os.uname().nodename for node in self._connection.nodes())

    def _machines(self) -> dict[str, Amounts]:
        assert self._connection is not None
        now = time.monotonic()
        if now - self._seen[0] > _MACHINES_FOR:
            self._seen = (now, {node["NodeID"]: node["Resources"] for node in self._connection.nodes()})
        return self._seen[1]

    def _look_around(self) -> None:
        """See that each machine that is new reaches the store and can start workers.

        Raises:
            ExecutorError: one can't.
        """
        assert self._connection is not None
        if self._connection.is_private:
            return
        new = [node for node in self._connection.nodes() if node["NodeID"] not in self._reached]
        check_machines(self._connection.ray, new, self._store, self._runtime_env(), limit=self._start_limit)
        self._reached.update(node["NodeID"] for node in new)

    def _size(self, node: str, resources: Resources | None) -> Amounts:
        """Return what a worker for calls takes up that need `resources`. On this machine alone cores are a soft limit, as on
        every executor of one machine.

        Raises:
            ExecutorError: no machine of the cluster ever has that.
        """
        known = self._sizes.get(id(resources))
        if known is not None:
            return known[1]
        assert self._connection is not None
        machines = list(self._machines().values())
        size: Amounts = asked(resources)
        if self._connection.is_private:
            size = within_cores(size, machines)
        check_possible(node, size, machines, may_grow_to=self._connection.may_grow_to())
        self._sizes[id(resources)] = (resources, size)
        return size

    # -- losses

    def _lost(self, lost: Lost) -> Outcome:
        work = lost.waiting.work
        name = work.node.name
        side = SideData(time.time() - lost.seconds, lost.seconds, attempt=work.attempt, executor=self.name)
        if lost.too_slow and work.timeout is not None:
            slow = timed_out(name, work.timeout)
            return Outcome(work, Failure(slow, f"TimeoutError: {slow}", side))
        died = WorkerError(f"the worker that carried out {name} was lost: {lost.why}", node=name)
        return Outcome(work, Failure(died, f"WorkerError: {died}", side, "platform"))
