"""How many small calls go to a worker at once: as many as take about 50 ms together, as measured.

A message to a worker of a cluster costs a millisecond, a trivial call a hundredth of that. What a node's calls take is learnt
from those that came back; a call of which nothing is known yet, or that may have to be ended by force, travels alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from lineage.executors.base import Work

__all__ = ["Durations", "Waiting", "take_batch"]

_WEIGHT = 0.5
"""How much the latest measurement counts against all before it."""


class Waiting:
    """A piece of work that waits for a worker. One that is `alone` shares its worker with no other while it runs."""

    __slots__ = ("alone", "name", "work")

    def __init__(self, work: Work, *, alone: bool = False) -> None:
        self.work = work
        self.name: str = work.node.reference
        self.alone = alone


class Durations:
    """Seconds that a call takes on a worker, by the name of its node, the worker's own overhead included.

    >>> known = Durations()
    >>> known.of("clean") is None
    True
    >>> known.learn(["clean", "clean"], 0.004)
    >>> known.of("clean")
    0.002
    """

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def of(self, name: str) -> float | None:
        return self._seconds.get(name)

    def learn(self, names: Sequence[str], seconds: float) -> None:
        """Take in that calls of these nodes took `seconds` together. What each took is guessed from what was known."""
        known = self._seconds
        guess = seconds / len(names)
        ratio = seconds / (sum(known.get(name, guess) for name in names) or 1.0)
        for name in set(names):
            before = known.get(name)
            known[name] = guess if before is None else before * (1 - _WEIGHT + _WEIGHT * ratio)

    def typical(self) -> float | None:
        """Return the seconds of a call of the quickest node, or None where nothing is known."""
        return min(self._seconds.values(), default=None)


def take_batch(queue: deque[Waiting], durations: Durations, *, seconds: float, share: int) -> list[Waiting]:
    """Take from the left of `queue` what one worker gets at once: at least one piece of work, and then as many as take
    `seconds` together, no more than `share` of them. The queue must not be empty.
    """
    batch = [queue.popleft()]
    total = durations.of(batch[0].name)
    if batch[0].alone or total is None:
        return batch
    while queue and len(batch) < share:
        following = queue[0]
        more = durations.of(following.name)
        if following.alone or more is None:
            break
        total += more
        if total > seconds:
            break
        batch.append(queue.popleft())
    return batch
