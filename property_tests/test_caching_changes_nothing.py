"""Caching changes nothing but time: cold, warm and mixed runs of random graphs give the same datasets."""

from __future__ import annotations

import tempfile
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import lineage as ln
from lineage.testing import EventLog


@ln.node
def add(a: int, b: int) -> int:
    return a + b


@ln.node
def clip(a: int) -> int:
    return min(a, 5)


@ln.node
def spread(a: int) -> list[int]:
    return [a, a + 1]


@ln.node
def total(xs: list[int]) -> int:
    return sum(xs)


@ln.node
def risky(a: int) -> int:
    if a % 3 == 0:
        raise ValueError(f"{a} is a multiple of three")
    return a


@ln.node
def worth(outcome: Any) -> int:
    return outcome.value if isinstance(outcome, ln.Ok) else -1


@ln.dynamic
def countdown(n: int) -> int:
    return n if n <= 0 else add(countdown(n - 1), n)


Recipe = tuple[Any, ...]

recipes = st.recursive(
    st.integers(0, 6).map(lambda n: ("literal", n)),
    lambda below: st.one_of(
        st.tuples(st.just("add"), below, below),
        st.tuples(st.just("clip"), below),
        st.tuples(st.just("field"), below, st.integers(0, 1)),
        st.tuples(st.just("total"), st.lists(below, max_size=3)),
        st.tuples(st.just("worth"), below),
        st.tuples(st.just("map"), below),
        st.tuples(st.just("countdown"), st.integers(0, 3)),
    ),
    max_leaves=8,
)


def build(recipe: Recipe) -> Any:
    """Compose the calls of a recipe."""
    match recipe:
        case ("literal", n):
            return n
        case ("add", a, b):
            return add(build(a), build(b))
        case ("clip", a):
            return clip(build(a))
        case ("field", a, position):
            return spread(build(a))[position]
        case ("total", items):
            return total([build(item) for item in items])
        case ("worth", a):
            return worth(ln.attempt(risky)(build(a)))
        case ("map", a):
            return total(ln.map(clip, spread(build(a))))
        case ("countdown", n):
            return countdown(n)
    raise AssertionError(recipe)


def evaluate(recipe: Recipe) -> int:
    """Compute a recipe without lineage."""
    match recipe:
        case ("literal", n):
            return int(n)
        case ("add", a, b):
            return evaluate(a) + evaluate(b)
        case ("clip", a):
            return min(evaluate(a), 5)
        case ("field", a, position):
            return evaluate(a) + int(position)
        case ("total", items):
            return sum(evaluate(item) for item in items)
        case ("worth", a):
            found = evaluate(a)
            return found if found % 3 else -1
        case ("map", a):
            found = evaluate(a)
            return min(found, 5) + min(found + 1, 5)
        case ("countdown", n):
            return int(n * (n + 1) // 2)
    raise AssertionError(recipe)


@settings(max_examples=60, deadline=None)
@given(st.lists(recipes, min_size=1, max_size=5), st.data())
def test_cold_warm_and_mixed_runs_agree_with_plain_python(graphs: list[Recipe], data: st.DataObject) -> None:
    log = EventLog()
    with tempfile.TemporaryDirectory() as folder, ln.Session(folder, on_event=log):
        for graph in graphs:
            assert ln.compute(build(graph)) == evaluate(graph)
        expected = [evaluate(graph) for graph in graphs]
        assert ln.compute([build(graph) for graph in graphs]) == expected
        log.clear()
        assert ln.compute([build(graph) for graph in graphs]) == expected
        assert log.count("executed") == 0
        refreshed = data.draw(st.sampled_from([add, clip, spread, total, worth]))
        assert ln.compute([build(graph) for graph in graphs], refresh=[refreshed]) == expected
        assert ln.compute([build(graph) for graph in graphs]) == expected
