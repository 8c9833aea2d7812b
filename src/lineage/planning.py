"""The plan: which calls are hits, and which must be looked at closer or executed, each with a reason. Pure look-ups.

Every vertex has a *recipe key*, the digest of its whole derivation, known before anything runs. The roots are looked up
first and their inputs only on a miss, so that a fully cached rerun costs a few look-ups. A call whose recipe is unknown is
decided when its inputs are there, by its *call key*: code and content.

A hit stands only where nothing in its past is decided anew in the same plan: one plan never mixes two generations.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lineage.codecs.text import load_tree
from lineage.content.tree import SCALARS, Hole, Tree, digest_tree, fill, leaves
from lineage.digest import Digest, digest_of
from lineage.errors import ObjectMissingError
from lineage.files import Input
from lineage.fingerprints import Fingerprints
from lineage.graph import LATE, Attempt, Call, Item, Pinned, View, inputs_of, shown
from lineage.names import Resolved
from lineage.records import Record
from lineage.storage.base import Recipe
from lineage.structure import as_view, ok_tree, pick

__all__ = [
    "DONE",
    "FAILED",
    "HIT",
    "NEEDED",
    "UNSEEN",
    "Graph",
    "Step",
    "argument_digests",
    "call_key",
    "calls_behind",
    "composes",
    "merged",
    "nodes_given",
]

UNSEEN, HIT, NEEDED, DONE, FAILED = range(5)
_BULK_AFTER = 8
"""Look-ups go root first for so many levels; then all that is left is looked up at once."""


class Step:
    """One vertex of a plan and what is known of it."""

    __slots__ = (
        "base",
        "blocked",
        "catches",
        "consumers",
        "digest",
        "error",
        "execution",
        "expansion",
        "forced",
        "hole",
        "inputs",
        "is_call",
        "key",
        "node",
        "outdated",
        "parts",
        "record",
        "relies_on",
        "repaired",
        "stale",
        "state",
        "tainted",
        "tree",
        "verdict",
    )  # fmt: skip

    def __init__(self, hole: Hole, key: Digest, inputs: tuple[Step, ...]) -> None:
        self.hole = hole
        self.is_call = type(hole) is Call
        # Not typed: a type checker takes a `Node` in an attribute for a method.
        self.node: Any = hole._lineage_node if isinstance(hole, Call) else None
        self.key = key
        self.base: Digest | None = None
        self.parts: list[Digest] | None = None
        self.inputs = inputs
        self.state = UNSEEN
        self.record: Record | None = None
        self.tree: Tree = None
        self.digest: Digest | None = None
        self.execution: int | None = None
        self.relies_on: tuple[tuple[str, str], ...] = ()
        self.tainted = False
        self.catches = False
        self.forced = False
        self.repaired = False
        self.outdated = False
        self.stale = False
        self.blocked = 0
        self.consumers: list[Step] = []
        self.expansion: Any = None
        self.error: Exception | None = None
        self.verdict = ""

    @property
    def recipe(self) -> Recipe | None:
        """The key under which the result is recorded; None for what is recorded by content only."""
        return None if self.tainted else Recipe(self.key, self.base)

    def __repr__(self) -> str:
        return f"<{('unseen', 'hit', 'needed', 'done', 'failed')[self.state]} {shown(self.hole)}>"


class Graph:
    """The vertices reached from some roots, each once, in an order in which inputs come first."""

    def __init__(
        self,
        index: Any,
        fingerprints: Fingerprints,
        *,
        refresh: frozenset[Any] = frozenset(),
        is_current: Callable[[tuple[tuple[str, str], ...]], bool],
        unspill: Callable[[str], str] = str,
        resolve: Callable[[Pinned], Resolved],
    ) -> None:
        self.index = index
        self.fingerprints = fingerprints
        self.refresh = refresh
        self.is_current = is_current
        self.unspill = unspill
        self.resolve = resolve
        self.generations = index.generations()
        self.now = time.time()
        self.steps: dict[Digest, Step] = {}
        self.order: list[Step] = []
        self.needed: deque[Step] = deque()
        self.wanted = 0
        """How many calls the plan has met so far: hits, and those to be resolved."""
        self._by_hole: dict[int, Step] = {}
        self._holes: list[Hole] = []
        self._code: dict[int, tuple[Digest, bytes]] = {}

    # -- adding vertices

    def step(self, hole: Hole) -> Step:
        return self._by_hole[id(hole)]

    def add(self, roots: Iterable[Hole]) -> None:
        """Add `roots` and everything that they are made from."""
        known = self._by_hole
        stack = list(roots)
        stack.reverse()
        found: dict[int, Hole] = {}
        sources: list[Input] = []
        while stack:
            hole = stack[-1]
            if id(hole) in known or id(hole) in found:
                stack.pop()
                continue
            inputs = inputs_of(hole)
            if inputs:
                missing = [
                    made_from for made_from in inputs if id(made_from) not in known and id(made_from) not in found
                ]
                if missing:
                    missing.reverse()
                    stack.extend(missing)
                    continue
            elif isinstance(hole, Input):
                sources.append(hole)
            stack.pop()
            found[id(hole)] = hole
        if sources:
            self.fingerprints.prime(sources)
        for hole in found.values():
            inputs = inputs_of(hole)
            self._add(hole, tuple([known[id(made_from)] for made_from in inputs]) if inputs else ())

    def _add(self, hole: Hole, inputs: tuple[Step, ...]) -> None:
        parts: list[Digest] | None = None
        if type(hole) is Call:
            parts = self._parts(hole)
            base = key = self._recipe_of_call(hole, parts)
        else:
            base = key = self._recipe(hole)
        generation = self._generation(hole, base) if self.refresh or self.generations else 0
        if generation:
            key = digest_of("generation", base, str(generation).encode())
        step = self.steps.get(key)
        if step is None:
            step = self.steps[key] = Step(hole, key, inputs)
            step.parts = parts if not inputs else None  # without inputs, recipe and content are the same
            step.base = base if generation else None
            if inputs:
                step.tainted = any(_taints(made_from) for made_from in inputs)
            if self.refresh:
                step.forced = isinstance(hole, Call) and self._is_refreshed(hole)
            self.order.append(step)
            if isinstance(hole, (Input, Pinned)):
                self._settle_source(step, hole)
        self._by_hole[id(hole)] = step
        self._holes.append(hole)  # held, so that its id stays its own

    def _generation(self, hole: Hole, base: Digest) -> int:
        if not isinstance(hole, Call):
            return 0
        known: int = self.generations.get(base, 0)
        return known + int(self._is_refreshed(hole))

    def raise_generations(self, since: int = 0) -> None:
        """Let what is refreshed stay so: later plans know the calls from position `since` on by their new generation."""
        for step in self.order[since:] if self.refresh else ():
            if step.forced:
                assert step.base is not None
                self.index.raise_generation(step.base)

    def _is_refreshed(self, call: Call) -> bool:
        """Say whether a call is to be made again: one of a node in `refresh`, or a `map` or `reduce` with one."""
        if not self.refresh:
            return False
        nodes = (
            [call._lineage_node, *nodes_given(call)] if call._lineage_node.kind == "spread" else [call._lineage_node]
        )
        return any(other.fn is node.declared.fn for node in nodes for other in self.refresh)

    def _settle_source(self, step: Step, hole: Input | Pinned) -> None:
        if isinstance(hole, Input):
            step.tree = self.fingerprints.leaf(hole)
        else:
            record = self.resolve(hole).record
            step.tree = load_tree(self.unspill(record.value))
            step.execution = record.execution
        step.digest = digest_tree(step.tree)
        step.state = DONE

    # -- recipe keys

    def _recipe(self, hole: Hole) -> Digest:
        """Return the digest of the derivation of `hole`, whose inputs are in the graph."""
        if isinstance(hole, Item):
            parent = self.step(hole._lineage_parent)
            return digest_of("item", parent.key, repr(hole._lineage_key).encode())
        if isinstance(hole, View):
            return digest_of("view", hole._lineage_kind.encode(), digest_tree(hole._lineage_tree, self._key_of))
        if isinstance(hole, Attempt):
            return digest_of("attempt", self.step(hole._lineage_parent).key)
        if isinstance(hole, Pinned):
            return digest_of("pinned", self.resolve(hole).record.result)
        if isinstance(hole, Input):
            return self.fingerprints.leaf(hole).digest
        raise TypeError(f"a vertex of unknown kind: {hole!r}")

    def _parts(self, call: Call) -> list[Digest]:
        """Return the recipe digest of each argument of a call."""
        return self.digests(call._lineage_arguments, self._key_of)

    def digests(self, trees: Iterable[Tree], resolve: Callable[[Hole], Digest]) -> list[Digest]:
        """Return the digest of each tree. The plain cases are decided here: this runs twice for every call."""
        found = []
        for tree in trees:
            scalar = SCALARS.get(type(tree))
            if scalar is not None:
                found.append(scalar(tree))
            elif isinstance(tree, Hole):
                found.append(resolve(tree))
            else:
                found.append(digest_tree(tree, resolve))
        return found

    def _recipe_of_call(self, call: Call, parts: list[Digest]) -> Digest:
        node = call._lineage_node
        known = self._code.get(id(node)) or self.node_part(node)
        return digest_of("recipe", *known, *hashed_parts(node, parts))

    def _key_of(self, hole: Hole) -> Digest:
        return self._by_hole[id(hole)].key

    def node_part(self, node: Any) -> tuple[Digest, bytes]:
        """Return what stands for a node in keys: its code, and which period of an `every=` source it is now."""
        found = self._code.get(id(node))
        if found is None:
            seconds = node.given.period
            period = b"" if seconds is None else f"{int(self.now // seconds)} of {seconds}".encode()
            found = self._code[id(node)] = (node.code_digest(), period)
        return found

    def code(self, node: Any) -> Digest:
        """Return the node's code digest, taken once per plan."""
        return self.node_part(node)[0]

    # -- looking up

    def demand(self, steps: Iterable[Step]) -> None:
        """Look `steps` up, and what those that are missed are made from."""
        frontier = [step for step in steps if step.state == UNSEEN]
        level, bulk = 0, None
        while frontier:
            if level == _BULK_AFTER:
                bulk = self._records([step for step in self.order if step.state == UNSEEN])
            if bulk is None:
                records = self._records(frontier)
            else:
                records = bulk
            following: list[Step] = []
            for step in frontier:
                if step.state != UNSEEN:
                    continue
                self.wanted += step.is_call
                record = records.get(step.key) if _is_looked_up(step) else None
                if record is not None and self.is_current(record.relies_on):
                    step.state, step.record = HIT, record
                    step.digest, step.execution, step.relies_on = record.result, record.execution, record.relies_on
                else:
                    self.need(step)
                    following += [made_from for made_from in step.inputs if made_from.state == UNSEEN]
            frontier = following
            level += 1

    def _records(self, steps: Sequence[Step]) -> dict[Digest, Record]:
        looked_up = [step for step in steps if _is_looked_up(step)]
        found: dict[Digest, Record] = self.index.by_recipe(
            [step.key for step in looked_up], [self.code(step.node) for step in looked_up]
        )
        return found

    def stands(self, step: Step, record: Record) -> bool:
        """Say whether a record found by content still holds: code and content decide, except for what composes."""
        return not composes(step) or self.is_current(record.relies_on)

    def need(self, step: Step) -> None:
        """Mark a step as one to be resolved, and put it on the list that the engine takes from."""
        step.state = NEEDED
        self.needed.append(step)

    def settle(self, since: int = 0) -> None:
        """Take back hits that would mix generations: those with a past that is decided anew in this plan.

        Vertices before position `since` were settled earlier, and others may have used them.
        """
        while True:
            demoted = self._demote(since)
            if not demoted:
                return
            self.demand(made_from for step in demoted for made_from in step.inputs)

    def _demote(self, since: int) -> list[Step]:
        open_past = {id(step) for step in self.needed if step.is_call}
        demoted: list[Step] = []
        for step in self.order[since:]:
            is_open = any(id(made_from) in open_past for made_from in step.inputs)
            if step.state == HIT and (is_open or self._disagrees(step)):
                step.record, step.digest, step.execution = None, None, None
                self.need(step)
                demoted.append(step)
                is_open = True
            if is_open:
                open_past.add(id(step))
        return demoted

    def _disagrees(self, step: Step) -> bool:
        """Say whether a hit was made from other inputs than those that this plan has resolved."""
        if not any(self._is_resolved(made_from) for made_from in step.inputs):
            return False
        self.demand(step.inputs)
        if not all(self.complete(made_from) for made_from in step.inputs):
            return True
        assert step.record is not None
        return call_key(self, step) != step.record.call_key

    def _is_resolved(self, step: Step) -> bool:
        """Say whether this plan knows what a call, or the call behind a field or a view, gave."""
        if step.is_call or not step.inputs:
            return step.state in (HIT, DONE) and step.is_call
        return any(self._is_resolved(made_from) for made_from in step.inputs)

    def complete(self, step: Step) -> bool:
        """Resolve a field, a view or an outcome whose inputs are resolved; say whether `step` is resolved."""
        if step.state in (HIT, DONE):
            return True
        if step.is_call or not all(self.complete(made_from) for made_from in step.inputs):
            return False
        hole = step.hole
        if isinstance(hole, Item):
            try:
                step.tree = pick(self.tree(step.inputs[0]), hole._lineage_key)
            except ObjectMissingError:
                self._lost(step.inputs[0])
                return False
        elif isinstance(hole, Attempt):
            step.tree = ok_tree(self.tree(step.inputs[0]))
        elif isinstance(hole, View):
            filled = fill(hole._lineage_tree, lambda part: self.tree(self.step(part)))
            step.tree = as_view(filled, hole._lineage_kind)
        step.digest = digest_tree(step.tree)
        step.execution = step.inputs[0].execution if len(step.inputs) == 1 else None
        step.tainted = step.tainted or any(made_from.tainted for made_from in step.inputs)
        step.relies_on = merged(made_from.relies_on for made_from in step.inputs)
        step.state = DONE
        return True

    def _lost(self, step: Step) -> None:
        """Let the call behind `step` be executed again, since its result can't be read."""
        while not step.is_call:
            step.state, step.tree, step.digest = NEEDED, None, None
            step = step.inputs[0]
        step.tree, step.repaired = None, True
        self.need(step)
        self.demand(step.inputs)

    def resolved_digest(self, hole: Hole) -> Digest:
        digest = self._by_hole[id(hole)].digest
        assert digest is not None
        return digest

    def tree(self, step: Step) -> Tree:
        """Return the tree of a step that is a hit or done."""
        if step.state != HIT and step.state != DONE:
            raise AssertionError(f"{step!r} was read before it was resolved")  # or what takes it would be given None
        if step.state == HIT and step.tree is None and step.record is not None:
            step.tree = load_tree(self.unspill(step.record.value))
        return step.tree


def _is_looked_up(step: Step) -> bool:
    return step.is_call and not step.tainted and not step.forced


def _taints(step: Step) -> bool:
    """Say whether what uses `step` is recorded by content only: it holds a failure, or an effect's result."""
    return step.tainted or (step.is_call and step.node.kind == "sink")


def composes(step: Step) -> bool:
    """Say whether a call makes other calls, whose code is in none of its keys."""
    return step.is_call and step.node.kind in ("dynamic", "spread")


def hashed_parts(node: Any, parts: Sequence[Digest]) -> Sequence[Digest]:
    """Return the digests of those arguments that are part of a call's identity."""
    unhashed = node.signature.unhashed
    if not unhashed:
        return parts
    return [part for position, part in enumerate(parts) if position not in unhashed]


def argument_digests(graph: Graph, step: Step) -> list[Digest]:
    """Return the content digest of each argument of a call whose inputs are resolved."""
    if step.parts is not None:
        return step.parts
    assert isinstance(step.hole, Call)
    return graph.digests(step.hole._lineage_arguments, graph.resolved_digest)


def call_key(graph: Graph, step: Step, digests: Sequence[Digest] | None = None) -> Digest:
    """Return the key of a call by its code and the content of its arguments."""
    node = step.node
    if digests is None:
        digests = argument_digests(graph, step)
    return digest_of("call", *graph.node_part(node), *hashed_parts(node, digests))


def merged(reliances: Iterable[tuple[tuple[str, str], ...]]) -> tuple[tuple[str, str], ...]:
    """Return all that several steps rely on, each once."""
    reliances = [reliance for reliance in reliances if reliance]
    if not reliances:
        return ()
    found = {pair for reliance in reliances for pair in reliance}
    return tuple(sorted(found))


def nodes_given(call: Hole) -> dict[Any, Digest]:
    """Return the nodes that a call was given as values, and the digests under which they are in its keys."""
    return {
        leaf.value: leaf.value.code_digest() if leaf.kind == LATE else leaf.content
        for argument in (call._lineage_arguments if isinstance(call, Call) else ())
        if type(argument) not in SCALARS
        for leaf in leaves(argument)
        if leaf.family == "code" and hasattr(leaf.value, "declared")
    }


def calls_behind(steps: Iterable[Step]) -> list[Step]:
    """Return the calls whose results `steps` show, through fields, views and outcomes."""
    found, stack = [], list(steps)
    while stack:
        step = stack.pop()
        if step.is_call:
            found.append(step)
        else:
            stack.extend(step.inputs)
    return found
