"""Hands calls to executors and takes back what came of them: a lane for each executor, so that none waits for another.

Calls are decided, and their arguments put together, only shortly before there is room for them: what waits is a vertex of the graph
and no more, however many there are.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from lineage.errors import ExecutorError
from lineage.executors.admission import Admission, Line
from lineage.executors.base import Executor, Outcome, Work
from lineage.interrupts import insistently
from lineage.planning import Step, composes

__all__ = ["Dispatch", "Refusal"]

_BATCH = 500
"""Calls that are decided together, so that one look-up serves many."""

_LOW = 250
"""Decided calls in a lane below which more are decided."""

_TURN = 0.005
"""Seconds for which one of several busy executors is waited for before the next is asked."""


class Refusal(NamedTuple):
    """A call that its executor can never carry out, and why."""

    work: Work
    error: ExecutorError


class _Lane:
    """The calls of one executor: parked until there is room, decided and waiting, in flight."""

    __slots__ = ("admission", "executor", "in_flight", "parked", "waiting")

    def __init__(self, executor: Executor | None) -> None:
        self.executor = executor
        self.parked: deque[Step] = deque()
        self.waiting: Line[Work] = Line()
        self.in_flight = 0
        total = getattr(executor, "resources", None)
        self.admission = Admission(total, repr(executor)) if total is not None else None

    @property
    def wants_more(self) -> bool:
        """Whether calls should be decided now."""
        if not self.parked:
            return False
        if self.executor is None:
            return True
        waiting = len(self.waiting)
        return waiting < _LOW and (waiting == 0 or self.in_flight < self.executor.capacity)

    def take_next(self) -> Work | None:
        """Return the next call that may run beside those in flight, if there is one."""
        admission, waiting = self.admission, self.waiting
        if admission is None or waiting.first.resources is None:
            work = waiting.popleft()
        elif not self.in_flight:  # alone, whatever was checked before can run
            work = waiting.popleft()
            admission.take(work.resources)
        else:
            found = waiting.next(lambda other: admission.fits(other.resources))
            if found is None:
                return None
            work = found
            admission.take(work.resources)
        self.in_flight += 1
        return work

    def give_back(self, work: Work) -> None:
        self.in_flight -= 1
        if work.resources is not None and self.admission is not None:
            self.admission.release(work.resources)


class Dispatch:
    """The calls of one run on their way to executors and back."""

    def __init__(self, executor_of: Callable[[Any], Executor], tell: Callable[[str, Step], None]) -> None:
        self._executor_of = executor_of
        self._tell = tell
        self._here = _Lane(None)
        self._lanes: list[_Lane] = [self._here]
        self._of_executor: dict[int, _Lane] = {}
        self._of_node: dict[int, _Lane] = {}
        self._later: list[tuple[float, int, Work]] = []
        self._numbers = itertools.count()
        self.parked = 0
        self.waiting = 0
        self.in_flight = 0

    @property
    def has_later(self) -> bool:
        """Whether attempts are kept back."""
        return bool(self._later)

    @property
    def has_work(self) -> bool:
        """Whether anything is on its way."""
        return bool(self.in_flight or self.waiting or self.parked or self._later)

    def running(self) -> int:
        """Return how many calls run now: of those in flight, as many as there are workers."""
        lanes = self._lanes[1:]
        return sum(min(lane.in_flight, getattr(lane.executor, "workers", lane.in_flight)) for lane in lanes)

    # -- on the way out

    def check(self, node: Any, resources: Any) -> None:
        """Refuse a node whose calls can never run.

        Raises:
            ExecutorError: its executor has less than it asks for.
            NotFoundError: no executor is bound to the name that it asks for.
        """
        lane = self._lane(node)
        if lane.admission is not None:
            lane.admission.check(resources, node.name)
        check = getattr(lane.executor, "check", None)
        if check is not None:
            check(node.name, resources)

    def park(self, step: Step) -> None:
        """Let a call whose inputs are there wait for its turn to be decided."""
        (self._here if composes(step) else self._lane(step.node)).parked.append(step)
        self.parked += 1

    def undecided(self) -> list[Step]:
        """Return parked calls for which there is room by now, or soon will be."""
        found: list[Step] = []
        for lane in self._lanes if self.parked else ():
            if lane.wants_more:
                parked = lane.parked
                found += [parked.popleft() for _ in range(min(_BATCH, len(parked)))]
        self.parked -= len(found)
        return found

    def put(self, work: Work) -> None:
        """Let a decided call wait for its executor.

        Raises:
            ExecutorError: its executor has less than it asks for.
        """
        lane = self._lane(work.node)
        if lane.admission is not None and work.resources is not None:
            lane.admission.check(work.resources, work.node.name)
        lane.waiting.append(work)
        self.waiting += 1

    def put_later(self, work: Work, pause: float) -> None:
        """Keep an attempt back for `pause` seconds."""
        heapq.heappush(self._later, (time.monotonic() + pause, next(self._numbers), work))

    def due(self) -> Iterator[Work]:
        """Yield the attempts whose pause is over."""
        while self._later and self._later[0][0] <= time.monotonic():
            yield heapq.heappop(self._later)[2]

    def hand_out(self) -> list[Refusal]:
        """Give every executor what it has room for; return what it can never carry out."""
        refused: list[Refusal] = []
        for lane in self._lanes if self.waiting else ():
            executor = lane.executor
            if executor is None or not len(lane.waiting):
                continue
            capacity = executor.capacity
            while len(lane.waiting) and lane.in_flight < capacity:
                work = lane.take_next()
                if work is None:
                    break
                self.waiting -= 1
                self._tell("running", work.ticket)
                try:
                    executor.submit(work)
                    self.in_flight += 1
                except ExecutorError as error:
                    lane.give_back(work)
                    refused.append(Refusal(work, error))
        return refused

    def _lane(self, node: Any) -> _Lane:
        lane = self._of_node.get(id(node))
        if lane is None:
            executor = self._executor_of(node)
            lane = self._of_executor.get(id(executor))
            if lane is None:
                lane = self._of_executor[id(executor)] = _Lane(executor)
                self._lanes.append(lane)
            self._of_node[id(node)] = lane
        return lane

    # -- on the way back

    def collect(self) -> list[Outcome]:
        """Return what is done, as soon as anything is, or nothing when an attempt is due again."""
        pause = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
        lanes = self._lanes
        if len(lanes) == 2 and lanes[1].in_flight:  # as in most runs
            return self._from(lanes[1], pause)
        busy = [lane for lane in lanes if lane.in_flight]
        if len(busy) == 1:
            return self._from(busy[0], pause)
        if not busy:
            time.sleep(_TURN if pause is None else pause)
            return []
        found = [outcome for lane in busy for outcome in self._from(lane, 0.0)]
        for lane in busy if not found else ():
            found = self._from(lane, _TURN if pause is None else min(_TURN, pause))
            if found:
                break
        return found

    def _from(self, lane: _Lane, timeout: float | None) -> list[Outcome]:
        assert lane.executor is not None
        outcomes = lane.executor.wait(timeout)
        for outcome in outcomes:
            lane.give_back(outcome.work)
        self.in_flight -= len(outcomes)
        return outcomes

    def cancel(self) -> None:
        """Give up all that is on its way, whatever interrupts it."""
        insistently(self._cancel)

    def _cancel(self) -> None:
        self._later.clear()
        self.parked = self.waiting = self.in_flight = 0
        for lane in self._lanes:
            lane.parked.clear()
            lane.waiting.clear()
            if lane.executor is not None and lane.in_flight:
                lane.executor.cancel()
                lane.in_flight = 0
