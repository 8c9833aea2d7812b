"""Whether a merge may be given to `reduce`: tried on real parts, in many groupings."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from attrs import field, frozen

from lineage.api import compute
from lineage.approx import deviation
from lineage.content.tree import holes
from lineage.datasets import Dataset
from lineage.digest import Digest, digest_of
from lineage.executors.canonical import in_canonical_order
from lineage.graph import Lazy
from lineage.identity import digest_value, freezer
from lineage.options import Approx
from lineage.reduction import Merge, groups, merge_of
from lineage.wiring import brief, check_value

__all__ = ["Counterexample", "MergeReport", "check_merge"]


@frozen
class Counterexample:
    """Three parts, each merged from those of these positions, whose result depends on which two are merged first.

    `left` is `merge(merge(a, b), c)` and `right` is `merge(a, merge(b, c))`; where a merge of a list of all three gives
    something else still, that is in `right`. An exception stands for what raised it.
    """

    a: tuple[int, ...]
    b: tuple[int, ...]
    c: tuple[int, ...]
    left: Any
    right: Any
    shown: str = field(repr=False)

    def __str__(self) -> str:
        return self.shown


@frozen(repr=False)
class MergeReport:
    """What `check_merge` found. True where nothing speaks against the merge; its text says what does.

    `problems` are reasons not to reduce with it; `notes` are worth knowing and harmless: every call gets parts of its own.
    """

    merge: str
    parts: int
    groupings: int
    counterexample: Counterexample | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        found = "may be reduced with" if self.ok else "should not be reduced with"
        lines = [f"{self.merge} {found}: {self.parts} parts in {self.groupings} groupings"]
        lines += [f"  {problem}" for problem in self.problems]
        lines += [f"  note: {note}" for note in self.notes]
        return "<MergeReport " + "\n".join(lines) + ">"


def check_merge(merge: Any, parts: Any, /, *, trials: int = 30, most: int = 64, seed: int = 0) -> MergeReport:
    """Merge `parts` in many groupings and report whether the result depends on the grouping, and on which parts.

    `merge` is what `reduce` takes. `parts` are values, calls, handles, one call of a list, or the handle of a list; of more than
    `most`, the first are taken. Results are compared as the node's `compare=` says. Left to right, right to left,
    in pairs, as `reduce` cuts, and `trials` groupings drawn from `seed`, some with parts that come twice.

    >>> from lineage import node
    >>> @node
    ... def minus(a: int, b: int) -> int:
    ...     return a - b
    >>> assert not check_merge(minus, [1, 2, 3])
    >>> print(check_merge(minus, [5, 2, 3]).counterexample)
    parts 0, 1, 2 (5, 2, 3): merging 0 and 1 first gives 0, merging 1 and 2 first gives 6

    Raises:
        CompositionError: `merge` is nothing that merges.
        ValueError: there are no parts.
    """
    trial = _Trial(merge_of(merge), _values(parts, most))
    problems = trial.basics()
    counterexample = None
    differs = None if problems else trial.grouping_that_differs(trials, random.Random(seed))
    if differs is not None:
        counterexample = trial.counterexample(random.Random(seed))
        problems.append(f"it is not associative: {counterexample or f'merged {differs}, the result is another'}")
    name, count = trial.merge.node.name, len(trial.values)
    return MergeReport(name, count, trial.groupings, counterexample, tuple(problems), tuple(trial.notes))


def _values(parts: Any, most: int) -> list[Any]:
    given: Any = compute(parts) if isinstance(parts, Lazy) else parts
    values = [part.value if isinstance(part, Dataset) else part for part in itertools.islice(given, most)]
    if any(True for _ in holes(freezer.freeze(values))):
        values = compute(values)
    if not values:
        raise ValueError("check_merge needs parts to merge")
    return values


Shape = int | tuple["Shape", ...]
"""Which parts are merged when: a position, or the shapes of what one call merges."""

Block = tuple[int, ...]
Blocks = tuple[Block, Block, Block]


class _Raised:
    """Stands for a result that is an exception."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


class _Trial:
    """One merge and the parts that it is tried on."""

    def __init__(self, merge: Merge, values: list[Any]) -> None:
        self.merge = merge
        self.values = values
        self.groupings = 0
        self.notes: list[str] = []

    # -- merging

    def merged(self, group: Sequence[Any]) -> Any:
        """Return what one call makes of a group, which gets copies of its own, or the exception that it raises."""
        raised = next((part for part in group if isinstance(part, _Raised)), None)
        if raised is not None:
            return raised
        node, fixed = self.merge.node, self.merge.fixed
        parts = copy.deepcopy(list(group))
        try:
            if self.merge.takes_list:
                return node.fn(parts, **fixed)
            return functools.reduce(lambda one, other: node.fn(one, other, **fixed), parts)
        except Exception as error:
            return _Raised(error)

    def shaped(self, shape: Shape, values: Sequence[Any]) -> Any:
        if isinstance(shape, int):
            return values[shape]
        made = [self.shaped(part, values) for part in shape]
        return made[0] if len(made) == 1 else self.merged(made)

    def same(self, one: Any, other: Any) -> bool:
        """Say whether two results are the same, as the node compares its results."""
        if isinstance(one, _Raised) or isinstance(other, _Raised):
            return type(one) is type(other) and type(one.error) is type(other.error)
        compare = self.merge.node.given.compare
        if isinstance(compare, Approx):
            off = deviation(one, other, compare)
            return off is not None and off <= 1
        if compare == "unordered":
            one, other = in_canonical_order(one), in_canonical_order(other)
        return digest_value(one) == digest_value(other)

    # -- what must hold of a single call

    def basics(self) -> list[str]:
        """Try one call and return what is wrong with it. What is only worth knowing goes to the notes."""
        pair = (self.values * 2)[:2]
        made = self.merged(pair)
        if isinstance(made, _Raised):
            return [f"merging the first two parts raises {made!r}"]
        reason = check_value(made, self.merge.node.signature.returns, "check_merge")
        if reason is not None:
            return [f"it returns {brief(made)}: {reason}"]
        self._note_changes(pair)
        self._note_small_lists()
        if not self.same(made, self.merged(pair)):
            return [f"it gives another result each time: {made!r:.80} and {self.merged(pair)!r:.80}"]
        return []

    def _note_changes(self, pair: list[Any]) -> None:
        parts = copy.deepcopy(pair)
        before = [digest_value(part) for part in parts]
        fixed = self.merge.fixed
        with contextlib.suppress(Exception):
            self.merge.node.fn(parts, **fixed) if self.merge.takes_list else self.merge.node.fn(*parts, **fixed)
        if [digest_value(part) for part in parts] != before:
            self.notes.append("it changes its arguments in place, which every call has copies of")

    def _note_small_lists(self) -> None:
        if not self.merge.takes_list:
            return
        one, none = self.merged(self.values[:1]), self.merged([])
        if isinstance(none, _Raised):
            self.notes.append(f"an empty list raises {none!r}; reduce never gives it one")
        if not self.same(one, self.values[0]):
            self.notes.append(f"a list of one part gives {one!r:.80}; reduce hands a single part through as it is")

    # -- groupings

    def grouping_that_differs(self, trials: int, drawn: random.Random) -> str | None:
        """Return the name of the first grouping with another result than from left to right; None if there is none."""
        whole = self.merged(self.values) if len(self.values) > 1 else self.values[0]
        for name, shape in self._groupings(trials, drawn):
            self.groupings += 1
            if not self.same(self.shaped(shape, self.values), whole):
                return name
        for _ in range(trials // 3):
            twice = sorted([*range(len(self.values)), *drawn.choices(range(len(self.values)), k=2)])
            values = [self.values[position] for position in twice]
            self.groupings += 1
            if not self.same(self.shaped(_random_shape(0, len(values), drawn), values), self.merged(values)):
                return "with parts that come twice"
        return None

    def _groupings(self, trials: int, drawn: random.Random) -> Iterator[tuple[str, Shape]]:
        count = len(self.values)
        yield "two by two from left to right", _chain(list(range(count)), lambda one, other: (one, other))
        yield "from right to left", _chain(list(range(count))[::-1], lambda one, other: (other, one))
        yield "in pairs", _in_levels(count, lambda shapes, _: _pairs(len(shapes)))
        digests = [digest_value(value) for value in self.values]
        yield "as reduce does it", _in_levels(count, lambda shapes, n: groups([_name(s, digests) for s in shapes], n))
        for _ in range(trials):
            yield "in a grouping drawn at random", _random_shape(0, count, drawn)

    # -- where it goes wrong

    def counterexample(self, drawn: random.Random) -> Counterexample | None:
        """Return the smallest three parts that show it, as far as a search of bounded length finds them."""
        for blocks in self._candidates(drawn):
            if self._depends(blocks):
                return self._explained(self._shrunk(blocks))
        return None

    def _candidates(self, drawn: random.Random) -> Iterator[Blocks]:
        count = len(self.values)
        for first in range(count - 2):
            yield (first,), (first + 1,), (first + 2,)
        for first in range(min(count, 8)):
            yield (first,), (first,), (first,)
        for _ in range(200):
            one, two, three = sorted(drawn.choices(range(count), k=3))
            yield (one,), (two,), (three,)
        for _ in range(300 if count > 3 else 0):
            cuts = sorted(drawn.sample(range(count + 1), 4))
            before, between, after = (tuple(range(a, b)) for a, b in itertools.pairwise(cuts))
            yield before, between, after

    def _depends(self, blocks: Blocks) -> bool:
        left, right, _ = self._two_ways(blocks)
        return not self.same(left, right)

    def _two_ways(self, blocks: Blocks) -> tuple[Any, Any, str]:
        """Return what three parts come to in two ways, and the name of the second; they differ, if any two ways do."""
        a, b, c = (self.shaped(block, self.values) for block in blocks)
        left, right = self.merged([self.merged([a, b]), c]), self.merged([a, self.merged([b, c])])
        if self.same(left, right):
            return left, self.merged([a, b, c]), "merging all at once"
        return left, right, f"merging {_block_name(blocks[1])} and {_block_name(blocks[2])} first"

    def _shrunk(self, blocks: Blocks) -> Blocks:
        """Return what is left of failing blocks when no part of one can go without the difference going too."""
        while True:
            smaller = next((fewer for fewer in _with_one_less(blocks) if self._depends(fewer)), None)
            if smaller is None:
                return blocks
            blocks = smaller

    def _explained(self, blocks: Blocks) -> Counterexample:
        left, right, way = self._two_ways(blocks)
        one, two, three = (_block_name(block) for block in blocks)
        shown = ", ".join(f"{self.shaped(block, self.values)!r:.60}" for block in blocks)
        text = f"merging {one} and {two} first gives {left!r:.80}, {way} gives {right!r:.80}"
        return Counterexample(*blocks, left, right, f"parts {one}, {two}, {three} ({shown}): {text}")


def _block_name(block: Block) -> str:
    return str(block[0]) if len(block) == 1 else f"[{' '.join(map(str, block))}]"


def _with_one_less(blocks: Blocks) -> Iterator[Blocks]:
    a, b, c = blocks
    yield from ((fewer, b, c) for fewer in _less(a))
    yield from ((a, fewer, c) for fewer in _less(b))
    yield from ((a, b, fewer) for fewer in _less(c))


def _less(block: Block) -> list[Block]:
    places = range(len(block)) if len(block) > 1 else ()
    return [(*block[:place], *block[place + 1 :]) for place in places]


def _chain(positions: list[int], joined: Callable[[Shape, Shape], Shape]) -> Shape:
    shape: Shape = positions[0]
    for position in positions[1:]:
        shape = joined(shape, position)
    return shape


def _in_levels(count: int, cut: Callable[[list[Shape], int], Iterable[slice]]) -> Shape:
    shapes: list[Shape] = list(range(count))
    level = 0
    while len(shapes) > 1:
        shapes = [tuple(shapes[group]) for group in cut(shapes, level)]
        level += 1
    return shapes[0]


def _pairs(count: int) -> list[slice]:
    return [slice(start, start + 2) for start in range(0, count, 2)]


def _name(shape: Shape, digests: list[Digest]) -> Digest:
    if isinstance(shape, int):
        return digests[shape]
    return _name(shape[0], digests) if len(shape) == 1 else digest_of("t", *(_name(part, digests) for part in shape))


def _random_shape(start: int, stop: int, drawn: random.Random) -> Shape:
    """Return positions cut at random into groups, in random depth."""
    if stop - start == 1:
        return start
    ends = sorted(drawn.sample(range(start + 1, stop), k=min(stop - start - 1, drawn.randint(1, 6))))
    return tuple(_random_shape(a, b, drawn) for a, b in itertools.pairwise([start, *ends, stop]))
