"""Calls that are carried out once more: what is made different, how it is compared, and that nothing of it is recorded."""

from __future__ import annotations

import datetime
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from time import time as now
from typing import Annotated, Any

import attrs
import numpy as np
import polars as pl
import pytest

import lineage as ln
from lineage.errors import CompositionError
from lineage.verification import Checked, Verification


@ln.node
def double(x: int) -> int:
    return 2 * x


@ln.node
def total(xs: list[int]) -> int:
    return sum(xs)


@ln.node
def table(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(rows), "b": [0.5] * rows})


@ln.node(version="1")
def in_order_of_hash(count: int) -> list[str]:
    return list({str(number) for number in range(count)})


def only(found: Verification) -> Checked:
    (one,) = found
    return one


# -- the verdict


def test_a_call_that_gives_the_same_again_is_deterministic(session: ln.Session) -> None:
    found = ln.verify(double(4))
    assert found
    assert repr(found) == "Verification: 1 deterministic\n  deterministic  double(x=4)"
    (verdict,) = ln.materialize(double(4)).verdicts
    assert (verdict.outcome, verdict.difference, verdict.user) == ("deterministic", None, session.user)
    assert verdict.circumstances == found.circumstances
    assert abs(verdict.at - time.time()) < 600


def test_a_call_that_differs_shows_the_first_difference_and_its_record_stays(session: ln.Session) -> None:
    before = ln.compute(in_order_of_hash(40))
    executed = ln.calls().height
    found = ln.verify(in_order_of_hash(40))
    assert not found
    one = only(found)
    assert one.verdict == "differs"
    assert one.difference is not None
    position = int(one.difference.path.strip("[]"))
    assert one.difference.one == repr(before[position]) != one.difference.other
    assert f"at [{position}]: {one.difference.one} was recorded, {one.difference.other} came out" in repr(found)
    assert ln.compute(in_order_of_hash(40)) == before
    assert ln.calls().height == executed
    assert [verdict.outcome for verdict in ln.materialize(in_order_of_hash(40)).verdicts] == ["differs"]


def test_a_result_that_comes_out_otherwise_leaves_nothing_in_the_store(session: ln.Session) -> None:
    ln.materialize(noisy_table(50))
    objects = sorted((session.root / "objects").rglob("*"))
    contents = session.store.index.ask("SELECT count(*) FROM contents")
    assert not ln.verify(noisy_table(50))
    assert sorted((session.root / "objects").rglob("*")) == objects
    assert session.store.index.ask("SELECT count(*) FROM contents") == contents


@ln.node(version="1")
def noisy_table(rows: int) -> pl.DataFrame:
    frame = pl.DataFrame({"a": range(rows), "b": [0.5] * rows})
    noise = random.SystemRandom().random()
    return frame.with_columns(b=pl.when(pl.col("a") == 7).then(noise).otherwise(pl.col("b")))


def test_in_a_table_the_difference_has_a_column_and_a_row(session: ln.Session) -> None:
    one = only(ln.verify(noisy_table(50)))
    assert one.difference is not None
    assert (one.difference.column, one.difference.row) == ("b", 7)
    assert "column 'b', row 7: 0." in str(one)


# -- what is made different


@ln.node(version="1")
def asked_clock(how: str) -> float:
    if how == "time":
        return time.time()
    if how == "imported before":
        return now()
    if how == "datetime":
        return datetime.datetime.now(datetime.UTC).timestamp()
    return float(datetime.date.today().toordinal()) * 86400


@pytest.mark.parametrize("how", ["time", "imported before", "datetime", "date"])
def test_the_clock_is_another(session: ln.Session, how: str) -> None:
    difference = only(ln.verify(asked_clock(how))).difference
    assert difference is not None
    assert float(difference.other) - float(difference.one) > 399 * 86400


@ln.node(version="1")
def surroundings(what: str) -> str:
    return {
        "folder": lambda: os.getcwd(),
        "zone": lambda: time.strftime("%H:%M %Z", time.localtime(0)),
        "polars": lambda: str(pl.thread_pool_size()),
        "process": lambda: str(os.getpid()),
    }[what]()


@pytest.mark.parametrize("what", ["folder", "zone", "polars", "process"])
def test_process_folder_zone_and_threads_are_others(session: ln.Session, what: str) -> None:
    assert only(ln.verify(surroundings(what))).verdict == "differs"


counted: list[int] = []


@ln.node(version="1")
def how_many_before(x: int) -> int:
    counted.append(x)
    return len(counted)


def test_calls_run_in_the_opposite_order(session: ln.Session) -> None:
    counted.clear()
    assert ln.compute([how_many_before(x) for x in range(3)]) == [1, 2, 3]
    found = ln.verify([how_many_before(x) for x in range(3)])
    assert [one.verdict for one in found] == ["differs", "deterministic", "differs"]
    assert found[0].difference is not None
    assert (found[0].difference.one, found[0].difference.other) == ("1", "3")


@ln.node
def drawn(count: int) -> list[float]:
    from scipy.stats import norm

    return [float(x) for x in norm.rvs(size=count)]


def test_what_the_contract_fixes_stays_as_it_was(session: ln.Session) -> None:
    assert ln.verify([drawn(3), sums(10_000)])


@ln.node
def sums(rows: int) -> pl.DataFrame:
    frame = pl.DataFrame({"key": [row % 7 for row in range(rows)], "x": range(rows)})
    return frame.lazy().group_by("key", maintain_order=True).agg(pl.col("x").sum()).collect()


# -- contracts


@ln.node(version="1", compare="unordered")
def rows_in_any_order(count: int) -> pl.DataFrame:
    return pl.DataFrame({"word": list({str(number) for number in range(count)})})


def test_an_unordered_result_may_come_in_another_order(session: ln.Session) -> None:
    assert ln.verify(rows_in_any_order(40))


@ln.node(version="1", compare=ln.Approx(rel=1e-6))
def nearly(x: float) -> np.ndarray[Any, Any]:
    return x * (1 + 1e-9 * np.full(3, random.SystemRandom().random() + 0.1))


@ln.node(version="1", compare=ln.Approx(rel=1e-12))
def not_nearly(x: float) -> np.ndarray[Any, Any]:
    return x * (1 + 1e-9 * np.full(3, random.SystemRandom().random() + 0.1))


def test_an_approximate_result_may_differ_within_its_tolerance(session: ln.Session) -> None:
    one = only(ln.verify(nearly(2.0)))
    assert one.verdict == "deterministic"
    assert "of the tolerance" in one.reason
    assert only(ln.verify(not_nearly(2.0))).verdict == "differs"


# -- what can't be run


@ln.sink
def publish(x: int) -> int:
    return x


@ln.node(every="1d")
def today() -> str:
    return time.strftime("%Y")


@ln.node(version="1")
def fails_elsewhere(x: int, here: Annotated[str, ln.Unhashed] = "") -> int:
    if os.getcwd() != here:
        raise ValueError("not here")
    return x


@ln.node(version="1")
def dies_elsewhere(x: int, pid: Annotated[int, ln.Unhashed] = 0) -> int:
    if os.getpid() != pid:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def test_effects_and_sources_are_not_run_again(session: ln.Session) -> None:
    assert only(ln.verify(publish(1))).reason == "it is an effect on the outside world"
    found = only(ln.verify(today()))
    assert (found.verdict, found.reason) == ("cannot be run", "it is a source: another time gives another value")
    assert [verdict.outcome for verdict in ln.materialize(today()).verdicts] == ["cannot be run"]


def test_a_call_that_fails_now_says_how(session: ln.Session) -> None:
    one = only(ln.verify(fails_elsewhere(1, here=os.getcwd())))
    assert (one.verdict, one.reason) == ("cannot be run", "it failed: ValueError: not here")


def test_a_call_that_kills_its_process_says_so_and_the_others_run(session: ln.Session) -> None:
    found = ln.verify([double(1), dies_elsewhere(1, pid=os.getpid()), double(2)])
    assert [one.verdict for one in found] == ["deterministic", "cannot be run", "deterministic"]
    assert "was killed by SIGKILL" in found[1].reason
    assert repr(found).splitlines()[1].startswith("  cannot be run  dies_elsewhere(x=1")


def test_changed_code_is_another_call(session: ln.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "verified_module.py").write_text(
        "import lineage as ln\n@ln.node\ndef triple(x: int) -> int:\n    return 3 * x\n"
    )
    module: Any = __import__("verified_module")
    handle = ln.materialize(module.triple(2))
    assert ln.verify(handle)
    (tmp_path / "verified_module.py").write_text(
        "import lineage as ln\n@ln.node\ndef triple(x: int) -> int:\n    return x + x + x\n"
    )
    monkeypatch.delitem(sys.modules, "verified_module")
    del module
    import gc
    import importlib
    import linecache

    gc.collect()
    importlib.invalidate_caches()
    linecache.checkcache()
    module = __import__("verified_module")
    one = only(ln.verify(handle))
    assert one.verdict == "cannot be run"
    assert "has changed since, so it would not be the same call" in one.reason
    assert ln.verify(module.triple(2))  # materialised with today's code, and that is looked at
    monkeypatch.delitem(sys.modules, "verified_module")


# -- which calls


@ln.dynamic
def doubled_twice(x: int) -> int:
    return double(double(x))


def test_a_call_that_composes_is_looked_through(session: ln.Session) -> None:
    found = ln.verify(doubled_twice(3))
    assert [(one.node, one.verdict) for one in found] == [("double", "deterministic")]
    assert ln.verify(doubled_twice(3), sample=9).counts() == {"deterministic": 2}


def test_a_sample_is_taken_of_all_that_led_to_a_dataset(session: ln.Session) -> None:
    call = total([double(x) for x in range(9)])
    assert len(ln.verify(call)) == 1
    assert len(ln.verify(call, sample=3)) == 3
    assert len(ln.verify(call, sample=0.5)) == 5
    assert len(ln.verify(call, sample=1.0)) == len(ln.verify(call, sample=100)) == 10


def test_a_sample_takes_first_what_was_looked_at_least(session: ln.Session) -> None:
    call = total([double(x) for x in range(9)])
    seen = [one.execution for _ in range(5) for one in ln.verify(call, sample=2)]
    assert sorted(seen) == list(range(1, 11))


@pytest.mark.parametrize("sample", [0, -1, 0.0, 1.5, True, "all"])
def test_a_sample_that_is_none_is_refused(session: ln.Session, sample: Any) -> None:
    with pytest.raises(CompositionError, match="sample="):
        ln.verify(double(1), sample=sample)


def test_the_items_of_a_map_over_a_call_are_looked_at(session: ln.Session) -> None:
    @ln.node
    def numbers(count: int) -> list[int]:
        return list(range(count))

    call = ln.map(double, numbers(4))
    assert ln.verify(call).counts() == {"deterministic": 4}
    assert ln.verify(ln.materialize(call), sample=10).counts() == {"deterministic": 5}


# -- arguments, from the record alone


@attrs.frozen
class Settings:
    alpha: float
    names: tuple[str, ...]


@ln.node
def shape(frame: pl.DataFrame, settings: Settings) -> tuple[int, int]:
    return frame.shape


@ln.node
def content(file: ln.File) -> str:
    return file.path.read_text()


@ln.node
def contents(files: list[ln.File]) -> list[str]:
    return [file.path.read_text() for file in files]


@ln.node
def in_folder(folder: ln.Directory) -> int:
    return len(list(folder.path.iterdir()))


@ln.node
def height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


@ln.node
def pair(x: int) -> tuple[int, list[int]]:
    return x, [x]


def calls_of_all_kinds(folder: Path) -> dict[str, Any]:
    (folder / "one.txt").write_text("one")
    (folder / "two.txt").write_text("two")
    ln.tag(double(8), "eight")
    return {
        "a table and a record": shape(pl.DataFrame({"a": [1]}), Settings(0.5, ("x", "y"))),
        "a plain list": total([1, 2, 3]),
        "calls in a list": total([double(1), double(2)]),
        "a field": double(pair(4)[0]),
        "a list in a field": total(pair(4)[1]),
        "a name": double(ln.ref("eight", of=int)),
        "a file": content(ln.File(folder / "one.txt")),
        "several files": contents(ln.files(f"{folder}/*.txt")),
        "a folder": in_folder(ln.Directory(folder)),
        "a view": height(ln.scan(table(3))),
        "a view of several": height(ln.scan([table(3), table(4)])),
    }


@pytest.mark.parametrize("kind", ["call", "handle"])
def test_arguments_of_all_kinds_reach_the_other_process(session: ln.Session, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    calls = calls_of_all_kinds(folder)
    if kind == "call":
        found = {name: only(ln.verify(call)) for name, call in calls.items()}
    else:
        found = {name: only(ln.verify(ln.materialize(call))) for name, call in calls.items()}
    assert {name: str(one.reason) for name, one in found.items() if one.verdict != "deterministic"} == {}


def test_an_argument_that_the_record_does_not_hold_whole_asks_for_the_call(session: ln.Session) -> None:
    call = total([double(1), 5])
    one = only(ln.verify(ln.materialize(call)))
    assert (one.verdict, one.reason.partition("`")[0]) == ("cannot be run", "the record does not hold its argument ")
    assert ln.verify(call)


# -- how a node travels


def test_a_closure_travels_by_value(session: ln.Session) -> None:
    factor = 3

    @ln.node
    def scaled(x: int) -> int:
        return double.fn(x) * factor

    ln.compute(double(1))  # so that its fingerprint is at hand: that need not travel
    assert ln.verify(scaled(2))


def test_a_module_that_comes_out_otherwise_when_it_is_imported_anew_travels_by_value(
    session: ln.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "factor.txt").write_text("3")
    (tmp_path / "factor_module.py").write_text(
        "import pathlib\nimport lineage as ln\n"
        "FACTOR = int(pathlib.Path(__file__).with_name('factor.txt').read_text())\n"
        "@ln.node\ndef scaled(x: int) -> int:\n    return FACTOR * x\n"
    )
    module: Any = __import__("factor_module")
    handle = ln.materialize(module.scaled(2))
    (tmp_path / "factor.txt").write_text("4")
    assert ln.verify(handle)
    monkeypatch.delitem(sys.modules, "factor_module")


def test_the_hash_seed_is_another_also_where_it_was_fixed(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import lineage as ln\n"
        "@ln.node(version='1')\n"
        "def order(count: int) -> list[str]:\n"
        "    return list({str(x) for x in range(count)})\n"
        "with ln.Session('store'):\n"
        "    print(ln.verify(order(50)).counts())\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.strip() == "{'differs': 1}"


def test_a_node_of_a_script_travels_by_value(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        textwrap.dedent(
            """
            from __future__ import annotations
            import lineage as ln
            import polars as pl

            print("started")

            @ln.node
            def frame(rows: int) -> pl.DataFrame:
                return make(rows)

            def make(rows):
                return pl.DataFrame({"a": range(rows)})

            @ln.node
            def merge(a: int, b: int) -> int:
                return a + b

            with ln.Session("store"):
                print(ln.verify([frame(3), ln.reduce(merge, [1, 2, 3])]).counts())
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines() == ["started", "{'deterministic': 2}"]


def test_a_node_that_cannot_travel_says_so(session: ln.Session) -> None:
    import threading

    lock = threading.Lock()

    @ln.node(version="1")
    def locked(x: int) -> int:
        with lock:
            return x

    one = only(ln.verify(locked(1)))
    assert one.verdict == "cannot be run"
    assert "can't be imported in a new process, nor sent to it by value" in one.reason


def test_a_node_that_is_not_loaded_says_so(session: ln.Session) -> None:
    def made() -> Any:
        @ln.node
        def gone(x: int) -> int:
            return x

        return ln.materialize(gone(1))

    handle = made()
    import gc

    handle._hint = None
    from lineage.graph import latest

    latest.node = None
    gc.collect()
    one = only(ln.verify(handle))
    assert (one.verdict, one.reason.partition(",")[0][-9:]) == ("cannot be run", "is loaded")


def test_a_store_that_is_only_read_is_verified_and_keeps_no_verdict(tmp_path: Path) -> None:
    with ln.Session(tmp_path / "store") as session:
        session.materialize(double(4))
    with ln.Session(tmp_path / "store", read_only=True) as session:
        assert ln.verify(double(4))
        assert session.materialize(double(4)).verdicts == []
