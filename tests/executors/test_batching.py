"""Small calls go together, by what they take."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

from lineage.executors.batching import Durations, Waiting, take_batch


def waiting(name: str, *, alone: bool = False) -> Waiting:
    work: Any = SimpleNamespace(node=SimpleNamespace(reference=name))
    return Waiting(work, alone=alone)


def names(batch: list[Waiting]) -> list[str]:
    return [one.name for one in batch]


def test_a_call_of_which_nothing_is_known_travels_alone() -> None:
    queue = deque([waiting("a"), waiting("a")])
    assert names(take_batch(queue, Durations(), seconds=1.0, share=10)) == ["a"]
    assert len(queue) == 1


def test_known_calls_travel_together_until_their_time_is_full() -> None:
    known = Durations()
    known.learn(["a"], 0.02)
    queue = deque(waiting("a") for _ in range(5))
    assert len(take_batch(queue, known, seconds=0.05, share=10)) == 2
    assert len(take_batch(queue, known, seconds=0.05, share=1)) == 1
    assert len(queue) == 2


def test_a_call_longer_than_a_batch_is_a_batch_of_one() -> None:
    known = Durations()
    known.learn(["long"], 3.0)
    known.learn(["short"], 0.001)
    queue = deque([waiting("long"), waiting("short"), waiting("long"), waiting("short")])
    assert names(take_batch(queue, known, seconds=0.05, share=10)) == ["long"]
    assert names(take_batch(queue, known, seconds=0.05, share=10)) == ["short"]


def test_nothing_travels_with_a_call_that_is_alone() -> None:
    known = Durations()
    known.learn(["a"], 0.001)
    queue = deque([waiting("a"), waiting("a", alone=True), waiting("a")])
    assert [len(take_batch(queue, known, seconds=1.0, share=10)) for _ in range(3)] == [1, 1, 1]


def test_what_a_mixed_batch_took_is_shared_out_by_what_was_known() -> None:
    known = Durations()
    known.learn(["a"], 0.01)
    known.learn(["b"], 0.03)
    known.learn(["a", "b"], 0.08)  # twice what was thought: half of that surprise is believed
    assert known.of("a") == 0.015
    assert known.of("b") == 0.045


def test_a_node_that_turns_slow_is_found_out() -> None:
    known = Durations()
    known.learn(["a"] * 100, 0.01)
    for _ in range(20):
        known.learn(["a"], 1.0)
    found = known.of("a")
    assert found is not None
    assert 0.9 < found <= 1.0
