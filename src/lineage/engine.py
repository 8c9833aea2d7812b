"""Carries a plan out. The one place with effects: looks calls up by content, hands out work, records what came of it."""

from __future__ import annotations

import heapq
import itertools
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from lineage.approx import deviation
from lineage.arguments import described, with_made_of
from lineage.codecs.freeze import failed_leaf
from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import ClassChangedError, Thawer
from lineage.content.tree import SCALARS, Leaf, Tree, digest_tree, fill, holes, leaves
from lineage.digest import Digest
from lineage.errors import (
    CorruptObjectError,
    InputChangedError,
    LineageError,
    MutationError,
    NodeError,
    ObjectMissingError,
)
from lineage.executors.base import Cause, Executor, Failure, Outcome, Success, Work
from lineage.executors.perform import compose
from lineage.expansion import NEVER, Expansion, catches, is_list_of_calls, relies_below
from lineage.failures import explained, pause_before_retry
from lineage.graph import Attempt, Call, Item, View, shown
from lineage.identity import freezer, identify
from lineage.options import Approx
from lineage.outcomes import Failed
from lineage.places import place_key
from lineage.planning import (
    DONE,
    FAILED,
    HIT,
    NEEDED,
    Graph,
    Step,
    argument_digests,
    call_key,
    calls_behind,
    composes,
    merged,
)
from lineage.records import Execution, Record, SideData
from lineage.spread import composed
from lineage.storage.store import Store

__all__ = ["Engine", "Event", "Replan"]

Event = Callable[[str, Step], None]
"""Told what happens: `running`, or a verdict (`hit`, `cutoff`, `executed`, `failed`, `blocked`), and the step."""

_BATCH = 500

_TURN = 0.005
"""Seconds for which one of several busy executors is waited for before the next is asked."""


class Replan(Exception):
    """A call that had to be executed again gave something else: what was planned no longer holds."""


class Engine:
    """One run over one graph."""

    def __init__(
        self,
        store: Store,
        graph: Graph,
        run: int,
        executor_of: Callable[[Any], Executor],
        tell: Event,
    ) -> None:
        self.store = store
        self.index = store.index
        self.graph = graph
        self.run = run
        self.executor_of = executor_of
        self.tell = tell
        self._ready: deque[Step] = deque()
        self._work: deque[tuple[Step, Work]] = deque()
        self._later: list[tuple[float, int, Step, Work]] = []
        self._flying: dict[Digest, list[Step]] = {}
        self._in_flight: dict[int, int] = {}
        self._busy: list[Executor] = []
        self._listed: set[int] = set()
        self._arguments: dict[int, str] = {}
        self._noted: set[Digest] = set()
        self._seeded: dict[int, bool] = {}
        self._tries = itertools.count()
        self.failures: list[Step] = []

    def carry_out(self) -> None:
        """Resolve all that the graph's plan needs. Calls that fail leave their step FAILED; everything else is finished
        and recorded.

        Raises:
            Replan: start over with a new graph.
        """
        self._enlist()
        self._loop()

    def repair(self, steps: Iterable[Step]) -> None:
        """Execute calls again whose stored results turned out to be damaged, gone or unreadable."""
        for step in steps:
            self._reopen(step)
        self._enlist()
        self._loop()

    # -- the loop

    def _loop(self) -> None:
        while self._ready or self._work or self._busy or self._later:
            while self._ready:
                self._advance()
            pause = self._due()
            self._hand_out()
            if self._busy:
                self._collect(pause)
            elif self._later and not self._ready:
                time.sleep(pause or 0)

    def _due(self) -> float | None:
        """Put what may be tried again now among the work; return the seconds until something else may be."""
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, step, work = heapq.heappop(self._later)
            self._work.append((step, work))
        return self._later[0][0] - now if self._later else None

    def _collect(self, pause: float | None) -> None:
        """Take what is done; where several executors are busy, from each in turn."""
        several = len(self._busy) > 1
        for executor in list(self._busy):
            for outcome in executor.wait(_TURN if several else pause):
                self._count(executor, -1)
                self._take(outcome)

    def _hand_out(self) -> None:
        for _ in range(len(self._work)):
            step, work = self._work.popleft()
            executor = self.executor_of(step.node)
            if self._in_flight.get(id(executor), 0) >= executor.capacity:
                self._work.append((step, work))
                continue
            self.tell("running", step)
            executor.submit(work)
            self._count(executor, 1)
            if len(self._busy) == 1 and self._in_flight[id(executor)] >= executor.capacity:
                return

    def _count(self, executor: Executor, change: int) -> None:
        before = self._in_flight.get(id(executor), 0)
        self._in_flight[id(executor)] = before + change
        if not before:
            self._busy.append(executor)
        elif before + change == 0:
            self._busy.remove(executor)

    def _enlist(self) -> None:
        """Let every step that became needed wait for those of its inputs that are not resolved."""
        while self.graph.needed:
            step = self.graph.needed.popleft()
            if step.state == NEEDED and id(step) not in self._listed:
                self._listed.add(id(step))
                self._await(step, step.inputs)

    def _await(self, step: Step, inputs: Iterable[Step]) -> None:
        failed = None
        waiting = 0
        for made_from in dict.fromkeys(inputs):
            if made_from.state == FAILED:
                failed = made_from
            elif not self.graph.complete(made_from):
                made_from.consumers.append(step)
                waiting += 1
        step.blocked = waiting
        if failed is not None and not isinstance(step.hole, Attempt):
            self._block(step, failed)
        elif not waiting:
            self._ready.append(step)

    def _advance(self) -> None:
        """Take what is ready: fields and views at once, calls in batches, so that one look-up serves many."""
        calls: list[Step] = []
        while self._ready and len(calls) < _BATCH:
            step = self._ready.popleft()
            if step.state != NEEDED:
                continue
            if step.expansion is not None:
                self._close_expansion(step)
            elif step.is_call:
                calls.append(step)
            else:
                self._complete(step)
        if calls:
            self._decide(calls)

    def _complete(self, step: Step) -> None:
        if isinstance(step.hole, Attempt) and step.inputs[0].state == FAILED:
            step.tree = failed_leaf(self._failed(step.inputs[0]))
            step.digest = digest_tree(step.tree)
            step.tainted = step.catches = True  # so that the failed call is tried again next time
            self._finish(step)
            return
        try:
            is_complete = self.graph.complete(step)
        except LineageError as error:
            self._fail(step, error)
            return
        if is_complete:
            self._finish(step)
        else:  # what it is taken from is lost, and is being made again
            self._enlist()
            self._await(step, step.inputs)

    def _failed(self, step: Step) -> Failed:
        error = step.error
        cause = error.__cause__ if isinstance(error, NodeError) and error.__cause__ is not None else error
        text = f"{type(cause).__name__}: {cause}"
        facts = error.facts if isinstance(error, LineageError) else {}
        return Failed(
            text, log=facts.get("log", ""), traceback=facts.get("traceback_text", ""), call=facts.get("call", "")
        )

    # -- deciding: by content, then execute

    def _decide(self, steps: list[Step]) -> None:
        keys: list[Digest] = []
        for step in steps:
            assert isinstance(step.hole, Call)
            if not step.tainted and step.inputs:
                step.tainted = any(made_from.tainted for made_from in step.inputs)
            digests = argument_digests(self.graph, step)
            keys.append(call_key(self.graph, step, digests))
            self._arguments[id(step)] = described(self.graph, step.hole, digests)
        found = self.index.by_call(keys, [self.graph.code(step.node) for step in steps])
        for step, key in zip(steps, keys, strict=True):
            record = found.get(key)
            usable = record is not None and not step.forced and not step.repaired
            if usable and record is not None and self.graph.stands(step, record):
                self._adopt(step, record, "cutoff")
                self._link(step, record)
            elif key in self._flying:
                self._flying[key].append(step)  # the same call is on its way already
            else:
                self._flying[key] = [step]
                step.stale = record is not None  # what is recorded no longer holds, and gives way to what comes
                self._start(step, key)

    def _adopt(self, step: Step, record: Record, verdict: str) -> None:
        step.record = record
        step.tree = load_tree(self.store.unspill(record.value))
        step.digest, step.execution = record.result, record.execution
        step.relies_on = merged([self._own_reliance(step, record), *(made_from.relies_on for made_from in step.inputs)])
        step.verdict = verdict
        self._finish(step)

    def _start(self, step: Step, key: Digest) -> None:
        call = step.hole
        assert isinstance(call, Call)
        try:
            arguments = tuple([self._filled(argument) for argument in call._lineage_arguments])
        except Exception as error:
            self._flown(key, step, error)
            return
        work = Work(step.node, arguments, self.graph.code(step.node), key, self.run, self._is_seeded(step.node), step)
        if step.node.kind == "dynamic":
            self._expand(step, work, compose(work, self.store))
        elif step.node.kind == "spread":
            self._expand(step, work, self._spread(call))
        else:
            self._work.append((step, work))

    def _is_seeded(self, node: Any) -> bool:
        found = self._seeded.get(id(node))
        if found is None:
            found = self._seeded[id(node)] = "numpy" in node.packages()
        return found

    def _filled(self, argument: Tree) -> Tree:
        """Return an argument as a worker gets it: its inputs in place, its own heavy parts in the store."""
        if type(argument) in SCALARS:
            return argument
        filled = fill(argument, lambda hole: self.graph.tree(self.graph.step(hole)))
        for leaf in leaves(filled):
            if leaf.value is not None and not leaf.is_inline:
                self._keep_literal(leaf)
        return filled

    def _keep_literal(self, leaf: Leaf) -> None:
        """Store a heavy argument that was given as a value, unless its owner has changed it since."""
        if self.index.manifest(leaf.content) is None:
            now = freezer.freeze(leaf.value)
            if not isinstance(now, Leaf) or now.content != leaf.content:
                raise MutationError(
                    f"a {leaf.kind.partition(':')[2]} given to a call changed after its call was built; pass a copy"
                )
        self.store.keep(leaf)

    # -- dynamic nodes

    def _spread(self, call: Call) -> tuple[Tree, SideData] | Failure:
        """Let a built-in node compose, now that what it is given is known: items stay lazy, no data are read."""
        side = SideData(executor="driver")
        planned = self.graph.code(call._lineage_node)
        try:
            return composed(call, planned, lambda hole: self.graph.tree(self.graph.step(hole)), self.store.read), side
        except Exception as error:
            damaged = isinstance(error, (ObjectMissingError, CorruptObjectError, ClassChangedError))
            cause: Cause = "inputs" if damaged else "user"
            return Failure(error, "".join(traceback.format_exception(error)), side, cause)

    def _expand(self, step: Step, work: Work, composed: tuple[Tree, SideData] | Failure) -> None:
        if isinstance(composed, Failure):
            self._take(Outcome(work, composed))
            return
        tree, side = composed
        try:
            made = list(holes(tree))
            before = len(self.graph.order)
            self.graph.add(made)
            self.graph.raise_generations(since=before)
            self.store.keep(fill(tree, lambda _: None))
        except Exception as error:
            self._flown(work.key, step, error)
            return
        step.expansion = Expansion(tree, side, work)
        below = [self.graph.step(hole) for hole in made]
        self.graph.demand(below)
        self.graph.settle(since=before)
        if step.repaired:
            self._repair_below(below)
        for fresh in self.graph.order[before:]:
            if fresh.state == HIT:
                self.tell("hit", fresh)
        self._enlist()
        self._await(step, below)

    def _repair_below(self, below: list[Step]) -> None:
        """Execute again what made the damaged parts of an expansion whose result was lost."""
        broken = [
            origin
            for origin in dict.fromkeys(calls_behind(below))
            if origin.state in (HIT, DONE) and not origin.repaired and not self.is_whole(origin)
        ]
        for origin in broken:
            self._reopen(origin)
        for made_from in below if broken else ():
            self._reopen_path(made_from)

    def _close_expansion(self, step: Step) -> None:
        tree, side, work = step.expansion
        step.expansion = None
        below = [self.graph.step(hole) for hole in holes(tree)]
        try:
            full = fill(tree, lambda hole: self.graph.tree(self.graph.step(hole)))
            text = dump_tree(full)
        except Exception as error:
            self._flown(work.key, step, error)
            return
        step.relies_on = relies_below(self.graph, step, below)
        self._arguments[id(step)] = with_made_of(
            self._arguments[id(step)], [made_from.execution for made_from in below], each=is_list_of_calls(tree)
        )
        done = Outcome(work, Success(load_tree(text), text, digest_tree(full), side))
        if catches(step, below):
            self._take_tainted(step, done)
            return
        if any(made_from.tainted for made_from in below):  # by what the call was given: that is in its key
            for same in self._flying.get(work.key, [step]):
                same.tainted = True
        self._take(done)

    def _take_tainted(self, step: Step, outcome: Outcome) -> None:
        """Take an expansion over caught failures. Its own key does not say that there were any, as those of its consumers
        do, so its record is no answer for the next run.
        """
        waiting = self._flying.get(outcome.work.key, [step])
        relies = merged([step.relies_on, *(made_from.relies_on for made_from in step.inputs)])
        step.relies_on = NEVER
        for same in waiting:
            same.tainted = same.catches = True
        self._take(outcome)
        for same in waiting:
            same.relies_on = relies

    # -- what came of it

    def _take(self, outcome: Outcome) -> None:
        work = outcome.work
        step: Step = work.ticket
        for content, manifest, info in outcome.kept:
            self.index.add_manifest(content, manifest, info)
        if isinstance(outcome.result, Failure):
            self._take_failure(step, work, outcome)
            return
        try:
            self._check_files(work)
        except InputChangedError as error:
            self._flown(work.key, step, error)
            return
        self._record(step, work, outcome.result)

    def _take_failure(self, step: Step, work: Work, outcome: Outcome) -> None:
        failure = outcome.result
        assert isinstance(failure, Failure)
        if failure.cause == "inputs" and self._retry_inputs(step, work):
            return
        self._note_failure(step, work, failure)
        pause = pause_before_retry(step.node.given.retries, work.attempt, failure)
        if pause is None or composes(step):
            self._flown(work.key, step, explained(step.hole, work, failure))
        else:
            again = (time.monotonic() + pause, next(self._tries), step, work._replace(attempt=work.attempt + 1))
            heapq.heappush(self._later, again)

    def _flown(self, key: Digest, step: Step, error: Exception) -> None:
        """Fail every step that waits for the call `key`."""
        for waiting in self._flying.pop(key, [step]):
            self._fail(waiting, error)

    def _note_failure(self, step: Step, work: Work, failure: Failure) -> None:
        error = f"{type(failure.error).__name__}: {failure.error}\n{failure.traceback}"
        self.index.failed(self._execution(step, work, failure.side, error=error), self.run)

    def _record(self, step: Step, work: Work, success: Success) -> None:
        note = success.note
        text, digest, tree = self.store.spill(success.text), success.digest, success.tree
        place = None
        if isinstance(step.node.given.compare, Approx):
            place = place_key(step.hole, step.node.given.contract)
            text, digest, tree, note = self._anchored(step, place, text, digest, tree)
        relies = step.relies_on
        if step.inputs:
            relies = merged([relies, *[made_from.relies_on for made_from in step.inputs]])
        execution = self._execution(step, work, success.side, digest, text, relies_on=relies, note=note)
        old = step.record
        record = self.index.record(execution, step.recipe, self.run, replace=step.forced or step.repaired or step.stale)
        if place is not None:
            self.index.note_anchor(place, record.execution)
        if old is not None and step.repaired and old.result != record.result:
            self.index.raise_generation(step.base or step.key)
            if not step.outdated:
                warnings.warn(
                    f"{shown(step.hole)} was executed again, because its stored result was lost, and gave something "
                    "else: it is not deterministic. What depends on it is decided anew",
                    RuntimeWarning,
                    stacklevel=2,
                )
            raise Replan
        if record.result != digest:
            tree = load_tree(self.store.unspill(record.value))  # another process was first: its result holds
        for waiting in self._flying.pop(work.key, [step]):
            waiting.tree, waiting.digest = tree, record.result
            waiting.execution, waiting.record = record.execution, record
            waiting.verdict = "executed" if waiting is step else "cutoff"
            if waiting is step:
                waiting.relies_on = relies
            else:
                past = [made_from.relies_on for made_from in waiting.inputs]
                waiting.relies_on = merged([self._own_reliance(step, record), *past])
                self._link(waiting, record)
            self._finish(waiting)

    def _own_reliance(self, step: Step, record: Record) -> tuple[tuple[str, str], ...]:
        """Return what the result of a call relies on besides what its inputs do: nothing, unless it composes."""
        return record.relies_on if composes(step) else ()

    def _link(self, step: Step, record: Record) -> None:
        """Let the recipe of `step` lead to a record that was found by content.

        Only if the record relies on all that this recipe does: another past may have come to the same content.
        """
        self.index.note_cutoff(record.execution, self._arguments.get(id(step), "{}"), self.run)
        if step.recipe is not None and set(step.relies_on) <= set(record.relies_on):
            self.index.link(step.recipe, record, self.run)

    def _execution(
        self,
        step: Step,
        work: Work,
        side: SideData,
        result: Digest | None = None,
        value: str | None = None,
        *,
        error: str | None = None,
        relies_on: tuple[tuple[str, str], ...] = (),
        note: str | None = None,
    ) -> Execution:
        if work.code not in self._noted:
            self._noted.add(work.code)
            self.index.note_code(work.code, step.node.leaves())
        node, arguments = step.node, self._arguments.get(id(step), "{}")
        return Execution(
            work.key, node.name, work.code, arguments, side, result, value, error, relies_on, note, node.reference
        )

    def _anchored(
        self, step: Step, place: Digest, text: str, digest: Digest, tree: Tree
    ) -> tuple[str, Digest, Tree, str | None]:
        """Hand the anchor on in place of a result that is within the tolerance of it."""
        tolerance = step.node.given.compare
        assert isinstance(tolerance, Approx)
        anchor = self.index.anchor(place)
        if anchor is None or anchor.result == digest:
            return text, digest, tree, None
        thawer = Thawer(self.store.read, identify)
        anchor_tree = load_tree(self.store.unspill(anchor.value))
        off = deviation(thawer.thaw(tree), thawer.thaw(anchor_tree), tolerance)
        if off is None or off > 1:
            return text, digest, tree, "beyond the tolerance of its anchor"
        note = f"within the tolerance of execution {anchor.execution}: {off:.3g} of what is allowed"
        return anchor.value, anchor.result, anchor_tree, note

    def _check_files(self, work: Work) -> None:
        for argument in work.arguments:
            if type(argument) not in SCALARS:
                for leaf in leaves(argument):
                    if leaf.family == "file":
                        self.graph.fingerprints.check(leaf)

    def _finish(self, step: Step) -> None:
        step.state = DONE
        if step.verdict:
            self.tell(step.verdict, step)
        consumers, step.consumers = step.consumers, []
        for consumer in consumers:
            consumer.blocked -= 1
            if consumer.blocked == 0 and consumer.state == NEEDED:
                self._ready.append(consumer)

    def _fail(self, step: Step, error: Exception) -> None:
        step.state, step.error, step.verdict = FAILED, error, "failed"
        self.failures.append(step)
        self.tell("failed", step)
        self._pass_on(step)

    def _block(self, step: Step, cause: Step) -> None:
        step.state, step.error, step.verdict = FAILED, cause.error, "blocked"
        self.tell("blocked", step)
        self._pass_on(step)

    def _pass_on(self, failed: Step) -> None:
        """Let everything that needs a failed step fail with it, except attempts, which take it as their outcome."""
        stack = [failed]
        while stack:
            step = stack.pop()
            consumers, step.consumers = step.consumers, []
            for consumer in consumers:
                if isinstance(consumer.hole, Attempt):
                    self._ready.append(consumer)
                elif consumer.state == NEEDED:
                    if consumer.expansion is not None:
                        self._flying.pop(consumer.expansion.work.key, None)
                        consumer.expansion = None
                    consumer.state, consumer.error, consumer.verdict = FAILED, step.error, "blocked"
                    self.tell("blocked", consumer)
                    stack.append(consumer)

    # -- damage

    def _retry_inputs(self, step: Step, work: Work) -> bool:
        """Execute again the calls that made the damaged inputs of `step`; say whether there is hope."""
        origins = calls_behind(step.inputs)
        broken = [origin for origin in origins if not origin.repaired and not self.is_whole(origin)]
        is_awaited = any(origin.repaired and origin.state == NEEDED for origin in origins)
        if not broken and not is_awaited:  # another consumer of them may have asked for the repair already
            return False
        waiting = self._flying.pop(work.key, [step])
        for origin in broken:
            self._reopen(origin)
        for again in waiting:
            self._listed.discard(id(again))
            self.graph.need(again)
            for made_from in again.inputs:
                self._reopen_path(made_from)
        self._enlist()
        return True

    def is_whole(self, step: Step) -> bool:
        """Say whether a step's result can be read, by reading it."""
        try:
            Thawer(self.store.read, identify).thaw(self.graph.tree(step))
        except ClassChangedError:
            step.outdated = True
            return False
        except (LineageError, LookupError, OSError):
            return False
        return True

    def _reopen(self, step: Step) -> None:
        if not step.is_call:
            self._reopen_path(step)
            return
        for leaf in leaves(self.graph.tree(step)) if step.state in (HIT, DONE) else ():
            if not leaf.is_inline:
                self.index.drop_manifest(leaf.content)
        step.tree, step.repaired = None, True
        self._listed.discard(id(step))
        self.graph.need(step)
        self.graph.demand(step.inputs)
        self.graph.settle()

    def _reopen_path(self, step: Step) -> None:
        stack = [step]
        while stack:
            found = stack.pop()
            if isinstance(found.hole, (Item, View, Attempt)) and found.state in (HIT, DONE):
                found.tree, found.digest = None, None
                self._listed.discard(id(found))
                self.graph.need(found)
                stack.extend(found.inputs)
