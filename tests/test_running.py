"""What executes, and what does not: hits, cutoffs, failures, sources, effects, refresh."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import polars as pl
import pytest

import lineage as ln
from lineage.errors import CompositionError, LazyValueError, LineageError, MutationError, NodeError, NotFoundError
from lineage.testing import EventLog


@ln.node
def words(text: str) -> list[str]:
    return text.split()


@ln.node
def count(items: list[str]) -> int:
    return len(items)


@ln.node
def double(x: int) -> int:
    return 2 * x


@ln.node
def add(a: int, b: int) -> int:
    return a + b


@ln.node
def invert(x: int) -> float:
    print(f"inverting {x}")
    return 1 / x


@ln.node
def total(xs: list[float]) -> float:
    return sum(xs)


def test_a_second_request_is_one_hit_at_the_root(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(count(words("a b"))) == 2
    assert log.names() == ["executed words", "executed count"]
    log.clear()
    assert ln.compute(count(words("a b"))) == 2
    assert log.names() == ["hit count"]


def test_an_edit_that_changes_nothing_downstream_stops_there(session: ln.Session, log: EventLog) -> None:
    ln.compute(count(words("a b")))
    ln.compute(count(words("a  b")))
    assert log.names() == ["executed words", "executed count", "executed words", "cutoff count"]


def test_a_cutoff_is_a_hit_by_recipe_from_then_on(session: ln.Session, log: EventLog) -> None:
    ln.compute(count(words("a b")))
    ln.compute(count(words("a  b")))
    log.clear()
    ln.compute(count(words("a  b")))
    assert log.names() == ["hit count"]


def test_results_outlive_the_session(tmp_path: Path, log: EventLog) -> None:
    for _ in range(2):
        with ln.Session(tmp_path, on_event=log):
            assert ln.compute(double(double(2))) == 8
    assert log.names() == ["executed double", "executed double", "hit double"]


def test_one_call_reached_by_many_paths_is_executed_once(session: ln.Session, log: EventLog) -> None:
    shared = double(1)
    assert ln.compute(add(shared, double(1)), [shared, shared]) == (4, [2, 2])
    assert log.names() == ["executed double", "executed add"]


def test_two_calls_that_come_to_the_same_content_share_one_execution(session: ln.Session, log: EventLog) -> None:
    assert ln.compute([double(add(1, 3)), double(add(2, 2))]) == [8, 8]
    assert sorted(log.names()) == ["cutoff double", "executed add", "executed add", "executed double"]


def test_a_value_and_a_call_of_equal_content_are_one_argument(session: ln.Session, log: EventLog) -> None:
    ln.compute(double(4))
    log.clear()
    assert ln.compute(double(double(2))) == 8
    assert log.names() == ["executed double", "cutoff double"]


@pytest.mark.parametrize("length", [1_000, 20_000])
def test_long_chains_need_no_recursion(session: ln.Session, length: int) -> None:
    x = 0
    for _ in range(length):
        x = add(x, 1)
    assert ln.compute(x) == length


def test_compute_of_a_plain_value_is_the_value(session: ln.Session) -> None:
    value = {"a": [1, 2]}
    assert ln.compute(value) is value


def test_several_values_come_back_as_a_tuple(session: ln.Session) -> None:
    assert ln.compute(double(1), {"two": double(2)}) == (2, {"two": 4})


# -- plans


def test_a_plan_says_what_would_run_and_why(session: ln.Session) -> None:
    plan = ln.plan(count(words("a b")))
    assert [(call.node, call.verdict, call.reason) for call in plan] == [
        ("words", "execute", "never ran before"),
        ("count", "execute", "never ran before; input from words is decided anew"),
    ] or [(call.node, call.verdict) for call in plan] == [("words", "execute"), ("count", "execute")]
    assert "words(text='a b')" in repr(plan)


def test_a_plan_runs_nothing(session: ln.Session, log: EventLog) -> None:
    ln.plan(count(words("a b")))
    assert log.names() == []


def test_a_plan_names_the_argument_that_changed(session: ln.Session) -> None:
    ln.compute(add(1, 2))
    (call,) = ln.plan(add(1, 3))
    assert call.reason == "argument b: 2 → 3"


def test_a_plan_shows_hits_and_leaves_out_what_lies_below(session: ln.Session) -> None:
    ln.compute(count(words("a b")))
    plan = ln.plan(count(words("a b")))
    assert plan.counts() == {"hit": 1}
    assert plan.below == 1


def test_a_plan_sees_that_equal_inputs_met_the_code_before(session: ln.Session) -> None:
    ln.compute(count(words("a b")), words("a  b"))
    plan = ln.plan(count(words("a  b")))
    assert [call.verdict for call in plan] == ["hit", "unchanged"]


def test_a_plan_agrees_with_what_then_happens(session: ln.Session, log: EventLog) -> None:
    ln.compute(add(double(1), double(2)))
    log.clear()
    request = add(double(1), double(3))
    planned = ln.plan(request).counts()
    ln.compute(request)
    assert planned == {"hit": log.count("hit"), "execute": log.count("executed")}


# -- handles


def test_a_dataset_tells_what_it_is_and_how_it_came_to_be(session: ln.Session) -> None:
    @ln.node
    def table(n: int) -> pl.DataFrame:
        return pl.DataFrame({"i": range(n)})

    handle = ln.materialize(table(3))
    assert handle.rows == 3
    assert handle.schema is not None
    assert list(handle.schema) == ["i"]
    assert handle.bytes > 0
    assert handle.type == "polars.DataFrame"
    origin = handle.origin
    assert origin is not None
    assert (origin.node, origin.arguments) == ("table", {"n": 3})
    assert handle.digest.hex()[:12] in repr(handle)
    assert handle.value.equals(pl.DataFrame({"i": range(3)}))


def test_materialising_loads_nothing(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @ln.node
    def table(n: int) -> pl.DataFrame:
        return pl.DataFrame({"i": range(n)})

    ln.materialize(table(3))
    monkeypatch.setattr(session.store, "read", lambda leaf: pytest.fail("something was read"))
    assert ln.materialize(table(3)).rows == 3


def test_a_plain_value_can_t_be_materialised(session: ln.Session) -> None:
    with pytest.raises(CompositionError, match="plain value"):
        ln.materialize(3)


# -- failures


def test_siblings_of_a_failure_are_finished_and_kept(session: ln.Session, log: EventLog) -> None:
    with pytest.raises(NodeError, match="division by zero"):
        ln.compute(total([invert(1), invert(0), invert(2)]))
    assert sorted(log.names()) == ["blocked total", "executed invert", "executed invert", "failed invert"]
    log.clear()
    assert ln.compute(total([invert(1), invert(4), invert(2)])) == 1.75
    assert sorted(log.names()) == ["executed invert", "executed total", "hit invert", "hit invert"]


def test_an_error_names_node_arguments_log_and_place(session: ln.Session) -> None:
    with pytest.raises(NodeError) as caught:
        ln.compute(invert(0))
    text = str(caught.value)
    assert "invert(x=0) failed: ZeroDivisionError: division by zero" in text
    assert "inverting 0" in text
    assert "test_running.py" in text
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.facts["node"] == "invert"


def test_a_failure_is_never_a_hit(session: ln.Session, log: EventLog) -> None:
    for _ in range(2):
        with pytest.raises(NodeError):
            ln.compute(invert(0))
    assert log.names() == ["failed invert", "failed invert"]


def test_an_attempt_turns_a_failure_into_data(session: ln.Session) -> None:
    good, bad = ln.compute(ln.map(ln.attempt(invert), [2, 0]))
    assert good == ln.Ok(0.5)
    assert isinstance(bad, ln.Failed)
    assert bad.error == "ZeroDivisionError: division by zero"
    assert bad.log == "inverting 0\n"
    assert "ZeroDivisionError" in bad.traceback


def test_what_consumes_a_caught_failure_is_decided_anew_each_time(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def fine(outcome: ln.Ok[float] | ln.Failed) -> bool:
        return isinstance(outcome, ln.Ok)

    assert ln.compute(fine(ln.attempt(invert)(0))) is False
    log.clear()
    assert ln.compute(fine(ln.attempt(invert)(0))) is False
    assert log.names() == ["failed invert", "cutoff fine"]


def test_an_attempt_covers_what_its_call_depends_on(session: ln.Session) -> None:
    @ln.node
    def plus_one(x: float) -> float:
        return x + 1

    (outcome,) = ln.compute([ln.attempt(lambda x: plus_one(invert(x)))(0)])
    assert isinstance(outcome, ln.Failed)


def test_retries_are_made_and_every_attempt_is_recorded(session: ln.Session, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    @ln.node(retries=2, version="1")
    def flaky() -> int:
        with mark.open("a") as file:
            file.write("x")
        if len(mark.read_text()) < 3:
            raise ConnectionError("not yet")
        return 7

    handle = ln.materialize(flaky())
    assert handle.value == 7
    rows = session.store.index._groups.all("SELECT status, attempt FROM executions")
    assert rows == [("failed", 1), ("failed", 2), ("ok", 3)]


def test_only_the_errors_that_a_retry_names_are_tried_again(session: ln.Session, log: EventLog) -> None:
    tries = []

    @ln.node(retries=ln.Retry(3, on=(ConnectionError,)), version="1")
    def wrong() -> int:
        tries.append(1)
        raise ValueError("no use")

    with pytest.raises(NodeError, match="no use"):
        ln.compute(wrong())
    assert len(tries) == 1


def test_a_timeout_counts_from_the_start_of_the_call(session: ln.Session) -> None:
    import time

    @ln.node(timeout=0.1)
    def slow() -> int:
        time.sleep(5)
        return 1

    with pytest.raises(NodeError, match=r"slow ran for more than 0\.1 s"):
        ln.compute(slow())


def test_what_was_finished_before_an_interrupt_is_kept(session: ln.Session, log: EventLog) -> None:
    state = {"interrupt": True}

    @ln.node(version="1")
    def step(x: int) -> int:
        if x == 3 and state["interrupt"]:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt):
        ln.compute([step(1), step(2), step(3), step(4)])
    state["interrupt"] = False
    log.clear()
    assert ln.compute([step(1), step(2), step(3), step(4)]) == [1, 2, 3, 4]
    assert log.names() == ["hit step", "hit step", "executed step", "executed step"]


# -- logs


def test_what_a_call_prints_and_logs_is_shown_and_kept(session: ln.Session, capfd: pytest.CaptureFixture[str]) -> None:
    @ln.node
    def chatty() -> int:
        print("to standard output")
        print("to standard error", file=sys.stderr)
        logging.getLogger("science").warning("to a logger")
        return 1

    handle = ln.materialize(chatty())
    assert handle.origin is not None
    assert handle.origin.log == "to standard output\nto standard error\nWARNING science: to a logger\n"
    shown = capfd.readouterr()
    assert "to standard output" in shown.out
    assert "to standard error" in shown.err


def test_nothing_of_the_capture_is_left_behind(session: ln.Session) -> None:
    out, handlers = sys.stdout, list(logging.getLogger().handlers)
    ln.compute(double(3))
    assert sys.stdout is out
    assert logging.getLogger().handlers == handlers


# -- sharing and mutation


def test_a_node_that_mutates_its_input_changes_nothing_for_anyone_else(session: ln.Session) -> None:
    @ln.node
    def make() -> dict[str, list[int]]:
        return {"a": [1]}

    @ln.node
    def spoil(d: dict[str, list[int]]) -> int:
        d["a"].append(2)
        return len(d["a"])

    made = make()
    assert ln.compute(spoil(made), made, spoil(made)) == (2, {"a": [1]}, 2)


def test_arrays_reach_consumers_read_only(session: ln.Session) -> None:
    @ln.node
    def make() -> np.ndarray:
        return np.zeros(3)

    @ln.node
    def spoil(a: np.ndarray) -> float:
        a[0] = 1
        return float(a.sum())

    with pytest.raises(NodeError, match="read-only"):
        ln.compute(spoil(make()))


def test_the_producer_s_live_object_never_reaches_a_consumer(session: ln.Session) -> None:
    kept: list[list[int]] = []

    @ln.node(version="1")
    def make() -> list[int]:
        made = [1]
        kept.append(made)
        return made

    @ln.node(version="1")
    def tail(xs: list[int]) -> list[int]:
        kept[0].append(2)
        return xs

    assert ln.compute(tail(make())) == [1]


def test_changing_a_literal_after_the_call_was_built_changes_nothing(session: ln.Session) -> None:
    items = ["a"]
    call = count(items)
    items.append("b")
    assert ln.compute(call) == 1


def test_changing_an_array_after_the_call_was_built_is_refused(session: ln.Session) -> None:
    @ln.node
    def add_up(a: np.ndarray) -> float:
        return float(a.sum())

    array = np.zeros(3)
    call = add_up(array)
    array[0] = 5
    with pytest.raises(LineageError, match="changed after its call was built"):
        ln.compute(call)


SEEN: list[int] = []


def test_a_node_that_changes_a_global_is_refused(session: ln.Session) -> None:
    @ln.node
    def remember(x: int) -> int:
        SEEN.append(x)
        return x

    with pytest.raises(NodeError) as caught:
        ln.compute(remember(1))
    assert isinstance(caught.value, MutationError)
    SEEN.clear()


# -- refresh, forget, sources, effects


def test_refresh_executes_a_node_again_and_stops_where_nothing_changed(session: ln.Session, log: EventLog) -> None:
    ln.compute(count(words("a b")))
    log.clear()
    ln.compute(count(words("a b")), refresh=[words])
    assert log.names() == ["executed words", "cutoff count"]
    log.clear()
    ln.compute(count(words("a b")))
    assert log.names() == ["hit count"]


def test_forget_makes_a_call_execute_again(session: ln.Session, log: EventLog) -> None:
    handle = ln.materialize(words("a b"))
    ln.forget(handle)
    log.clear()
    ln.compute(words("a b"))
    assert log.names() == ["executed words"]
    ln.forget(words("a b"))
    log.clear()
    ln.compute(count(words("a b")))
    assert log.names() == ["executed words", "executed count"]


def test_what_descends_from_a_refreshed_call_is_decided_by_content(
    session: ln.Session, log: EventLog, tmp_path: Path
) -> None:
    source = tmp_path / "n"
    source.write_text("1")

    @ln.node(version="1")
    def read() -> int:
        return int(source.read_text())

    assert ln.compute(double(read())) == 2
    source.write_text("5")
    assert ln.compute(double(read())) == 2
    assert ln.compute(double(read()), refresh=[read]) == 10
    log.clear()
    assert ln.compute(double(read())) == 10
    assert log.names() == ["hit double"]


def test_a_source_has_one_value_per_period(session: ln.Session, log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"time": 1_000_000.0}
    monkeypatch.setattr("lineage.planning.time.time", lambda: now["time"])
    values = iter([1, 1, 2])

    @ln.node(every="1h", version="1")
    def clock() -> int:
        return next(values)

    assert ln.compute(double(clock())) == 2
    log.clear()
    assert ln.compute(double(clock())) == 2
    assert log.names() == ["hit double"]
    now["time"] += 3600
    log.clear()
    assert ln.compute(double(clock())) == 2
    assert log.names() == ["executed clock", "cutoff double"]
    now["time"] += 3600
    assert ln.compute(double(clock())) == 4


def test_an_effect_happens_once_per_input(session: ln.Session, log: EventLog, tmp_path: Path) -> None:
    @ln.sink
    def send(x: int) -> str:
        with (tmp_path / "sent").open("a") as file:
            file.write(f"{x} ")
        return "done"

    ln.compute(send(double(1)))
    ln.compute(send(double(1)))
    ln.compute(send(add(1, 1)))
    assert (tmp_path / "sent").read_text() == "2 "
    ln.compute(send(double(2)))
    assert (tmp_path / "sent").read_text() == "2 4 "


def test_what_depends_on_an_effect_has_no_recipe_record(session: ln.Session, log: EventLog) -> None:
    @ln.sink
    def send(x: int) -> int:
        return x

    ln.compute(double(send(1)))
    log.clear()
    ln.compute(double(send(1)))
    assert log.names() == ["hit send", "cutoff double"]


# -- dynamic


@ln.dynamic
def fibonacci(n: int) -> int:
    return n if n < 2 else add(fibonacci(n - 1), fibonacci(n - 2))


@ln.dynamic
def choose(flag: bool) -> int:
    return double(10) if flag else add(1, 1)


def test_a_dynamic_node_may_call_itself(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(fibonacci(12)) == 144
    log.clear()
    assert ln.compute(fibonacci(12)) == 144
    assert log.names() == ["hit fibonacci"]


def test_only_the_chosen_branch_runs(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(choose(True)) == 20
    assert "executed add" not in log.names()


def test_a_dynamic_node_may_return_containers_of_calls(session: ln.Session) -> None:
    @ln.dynamic
    def spread(n: int) -> dict[str, list[int]]:
        return {"doubles": [double(i) for i in range(n)], "plain": [n]}

    assert ln.compute(spread(3)) == {"doubles": [0, 2, 4], "plain": [3]}


def test_a_failure_below_a_dynamic_node_is_its_failure(session: ln.Session) -> None:
    @ln.dynamic
    def risky(x: int) -> float:
        return invert(x)

    with pytest.raises(NodeError, match="division by zero"):
        ln.compute(risky(0))
    (outcome,) = ln.compute([ln.attempt(risky)(0)])
    assert isinstance(outcome, ln.Failed)


def test_a_map_over_a_call_knows_its_length_when_it_runs(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def upto(n: int) -> list[int]:
        return list(range(n))

    assert ln.compute(total(ln.map(lambda i: invert(add(i, 1)), upto(4)))) == pytest.approx(25 / 12)
    log.clear()
    ln.compute(total(ln.map(lambda i: invert(add(i, 1)), upto(5))))
    assert log.names().count("executed invert") == 1


def test_a_node_called_inside_a_node_raises(session: ln.Session) -> None:
    @ln.node
    def outer(x: int) -> int:
        return double(x)

    with pytest.raises(NodeError, match=r"double\.fn") as caught:
        ln.compute(outer(1))
    assert isinstance(caught.value.__cause__, LazyValueError)


def test_results_can_t_be_asked_for_inside_a_node(session: ln.Session) -> None:
    @ln.node(version="1")
    def outer(x: int) -> int:
        return ln.compute(x)

    with pytest.raises(NodeError, match="take them as its arguments"):
        ln.compute(outer(1))


# -- fields


class Halves(NamedTuple):
    low: list[int]
    high: list[int]


@ln.node
def halves(xs: list[int]) -> Halves:
    middle = len(xs) // 2
    return Halves(xs[:middle], xs[middle:])


@ln.node
def size(xs: list[int]) -> int:
    return len(xs)


def test_each_field_of_a_result_has_a_cutoff_of_its_own(session: ln.Session, log: EventLog) -> None:
    parts = halves([1, 2, 3, 4])
    ln.compute(size(parts.low), size(parts.high))
    log.clear()
    parts = halves([1, 2, 9, 9])
    ln.compute(size(parts.low), size(parts.high))
    assert sorted(log.names()) == ["cutoff size", "executed halves", "executed size"]


# -- names


def test_a_tag_is_resolved_when_the_graph_is_planned(session: ln.Session, log: EventLog) -> None:
    ln.tag(ln.materialize(double(1)), "prod/number")
    call = double(ln.ref("prod/number", of=int))
    assert ln.compute(call) == 4
    ln.tag(ln.materialize(double(5)), "prod/number")
    assert ln.compute(call) == 20
    assert ln.dataset("prod/number").value == 10


def test_a_reference_to_a_node_is_its_latest_dataset(session: ln.Session) -> None:
    ln.compute(double(1))
    ln.compute(double(7))
    assert ln.compute(add(ln.ref(double), 1)) == 15
    assert ln.dataset(double).value == 14


def test_an_unknown_name_is_a_clear_error(session: ln.Session) -> None:
    with pytest.raises(NotFoundError, match="prod/none"):
        ln.compute(double(ln.ref("prod/none", of=int)))
    with pytest.raises(NotFoundError, match="materialise one first"):
        ln.dataset(double)


# -- the inside of a node


def test_a_node_can_ask_what_is_running(session: ln.Session) -> None:
    @ln.node(version="1")
    def who() -> tuple[str, int]:
        found = ln.current()
        return found.node, found.attempt

    assert ln.compute(who()) == ("who", 1)
    with pytest.raises(LineageError, match="inside a node"):
        ln.current()


def test_files_written_to_the_scratch_folder_become_datasets(session: ln.Session) -> None:
    @ln.node
    def report(n: int) -> Path:
        path = ln.scratch() / "report.txt"
        path.write_text("x" * n)
        return path

    @ln.node
    def length(path: Path) -> int:
        return len(path.read_text())

    assert ln.compute(length(report(3))) == 3
    path = ln.compute(report(3))
    assert path.name == "report.txt"
    assert not list((session.root / "scratch").glob("*"))
    with pytest.raises(PermissionError) if _is_bound() else pytest.raises(OSError):
        if path.stat().st_mode & 0o222:
            pytest.fail("the result can be written")
        raise PermissionError


def _is_bound() -> bool:
    return True


def test_a_path_outside_of_the_scratch_folder_is_refused(session: ln.Session, tmp_path: Path) -> None:
    @ln.node(version="1")
    def wrong() -> Path:
        return tmp_path

    with pytest.raises(NodeError, match="scratch"):
        ln.compute(wrong())


def test_unseeded_generators_of_libraries_are_seeded_from_the_key(session: ln.Session) -> None:
    state = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]

    @ln.node
    def sample(n: int, use: Annotated[str, "numpy"]) -> list[float]:
        from sklearn.utils import check_random_state

        return [float(x) for x in check_random_state(None).rand(n)]

    first = ln.compute(sample(3, "a"))
    assert ln.compute(sample(3, "a"), refresh=[sample]) == first
    assert (random.getstate(), np.random.get_state()[1].tolist()) == state  # type: ignore[index]


def test_polars_runs_in_memory_inside_nodes_and_as_before_outside(session: ln.Session) -> None:
    import os

    @ln.node
    def engine() -> str:
        return pl.Config.state()["POLARS_ENGINE_AFFINITY"] or ""

    before = os.environ.get("POLARS_ENGINE_AFFINITY")
    assert ln.compute(engine()) == "in-memory"
    assert os.environ.get("POLARS_ENGINE_AFFINITY") == before


# -- contracts of comparison


def test_an_unordered_result_is_stored_in_one_order(session: ln.Session, log: EventLog, tmp_path: Path) -> None:
    order = tmp_path / "order"
    order.write_text("ab")

    @ln.node(compare="unordered", version="1")
    def rows() -> pl.DataFrame:
        return pl.DataFrame({"k": list(order.read_text()), "v": [ord(c) for c in order.read_text()]})

    @ln.node(version="1")
    def height(t: pl.DataFrame) -> int:
        return t.height

    ln.compute(height(rows()))
    order.write_text("ba")
    log.clear()
    ln.compute(height(rows()), refresh=[rows])
    assert log.names() == ["executed rows", "cutoff height"]


def test_an_approximate_result_hands_its_anchor_on(session: ln.Session, log: EventLog, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.write_text("0")

    @ln.node(compare=ln.Approx(rel=1e-6), version="1")
    def measured() -> float:
        return 1.0 + float(noise.read_text())

    @ln.node(version="1")
    def used(x: float) -> float:
        return x

    assert ln.compute(used(measured())) == 1.0
    for step, expected in (("1e-9", 1.0), ("0.9e-6", 1.0), ("1.5e-6", 1.0 + 1.5e-6)):
        noise.write_text(step)
        assert ln.compute(used(measured()), refresh=[measured]) == expected
    note = ln.dataset(measured).origin.note  # type: ignore[union-attr]
    assert note == "beyond the tolerance of its anchor"


# -- processes


def test_digests_are_the_same_in_processes_with_other_hash_seeds(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import lineage as ln\n"
        "LIMITS = {'b', 'a', 'c'}\n"
        "@ln.node\n"
        "def pick(xs: set[str]) -> set[str]:\n"
        "    return xs & LIMITS | {'z', 'y'}\n"
        "if __name__ == '__main__':\n"
        "    log = []\n"
        f"    with ln.Session({str(tmp_path / 'store')!r}, on_event=lambda *e: log.append(e[0])):\n"
        "        print(ln.materialize(pick({'a', 'q', 'b'})).digest.hex(), log)\n"
    )
    lines = []
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, str(script)],
            env={"PYTHONHASHSEED": seed, "PATH": "", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        lines.append(done.stdout.split())
    assert len({digest for digest, _ in lines}) == 1
    assert [verdict for _, verdict in lines] == ["['executed']", "['hit']", "['hit']"]


def test_spans_are_kept_with_the_record(session: ln.Session) -> None:
    @ln.node
    def work() -> int:
        with ln.span("inner"):
            return sum(range(1000))

    origin = ln.materialize(work()).origin
    assert origin is not None
    ((name, start, seconds),) = origin.spans
    assert name == "inner"
    assert start >= 0
    assert seconds >= 0


def test_a_file_that_is_read_without_being_an_input_is_told(session: ln.Session, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("1")

    @ln.node
    def undeclared(name: str) -> str:
        return Path(name).read_text()

    @ln.node
    def declared(file: ln.File) -> str:
        return file.path.read_text()

    with pytest.warns(UserWarning, match="no input of it"):
        assert ln.compute(undeclared(str(path))) == "1"
    assert ln.compute(declared(ln.File(path))) == "1"


@ln.node(executor="beside")
def elsewhere(x: int) -> int:
    return x + 1


def test_an_executor_of_a_name_carries_out_many_calls(tmp_path: Path) -> None:
    with ln.Session(tmp_path, executors={"beside": ln.Serial()}):
        assert ln.compute(ln.map(elsewhere, range(5))) == [1, 2, 3, 4, 5]


@ln.node
def slowly(x: int, of: int) -> int:
    time.sleep(0.001)
    return 100 * of + x


def test_threads_share_a_session_without_getting_each_other_s_results(session: ln.Session) -> None:
    before = sys.stdout, dict(os.environ)
    found: dict[int, Any] = {}

    def ask(number: int) -> None:
        try:
            found[number] = [session.compute(ln.map(slowly, range(n), of=number)) for n in (10, 20)]
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {of: [[100 * of + x for x in range(n)] for n in (10, 20)] for of in range(4)}
    assert (sys.stdout, dict(os.environ)) == before
