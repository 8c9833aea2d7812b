"""Merging parts: what is merged, in which calls, and what a change of one part executes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lineage as ln
from lineage.digest import digest_of
from lineage.errors import CompositionError, NodeError, WiringError
from lineage.reduction import groups
from lineage.testing import EventLog


@ln.node
def join(a: str, b: str) -> str:
    return a + b


@ln.node
def joined(parts: list[str]) -> str:
    return "".join(parts)


@ln.node
def join_by(a: str, b: str, mark: str = "-", *, upper: bool = False) -> str:
    return f"{a}{mark}{b}".upper() if upper else f"{a}{mark}{b}"


@ln.node
def add(a: int, b: int) -> int:
    return a + b


@ln.node
def word(n: int) -> str:
    if n < 0:
        raise ValueError(f"no word for {n}")
    return f"<{n}>"


@ln.node
def words(n: int) -> list[str]:
    return [f"<{i}>" for i in range(n)]


@ln.node
def length(text: str) -> int:
    return len(text)


def expected(n: int) -> str:
    return "".join(f"<{i}>" for i in range(n))


def merges(log: EventLog, name: str = "join", verdict: str = "executed") -> int:
    return log.names().count(f"{verdict} {name}")


# -- values


@pytest.mark.parametrize("merge", [join, joined])
@pytest.mark.parametrize("n", [1, 2, 8, 9, 100])
def test_all_parts_are_merged_in_their_order(merge: Any, n: int, session: ln.Session) -> None:
    assert ln.compute(ln.reduce(merge, ln.map(word, range(n)))) == expected(n)
    assert ln.compute(ln.reduce(merge, words(n))) == expected(n)
    assert ln.compute(ln.reduce(merge, [f"<{i}>" for i in range(n)])) == expected(n)


def test_parts_may_be_values_and_calls_side_by_side(session: ln.Session) -> None:
    assert ln.compute(ln.reduce(join, ["a", word(1), "b", words(1)[0]])) == "a<1>b<0>"
    assert ln.compute(ln.reduce(join, (word(n) for n in range(3)))) == expected(3)


def test_initial_comes_first(session: ln.Session) -> None:
    assert ln.compute(ln.reduce(join, [word(0), word(1)], initial="^")) == "^<0><1>"
    assert ln.compute(ln.reduce(join, words(2), initial=word(7))) == "<7><0><1>"
    assert ln.compute(ln.reduce(join, [], initial="^")) == "^"
    assert ln.compute(ln.reduce(join, words(0), initial="^")) == "^"


def test_initial_may_be_none(session: ln.Session) -> None:
    @ln.node
    def first(a: int | None, b: int | None) -> int | None:
        return b if a is None else a

    assert ln.compute(ln.reduce(first, [3], initial=None)) == 3


def test_no_parts_and_no_initial_is_an_error_by_name(session: ln.Session) -> None:
    with pytest.raises(CompositionError, match="reduce with join has no parts to merge and no initial="):
        ln.reduce(join, [])
    with pytest.raises(NodeError, match=r"reduce\(join, words\(…\)\) failed: reduce with join has no parts"):
        ln.compute(ln.reduce(join, words(0)))


def test_one_part_is_handed_through_without_a_call(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(ln.reduce(join, [word(1)])) == "<1>"
    assert ln.compute(ln.reduce(join, words(1))) == "<0>"
    assert merges(log) == 0


def test_one_part_is_checked_like_any_other() -> None:
    with pytest.raises(WiringError, match=r"join merges str, and part 0 is 3 \(int\)"):
        ln.reduce(join, [3])  # type: ignore[arg-type]
    with pytest.raises(WiringError, match=r"add merges int, and part 0 is `word\(n=1\)` -> str: str is not int"):
        ln.reduce(add, [word(1)])  # type: ignore[arg-type]


def test_initial_is_checked_like_a_part() -> None:
    with pytest.raises(WiringError, match=r"join merges str, and initial is 3 \(int\)"):
        ln.reduce(join, ["a"], initial=3)  # type: ignore[arg-type]


def test_fixed_arguments_come_as_a_partial(session: ln.Session) -> None:
    parts = ["a", "b", "c"]
    assert ln.compute(ln.reduce(functools.partial(join_by, mark="+"), parts)) == "a+b+c"
    assert ln.compute(ln.reduce(functools.partial(join_by, upper=True), parts)) == "A-B-C"
    assert ln.compute(ln.reduce(functools.partial(join_by, mark=word(1)), words(2))) == "<0><1><1>"

    @ln.node
    def cut(parts: list[str], limit: int) -> str:
        return "".join(parts)[:limit]

    assert ln.compute(ln.reduce(functools.partial(cut, limit=2), parts)) == "ab"


def test_tables_are_merged_without_being_read_by_the_driver(session: ln.Session) -> None:
    @ln.node
    def table(n: int) -> pl.DataFrame:
        return pl.DataFrame({"n": [n]})

    @ln.node
    def stacked(parts: list[pl.DataFrame]) -> pl.DataFrame:
        return pl.concat(parts)

    assert ln.compute(ln.reduce(stacked, ln.map(table, range(40))))["n"].to_list() == list(range(40))
    frames = [pl.DataFrame({"n": [n]}) for n in range(3)]
    assert ln.compute(ln.reduce(stacked, frames))["n"].to_list() == [0, 1, 2]


def test_a_reduction_is_typed_as_what_its_merge_gives() -> None:
    assert "-> str" in repr(ln.reduce(join, words(2)))
    with pytest.raises(WiringError, match=r"length.*`reduce\(add.*int is not str"):
        length(ln.reduce(add, [1, 2]))  # type: ignore[arg-type]


def test_a_reduction_is_an_argument_and_is_mapped_and_nested(session: ln.Session) -> None:
    assert ln.compute(length(ln.reduce(join, words(3)))) == 9
    totals = ln.map(lambda n: ln.reduce(join, words(n)), [1, 2])
    assert ln.compute(ln.reduce(join, totals)) == "<0><0><1>"

    @ln.node
    def counts(n: int) -> list[int]:
        return list(range(1, n + 1))

    assert ln.compute(ln.map(lambda n: ln.reduce(join, words(n)), counts(2))) == ["<0>", "<0><1>"]


# -- what can merge


def test_a_function_that_is_no_node_says_node() -> None:
    def plain(a: int, b: int) -> int:
        return a

    with pytest.raises(CompositionError, match=r"plain is no node.*@lineage\.node"):
        ln.reduce(plain, [1, 2])


def test_what_merges_neither_two_nor_a_list_is_refused() -> None:
    with pytest.raises(CompositionError, match=r"word\(n\) merges neither two parts"):
        ln.reduce(word, ["a"])  # type: ignore[arg-type]

    @ln.node
    def three(a: int, b: int, c: int) -> int:
        return a

    with pytest.raises(CompositionError, match=r"three needs c besides two parts; fix them: functools\.partial"):
        ln.reduce(three, [1])  # type: ignore[arg-type]


def test_a_merge_must_give_what_it_merges() -> None:
    @ln.node
    def size(a: str, b: str) -> int:
        return len(a + b)

    with pytest.raises(WiringError, match="size returns int and merges str: int is not str"):
        ln.reduce(size, ["a"])  # type: ignore[arg-type]

    @ln.node
    def sizes(parts: list[str]) -> int:
        return len(parts)

    with pytest.raises(WiringError, match="sizes returns int and merges str"):
        ln.reduce(sizes, ["a"])  # type: ignore[arg-type]


def test_two_lists_are_merged_as_two_parts(session: ln.Session) -> None:
    @ln.node
    def extended(a: list[int], b: list[int]) -> list[int]:
        return a + b

    assert ln.compute(ln.reduce(extended, [[1], [2, 3], []])) == [1, 2, 3]


def test_a_sink_does_not_merge() -> None:
    @ln.sink
    def publish(a: int, b: int) -> int:
        return a

    with pytest.raises(CompositionError, match="publish is a sink"):
        ln.reduce(publish, [1, 2])


def test_wrong_fixed_arguments_are_refused_when_composed() -> None:
    with pytest.raises(WiringError, match="join_by has no parameter markk"):
        ln.reduce(functools.partial(join_by, markk="+"), ["a"])  # type: ignore[call-arg]
    with pytest.raises(WiringError, match=r"parameter `mark: str` was given 3"):
        ln.reduce(functools.partial(join_by, mark=3), ["a"])  # type: ignore[arg-type]
    with pytest.raises(CompositionError, match="can't be fixed"):
        ln.reduce(functools.partial(join_by, a="x"), ["a"])
    with pytest.raises(CompositionError, match="by keyword"):
        ln.reduce(functools.partial(join_by, "x"), ["a"])


# -- groups


def test_groups_are_all_parts_in_order_and_each_level_has_fewer() -> None:
    digests = [digest_of("t", bytes([i % 256, i // 256])) for i in range(5000)]
    for level in range(4):
        cut = list(groups(digests, level))
        assert [p for group in cut for p in range(group.start, group.stop)] == list(range(5000))
        assert all(2 <= group.stop - group.start <= 32 for group in cut[:-1])
        assert 5 < 5000 / len(cut) < 9


def test_equal_parts_make_equal_groups(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(ln.reduce(add, [1] * 4096)) == 4096
    assert merges(log, "add") <= 12


def test_two_parts_in_turn_make_few_calls(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(ln.reduce(add, [1, 2] * 2048)) == 3 * 2048
    assert merges(log, "add") <= 60


# -- what is executed


def test_a_cached_reduction_is_one_look_up(session: ln.Session, log: EventLog) -> None:
    made = ln.reduce(join, ln.map(word, range(100)))
    ln.compute(made)
    log.clear()
    ln.compute(ln.reduce(join, ln.map(word, range(100))))
    assert log.names() == ["hit reduce"]


def test_a_change_of_one_part_executes_few_merges(session: ln.Session, log: EventLog) -> None:
    base = list(range(1000))
    ln.compute(ln.reduce(join, ln.map(word, base)))
    all_calls = merges(log)
    for changed in ([*base[:500], 5000, *base[501:]], [7000, *base], [*base, 8000], [*base[:300], *base[301:]]):
        log.clear()
        assert ln.compute(ln.reduce(join, ln.map(word, changed))) == "".join(f"<{n}>" for n in changed)
        assert merges(log) <= 10 < all_calls / 10


def test_an_item_put_first_in_a_call_executes_few_merges(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def counted(first: int, n: int) -> list[str]:
        return [f"<{i}>" for i in range(first, n)]

    ln.compute(ln.reduce(join, counted(1, 1000)))
    log.clear()
    assert ln.compute(ln.reduce(join, counted(0, 1000))) == expected(1000)
    assert merges(log) <= 10


def test_equal_reductions_of_values_and_of_calls_share_their_merges(session: ln.Session, log: EventLog) -> None:
    ln.compute(ln.reduce(join, words(100)))
    log.clear()
    ln.compute(ln.reduce(join, ln.map(word, range(100))))
    assert merges(log) == 0


def test_refresh_of_the_merge_executes_the_merges(session: ln.Session, log: EventLog) -> None:
    ln.compute(ln.reduce(join, words(20)))
    count = merges(log)
    log.clear()
    ln.compute(ln.reduce(join, words(20)), refresh=[join])
    assert merges(log) == count
    log.clear()
    ln.compute(ln.reduce(join, words(20)))
    assert log.names() == ["hit reduce"]


def test_a_list_merge_of_a_group_is_the_call_that_people_would_make(session: ln.Session, log: EventLog) -> None:
    ln.compute(ln.reduce(joined, ["a", "b"]))
    log.clear()
    ln.compute(joined(["a", "b"]))
    assert log.names() == ["cutoff joined"] or log.names() == ["hit joined"]


# -- failure


def test_a_failed_part_fails_the_reduction_by_its_name(session: ln.Session, log: EventLog) -> None:
    with pytest.raises(NodeError, match=r"word\(n=-1\) failed: ValueError: no word for -1"):
        ln.compute(ln.reduce(join, ln.map(word, [1, -1, 2])))
    assert log.names().count("executed word") == 2


def test_a_failed_merge_keeps_the_merges_of_other_groups(session: ln.Session, log: EventLog, tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    flag.touch()

    @ln.node(version="1")
    def careful(a: str, b: str) -> str:
        if flag.exists() and "<50>" in b:
            raise ValueError("not this one")
        return a + b

    with pytest.raises(NodeError, match=r"careful\(parts=.*failed: ValueError: not this one"):
        ln.compute(ln.reduce(careful, words(100)))
    done = merges(log, "careful")
    assert done > 8
    flag.unlink()
    log.clear()
    assert ln.compute(ln.reduce(careful, words(100))) == expected(100)
    assert merges(log, "careful") <= 4


def test_outcomes_are_merged_and_are_tried_again(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def both(a: ln.Ok[str] | ln.Failed, b: ln.Ok[str] | ln.Failed) -> ln.Ok[str] | ln.Failed:
        return b if isinstance(a, ln.Failed) else a

    for _ in range(2):
        outcomes = ln.map(ln.attempt(word), [-1, 1, 2])
        assert ln.compute(ln.reduce(both, outcomes)) == ln.Ok("<1>")
    assert log.names().count("failed word") == 2
    assert merges(log, "both") == 1


def test_a_damaged_merge_in_the_middle_is_made_again(tmp_path: Path) -> None:
    @ln.node(version="1")
    def stacked(parts: list[pl.DataFrame]) -> pl.DataFrame:
        return pl.concat(parts)

    @ln.node(version="1")
    def table(n: int) -> pl.DataFrame:
        return pl.DataFrame({"n": range(n * 100, n * 100 + 100)})

    def damage(store: Path) -> int:
        count = 0
        for path in (store / "objects").rglob("*"):
            if path.is_file():
                path.chmod(0o600)
                path.write_bytes(b"damaged")
                count += 1
        return count

    def flow(count: int) -> Any:
        return ln.reduce(stacked, ln.map(table, range(count)))

    store = tmp_path / "store"
    with ln.Session(store, verify="always"):
        whole = ln.compute(flow(60))
    assert damage(store) > 60
    with ln.Session(store, verify="always"):
        assert ln.compute(flow(60)).equals(whole)
    damage(store)
    with ln.Session(store, verify="always"):
        assert ln.compute(flow(61)).height == 6100


# -- what could be a wrong hit


def test_what_the_merge_is_counts(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def rows(parts: list[dict[str, int]]) -> dict[str, int]:
        return {key: value for part in reversed(parts) for key, value in part.items()}

    parts = [{"a": 1}, {"b": 2}]
    found = ln.compute(ln.reduce(rows, parts))
    assert list(found) == ["b", "a"]
    unordered = rows.options(compare="unordered")
    canonical = ln.compute(ln.reduce(unordered, parts))
    assert ln.compute(ln.reduce(rows, parts)) == canonical
    assert log.names().count("executed rows") == 2
    log.clear()
    found = ln.compute(ln.reduce(rows, parts))
    assert list(found) == ["b", "a"]
    ln.compute(ln.reduce(rows.options(retries=3, timeout=5), parts))
    assert log.names() == ["hit reduce", "hit reduce"]


def test_initial_and_the_order_of_parts_count(session: ln.Session) -> None:
    assert ln.compute(ln.reduce(join, ["a", "b"])) == "ab"
    assert ln.compute(ln.reduce(join, ["b", "a"])) == "ba"
    assert ln.compute(ln.reduce(join, ["a", "b"], initial="")) == "ab"
    assert ln.compute(ln.reduce(join, ["a", "b"], initial="b")) == "bab"
    assert ln.compute(ln.reduce(join, ["b"], initial="a")) == "ab"
    assert ln.compute(ln.reduce(functools.partial(join_by, mark="+"), ["a", "b"])) == "a+b"
    assert ln.compute(ln.reduce(functools.partial(join_by, mark="*"), ["a", "b"])) == "a*b"


_scale = 1


def _scaled(x: int) -> int:
    return x * _scale


@ln.node
def add_scaled(a: int, b: int) -> int:
    return _scaled(a + b)


@ln.dynamic
def total(n: int) -> int:
    return ln.reduce(add_scaled, list(range(n)))


def test_an_edit_of_what_the_merge_reaches_executes_it(
    session: ln.Session, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ln.compute(ln.reduce(add_scaled, [1, 2])) == 3
    assert ln.compute(total(3)) == 3
    monkeypatch.setitem(globals(), "_scale", 10)
    assert ln.compute(ln.reduce(add_scaled, [1, 2])) == 30
    assert ln.compute(total(3)) == ((0 + 1) * 10 + 2) * 10
    monkeypatch.setitem(globals(), "_scale", 1)
    log.clear()
    assert ln.compute(ln.reduce(add_scaled, [1, 2])) == 3
    assert ln.compute(total(3)) == 3


def test_a_dynamic_node_that_vouches_for_its_code_relies_on_the_merge_below_it(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    vouched = total.options(version="1")
    assert ln.compute(vouched(3)) == 3
    monkeypatch.setitem(globals(), "_scale", 10)
    assert ln.compute(vouched(3)) == 120


def test_a_merge_that_changed_after_it_was_composed_is_not_recorded_under_what_it_was(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ln.reduce(add_scaled, [1, 2, 3])
    monkeypatch.setitem(globals(), "_scale", 10)
    assert ln.compute(made) == ln.compute(ln.reduce(add_scaled, [1, 2, 3])) == 330
    monkeypatch.setitem(globals(), "_scale", 1)
    assert ln.compute(ln.reduce(add_scaled, [1, 2, 3])) == ln.compute(made) == 6


def test_the_contract_of_a_merge_inside_a_dynamic_node_counts(session: ln.Session, log: EventLog) -> None:
    merge = add.options(compare="exact")

    @ln.dynamic
    def summed(n: int) -> int:
        return ln.reduce(merge, list(range(n)))

    ln.compute(summed(20))
    log.clear()
    merge = add.options(compare="unordered")
    ln.compute(summed(20))
    assert merges(log, "add") > 0


def test_approximate_merges_keep_their_anchors(session: ln.Session) -> None:
    @ln.node(compare=ln.Approx(rel=1e-9))
    def plus(a: float, b: float) -> float:
        return a + b

    numbers = [0.1 * n for n in range(50)]
    assert ln.compute(ln.reduce(plus, numbers)) == pytest.approx(sum(numbers))


# -- how deep and how wide


def test_many_parts_do_not_recurse(session: ln.Session) -> None:
    assert ln.compute(ln.reduce(add, list(range(100_000)))) == sum(range(100_000))
