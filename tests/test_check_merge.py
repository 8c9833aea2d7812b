"""What `check_merge` finds in merges that are right and in merges that are not."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import polars as pl
import pytest

import lineage as ln
from lineage.errors import CompositionError
from lineage.testing import check_merge


@ln.node
def join(a: str, b: str) -> str:
    return a + b


@ln.node
def minus(a: int, b: int) -> int:
    return a - b


@ln.node
def mean(a: float, b: float) -> float:
    return (a + b) / 2


@ln.node
def plus(a: float, b: float) -> float:
    return a + b


@ln.node
def means(parts: list[float]) -> float:
    return sum(parts) / len(parts)


@ln.node
def union(parts: list[dict[str, int]]) -> dict[str, int]:
    return {key: part[key] for part in parts for key in part}


@ln.node
def word(n: int) -> str:
    return f"<{n}>"


@ln.node
def words(n: int) -> list[str]:
    return [f"<{i}>" for i in range(n)]


def test_associative_merges_pass() -> None:
    assert check_merge(join, ["a", "b", "c", "d"])
    assert check_merge(union, [{"a": 1}, {"b": 2}, {"a": 3}, {}])
    assert check_merge(join, ["a"])
    assert check_merge(join, ["a"]).groupings > 0


def test_the_first_three_parts_that_show_it_are_named() -> None:
    report = check_merge(minus, [0, 0, 0, 5, 1])
    assert not report.ok
    found = report.counterexample
    assert found is not None
    assert (found.a, found.b, found.c) == ((1,), (2,), (3,))
    assert (found.left, found.right) == (-5, 5)
    assert "parts 1, 2, 3 (0, 0, 5): merging 1 and 2 first gives -5, merging 2 and 3 first gives 5" in repr(report)


def test_a_difference_of_a_list_from_its_pairs_is_found() -> None:
    report = check_merge(means, [1.0, 1.0, 4.0])
    assert not report
    assert "not associative" in repr(report)


def test_a_difference_between_merging_all_at_once_and_in_pairs_is_found() -> None:
    @ln.node
    def counted(parts: list[int]) -> int:
        return sum(parts) + (len(parts) > 2)

    report = check_merge(counted, [1, 2, 3])
    assert report.counterexample is not None
    assert "merging all at once gives 7" in str(report.counterexample)


def test_what_shows_only_in_merged_parts_is_shrunk() -> None:
    @ln.node
    def capped(a: int, b: int) -> int:
        return a + b if a < 10 else a - b

    report = check_merge(capped, [3, 3, 3, 3, 3, 3])
    assert report.counterexample is not None
    sizes = [len(block) for block in (report.counterexample.a, report.counterexample.b, report.counterexample.c)]
    assert sum(sizes) <= 5


def test_floats_are_compared_as_the_node_says() -> None:
    numbers = [0.1, 1e10, 0.3, 1e-5, 7.7]
    assert not check_merge(plus, numbers)
    assert check_merge(plus.options(compare=ln.Approx(rel=1e-9)), numbers)
    assert not check_merge(mean.options(compare=ln.Approx(rel=1e-9)), numbers)


def test_unordered_results_are_compared_without_their_order() -> None:
    @ln.node
    def turned(parts: list[pl.DataFrame]) -> pl.DataFrame:
        return pl.concat(parts[::-1])

    frames = [pl.DataFrame({"a": [n]}) for n in range(4)]
    assert check_merge(turned, frames)

    @ln.node
    def first_last(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([b, a]) if a.height == 1 else pl.concat([a, b])

    assert not check_merge(first_last, frames)
    assert check_merge(first_last.options(compare="unordered"), frames)


def test_an_error_in_one_grouping_is_a_difference() -> None:
    @ln.node
    def short(a: str, b: str) -> str:
        if len(b) > 1:
            raise ValueError("too long")
        return a + b

    report = check_merge(short, ["a", "b", "c"])
    assert "ValueError: too long" in repr(report)


def test_an_error_in_every_grouping_is_told_at_once() -> None:
    @ln.node
    def broken(a: int, b: int) -> int:
        raise ValueError("no")

    assert check_merge(broken, [1, 2]).problems == ("merging the first two parts raises ValueError: no",)


def test_a_result_of_another_type_and_one_that_changes_each_time_are_told() -> None:
    calls: list[int] = []

    @ln.node(version="1")
    def text(a: int, b: int) -> int:
        return str(a + b)  # type: ignore[return-value]

    @ln.node(version="1")
    def counting(a: int, b: int) -> int:
        calls.append(1)
        return len(calls)

    assert "it returns '3' (str)" in repr(check_merge(text, [1, 2]))
    assert "another result each time" in repr(check_merge(counting, [1, 2]))


def test_a_merge_that_changes_its_arguments_is_noted_and_may_be_used() -> None:
    @ln.node
    def updated(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        a.update(b)
        return a

    report = check_merge(updated, [{"a": 1}, {"b": 2}, {"c": 3}])
    assert report.ok
    assert "changes its arguments in place" in repr(report)


def test_small_lists_are_noted() -> None:
    @ln.node
    def stacked(parts: list[pl.DataFrame]) -> pl.DataFrame:
        return pl.concat(parts).sort("a")

    report = check_merge(stacked, [pl.DataFrame({"a": [2, 1]}), pl.DataFrame({"a": [0]})])
    assert report.ok
    assert "an empty list raises ValueError" in repr(report)
    assert "a list of one part gives" in repr(report)


def test_parts_are_values_calls_or_handles(session: ln.Session) -> None:
    assert check_merge(join, words(5)).parts == 5
    assert check_merge(join, ln.map(word, range(5))).parts == 5
    assert check_merge(join, ln.materialize(ln.map(word, range(5)))).parts == 5
    assert check_merge(join, ln.materialize(words(5))).parts == 5
    assert check_merge(join, [ln.materialize(word(1)), word(2), "c"]).parts == 3
    assert check_merge(join, (str(n) for n in range(1000)), most=10).parts == 10


def test_a_partial_is_checked_with_what_it_fixes() -> None:
    @ln.node
    def scaled(a: float, b: float, scale: float) -> float:
        return a + b * scale

    assert check_merge(functools.partial(scaled, scale=1.0), [1.0, 2.0, 3.0])
    assert not check_merge(functools.partial(scaled, scale=2.0), [1.0, 2.0, 3.0])


def test_arrays_are_merged_exactly() -> None:
    @ln.node
    def total(a: Any, b: Any) -> Any:
        return a + b

    assert check_merge(total, [np.arange(3) for _ in range(5)])


def test_nothing_to_merge_and_nothing_that_merges_are_refused() -> None:
    with pytest.raises(ValueError, match="needs parts"):
        check_merge(join, [])
    with pytest.raises(CompositionError, match="no node"):
        check_merge(max, [1, 2])
