"""Warm workers on a cluster: how many of which size, what each of them holds, and what is lost with one.

A worker is an actor that takes up what one call asks for. It holds two batches of small calls at most, or one large call. When
it dies, what it had not begun goes elsewhere as if nothing had happened. What it had begun is told as lost if it was a single
call; of a batch nobody can say which call it was, so they go on one by one, and the one that ends its worker again is told.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lineage.executors.base import Outcome, Work
from lineage.executors.batching import Durations, Waiting, take_batch
from lineage.executors.machines import Amounts, how_many_fit, left_over

__all__ = ["Lost", "Pool", "Post"]

_HALF = 0.5
"""What a full batch of small calls takes of a worker: it holds one that it carries out, and the next."""

_LEAST = 1 / 16
"""What the smallest batch takes of a worker."""

_BRIEF = 0.01
"""Seconds of work that travel together at least, in batches or one by one, so that a worker does not wait for the driver."""

_GRACE = 2.0
"""Seconds past its time limit for which a call may still say itself that it was too slow, before its worker is ended."""

_PATIENCE = 4.0
"""How many times as long as was thought a batch may take before its worker comes back with what it has."""

_TURN = 2.0
"""Seconds for which a worker that has work keeps its place though calls of another size wait: a new one takes as long to
begin."""

_STARTS = 3
"""How many workers in a row may fail to begin before what waits for them is given up."""

_MOST_PENDING = 1000


class Post(Protocol):
    """Makes messages of work, and outcomes of answers."""

    def nodes(self, batch: Sequence[Work], known: set[int]) -> bytes | None: ...

    def message(self, batch: Sequence[Work], known: set[int]) -> tuple[bytes, int]: ...

    def seconds_to_read(self, work: Work) -> float: ...

    def outcomes(self, answer: bytes, batch: Sequence[Work]) -> list[Outcome]: ...


class Lost(NamedTuple):
    """A call that was not carried out to its end: its worker died, or was ended because the call was too slow."""

    waiting: Waiting
    why: str
    seconds: float
    too_slow: bool = False


class _Shape:
    """What calls that need the same have in common: those that wait, and the workers of that size."""

    def __init__(self, wanted: Amounts) -> None:
        self.wanted = wanted
        self.queue: deque[Waiting] = deque()
        self.workers: list[_Worker] = []
        self.failed_starts = 0
        self.full: Any = None  # the state of the pool in which there was no room for one more
        self.starved_since: float | None = None

    def is_starved(self) -> bool:
        """Say whether there is work and no worker that takes it, and note since when."""
        is_so = bool(self.queue) and all(worker.leaving for worker in self.workers)
        if not is_so:
            self.starved_since = None
        elif self.starved_since is None:
            self.starved_since = time.monotonic()
        return is_so


class _Worker:
    """An actor, and what it holds. It gets nothing before it has begun, and nothing more once it is `leaving`."""

    __slots__ = ("actor", "begun", "flights", "held", "known", "leaving", "machine", "shape")

    def __init__(self, actor: Any, shape: _Shape) -> None:
        self.actor = actor
        self.shape = shape
        self.machine: str | None = None
        self.begun: float | None = None
        self.flights: list[_Flight] = []  # in the order in which it carries them out
        self.known: set[int] = set()  # the nodes that it has
        self.held = 0.0
        self.leaving = False


class _Flight:
    """A batch that a worker holds, or, with nothing in it, its beginning."""

    __slots__ = ("batch", "deadline", "since", "weight", "worker")

    def __init__(self, worker: _Worker, batch: list[Waiting], weight: float, deadline: float | None = None) -> None:
        self.worker = worker
        self.batch = batch
        self.weight = weight
        self.since = time.monotonic()
        self.deadline = deadline


class Pool:
    """Workers for calls of any size. `start` makes an actor that takes up the amounts it is given, `begin` lets it make ready;
    `machines` tells what each machine has, by its name; with `grows`, the cluster adds machines for workers that have no room.
    """

    def __init__(
        self,
        ray: Any,
        *,
        start: Callable[[Amounts], Any],
        begin: Callable[[Any, Amounts], Any],
        machines: Callable[[], Mapping[str, Amounts]],
        seconds: float,
        most: int | None = None,
        grows: bool = False,
    ) -> None:
        self._ray = ray
        self._start = start
        self._begin = begin
        self._machines = machines
        self._seconds = seconds
        self._most = most or 1 << 30
        self._grows = grows
        self._shapes: dict[Any, _Shape] = {}
        self._flights: dict[Any, _Flight] = {}
        self._post: Post
        self._given_up: list[Lost] = []
        self._generation = 0
        self.sent = 0
        self.durations = Durations()

    def begin_anew(self, post: Post) -> None:
        """Let all workers make ready again, for what `post` sends. None may hold anything."""
        self._post = post
        for shape in self._shapes.values():
            for worker in shape.workers:
                worker.known.clear()
                self._send(worker, [], self._begin(worker.actor, worker.shape.wanted), 1.0)

    # -- in and out

    def add(self, waiting: Waiting, wanted: Amounts, kind: str | None = None) -> None:
        """Let a call wait for a worker that takes up `wanted`, and carries out calls of this `kind` only."""
        key = kind, tuple(wanted.items())
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = _Shape(wanted)
        shape.queue.append(waiting)

    def appetite(self, most: int) -> int:
        """Return how many calls are worth holding here: what the workers do in a second, and some for each."""
        typical = self.durations.typical()
        workers = max(2, len(self))
        return workers * 8 if typical is None else min(most, workers * 8 + int(workers / max(typical, 1e-9)))

    def push(self) -> None:
        """Hand out what waits to workers that can take it, and see that there are workers."""
        hungry = [shape for shape in self._shapes.values() if shape.is_starved()]
        starved = min(hungry, key=lambda shape: shape.starved_since or 0.0, default=None)
        for shape in self._shapes.values():
            if shape.queue:
                if starved is None or starved is shape:  # who has no worker at all comes before who wants one more
                    self._staff(shape)
                self._hand_out(shape)

    def collect(self, timeout: float | None) -> list[Outcome | Lost]:
        """Return what was carried out or lost, as soon as there is something, or nothing after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            self.push()
            found = list(self._arrived(self._until(end)))
            found += self._given_up
            self._given_up.clear()
            if found or (end is not None and time.monotonic() >= end):
                self.push()
                return found

    def drop(self) -> None:
        """Forget all that waits, and end the workers that hold something: nothing of it comes back."""
        for shape in self._shapes.values():
            shape.queue.clear()
            for worker in list(shape.workers):
                if any(flight.batch for flight in worker.flights):
                    self._end(worker)
        self._given_up.clear()

    def close(self) -> None:
        """End all workers."""
        for shape in self._shapes.values():
            shape.queue.clear()
            for worker in list(shape.workers):
                self._end(worker)
        self._shapes.clear()
        self._flights.clear()

    # -- workers

    def _staff(self, shape: _Shape) -> None:
        """Ask for as many workers as can be used and have room; where there is none for the first, make some."""
        missing = len(shape.queue) - sum(not worker.held for worker in shape.workers)
        if missing <= 0 or (shape.full == self._state() and not shape.is_starved()):
            return
        room = self._room(shape)
        if not room and shape.is_starved():
            self._make_room(shape)
            room = self._room(shape)
        for _ in range(min(missing, room)):
            worker = _Worker(self._start(shape.wanted), shape)
            shape.workers.append(worker)
            self._send(worker, [], self._begin(worker.actor, worker.shape.wanted), 1.0)
        if room < missing:
            shape.full = self._state()

    def _room(self, shape: _Shape, *, soon: bool = False) -> int:
        """Return how many workers for calls of this size may begin now, or as soon as some have left."""
        workers = [worker for one in self._shapes.values() for worker in one.workers if not (soon and worker.leaving)]
        machines = self._machines()
        free = left_over(machines, [(worker.machine, worker.shape.wanted) for worker in workers])
        room = how_many_fit(shape.wanted, free.values())
        if self._grows:
            room = max(room, _MOST_PENDING - len(workers))
        if "CPU" not in shape.wanted:  # it takes nothing up, but there is no use in more of them than cores
            room = min(room, int(sum(machine.get("CPU", 0) for machine in machines.values())) + 1 - len(shape.workers))
        return max(0, min(room, self._most - len(workers)))

    def _state(self) -> Any:
        """Return what has changed when there may be room that was not there before."""
        return id(self._machines()), self._generation

    def __len__(self) -> int:
        return sum(len(shape.workers) for shape in self._shapes.values())

    def _make_room(self, shape: _Shape) -> None:
        """End workers of other sizes that have nothing to do; after a while, let busy ones leave when they are done too."""
        others = [worker for other in self._shapes.values() if other is not shape for worker in other.workers]
        others.sort(key=lambda worker: (bool(worker.shape.queue), worker.held))
        now = time.monotonic()
        for worker in others:
            if self._room(shape, soon=True):
                return
            had_its_turn = worker.begun is not None and now - max(worker.begun, shape.starved_since or now) > _TURN
            if not worker.leaving and (had_its_turn or not (worker.held or worker.shape.queue)):
                self._dismiss(worker)

    def _dismiss(self, worker: _Worker) -> None:
        worker.leaving = True
        if not worker.held:
            self._end(worker)

    def _end(self, worker: _Worker) -> None:
        self._ray.kill(worker.actor, no_restart=True)
        self._strike(worker)

    def _strike(self, worker: _Worker) -> None:
        """Take a worker that is gone off all lists."""
        if worker in worker.shape.workers:
            worker.shape.workers.remove(worker)
            self._generation += 1
        gone = set(map(id, worker.flights))
        for reference in [reference for reference, flight in self._flights.items() if id(flight) in gone]:
            del self._flights[reference]
        worker.flights = []

    # -- handing out

    def _hand_out(self, shape: _Shape) -> None:
        while shape.queue:
            free = [worker for worker in shape.workers if worker.held < 1 and not worker.leaving]
            if not free:
                return
            worker = min(free, key=lambda one: one.held)
            weight = self._weight(shape.queue[0])
            if worker.held + weight > 1:
                return
            share = -(-len(shape.queue) // (2 * len(shape.workers)))
            batch = take_batch(shape.queue, self.durations, seconds=self._seconds, share=share)
            if batch[0].work.timeout is not None and self._introduce(worker, batch):
                continue
            message, count = self._post.message([waiting.work for waiting in batch], worker.known)
            shape.queue.extendleft(reversed(batch[count:]))
            answer = worker.actor.carry_out.remote(message, self._seconds * _PATIENCE)
            self.sent += 1
            self._send(worker, batch[:count], answer, weight)

    def _introduce(self, worker: _Worker, batch: list[Waiting]) -> bool:
        """Let a worker first import what it does not have yet of a call whose time counts; say whether it has to."""
        nodes = self._post.nodes([waiting.work for waiting in batch], worker.known)
        if nodes is None:
            return False
        worker.shape.queue.extendleft(reversed(batch))
        self._send(worker, [], worker.actor.open.remote(nodes), 1.0)
        return True

    def _weight(self, waiting: Waiting) -> float:
        """Return how much of a worker a batch takes that begins with this: a large call, or one not known, all of it."""
        known = self.durations.of(waiting.name)
        if waiting.alone or known is None or known > max(self._seconds, _BRIEF):
            return 1.0
        return _HALF if self._seconds else min(_HALF, max(_LEAST, known / (2 * _BRIEF)))

    def _send(self, worker: _Worker, batch: list[Waiting], answer: Any, weight: float) -> None:
        limit = batch[0].work.timeout if len(batch) == 1 else None
        deadline = None
        if limit is not None:  # what a call is given is read before its time begins
            deadline = time.monotonic() + self._post.seconds_to_read(batch[0].work) + limit + _GRACE
        flight = _Flight(worker, batch, weight, deadline)
        worker.held += weight
        worker.flights.append(flight)
        self._flights[answer] = flight

    # -- what comes back

    def _until(self, end: float | None) -> float | None:
        """Return for how many seconds to wait: until `end`, or until a call runs out of time."""
        ends = [flight.deadline for flight in self._flights.values() if flight.deadline is not None]
        now = time.monotonic()
        if any(shape.starved_since is not None for shape in self._shapes.values()):
            ends.append(now + _TURN)  # to see then whether others have had their turn
        if end is not None:
            ends.append(end)
        return max(0.0, min(ends) - now) if ends else None

    def _arrived(self, timeout: float | None) -> Iterator[Outcome | Lost]:
        references = list(self._flights)
        if not references:
            time.sleep(min(0.05, 0.05 if timeout is None else timeout))
            return
        ready, _ = self._ray.wait(references, num_returns=len(references), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(references, num_returns=1, timeout=timeout)
        if ready:
            there = set(ready)
            for reference in references:  # in the order in which they were sent
                if reference in there and reference in self._flights:
                    yield from self._land(reference)
        yield from self._overdue()

    def _land(self, reference: Any) -> Iterator[Outcome | Lost]:
        flight = self._flights[reference]
        try:
            answer = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            yield from self._lose(flight, _reason(error))
            return
        del self._flights[reference]
        worker = flight.worker
        worker.flights.remove(flight)
        worker.held = sum(one.weight for one in worker.flights)
        if worker.leaving and not worker.held:
            self._end(worker)
        if flight.batch:
            outcomes, seconds, is_spent = answer
            yield from self._unload(worker.shape, flight.batch, outcomes, seconds)
            if is_spent and not worker.leaving:
                self._dismiss(worker)
        else:
            worker.machine = answer
            worker.begun = worker.begun or time.monotonic()
            worker.shape.failed_starts = 0

    def _unload(self, shape: _Shape, batch: list[Waiting], answer: bytes, seconds: float) -> Iterator[Outcome]:
        outcomes = self._post.outcomes(answer, [waiting.work for waiting in batch])
        if outcomes:  # none where the worker's code is no longer what was planned
            self.durations.learn([waiting.name for waiting in batch[: len(outcomes)]], seconds)
        shape.queue.extendleft(reversed(batch[len(outcomes) :]))
        yield from outcomes

    def _lose(self, flight: _Flight, why: str, *, too_slow: bool = False) -> Iterator[Lost]:
        """Take in that a worker is gone, found by one of the batches that it held."""
        worker, shape = flight.worker, flight.worker.shape
        flights = worker.flights
        self._end(worker)  # in case that it is only out of reach
        if not flights[0].batch:
            self._give_up(shape, why)
            return
        first, *others = flights
        for other in reversed(others):
            shape.queue.extendleft(reversed(other.batch))
        if len(first.batch) == 1:
            yield Lost(first.batch[0], why, time.monotonic() - first.since, too_slow)
            return
        for waiting in reversed(first.batch):
            waiting.alone = True
            shape.queue.appendleft(waiting)

    def _give_up(self, shape: _Shape, why: str) -> None:
        """Take in that a worker did not begin; after some, tell all that wait for one."""
        shape.failed_starts += 1
        if shape.failed_starts >= _STARTS:
            shape.failed_starts = 0
            self._given_up += [Lost(waiting, f"no worker could be started: {why}", 0.0) for waiting in shape.queue]
            shape.queue.clear()

    def _overdue(self) -> Iterator[Lost]:
        """End the workers whose call had its time and does not come back by itself: it is in native code."""
        now = time.monotonic()
        for flight in [one for one in self._flights.values() if one.deadline is not None and one.deadline <= now]:
            yield from self._lose(flight, "", too_slow=True)


def _reason(error: Exception) -> str:
    """Return the last thing that Ray says of a loss, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:400]}" if lines else type(error).__name__
