"""Laws of merging in a tree cut by content."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lineage as ln
from lineage.content.tree import Branch, digest_tree
from lineage.digest import Digest, digest_of
from lineage.identity import digest_value
from lineage.reduction import groups
from lineage.testing import EventLog

N = 4096


def merged_by(leaves: Sequence[Digest]) -> tuple[set[Digest], int]:
    """Return the calls that merging parts of these digests makes, each named by its group, and the number of levels."""
    calls: set[Digest] = set()
    level, parts = 0, list(leaves)
    while len(parts) > 1:
        following = []
        for group in groups(parts, level):
            made = parts[group]
            following.append(made[0] if len(made) == 1 else digest_of("merged", *made))
            calls |= {following[-1]} if len(made) > 1 else set()
        assert len(following) < len(parts), "a level must be shorter than the one below"
        level, parts = level + 1, following
    return calls, level


def positional(leaves: Sequence[Digest]) -> set[Digest]:
    calls: set[Digest] = set()
    parts = list(leaves)
    while len(parts) > 1:
        parts = [digest_of("merged", *parts[start : start + 8]) for start in range(0, len(parts), 8)]
        calls |= set(parts)
    return calls


def leaf(name: object) -> Digest:
    return digest_of("leaf", repr(name).encode())


def edited(base: list[Digest], kind: str, place: int, salt: object) -> list[Digest]:
    fresh = leaf(("new", salt))
    match kind:
        case "change":
            return [*base[:place], fresh, *base[place + 1 :]]
        case "insert":
            return [*base[:place], fresh, *base[place:]]
        case "delete":
            return [*base[:place], *base[place + 1 :]]
        case _:
            return [*base, fresh]


@functools.cache
def whole(seed: int) -> tuple[list[Digest], set[Digest]]:
    base = [leaf((seed, position)) for position in range(N)]
    return base, merged_by(base)[0]


@given(
    kind=st.sampled_from(["change", "insert", "delete", "append"]),
    place=st.integers(0, N - 1),
    seed=st.integers(0, 3),
    salt=st.integers(),
)
@settings(max_examples=60)
def test_one_of_4096_parts_makes_few_new_merges_wherever_it_lies(kind: str, place: int, seed: int, salt: int) -> None:
    base, before = whole(seed)
    new = merged_by(edited(base, kind, place, salt))[0] - before
    assert len(new) <= 12


def test_a_positional_tree_makes_hundreds_where_this_one_makes_a_handful() -> None:
    drawn = random.Random(1)
    base, before = whole(0)
    ours, theirs = [], []
    for number in range(40):
        after = edited(base, "insert", drawn.randrange(N), number)
        ours.append(len(merged_by(after)[0] - before))
        theirs.append(len(positional(after) - positional(base)))
    assert sum(ours) / len(ours) < 7
    assert sum(theirs) / len(theirs) > 200


@given(st.lists(st.integers(0, 3), min_size=1, max_size=400))
@example([0] * N)
@example([0, 1] * (N // 2))
@example([0, 0, 1] * (N // 3))
def test_few_different_parts_end_in_few_levels(names: list[int]) -> None:
    calls, levels = merged_by([leaf(name) for name in names])
    assert levels <= max(1, len(names)).bit_length() + 1
    if len(set(names)) == 1:
        assert len(calls) <= 3 * levels


@pytest.mark.parametrize("name", range(20))
def test_equal_parts_make_a_call_or_two_a_level(name: int) -> None:
    calls, levels = merged_by([leaf(name)] * N)
    assert levels <= 5
    assert len(calls) <= 8


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=200), st.integers(0, 5))
def test_groups_are_the_parts_in_order(digests: list[bytes], level: int) -> None:
    cut = list(groups([Digest(digest) for digest in digests], level))
    assert [place for group in cut for place in range(group.start, group.stop)] == list(range(len(digests)))
    assert all(2 <= group.stop - group.start <= 32 for group in cut[:-1])


# -- results, where merging is associative


@ln.node
def join(a: str, b: str) -> str:
    return a + b


@ln.node
def largest(a: int, b: int) -> int:
    return max(a, b)


@ln.node
def union(parts: list[dict[str, int]]) -> dict[str, int]:
    return {key: value for part in parts for key, value in part.items()}


@ln.node
def in_order(parts: list[list[int]]) -> list[int]:
    return sorted(item for part in parts for item in part)


@ln.node
def handed(items: list[Any]) -> list[Any]:
    return items


texts = st.lists(st.text(max_size=3), min_size=1, max_size=60)
CASES: list[tuple[Any, st.SearchStrategy[Any], Any]] = [
    (join, texts, "".join),
    (largest, st.lists(st.integers(-5, 5), min_size=1, max_size=60), max),
    (
        union,
        st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), min_size=1, max_size=40),
        lambda parts: {key: value for part in parts for key, value in part.items()},
    ),
    (
        in_order,
        st.lists(st.lists(st.integers(0, 9), max_size=4).map(sorted), min_size=1, max_size=40),
        lambda parts: sorted(item for part in parts for item in part),
    ),
]


@pytest.mark.parametrize(("merge", "parts", "plain"), CASES, ids=["join", "max", "union", "sorted"])
def test_the_result_is_that_of_a_loop(
    merge: Any, parts: st.SearchStrategy[Any], plain: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with ln.Session(tmp_path_factory.mktemp("store")) as session:

        @given(parts)
        @settings(max_examples=12)
        def law(values: list[Any]) -> None:
            assert session.compute(ln.reduce(merge, values)) == plain(values)
            assert session.compute(ln.reduce(merge, handed(values))) == plain(values)

        law()


@given(data=st.data())
@settings(max_examples=10)
def test_a_warm_store_gives_what_a_cold_one_gives(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Parts come, go and move; what is cached of earlier ones never shows."""
    log = EventLog()
    with ln.Session(tmp_path_factory.mktemp("store"), on_event=log) as session:
        values = data.draw(st.lists(st.text("ab", max_size=2), min_size=1, max_size=50))
        for _ in range(4):
            assert session.compute(ln.reduce(join, handed(values), initial="^")) == "^" + "".join(values)
            place = data.draw(st.integers(0, len(values)))
            values = [
                *values[:place],
                data.draw(st.text("ab", max_size=2)),
                *values[place + data.draw(st.integers(0, 1)) :],
            ]


def test_digests_of_parts_are_those_of_their_values() -> None:
    assert digest_tree(Branch("list", ("a", "b"))) == digest_value(["a", "b"])
