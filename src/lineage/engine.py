"""Carries a plan out. The one place with effects: looks calls up by content, has work done, records what came of it."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from lineage.codecs.freeze import failed_leaf
from lineage.codecs.text import dump_tree, load_tree
from lineage.content.tree import SCALARS, Tree, digest_tree, fill, holes, leaves
from lineage.digest import Digest
from lineage.dispatch import Dispatch
from lineage.errors import (
    ExecutorError,
    InputChangedError,
    LineageError,
)
from lineage.executors.base import Executor, Failure, Outcome, Success, Work
from lineage.executors.perform import compose
from lineage.expansion import NEVER, Expansion, catches, is_list_of_calls, relies_below, spread_out
from lineage.failures import Tries, as_failed, cause_of, explained, pause_before_retry
from lineage.graph import Attempt, Call, shown
from lineage.options import Approx, OnFailure, Options
from lineage.payloads import payload
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
from lineage.recording import Recorder
from lineage.records import Record, SideData
from lineage.repairs import Repairs
from lineage.storage.store import Store

__all__ = ["Engine", "Event", "Replan"]

Event = Callable[[str, Step], None]
"""Told what happens: `running`, `retried`, or a verdict (`hit`, `cutoff`, `executed`, `failed`, `blocked`), and the step."""


_RESOLVED = (HIT, DONE)


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
        on_failure: OnFailure,
        options_of: Callable[[Any], Options],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = store
        self.index = store.index
        self.graph = graph
        self.run = run
        self.tell = tell
        self.on_failure = on_failure
        self.options_of = options_of
        self.check = check
        self.dispatch = Dispatch(executor_of, tell)
        self.recorder = Recorder(store, graph, run)
        self._ready: deque[Step] = deque()
        self._flying: dict[Digest, list[Step]] = {}
        self._listed: set[int] = set()
        self.repairs = Repairs(store, graph, self._listed)
        self._seeded: dict[int, bool] = {}
        self._tries: dict[int, Tries] = {}
        self._roots: set[int] = set()
        self._is_stopped = False
        self.failures: list[Step] = []
        self.answer: Any = None
        """What was asked for, once it was put together."""

    def carry_out(self, roots: Iterable[Step] = ()) -> None:
        """Resolve all that the graph's plan needs. Calls that fail leave their step FAILED; everything else is finished
        and recorded. With `on_failure="stop"` all is given up as soon as one of `roots` can't be had any more.

        Raises:
            Replan: start over with a new graph.
            ExecutorError: a call asks for what its executor can never give. Nothing has run.
        """
        self._check_requests()
        if self.on_failure == "stop":
            self._roots = {id(step) for step in roots}
        self._enlist()
        self._loop()

    def repair(self, steps: Iterable[Step]) -> None:
        """Execute calls again whose stored results turned out to be damaged, gone or unreadable."""
        for step in steps:
            self.repairs.reopen(step)
        self._enlist()
        self._loop()

    def in_flight(self) -> set[Digest]:
        """Return the recipe keys of the calls that are being carried out, or wait for a place. Any thread may ask."""
        return {step.key for steps in list(self._flying.values()) for step in steps}

    def _check_requests(self) -> None:
        nodes = {id(step.node): step.node for step in self.graph.order if step.state == NEEDED and step.is_call}
        for node in nodes.values():
            if node.kind not in ("dynamic", "spread"):
                self.dispatch.check(node, self.options_of(node).resources)

    # -- the loop

    def _loop(self) -> None:
        dispatch = self.dispatch
        try:
            while (self._ready or dispatch.has_work) and not self._is_stopped:
                if self._ready or dispatch.parked:
                    self._decide_ready()
                for work in dispatch.due() if dispatch.has_later else ():
                    self._launch(work)
                for work, error in dispatch.hand_out() if dispatch.waiting else ():
                    self._take(Outcome(work, Failure(error, "", SideData(attempt=work.attempt))))
                outcomes = dispatch.collect() if not self._ready else []
                self.check()  # before anything is recorded of a call that was interrupted and went on
                for outcome in outcomes:
                    self._take(outcome)
        finally:
            dispatch.cancel()  # nothing, unless the run was stopped or interrupted

    def _decide_ready(self) -> None:
        while True:
            self._advance()
            parked = self.dispatch.undecided()
            calls = [
                step
                for step in parked
                if step.state == NEEDED and not (step.inputs and self._awaits_again(step, step.inputs))
            ]
            if calls:
                self._decide(calls)
            elif not parked and not self._ready:
                return

    def _awaits_again(self, step: Step, inputs: Iterable[Step]) -> bool:
        """Let a step wait anew for those of its inputs that are being made again since it became ready; say whether there are any."""
        for made_from in inputs:
            if made_from.state not in _RESOLVED:
                self._await(step, inputs)
                return True
        return False

    def _launch(self, work: Work) -> None:
        """Have an attempt made: by an executor, or here if it composes."""
        step: Step = work.ticket
        if step.state != NEEDED:  # what it was made for has failed meanwhile
            return
        if composes(step):
            made = (
                compose(work, self.store) if work.node.kind == "dynamic" else spread_out(work, self.graph, self.store)
            )
            self._expand(step, work, made)
            return
        try:
            self.dispatch.put(work)
        except ExecutorError as error:
            self._flown(work.key, step, error)

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
        """Take what is ready: fields and views at once; calls wait for their turn."""
        while self._ready:
            step = self._ready.popleft()
            if step.state != NEEDED:
                continue
            if step.expansion is not None:
                self._close_expansion(step)
            elif step.is_call:
                self.dispatch.park(step)
            else:
                self._complete(step)

    def _complete(self, step: Step) -> None:
        if isinstance(step.hole, Attempt) and step.inputs[0].state == FAILED:
            step.tree = failed_leaf(as_failed(step.inputs[0].error))
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

    # -- deciding: by content, then execute

    def _decide(self, steps: list[Step]) -> None:
        keys: list[Digest] = []
        for step in steps:
            assert isinstance(step.hole, Call)
            if not step.tainted and step.inputs:
                step.tainted = any(made_from.tainted for made_from in step.inputs)
            digests = argument_digests(self.graph, step)
            keys.append(call_key(self.graph, step, digests))
            self.recorder.describe(step, digests)
        found = self.index.by_call(keys, [self.graph.code(step.node) for step in steps])
        for step, key in zip(steps, keys, strict=True):
            record = found.get(key)
            usable = record is not None and not step.forced and not step.repaired
            if usable and record is not None and self.graph.stands(step, record):
                self._adopt(step, record, "cutoff")
                self._link(step, record)
                self.recorder.forget(step)
            elif key in self._flying:
                self._flying[key].append(step)  # the same call is on its way already
            elif not (
                step.inputs and self._awaits_again(step, step.inputs)
            ):  # one of this batch may have found an input damaged
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
            arguments = payload(call, self.graph, self.store)
        except Exception as error:
            self._flown(key, step, error)
            return
        node, given = step.node, self.options_of(step.node)
        tries = self._tries.get(id(step))
        attempt = tries.total + 1 if tries is not None else 1
        self._launch(
            Work(
                node, arguments, self.graph.code(node), key, self.run, self._is_seeded(node), step,
                attempt, None if given.timeout == math.inf else given.timeout, given.resources,
            )
        )  # fmt: skip

    def _is_seeded(self, node: Any) -> bool:
        found = self._seeded.get(id(node))
        if found is None:
            found = self._seeded[id(node)] = "numpy" in node.packages()
        return found

    # -- dynamic nodes

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
            if origin.state in (HIT, DONE) and not origin.repaired and not self.repairs.is_whole(origin)
        ]
        for origin in broken:
            self.repairs.reopen(origin)
        for made_from in below if broken else ():
            self.repairs.reopen_path(made_from)

    def _close_expansion(self, step: Step) -> None:
        tree, side, work = step.expansion
        below = [self.graph.step(hole) for hole in holes(tree)]
        if self._awaits_again(step, below):
            return
        step.expansion = None
        try:
            full = fill(tree, lambda hole: self.graph.tree(self.graph.step(hole)))
            text = dump_tree(full)
        except Exception as error:
            self._flown(work.key, step, error)
            return
        step.relies_on = relies_below(self.graph, step, below)
        self.recorder.describe_made(step, [made_from.execution for made_from in below], each=is_list_of_calls(tree))
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
        self.recorder.failed(step, work, failure)
        tries = self._tries.setdefault(id(step), Tries())
        tries.count(cause_of(failure))
        pause = None
        if work.node.kind != "spread":
            retry = self.options_of(work.node).retries
            pause = pause_before_retry(retry, tries, failure, is_effect=_is_effect(work.node))
        if pause is None:
            self._flown(work.key, step, explained(step.hole, work, failure, tries))
        else:
            self.tell("retried", step)
            self.dispatch.put_later(work._replace(attempt=tries.total + 1), pause)

    def _flown(self, key: Digest, step: Step, error: Exception) -> None:
        """Fail every step that waits for the call `key`."""
        for waiting in self._flying.pop(key, [step]):
            self._fail(waiting, error)

    def _record(self, step: Step, work: Work, success: Success) -> None:
        note = success.note
        text, digest, tree = self.store.spill(success.text), success.digest, success.tree
        place = None
        if isinstance(step.node.given.compare, Approx):
            place = place_key(step.hole, step.node.given.contract)
            text, digest, tree, note = self.recorder.anchored(step.node.given.compare, place, text, digest, tree)
        relies = step.relies_on
        if step.inputs:
            relies = merged([relies, *[made_from.relies_on for made_from in step.inputs]])
        execution = self.recorder.execution(step, work, success.side, digest, text, relies_on=relies, note=note)
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
            self.recorder.forget(waiting)

    def _own_reliance(self, step: Step, record: Record) -> tuple[tuple[str, str], ...]:
        """Return what the result of a call relies on besides what its inputs do: nothing, unless it composes."""
        return record.relies_on if composes(step) else ()

    def _link(self, step: Step, record: Record) -> None:
        """Let the recipe of `step` lead to a record that was found by content.

        Only if the record relies on all that this recipe does: another past may have come to the same content.
        """
        self.index.note_cutoff(record.execution, self.recorder.arguments(step), self.run)
        if step.recipe is not None and set(step.relies_on) <= set(record.relies_on):
            self.index.link(step.recipe, record, self.run)

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
        self.failures.append(step)
        self._mark_failed(step, error, "failed")
        self._pass_on(step)

    def _block(self, step: Step, cause: Step) -> None:
        assert cause.error is not None
        self._mark_failed(step, cause.error, "blocked")
        self._pass_on(step)

    def _mark_failed(self, step: Step, error: Exception, verdict: str) -> None:
        step.state, step.error, step.verdict = FAILED, error, verdict
        self.recorder.forget(step)
        self.tell(verdict, step)
        if id(step) in self._roots:
            self._is_stopped = True

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
                    assert step.error is not None
                    self._mark_failed(consumer, step.error, "blocked")
                    stack.append(consumer)

    # -- damage

    def _retry_inputs(self, step: Step, work: Work) -> bool:
        """Execute again the calls that made the damaged inputs of `step`; say whether there is hope."""
        origins = calls_behind(step.inputs)
        broken = [origin for origin in origins if not origin.repaired and not self.repairs.is_whole(origin)]
        is_awaited = any(origin.repaired and origin.state == NEEDED for origin in origins)
        if not broken and not is_awaited:  # another consumer of them may have asked for the repair already
            tries = self._tries.setdefault(id(step), Tries())
            if tries.inputs or not any(origin.repaired for origin in origins):
                return False
            tries.inputs += 1  # it set out before the repair, and failed after it
        waiting = self._flying.pop(work.key, [step])
        for origin in broken:
            self.repairs.reopen(origin)
        for again in waiting:
            self.repairs.need(again)
            for made_from in again.inputs:
                self.repairs.reopen_path(made_from)
        self._enlist()
        return True


def _is_effect(node: Any) -> bool:
    """Say whether a call of `node` may have had its effect though its worker was lost, and the node does not say how often to try
    again. What a run says of it is said of all nodes, without a thought of effects.
    """
    given = node.given.retries
    return node.kind == "sink" and (given is None or given.platform is None)
