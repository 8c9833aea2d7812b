"""What a failure does: to its call, to those beside it, to the run. The same on every executor."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

import lineage as ln
from lineage.content.tree import Hole
from lineage.digest import Digest
from lineage.dispatch import Dispatch
from lineage.errors import DeclarationError, NodeError, WorkerError
from lineage.executors.base import Failure, Outcome, Work
from lineage.failures import Tries, pause_before_retry
from lineage.planning import Step
from lineage.records import SideData
from lineage.testing import EventLog
from threads_executor import Threads

AT_ONCE = ln.Retry(platform_backoff=0)


@ln.node
def invert(x: int) -> float:
    return 1 / x


@ln.node
def total(xs: list[float]) -> float:
    return sum(xs)


@ln.node(retries=AT_ONCE)
def sturdy(x: int) -> int:
    return x + 1


@ln.node(version="1")
def count_up(mark: str, fail: int, kind: str = "ConnectionError") -> int:
    with open(mark, "a") as file:
        file.write("x")
    tries = os.path.getsize(mark)
    if tries <= fail:
        raise {"ConnectionError": ConnectionError, "ValueError": ValueError, "MemoryError": MemoryError}[kind](
            "not yet"
        )
    return tries


def attempts(session: ln.Session) -> list[tuple[str, int]]:
    return session.store.index._groups.all("SELECT status, attempt FROM executions ORDER BY id")


@pytest.fixture(params=["serial", "threads"])
def executor(request: pytest.FixtureRequest) -> Any:
    return ln.Serial() if request.param == "serial" else Threads(2)


# -- what a run says, and what a node says


def test_a_run_s_retries_hold_where_a_node_says_nothing(session: ln.Session, tmp_path: Path, executor: Any) -> None:
    assert ln.compute(count_up(str(tmp_path / "mark"), 2), retries=2, executor=executor) == 3
    assert attempts(session) == [("failed", 1), ("failed", 2), ("ok", 3)]


def test_no_retries_on_a_node_hold_whatever_the_run_says(session: ln.Session, tmp_path: Path, executor: Any) -> None:
    with pytest.raises(NodeError, match="not yet"):
        ln.compute(count_up.options(retries=0)(str(tmp_path / "mark"), 2), retries=2, executor=executor)
    assert attempts(session) == [("failed", 1)]


def test_a_session_s_options_hold_for_its_runs_and_a_run_s_go_before(tmp_path: Path) -> None:
    with ln.Session(tmp_path / "store", retries=1) as session:
        assert ln.compute(count_up(str(tmp_path / "a"), 1)) == 2
        with pytest.raises(NodeError):
            ln.compute(count_up(str(tmp_path / "b"), 1), retries=0)
    with ln.Session(tmp_path / "store") as session:
        assert attempts(session) == [("failed", 1), ("ok", 2), ("failed", 1)]


def test_a_run_s_timeout_holds_where_a_node_says_nothing(session: ln.Session) -> None:
    @ln.node
    def sleeps(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    with pytest.raises(NodeError, match=r"sleeps ran for more than 0\.05 s"):
        ln.compute(sleeps(5.0), timeout=0.05)
    never = sleeps.options(timeout=float("inf"))
    assert ln.compute(never(0.1), timeout=0.05) == 0.1


def test_options_of_a_run_change_no_key(session: ln.Session, log: EventLog) -> None:
    ln.compute(invert(2))
    log.clear()
    ln.compute(invert(2), retries=3, timeout=60, resources=ln.Resources(cpus=2))
    ln.compute(invert.options(retries=3, timeout=5, resources=ln.Resources(cpus=2), executor="default")(2))
    assert log.names() == ["hit invert", "hit invert"]


def test_a_misspelt_option_of_a_run_is_an_error(session: ln.Session) -> None:
    with pytest.raises(TypeError, match="retrys"):
        ln.compute(invert(2), retrys=3)  # type: ignore[call-overload]
    with pytest.raises(DeclarationError, match="'finish', 'stop' or 'continue'"):
        ln.compute(invert(2), on_failure="carry on")  # type: ignore[call-overload]
    with pytest.raises(DeclarationError, match="number of 0 or more"):
        ln.Retry(-1)


# -- whose fault it is


def test_a_lost_worker_is_tried_again_and_takes_none_of_the_node_s_retries(session: ln.Session) -> None:
    threads = Threads(2, lose={"sturdy": 3})
    assert ln.compute(sturdy(1), executor=threads) == 2
    assert attempts(session) == [("failed", 1), ("failed", 2), ("failed", 3), ("ok", 4)]


def test_a_call_whose_worker_is_lost_again_and_again_fails_and_says_so(session: ln.Session) -> None:
    with pytest.raises(NodeError) as caught:
        ln.compute(sturdy(1), executor=Threads(2, lose={"sturdy": 9}))
    assert "failed after 4 attempts (4 by failures of what carried it out): the worker of sturdy died" in str(
        caught.value
    )
    assert isinstance(caught.value.__cause__, WorkerError)
    assert (caught.value.facts["attempts"], caught.value.facts["platform_attempts"]) == (4, 4)


def test_errors_of_both_kinds_are_counted_apart(session: ln.Session, tmp_path: Path) -> None:
    node = count_up.options(retries=ln.Retry(1, platform_backoff=0))
    threads = Threads(1, lose={"count_up": 2})
    with pytest.raises(NodeError) as caught:
        ln.compute(node(str(tmp_path / "mark"), 5), executor=threads)
    assert "after 4 attempts (2 by errors of its own, 2 by failures of what carried it out)" in str(caught.value)


def test_an_effect_whose_worker_was_lost_is_not_repeated_unless_it_says_so(session: ln.Session) -> None:
    @ln.sink
    def tell(x: int) -> int:
        return x

    with pytest.raises(NodeError, match=r"failed after 1 attempt \(1 by"):
        ln.compute(tell(1), executor=Threads(2, lose={"tell": 1}))
    for_all = ln.Retry(platform=5, platform_backoff=0)
    with pytest.raises(NodeError, match=r"failed after 1 attempt \(1 by"):
        ln.compute(tell(1), executor=Threads(2, lose={"tell": 1}), retries=for_all)
    again = tell.options(retries=ln.Retry(platform=1, platform_backoff=0))
    assert ln.compute(again(1), executor=Threads(2, lose={"tell": 1})) == 1


def test_memory_that_ran_out_is_no_error_of_the_node_s(session: ln.Session, tmp_path: Path, executor: Any) -> None:
    node = count_up.options(retries=AT_ONCE)
    assert ln.compute(node(str(tmp_path / "a"), 1, "MemoryError"), executor=executor) == 2
    with pytest.raises(NodeError, match="it ran out of memory: give it less at a time, or more"):
        ln.compute(node(str(tmp_path / "b"), 9, "MemoryError"), executor=executor)


def test_pauses_grow_and_are_bounded_and_scattered() -> None:
    def pauses(retry: ln.Retry, cause: Any) -> list[float | None]:
        tries, found = Tries(), []
        for _ in range(6):
            tries.count(cause)
            error = ConnectionError() if cause == "user" else WorkerError("gone")
            found.append(pause_before_retry(retry, tries, Failure(error, "", SideData(), cause)))
        return found

    assert pauses(ln.Retry(5, backoff=1, jitter=0, cap=6), "user") == [1, 2, 4, 6, 6, None]
    assert pauses(ln.Retry(jitter=0), "platform") == [1, 2, 4, None, None, None]
    assert pauses(ln.Retry(9, platform=0), "platform")[0] is None
    scattered = {pauses(ln.Retry(1, backoff=10, jitter=0.5), "user")[0] for _ in range(20)}
    assert len(scattered) > 1
    assert all(pause is not None and 10 <= pause <= 15 for pause in scattered)


def test_other_calls_go_on_while_one_waits_for_its_next_attempt(
    session: ln.Session, executor: Any, tmp_path: Path
) -> None:
    node = count_up.options(retries=ln.Retry(1, backoff=0.3, jitter=0))
    order: list[str] = []
    session.on_event = lambda verdict, name, _: order.append(f"{verdict} {name}")
    ln.compute([node(str(tmp_path / "mark"), 1), sturdy(1), sturdy(2)], executor=executor)
    assert order == ["executed sturdy", "executed sturdy", "executed count_up"]


# -- dynamic nodes


def test_the_body_of_a_dynamic_node_is_retried(session: ln.Session, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def choose(x: int, path: str) -> float:
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise ConnectionError("not yet")
        return invert(x)

    node = ln.dynamic(choose).options(retries=2, version="1")
    assert ln.compute(node(4, str(mark))) == 0.25
    assert attempts(session)[:2] == [("failed", 1), ("failed", 2)]
    assert ("ok", 3) in attempts(session)


def test_a_failure_below_a_dynamic_node_is_not_retried_by_it(session: ln.Session, log: EventLog) -> None:
    @ln.dynamic
    def below(x: int) -> float:
        return invert(x)

    with pytest.raises(NodeError, match="division by zero"):
        ln.compute(below.options(retries=3)(0))
    assert log.count("failed") == 1


# -- what a failure does to the run


def a_failure_among(count: int) -> list[float]:
    return [invert(x) for x in [1, 0, *range(2, count)]]


def test_finish_keeps_all_that_does_not_depend_on_the_failure(
    session: ln.Session, log: EventLog, executor: Any
) -> None:
    with pytest.raises(NodeError, match="division by zero"):
        ln.compute(total(a_failure_among(20)), executor=executor)
    assert (log.count("executed"), log.count("failed"), log.count("blocked")) == (19, 1, 1)


def test_stop_gives_up_what_has_not_begun_and_keeps_what_is_done(session: ln.Session, log: EventLog) -> None:
    with pytest.raises(NodeError, match="division by zero"):
        ln.compute(total(a_failure_among(20)), on_failure="stop")
    assert log.names() == ["executed invert", "failed invert", "blocked total"]
    log.clear()
    assert ln.compute(invert(1)) == 1
    assert log.names() == ["hit invert"]


def test_stop_cancels_what_is_in_flight(session: ln.Session) -> None:
    @ln.node(version="1")
    def waits(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    threads = Threads(2)
    with pytest.raises(NodeError, match="division by zero"):
        ln.compute([waits(0.2), invert(0), *[waits(x + 1.0) for x in range(50)]], on_failure="stop", executor=threads)
    assert threads.cancelled == 1
    assert len(threads.submitted) < 6


def test_a_failure_that_is_caught_stops_nothing(session: ln.Session, executor: Any) -> None:
    outcomes = ln.compute(ln.map(ln.attempt(invert), [1, 0, 2]), on_failure="stop", executor=executor)
    assert [isinstance(outcome, ln.Ok) for outcome in outcomes] == [True, False, True]


def test_continue_hands_failures_over_among_the_handles(session: ln.Session, executor: Any) -> None:
    parts = ln.materialize([invert(2), invert(0), invert(4)], on_failure="continue", executor=executor)
    good, bad, last = list[Any](parts)  # type: ignore[arg-type]
    assert (good.value, last.value) == (0.5, 0.25)
    assert bad.error == "ZeroDivisionError: division by zero"
    assert list(parts.failed) == [1]  # type: ignore[union-attr]
    with pytest.raises(NodeError, match="1 of 3 parts failed"):
        _ = parts.value  # type: ignore[union-attr]
    assert session.store.index.runs(1)[0].status == "failed"  # type: ignore[index]


def test_continue_gives_whole_handles_where_nothing_failed(session: ln.Session) -> None:
    one, both = ln.materialize(invert(2), {"a": invert(4), "b": [invert(0)]}, on_failure="continue")
    assert isinstance(one, ln.Dataset)
    assert one.value == 0.5
    assert repr(both) == "<Incomplete: 2 of 2 parts, 0 failed>"
    assert both["a"].value == 0.25  # type: ignore[index]
    failed = ln.materialize(total([invert(0)]), on_failure="continue")
    assert isinstance(failed, ln.Failed)
    whole = ln.materialize([invert(2)], on_failure="continue")
    assert whole.value == [0.5]  # type: ignore[union-attr]


def test_a_value_is_never_half_there(session: ln.Session, log: EventLog) -> None:
    with pytest.raises(NodeError, match="division by zero"):
        ln.compute(a_failure_among(5), on_failure="continue")
    assert log.count("executed") == 4


def test_an_error_lists_the_other_failures_and_where_to_find_the_rest(session: ln.Session) -> None:
    @ln.node
    def odd(x: int) -> int:
        if x % 2 == 0:
            raise ValueError(f"{x} is even\nand more")
        return x

    with pytest.raises(NodeError) as caught:
        ln.compute([odd(x) for x in range(20)])
    text = str(caught.value)
    assert text.startswith("odd(x=0) failed: ValueError: 0 is even")
    assert "9 other calls failed too; what succeeded is kept:\n    odd(x=2): ValueError: 2 is even\n" in text
    assert "… and 4 more" in text
    assert 'lineage.calls(run=1, status="failed")' in text
    assert caught.value.facts["others"] == 9
    assert ln.calls(run=1, status="failed").height == 10


def test_a_run_is_tried_and_recorded_as_failed_or_ok(session: ln.Session) -> None:
    ln.compute(ln.attempt(invert)(3))
    with pytest.raises(NodeError):
        ln.compute(invert(0))
    assert [run.status for run in session.store.index.runs(2)] == ["failed", "ok"]


# -- several executors in one run


@ln.node(executor="beside", version="1")
def beside(x: int) -> str:
    return threading.current_thread().name


@ln.node(version="1")
def here(x: int) -> str:
    time.sleep(0.002)
    return threading.current_thread().name


def test_executors_work_beside_each_other_in_one_run(tmp_path: Path) -> None:
    threads = Threads(2)
    with ln.Session(tmp_path, executors={"beside": threads}):
        mine, theirs = ln.compute([here(x) for x in range(40)], [beside(x) for x in range(40)])
    assert set(mine) == {"MainThread"}
    assert "MainThread" not in theirs
    assert threads.most == 2


def test_an_executor_that_is_slow_keeps_no_other_from_its_work(tmp_path: Path) -> None:
    @ln.node(executor="slow", version="1")
    def slowly(x: int) -> float:
        time.sleep(0.02)
        return time.monotonic()

    @ln.node(version="1")
    def quickly(x: int) -> float:
        return time.monotonic()

    with ln.Session(tmp_path, executors={"slow": Threads(1)}):
        slow, quick = ln.compute([slowly(x) for x in range(30)], [quickly(x) for x in range(1500)])
    assert max(quick) < max(slow)


# -- very many calls


@ln.node
def table(n: int) -> pl.DataFrame:
    return pl.DataFrame({"x": range(n)})


@ln.node
def height(frame: pl.DataFrame, add: int) -> int:
    return frame.height + add


def test_calls_that_wait_do_not_take_what_is_being_made_again(session: ln.Session, log: EventLog) -> None:
    shared = table(50)
    ln.compute(shared)
    for path in (session.root / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    log.clear()
    count = 1200
    assert ln.compute([height(shared, i) for i in range(count)], executor=Threads(1)) == [50 + i for i in range(count)]
    assert log.count("executed") == count + 1


def test_calls_are_decided_only_when_there_is_room_for_them(session: ln.Session) -> None:
    threads = Threads(1, capacity=10)
    threads.attach(session.store)
    dispatch = Dispatch(lambda _: threads, lambda *_: None)
    steps = [Step(cast(Hole, invert(x)), Digest(bytes([x % 256]) * 32), ()) for x in range(1, 3001)]
    for step in steps:
        dispatch.park(step)
    first = dispatch.undecided()
    assert first == steps[: len(first)]
    assert len(first) <= 500
    assert len(dispatch.undecided()) <= 500
    for step in first:
        dispatch.put(Work(step.node, (1,), Digest(b""), step.key, 1, ticket=step))
    dispatch.hand_out()
    assert len(threads.submitted) == 10
    assert dispatch.undecided() == []
    dispatch.cancel()
    assert not dispatch.has_work


class Tardy(ln.Serial):
    """Hands the second failure for want of inputs over only when the input has been made again."""

    def __init__(self) -> None:
        super().__init__()
        self.failed = 0
        self.late: list[Outcome] = []
        self.is_made = False

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        if self.late and self.is_made:
            return [self.late.pop()]
        (outcome,) = super().wait(timeout)
        if isinstance(outcome.result, Failure) and outcome.result.cause == "inputs":
            self.failed += 1
            if self.failed == 2:
                self.late.append(outcome)
                return []
        self.is_made = self.is_made or outcome.work.node.name == "table"
        return [outcome]


def test_a_call_that_set_out_before_a_repair_and_failed_after_it_is_tried_again(session: ln.Session) -> None:
    shared = table(50)
    ln.compute(shared)
    for path in (session.root / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    tardy = Tardy()
    assert ln.compute([height(shared, i) for i in range(3)], executor=tardy) == [50, 51, 52]
    assert tardy.failed >= 2
