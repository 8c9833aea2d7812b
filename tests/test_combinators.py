from __future__ import annotations

import collections
import functools
import itertools
import time
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import lineage as ln
from lineage.errors import (
    CompositionError,
    LazyValueError,
    NodeError,
    NotFoundError,
    UnstableIdentityError,
    WiringError,
)
from lineage.testing import EventLog


@ln.node
def double(x: int) -> int:
    return 2 * x


@ln.node
def scaled(x: int, factor: int = 1, *, plus: int = 0) -> int:
    return x * factor + plus


@ln.node
def numbers(n: int) -> list[int]:
    return [10 * i for i in range(n)]


@ln.node
def listed(xs: list[int]) -> list[int]:
    return xs


@ln.node
def table(n: int) -> pl.DataFrame:
    return pl.DataFrame({"a": list(range(n)), "b": ["x"] * n})


# -- map


def test_map_makes_one_call_per_item(session: ln.Session, log: EventLog) -> None:
    made = ln.map(double, [1, 2, 3])
    assert isinstance(made, list)
    assert ln.compute(made) == [2, 4, 6]
    assert log.names() == ["executed double"] * 3


def test_map_gives_the_other_arguments_to_every_call(session: ln.Session) -> None:
    assert ln.compute(ln.map(scaled, [1, 2], 3)) == [3, 6]
    assert ln.compute(ln.map(scaled, [1, 2], factor=3, plus=double(1))) == [5, 8]


def test_map_takes_a_partial_of_a_node(session: ln.Session) -> None:
    assert ln.compute(ln.map(functools.partial(scaled, factor=3, plus=double(1)), [1, 2])) == [5, 8]


def test_map_takes_a_lambda_that_composes(session: ln.Session) -> None:
    assert ln.compute(ln.map(lambda x: scaled(double(x), x), [1, 2])) == [2, 8]
    assert ln.compute(ln.map(lambda x: [double(x), x], [1, 2])) == [[2, 1], [4, 2]]


def test_map_over_nothing_is_nothing(session: ln.Session) -> None:
    assert ln.map(double, []) == []
    assert ln.compute(ln.map(double, numbers(0))) == []


def test_map_over_any_iterable(session: ln.Session) -> None:
    assert ln.compute(ln.map(double, (x for x in range(2)))) == [0, 2]
    assert ln.compute(ln.map(double, [double(1), 2])) == [4, 4]


def test_map_shows_no_item_that_it_takes() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise AssertionError("ten thousand of these would take a while to show")

    assert len(ln.map(lambda _: double(1), [Shy(), Shy()])) == 2


def test_map_of_a_function_that_composes_nothing_says_node() -> None:
    def plain(x: int) -> int:
        return x

    with pytest.raises(CompositionError, match=r"plain returned 1, a plain value.*@lineage\.node"):
        ln.map(plain, [1])


def test_map_checks_the_wiring_of_every_item() -> None:
    with pytest.raises(WiringError, match=r"double.*parameter `x: int` was given 'a'"):
        ln.map(double, [1, "a"])  # type: ignore[misc]


def test_map_over_a_call_waits_for_its_length(session: ln.Session, log: EventLog) -> None:
    made = ln.map(scaled, numbers(3), factor=2, plus=double(1))
    assert ln.compute(listed(made)) == [2, 22, 42]
    assert log.names().count("executed scaled") == 3


def test_map_over_a_call_composes_with_a_lambda(session: ln.Session) -> None:
    assert ln.compute(ln.map(lambda x: scaled(double(x), 2), numbers(2))) == [0, 40]


def test_an_item_added_to_a_mapped_call_executes_one_call(session: ln.Session, log: EventLog) -> None:
    ln.compute(ln.map(double, numbers(3)))
    log.clear()
    ln.compute(ln.map(double, numbers(4)))
    assert log.names().count("executed double") == 1


def test_map_over_a_field_and_over_a_dict_of_calls(session: ln.Session) -> None:
    @ln.node
    def parts(n: int) -> tuple[list[int], str]:
        return list(range(n)), "a"

    first, _ = parts(2)
    assert ln.compute(ln.map(double, first)) == [0, 2]
    assert ln.compute({k: double(v) for k, v in {"a": 1}.items()}) == {"a": 2}


def test_starmap_spreads_tuples(session: ln.Session) -> None:
    assert ln.compute(ln.starmap(scaled, [(1, 2), (double(1), 4)], plus=1)) == [3, 9]


def test_flatten_joins_lists_known_and_lazy(session: ln.Session) -> None:
    assert ln.flatten([[1], [], [2, 3]]) == [1, 2, 3]
    assert ln.compute(ln.flatten([[double(1)], [2]])) == [2, 2]
    assert ln.compute(ln.flatten([numbers(2), [7]])) == [0, 10, 7]

    @ln.node
    def nested(n: int) -> list[list[int]]:
        return [[i] for i in range(n)]

    assert ln.compute(ln.flatten(nested(2))) == [0, 1]


# -- attempt


@ln.node
def invert(x: float) -> float:
    print("inverting", x)
    return 1 / x


@ln.node
def told(outcome: ln.Ok[float] | ln.Failed) -> str:
    match outcome:
        case ln.Ok(value=value):
            return f"ok {value}"
        case ln.Failed(error=error, log=log):
            return f"failed {error} after {log.strip()!r}"


def test_attempt_gives_the_outcome_as_data(session: ln.Session) -> None:
    assert ln.compute(ln.attempt(invert)(2.0)) == ln.Ok(0.5)
    failed = ln.compute(ln.attempt(invert)(0.0))
    assert isinstance(failed, ln.Failed)
    assert failed.error == "ZeroDivisionError: float division by zero"
    assert failed.log == "inverting 0.0\n"


def test_an_outcome_is_an_argument(session: ln.Session) -> None:
    outcomes = [ln.attempt(invert)(x) for x in (2.0, 0.0)]
    expected = "failed ZeroDivisionError: float division by zero after 'inverting 0.0'"
    assert ln.compute(ln.map(told, outcomes)) == ["ok 0.5", expected]


def test_attempt_takes_a_call_and_is_mapped(session: ln.Session) -> None:
    assert ln.compute(ln.attempt(invert(4.0))) == ln.Ok(0.25)
    kinds = [type(outcome).__name__ for outcome in ln.compute(ln.map(ln.attempt(invert), [1.0, 0.0]))]
    assert kinds == ["Ok", "Failed"]


def test_a_failure_is_never_cached_as_a_success(session: ln.Session, log: EventLog) -> None:
    for _ in range(2):
        ln.compute(told(ln.attempt(invert)(0.0)))
    assert log.names().count("failed invert") == 2


def test_attempt_of_a_plain_value_is_refused() -> None:
    def plain(x: int) -> int:
        return x

    with pytest.raises(CompositionError, match="attempt needs a node"):
        ln.attempt(plain)(1)


def test_an_outcome_is_wired_by_its_type() -> None:
    with pytest.raises(WiringError, match=r"`attempt\(invert\(x=1.0\)\)`.*Failed.*is not float"):
        invert(ln.attempt(invert)(1.0))  # type: ignore[arg-type]
    with pytest.raises(LazyValueError, match="no lazy field `value`"):
        ln.attempt(invert)(1.0).value  # type: ignore[union-attr]  # noqa: B018


# -- tables


@ln.node
def height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


@ln.node
def kind(frame: Any) -> str:
    return type(frame).__module__.partition(".")[0] + "." + type(frame).__name__


def test_scan_reads_a_table_or_many_as_one_lazy_frame(session: ln.Session) -> None:
    assert ln.compute(height(ln.scan(table(3)))) == 3
    assert ln.compute(height(ln.scan([table(3), table(4)]))) == 7
    assert ln.compute(height(ln.scan(ln.map(table, [1, 2])))) == 3
    assert ln.compute(kind(ln.scan(table(1)))) == "polars.LazyFrame"


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (pl.DataFrame, "polars.DataFrame"),
        (pl.LazyFrame, "polars.LazyFrame"),
        (pa.Table, "pyarrow.Table"),
        (pd.DataFrame, "pandas.DataFrame"),
    ],
)
def test_view_reads_a_table_as_another_type(cls: type, name: str, session: ln.Session) -> None:
    assert ln.compute(kind(ln.view(table(2), cls))) == name


def test_a_table_where_a_lazy_frame_is_wanted_says_scan() -> None:
    with pytest.raises(WiringError, match=r"`table\(n=1\)` -> DataFrame.*lineage\.scan"):
        height(table(1))  # type: ignore[arg-type]


def test_a_view_has_its_type_when_it_is_wired() -> None:
    with pytest.raises(WiringError, match="LazyFrame is not int"):
        double(ln.scan(table(1)))  # type: ignore[arg-type]
    with pytest.raises(WiringError, match=r"DataFrame is not LazyFrame; lineage\.scan"):
        height(ln.view(table(1), pl.DataFrame))  # type: ignore[arg-type]


def test_what_is_no_table_is_not_scanned() -> None:
    with pytest.raises(WiringError, match=r"`double\(x=1\)` -> int is no table"):
        ln.scan(double(1))  # type: ignore[arg-type]
    with pytest.raises(CompositionError, match=r"can be viewed as polars\.DataFrame"):
        ln.view(table(1), dict)


# -- ref and dataset


def test_a_ref_is_an_input_of_the_type_it_is_said_to_have(session: ln.Session, log: EventLog) -> None:
    ln.tag(ln.materialize(double(4)), "best")
    assert ln.compute(double(ln.ref("best", of=int))) == 16
    assert ln.compute(double(ln.ref("best", of=double))) == 16
    assert ln.compute(double(ln.ref(double))) == 32  # the latest is double(8) now
    with pytest.raises(WiringError, match=r"`ref\('best'\)` -> str: str is not int"):
        double(ln.ref("best", of=str))  # type: ignore[arg-type]


def test_a_ref_to_a_handle_keeps_its_type(session: ln.Session) -> None:
    handle = ln.materialize(double(4))
    assert ln.compute(double(ln.ref(handle))) == 16
    with pytest.raises(WiringError, match="int is not"):
        height(ln.ref(handle))  # type: ignore[arg-type]


def test_a_ref_to_the_handle_of_a_field_is_that_field(session: ln.Session) -> None:
    @ln.node
    def pair(x: int) -> tuple[int, int]:
        return x, 2 * x

    assert ln.compute(double(ln.ref(ln.materialize(pair(3)[1])))) == 12
    with pytest.raises(CompositionError, match="take each of them"):
        ln.ref(ln.materialize([double(1), double(2)]))


# Fails in lineage/session.py: a tag points at an execution, so a field's handle is tagged as the whole result.
def test_a_tag_of_a_field_is_that_field(session: ln.Session) -> None:
    @ln.node
    def pair(x: int) -> tuple[int, int]:
        return x, 2 * x

    ln.tag(ln.materialize(pair(3)[1]), "second")
    assert ln.dataset("second").value == 6


def test_a_ref_to_nothing_says_so_when_it_is_asked_for(session: ln.Session) -> None:
    lazy = ln.ref("nothing")
    with pytest.raises(NotFoundError, match="nothing"):
        ln.compute(double(lazy))


def test_dataset_gives_the_latest_handle_of_a_node(session: ln.Session) -> None:
    ln.compute(double(4))
    assert ln.dataset(double).value == 8
    ln.tag(ln.dataset(double), "best")
    assert ln.dataset("best", of=int).value == 8
    assert ln.dataset("best", of=double).value == 8


# -- sinks


def test_a_sink_is_done_once_per_input(session: ln.Session, log: EventLog, tmp_path: Any) -> None:
    target = tmp_path / "out.txt"

    @ln.sink
    def publish(x: int, where: str) -> int:
        with open(where, "a") as file:
            file.write(f"{x}\n")
        return x

    for _ in range(2):
        assert ln.compute(publish(double(1), str(target))) == 2
    assert target.read_text() == "2\n"
    assert log.names()[-1] == "hit publish"


def test_a_failing_map_keeps_what_succeeded(session: ln.Session, log: EventLog) -> None:
    with pytest.raises(NodeError, match=r"invert\(x=0.0\) failed"):
        ln.compute(ln.map(invert, [1.0, 0.0, 2.0]))
    log.clear()
    assert ln.compute(ln.map(invert, [1.0, 2.0])) == [1.0, 0.5]
    assert log.names() == ["hit invert", "hit invert"]


# -- what is no sequence


@pytest.mark.parametrize(
    ("xs", "advice"),
    [
        ("ab", r"not 'ab' \(str\): its items would be letters"),
        (None, r"not None \(NoneType\)"),
        ({"a": 1}, r"its items would be keys alone; give list\(d\.items\(\)\)"),
        (pl.DataFrame({"a": [1]}), "its items would be columns"),
        (3, r"map of double needs a sequence, not 3 \(int\)"),
    ],
)
def test_what_is_no_sequence_is_refused_with_advice(xs: Any, advice: str) -> None:
    with pytest.raises(CompositionError, match=f"(?s){advice}"):
        ln.map(double, xs)


@ln.node
def anything(kind: str) -> Any:
    return {"str": "ab", "none": None, "dict": {"a": 1}, "table": pl.DataFrame({"a": [1]}), "int": 3}[kind]


@pytest.mark.parametrize("kind", ["str", "none", "dict", "table", "int"])
def test_a_call_that_gives_no_sequence_fails_by_name(kind: str, session: ln.Session) -> None:
    with pytest.raises(NodeError, match=r"map of double needs a sequence, and `anything\(kind='.*'\)` gave"):
        ln.compute(ln.map(double, anything(kind)))


def test_a_call_that_is_typed_as_no_sequence_is_refused_when_composed() -> None:
    with pytest.raises(CompositionError, match=r"needs a sequence, not `table\(n=1\)` -> DataFrame: its items"):
        ln.map(double, table(1))  # type: ignore[misc]
    with pytest.raises(CompositionError, match=r"not `double\(x=1\)` -> int"):
        ln.map(double, double(1))  # type: ignore[arg-type]


def test_any_sequence_that_a_call_gives_is_mapped_over(session: ln.Session) -> None:
    @ln.node
    def sequence(kind: str) -> Any:
        return {"tuple": (1, 2), "range": range(1, 3), "set": {2, 1}, "deque": collections.deque([1, 2])}[kind]

    for kind in ("tuple", "range", "deque"):
        assert ln.compute(ln.map(double, sequence(kind))) == [2, 4]
    assert sorted(ln.compute(ln.map(double, sequence("set")))) == [2, 4]
    assert ln.compute(ln.map(double, sequence("set"))) == ln.compute(ln.map(double, {1, 2}))


# -- types of what is composed later


def test_a_map_over_a_call_is_typed_and_checked_when_composed() -> None:
    assert "-> list[int]" in repr(ln.map(double, numbers(2)))
    assert "-> list[list[int]]" in repr(ln.map(lambda x: numbers(double(x)), numbers(2)))
    with pytest.raises(WiringError, match=r"height.*`numbers\(n=1\)\[0\]` -> int"):
        ln.map(height, numbers(1))  # type: ignore[misc]
    with pytest.raises(WiringError, match=r"scaled.*parameter `factor: int` was given 'a'"):
        ln.map(scaled, numbers(1), factor="a")  # type: ignore[arg-type]


def test_a_plain_function_over_a_call_is_told_when_composed() -> None:
    with pytest.raises(CompositionError, match=r"returned <numbers|plain value"):
        ln.map(lambda x: 3, numbers(1))


# -- nested, over maps, over fields


def test_maps_are_nested_and_mapped_again(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(ln.map(lambda xs: ln.map(double, xs), ln.map(numbers, [1, 3]))) == [[0], [0, 20, 40]]
    assert ln.compute(ln.map(lambda n: ln.map(double, numbers(n)), numbers(2))) == [[], [0, 20, *range(40, 200, 20)]]
    assert ln.compute(ln.map(double, ln.map(double, numbers(3)))) == [0, 40, 80]


def test_a_partial_with_a_call_is_mapped_over_a_call(session: ln.Session) -> None:
    assert ln.compute(ln.map(functools.partial(scaled, factor=3, plus=double(1)), numbers(2))) == [2, 32]
    assert ln.compute(ln.map(functools.partial(scaled, 2), numbers(2))) == [0, 20]


_extra = 1


def _helped(x: int) -> int:
    return scaled(x, plus=_extra)


def test_what_a_composing_function_reaches_counts(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ln.map(lambda x: _helped(x), numbers(2))
    assert ln.compute(made) == [1, 11]
    monkeypatch.setitem(globals(), "_extra", 5)
    assert ln.compute(ln.map(lambda x: _helped(x), numbers(2))) == [5, 15]
    assert ln.compute(made) == [5, 15]
    monkeypatch.setitem(globals(), "_extra", 1)
    assert ln.compute(ln.map(lambda x: _helped(x), numbers(2))) == [1, 11]


def test_a_closure_of_a_composing_function_counts(session: ln.Session) -> None:
    def times(factor: int) -> Any:
        return ln.map(lambda x: scaled(x, factor), numbers(2))

    assert ln.compute(times(2)) == [0, 20]
    assert ln.compute(times(3)) == [0, 30]


def test_refresh_reaches_the_calls_of_a_map_over_a_call(session: ln.Session, log: EventLog) -> None:
    ln.compute(ln.map(double, numbers(2)))
    log.clear()
    ln.compute(ln.map(double, numbers(2)), refresh=[double])
    assert log.names().count("executed double") == 2
    log.clear()
    assert ln.compute(ln.map(double, numbers(2))) == [0, 20]
    assert log.names() == ["hit map"]


def test_a_call_in_the_default_of_a_composing_function_is_refused(session: ln.Session) -> None:
    def times(base: int) -> Any:
        def one(x: int, factor: int = base) -> int:
            return scaled(x, factor)

        return ln.map(one, numbers(2))

    assert ln.compute(times(2)) == [0, 20]
    with pytest.raises(UnstableIdentityError, match=r"default `one\.factor`"):
        ln.compute(times(double(1)))


# -- what stands inside a composition and is none of its arguments


@ln.node
def content(x: int, path: ln.File) -> str:
    return f"{x} {path.path.read_text()}"


@ln.node
def contents(files: list[ln.File]) -> str:
    return " ".join(file.path.read_text() for file in files)


@ln.node
def upper(text: str) -> str:
    return text.upper()


@ln.node(every="1h")
def period(x: int, place: str) -> str:
    return Path(place).read_text()


@ln.dynamic
def reads(x: int, folder: str) -> str:
    return content(x, ln.File(f"{folder}/a.txt"))


@ln.dynamic
def reads_all(x: int, folder: str) -> str:
    return contents(ln.files(f"{folder}/*.txt"))


@ln.dynamic
def reads_name(x: int, folder: str) -> str:
    return upper(ln.ref("named", of=str))


def reads_deep(x: int, folder: str) -> Any:
    return upper(upper(reads(x, folder)))


def reads_mapped(x: int, folder: str) -> Any:
    return ln.map(lambda n: content(n, ln.File(f"{folder}/a.txt")), numbers(x))


@pytest.mark.parametrize("how", [reads, reads_all, reads_name, reads_deep, reads_mapped])
def test_an_input_inside_a_composition_is_looked_at_each_time(how: Any, session: ln.Session, tmp_path: Path) -> None:
    def change(text: str) -> None:
        (tmp_path / "a.txt").write_text(text)
        session.tag(session.materialize(upper(text)), "named")

    change("one")
    assert "one" in str(ln.compute(how(1, str(tmp_path)))).lower()
    assert "one" in str(ln.compute(how(1, str(tmp_path)))).lower()
    change("two")
    assert "two" in str(ln.compute(how(1, str(tmp_path)))).lower()
    (tmp_path / "b.txt").write_text("three")
    assert ("three" in ln.compute(reads_all(1, str(tmp_path)))) is True


def test_a_source_inside_a_composition_has_one_value_per_period(
    session: ln.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "now.txt"
    made = ln.map(lambda x: period(x, str(place)), numbers(1))
    place.write_text("then")
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert ln.compute(made) == ["then"]
    place.write_text("now")
    assert ln.compute(made) == ["then"]
    monkeypatch.setattr(time, "time", lambda: 1e9 + 3601)
    assert ln.compute(made) == ["now"]


@ln.node
def kept(x: int, place: str) -> str:
    return Path(place).read_text()


@ln.dynamic
def keeps(x: int, place: str) -> str:
    return upper(kept(x, place))


@pytest.mark.filterwarnings("ignore:.*no input of it")
def test_refresh_reaches_into_a_composition_and_lasts(session: ln.Session, tmp_path: Path) -> None:
    place = tmp_path / "now.txt"
    place.write_text("then")
    assert ln.compute(keeps(1, str(place)), upper(keeps(1, str(place)))) == ("THEN", "THEN")
    place.write_text("now")
    assert ln.compute(upper(keeps(1, str(place)))) == "THEN"
    assert ln.compute(upper(keeps(1, str(place))), refresh=[kept]) == "NOW"
    assert ln.compute(keeps(1, str(place)), kept(1, str(place))) == ("NOW", "now")


# -- starmap, zip, flatten over calls


@ln.node
def pairs(n: int) -> list[tuple[int, int]]:
    return [(i, 10 * i) for i in range(n)]


def test_starmap_over_a_call(session: ln.Session) -> None:
    assert ln.compute(ln.starmap(scaled, pairs(3), plus=1)) == [1, 11, 41]
    assert ln.compute(ln.starmap(scaled, [numbers(2), (3, double(2))])) == [0, 12]  # type: ignore[list-item]
    with pytest.raises(WiringError, match="scaled"):
        ln.starmap(scaled, pairs(1), plus="a")  # type: ignore[arg-type]


def test_zip_sets_sequences_side_by_side(session: ln.Session) -> None:
    assert ln.zip([1, 2], ["a", "b"]) == [(1, "a"), (2, "b")]
    assert ln.compute(ln.zip(numbers(2), [double(1), 3], range(2))) == [(0, 2, 0), (10, 3, 1)]
    assert ln.compute(ln.starmap(scaled, ln.zip(numbers(3), numbers(3)))) == [0, 100, 400]
    assert "-> list[tuple[int, Any]]" in repr(ln.zip(numbers(1), [2]))


def test_zip_of_different_lengths_names_them(session: ln.Session) -> None:
    with pytest.raises(CompositionError, match=r"one length: \[1, 2\] has 2; \[3\] has 1"):
        ln.zip([1, 2], [3])
    with pytest.raises(NodeError, match=r"one length: numbers\(…\) has 3; list\(1\) has 1"):
        ln.compute(ln.zip(numbers(3), [1]))


def test_flatten_reads_nothing(session: ln.Session, tmp_path: Any) -> None:
    @ln.node
    def tables(n: int) -> list[pl.DataFrame]:
        return [pl.DataFrame({"a": [i]}) for i in range(n)]

    @ln.node
    def fitting(frame: pl.DataFrame) -> int:
        return frame.height

    flat = ln.flatten(ln.map(tables, [1, 2]))
    ln.materialize(flat)
    for path in (tmp_path / "store" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"x")
    assert len(ln.materialize(flat)) == 3
    assert ln.compute(ln.map(fitting, ln.flatten(ln.map(tables, [1, 2])))) == [1, 1, 1]


def test_flatten_of_words_is_refused() -> None:
    with pytest.raises(CompositionError, match="flatten needs a sequence, not 'ab'"):
        ln.flatten(["ab"])
    assert "-> list[int]" in repr(ln.flatten([numbers(1), numbers(2)]))


# -- a mistaken million


def test_too_many_items_are_refused_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CompositionError, match=r"map of double was given 100,001 items.*max_fanout"):
        ln.map(double, range(100_001))
    monkeypatch.setenv("LINEAGE_MAX_FANOUT", "2")
    assert len(ln.map(double, [1, 2])) == 2
    with pytest.raises(CompositionError, match="was given 3 items, and at most 2 are let through"):
        ln.map(double, [1, 2, 3])
    with pytest.raises(CompositionError, match="starmap of scaled was given 3 items"):
        ln.starmap(scaled, [(1, 2)] * 3)
    with pytest.raises(CompositionError, match="flatten was given 4 items"):
        ln.flatten([[1, 2], [3, 4]])


def test_an_endless_iterator_fails_and_does_not_hang() -> None:
    with pytest.raises(CompositionError, match="an iterator with still more items"):
        ln.map(double, itertools.count())


def test_the_limit_is_that_of_the_session_when_composed_and_when_run(tmp_path: Any) -> None:
    with ln.Session(tmp_path, max_fanout=3) as session:
        with pytest.raises(CompositionError, match="at most 3"):
            ln.map(double, range(4))
        with pytest.raises(NodeError, match=r"map of double was given 4 items, and at most 3.*LINEAGE_MAX_FANOUT"):
            ln.compute(ln.map(double, numbers(4)))
    with pytest.raises(NodeError, match="at most 3"):
        session.compute(ln.map(double, numbers(4)))
    with ln.Session(tmp_path, max_fanout=4):
        assert len(ln.compute(ln.map(double, numbers(4)))) == 4


# -- shards that fail


def test_one_country_of_two_hundred_fails_and_is_executed_again_alone(
    session: ln.Session, log: EventLog, tmp_path: Any
) -> None:
    broken = tmp_path / "broken"
    broken.touch()

    @ln.node(version="1")
    def train(country: int) -> float:
        if country == 77 and broken.exists():
            raise ValueError("no data")
        return country / 2

    flow = ln.map(ln.attempt(train), range(200))
    outcomes = ln.compute(flow)
    assert [type(outcome) for outcome in outcomes].count(ln.Ok) == 199
    assert isinstance(outcomes[77], ln.Failed)
    log.clear()
    ln.compute(ln.map(ln.attempt(train), range(200)))
    assert log.names().count("failed train") == 1
    assert log.names().count("hit train") == 199
    broken.unlink()
    log.clear()
    assert ln.compute(ln.map(ln.attempt(train), range(200))) == [ln.Ok(country / 2) for country in range(200)]
    assert log.names().count("executed train") == 1
    assert log.names().count("hit train") == 199


def test_outcomes_of_a_map_over_a_call_are_tried_again(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def floats() -> list[float]:
        return [1.0, 0.0]

    for _ in range(2):
        outcomes = ln.compute(ln.map(ln.attempt(invert), floats()))
        assert [type(outcome) for outcome in outcomes] == [ln.Ok, ln.Failed]
    assert log.names().count("failed invert") == 2
    assert log.names().count("executed invert") == 1


# -- handles of many


def test_the_handle_of_a_list_is_a_sequence_of_handles(session: ln.Session) -> None:
    parts = ln.materialize(ln.map(double, [1, 2, 3]))
    assert len(parts) == 3
    assert [part.value for part in parts] == [2, 4, 6]
    assert parts[2].digest == ln.materialize(double(3)).digest
    assert parts[-1].origin == ln.materialize(double(3)).origin
    assert bool(ln.materialize(ln.map(double, numbers(0))))
    with pytest.raises(NotFoundError, match="3 items, and none at 3"):
        parts[3]


def test_a_part_of_a_map_over_a_call_has_the_origin_of_its_own_call(session: ln.Session) -> None:
    for _ in range(2):  # executed, then found
        parts = ln.materialize(ln.map(double, numbers(3)))
        assert parts[1].value == 20
        origin = parts[1].origin
        assert origin is not None
        assert (origin.node, origin.arguments["x"]["digest"]) == ("double", ln.materialize(numbers(3))[1].digest.hex())
    assert ln.materialize(numbers(3))[1].origin == ln.materialize(numbers(3)).origin
    assert ln.compute(double(ln.ref(parts[1]))) == 40


def test_handles_of_dicts_go_by_key_and_values_are_no_collections(session: ln.Session) -> None:
    found: Any = ln.materialize({"a": double(1), "b": [double(2)]})
    assert found["a"].value == 2
    assert found["b"][0].value == 4
    with pytest.raises(NotFoundError, match="no item 'c'"):
        found["c"]
    with pytest.raises(CompositionError, match="by key"):
        iter(found)
    with pytest.raises(CompositionError, match="one value, no collection"):
        len(ln.materialize(double(1)))
