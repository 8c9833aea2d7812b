"""Calls on the processes of this machine: warm, isolated, and ended where need be."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import sys
import time
import weakref
from collections import deque
from typing import Any

from lineage.digest import Digest
from lineage.errors import ExecutorError, WorkerError
from lineage.executors.admission import of_this_machine
from lineage.executors.base import Failure, Kept, Outcome, Work
from lineage.executors.hands import Hand, Kind, Sent, Waiting, stack_in
from lineage.executors.outpost import described
from lineage.executors.parcels import Packer, Result, from_result
from lineage.executors.timeouts import timed_out
from lineage.options import Resources
from lineage.records import SideData
from lineage.storage.store import Store

__all__ = ["Processes"]

_BATCH = 0.05
"""Seconds that the calls of one message to a worker take together, as measured."""

_MOST = 2000
"""Calls in one message."""

_AHEAD = 2
"""Messages that a worker is given before it has answered the first of them."""

_GRACE = 0.5
"""Seconds after its timeout for which a call may answer to it itself, before its process is ended."""

_LOOK = 0.1
"""Seconds between two looks at what workers print, and at the memory they use."""

_LONG = 0.3
"""Seconds after which a call is taken for one behind which nothing should wait."""

_VAIN = 3
"""Workers that may die one after another without having carried out anything."""


class _Line:
    """What is known of the calls of one node that ask for the same."""

    __slots__ = ("box", "code", "is_limited", "kind", "memory", "resources", "seconds", "timeout", "waiting")

    def __init__(
        self, work: Work, box: int, kind: Kind, memory: int | None, waiting: deque[Waiting], seconds: float | None
    ) -> None:
        self.code, self.resources, self.timeout = work.code, work.resources, work.timeout
        self.box = box
        self.kind = kind
        self.memory = memory
        self.waiting = waiting
        self.seconds = seconds
        """What a call takes on a worker, as measured."""
        self.is_limited = memory is not None or work.timeout is not None or work.node.kind == "sink"


class Processes:
    """Carries out calls in worker processes of this machine: `workers` of them (default: one for each core).

    Workers are started when they are needed, and stay until the session closes. They are never forked, so that threads and polars are safe,
    and never run the main script again. A worker that dies is replaced: its call comes back as a failure of the platform, which
    is tried again by default. `memory` is how many bytes of memory one call may use, unless it says so itself
    (`Resources(memory=...)`): one that uses more is ended. `resources` is what the machine has for calls.

    >>> Processes(2)
    Processes(2)

    Raises:
        ExecutorError: fewer than one worker is asked for.
    """

    name = "processes"

    def __init__(
        self, workers: int | None = None, *, memory: int | None = None, resources: Resources | None = None
    ) -> None:
        if workers is not None and workers < 1:
            raise ExecutorError(f"Processes(workers={workers}) has nobody to carry anything out; give at least 1")
        self.workers = workers or len(os.sched_getaffinity(0))
        self.memory = memory
        self._given = resources
        self._store: Store | None = None
        self._packer: Packer | None = None
        self._folder = os.getcwd()
        self._lines: dict[int, _Line] = {}
        self._waiting: dict[Kind, deque[Waiting]] = {}
        self._hands: list[Hand] = []
        self._variables: dict[str, str] = {}
        self._quickest = 0.005
        self._looked = 0.0
        self._in_vain = 0
        self._failed: list[Outcome] = []
        self._process = os.getpid()
        self._end = weakref.finalize(self, _end_all, self._hands, self._process)

    def __repr__(self) -> str:
        return f"Processes({self.workers})"

    @property
    def resources(self) -> Resources:
        """What there is for calls."""
        return self._given or of_this_machine()

    @property
    def capacity(self) -> int:
        """As many calls as keep all workers busy, with some at hand."""
        return self.workers * (_AHEAD * min(_MOST, int(_BATCH / self._quickest)) + 1)

    def attach(self, store: Store) -> None:
        """Say which store values are read from and written to. Forgets what an interrupted run left."""
        if self._process != os.getpid():  # a forked child has no workers of its own yet
            self._process = os.getpid()
            self._hands.clear()
        self.cancel()
        variables = {name: value for name, value in os.environ.items() if name not in _OF_RUNS}
        if store is not self._store or variables != self._variables:
            self.close()
        if store is not self._store:
            self._store, self._packer = store, Packer(store)
        self._lines.clear()
        self._variables = variables
        self._folder = os.getcwd()

    def submit(self, work: Work) -> None:
        line = self._lines.get(id(work.node))
        if (
            line is None
            or line.code != work.code
            or line.resources is not work.resources
            or line.timeout != work.timeout
        ):
            line = self._lines[id(work.node)] = self._line(work)
        line.waiting.append(Waiting(line, work))

    def _line(self, work: Work) -> _Line:
        assert self._packer is not None
        box = self._packer.box(work)
        asked = work.resources
        cpus = 1 if asked is None else max(1, min(math.ceil(asked.cpus), os.cpu_count() or 1))
        kind = Kind(box.package, cpus, self._folder)
        memory = asked.memory if asked is not None and asked.memory else self.memory
        before = self._lines.get(id(work.node))
        seconds = before.seconds if before is not None else None
        return _Line(work, box.number, kind, memory, self._waiting.setdefault(kind, deque()), seconds)

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Return what is done, as soon as anything is."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            self._hand_out()
            if self._failed:
                failed, self._failed = self._failed, []
                return failed
            left = _LOOK if until is None else max(0.0, min(_LOOK, until - time.monotonic()))
            outcomes = self._listen(left)
            if time.monotonic() - self._looked > _LOOK:
                self._look()
            if outcomes or (until is not None and time.monotonic() >= until):
                return outcomes

    def cancel(self) -> None:
        """Give up all that was submitted, and end the workers that run some of it."""
        self._give_up()
        self._failed.clear()
        for hand in [hand for hand in self._hands if hand.batches]:
            self._hands.remove(hand)
            self._show(hand)
            hand.close()

    def close(self) -> None:
        """End all workers."""
        self._give_up()
        for hand in self._hands:
            self._show(hand)
        _end_all(self._hands, self._process)

    def _give_up(self) -> None:
        for waiting in self._waiting.values():
            waiting.clear()

    # -- handing out

    def _hand_out(self) -> None:
        for kind, waiting in self._waiting.items():
            while waiting:
                hand = self._free(kind)
                if hand is None:
                    break
                self._give(hand, waiting)

    def _free(self, kind: Kind) -> Hand | None:
        """Return a worker that can take more calls of a kind: the one with least to do, or a new one."""
        usable = [hand for hand in self._hands if hand.kind == kind and not (hand.is_leaving or hand.is_slow)]
        best = min(usable, key=lambda hand: len(hand.batches), default=None)
        if best is not None and not best.batches:
            return best
        if len(self._hands) >= self.workers:
            self._retire_idle(kind)
        if len(self._hands) < self.workers:
            assert self._store is not None
            hand = Hand(kind, described(self._store), self.name)
            self._hands.append(hand)
            return hand
        return best if best is not None and len(best.batches) < _AHEAD and not self._is_alone(best) else None

    def _retire_idle(self, kind: Kind) -> None:
        """Make room for a worker of a kind by ending one of another that has nothing to do."""
        idle = next((hand for hand in self._hands if hand.kind != kind and not hand.batches), None)
        if idle is not None:
            self._show(idle)
            self._hands.remove(idle)
            idle.close()

    def _is_alone(self, hand: Hand) -> bool:
        """Say whether what a worker has may have to be ended by force, so that nothing should wait behind it."""
        return any(batch[0].waiting.line.is_limited for batch in hand.batches if batch)

    def _give(self, hand: Hand, waiting: deque[Waiting]) -> None:
        assert self._packer is not None
        packer = self._packer
        share = max(1, min(_MOST, math.ceil(len(waiting) / (self.workers * _AHEAD))))
        batch: list[Waiting] = []
        parcels: list[tuple[Any, ...]] = []
        number = hand.next_number()
        total = 0.0
        new: list[int] = []
        told: dict[Digest, Kept] = {}
        while waiting and len(batch) < share:
            line, work = waiting[0]
            total += _BATCH if line.seconds is None else line.seconds
            if batch and (total > _BATCH or line.is_limited):
                break
            try:
                parcels.append(packer.fields(number, work, line.box, told))
            except Exception as error:
                waiting.popleft()
                self._failed.append(_refused(work, error))
                continue
            number += 1
            batch.append(waiting.popleft())
            if line.box not in hand.boxes:
                hand.boxes.add(line.box)
                new.append(line.box)
            if line.is_limited:
                break
        if batch:
            message = pickle.dumps(([packer.boxes[box] for box in new], parcels), protocol=5)
            hand.give(batch, message)

    # -- listening

    def _listen(self, timeout: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        readable, writable, _ = select.select(
            self._hands, [hand for hand in self._hands if hand.has_unsent], [], self._nearest(timeout)
        )
        for hand in writable:
            hand.push()
        for hand in readable:
            messages, is_gone = hand.pull()
            self._read(hand, messages, outcomes)
            if is_gone:
                self._bury(hand, outcomes)
        return outcomes

    def _nearest(self, timeout: float) -> float:
        """Return how long to wait so that no deadline is missed."""
        deadlines = [deadline for hand in self._hands if (deadline := hand.board.deadline)]
        return max(0.0, min([timeout, *(deadline + _GRACE - time.monotonic() for deadline in deadlines)]))

    def _read(self, hand: Hand, messages: list[tuple[int, bytes]], outcomes: list[Outcome]) -> None:
        for kind, payload in messages:
            if kind == _RESULT:
                self._take(hand, payload, outcomes)
            elif kind == _END:
                while hand.batches and not hand.batches[0]:
                    hand.batches.popleft()
            elif kind == _LEAVING:
                hand.is_leaving = True
            elif kind == _READY:
                hand.is_ready = True

    def _take(self, hand: Hand, payload: bytes, outcomes: list[Outcome]) -> None:
        result = pickle.loads(payload)
        batches = hand.batches
        batch = batches[0] if batches and batches[0] else next((batch for batch in batches if batch), None)
        if batch is None or batch[0].number > result[0]:
            return  # it came before, and was kept on the board as well
        line, work = batch.popleft().waiting
        hand.is_slow = False
        self._in_vain = 0
        outcome = Outcome(work, from_result(Result._make(result)), result[-1])
        outcomes.append(self._localized(outcome) if isinstance(outcome.result, Failure) else outcome)
        seconds = result[_SIDE][_WALL] + _OVERHEAD
        line.seconds = seconds if line.seconds is None else 0.8 * line.seconds + 0.2 * seconds
        if seconds < self._quickest:
            self._quickest = max(seconds, 2 * _OVERHEAD)

    def _localized(self, outcome: Outcome) -> Outcome:
        """Let a traceback name the project's files, and not those of a package of them."""
        failure = outcome.result
        assert isinstance(failure, Failure)
        assert self._packer is not None
        return outcome._replace(result=failure._replace(traceback=self._packer.localized(failure.traceback)))

    # -- ends

    def _look(self) -> None:
        """Show what workers have printed; end those whose call uses more than it may."""
        self._looked = now = time.monotonic()
        for hand in self._hands:
            self._show(hand)
            running = self._running(hand)
            if running is None:
                continue
            self._rescue(hand, now)
            deadline = hand.board.deadline
            limit = running.waiting.line.memory
            if deadline and now > deadline + _GRACE:
                hand.kill(_TIMEOUT)
            elif limit is not None and (used := hand.memory()) > limit:
                hand.kill(
                    f"used {used >> 20:,} MiB of memory, and its call may use {limit >> 20:,}; give it more: resources=Resources(memory=...)"
                )

    def _rescue(self, hand: Hand, now: float) -> None:
        """Take back what waits behind a call that takes long, where another worker has nothing to do."""
        if hand.is_slow:
            back = hand.taken_back()
            for waiting in reversed(back):
                waiting.line.waiting.appendleft(waiting)
        elif hand.in_hand > 1 and hand.seconds_of_call(now) > _LONG and self._has_idle():
            hand.hold_back()

    def _has_idle(self) -> bool:
        if any(self._waiting.values()):
            return False
        return len(self._hands) < self.workers or any(not hand.batches for hand in self._hands)

    def _running(self, hand: Hand) -> Sent | None:
        """Return the call that a worker is carrying out."""
        sent = next((batch[0] for batch in hand.batches if batch), None)
        return sent if sent is not None and sent.number <= hand.board.begun else None

    def _show(self, hand: Hand) -> None:
        while text := hand.show():
            sys.stdout.write(text)
            sys.stdout.flush()

    def _bury(self, hand: Hand, outcomes: list[Outcome]) -> None:
        """Take what a worker that is gone leaves behind: what it had finished is kept, what it ran has failed, the rest is given to others."""
        self._hands.remove(hand)
        self._show(hand)
        self._read(hand, hand.rest(), outcomes)
        running = None if hand.is_leaving else self._running(hand)
        left = [sent for batch in hand.batches for sent in batch]
        if running is not None:
            outcomes.append(self._lost(hand, running.waiting.work))
            left.remove(running)
        elif left and not hand.is_leaving:
            self._in_vain += 1
        if self._in_vain >= _VAIN:
            self._in_vain = 0
            outcomes += [self._lost(hand, sent.waiting.work) for sent in left]
        elif left:
            waiting = self._waiting.setdefault(hand.kind, deque())
            waiting.extendleft(sent.waiting for sent in reversed(left))
        hand.release()

    def _lost(self, hand: Hand, work: Work) -> Outcome:
        how = hand.how_it_ended()
        log = hand.last_words()
        stack = stack_in(log)
        side = SideData(time.time(), attempt=work.attempt, executor=self.name, process=hand.process.pid, log=log)
        if how == _TIMEOUT:
            assert work.timeout is not None
            return self._localized(Outcome(work, Failure(timed_out(work.node.name, work.timeout), stack, side, "user")))
        error = WorkerError(
            f"the worker that ran {work.node.name} {how}", node=work.node.name, process=hand.process.pid
        )
        return self._localized(Outcome(work, Failure(error, stack, side, "platform")))


_RESULT, _END, _LEAVING, _READY = b"rexh"
_TIMEOUT = "timeout"
_SIDE = Result._fields.index("side")
_WALL = 1
"""Where the seconds stand in the fields of `SideData`."""

_OVERHEAD = 20e-6
"""Seconds that a call takes on a worker besides those it measures."""

_OF_RUNS = frozenset({"POLARS_ENGINE_AFFINITY", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"})
"""Variables that a run sets, and workers have anyway."""


def _refused(work: Work, error: Exception) -> Outcome:
    side = SideData(time.time(), attempt=work.attempt, executor=Processes.name)
    return Outcome(work, Failure(error, f"{type(error).__name__}: {error}", side, "user"))


def _end_all(hands: list[Hand], process: int) -> None:
    while hands and process == os.getpid():  # a forked child leaves its parent's alone
        with contextlib.suppress(OSError):
            hands.pop().close()
