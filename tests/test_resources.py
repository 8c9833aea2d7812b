"""What calls ask for, what executors have, and who may run beside whom."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest

import lineage as ln
from lineage.errors import ExecutorError, NodeError
from lineage.executors.admission import Admission, Line, of_this_machine
from lineage.testing import EventLog
from threads_executor import Threads

GiB = 1 << 30
EIGHT = ln.Resources(cpus=4, memory=8 * GiB)


@ln.node(resources=ln.Resources(memory=4 * GiB), version="1")
def big(x: int) -> int:
    time.sleep(0.01)
    return x


@ln.node(resources=ln.Resources(memory=GiB), version="1")
def small(x: int) -> int:
    time.sleep(0.002)
    return x


@ln.node
def plain(x: int) -> int:
    return x


def test_calls_that_do_not_fit_together_do_not_run_together(session: ln.Session) -> None:
    threads = Threads(4, resources=EIGHT)
    assert ln.compute([big(x) for x in range(6)], executor=threads) == list(range(6))
    assert threads.most == 2
    assert threads.together.count(("big", "big")) >= 3  # what was given back was taken again


def test_what_a_run_asks_for_holds_for_nodes_that_ask_for_nothing(session: ln.Session) -> None:
    threads = Threads(4, resources=EIGHT)
    ln.compute([plain(x) for x in range(20)], executor=threads, resources=ln.Resources(memory=8 * GiB))
    assert threads.most == 1


def test_a_request_that_can_never_be_met_fails_before_anything_runs(session: ln.Session, log: EventLog) -> None:
    huge = big.options(resources=ln.Resources(memory=64 * GiB))
    with pytest.raises(ExecutorError, match=r"big asks for 64 GiB of memory, and Threads\(4\) has 8 GiB of memory"):
        ln.compute([plain(1), huge(2)], executor=Threads(4, resources=EIGHT))
    assert log.names() == []
    assert [run.status for run in session.store.index.runs(1)] == ["failed"]


def test_a_gpu_is_refused_where_there_is_none(session: ln.Session) -> None:
    asks = plain.options(resources=ln.Resources(gpus=1))
    with pytest.raises(ExecutorError, match=r"plain asks for 1 gpus, and Serial\(\) has no gpus"):
        ln.compute(asks(1), executor=ln.Serial(resources=ln.Resources(cpus=2)))
    assert ln.compute(asks(1), executor=ln.Serial(resources=ln.Resources(gpus=1))) == 1


def test_a_custom_resource_is_shared_by_those_who_ask_for_it(session: ln.Session) -> None:
    asks = big.options(resources=ln.Resources(custom={"license": 1}))
    threads = Threads(4, resources=ln.Resources(cpus=4, custom={"license": 1}))
    ln.compute([asks(x) for x in range(4)], executor=threads)
    assert threads.most == 1
    with pytest.raises(ExecutorError, match="big asks for 1 license"):
        ln.compute(asks(9), executor=Threads(4, resources=EIGHT))


def test_more_cores_than_there_are_means_all_of_them(session: ln.Session) -> None:
    asks = big.options(resources=ln.Resources(cpus=64))
    threads = Threads(4, resources=EIGHT)
    assert ln.compute([asks(x) for x in range(3)], executor=threads) == [0, 1, 2]
    assert threads.most == 1


def test_what_a_dynamic_node_asks_for_in_vain_fails_as_a_call(session: ln.Session, log: EventLog) -> None:
    @ln.dynamic
    def below(x: int) -> int:
        return big.options(resources=ln.Resources(memory=64 * GiB), version="2")(x)

    with pytest.raises(ExecutorError, match="64 GiB"):
        ln.compute(below(1), executor=Threads(2, resources=EIGHT))
    assert log.count("failed") == 1


def test_a_big_call_is_not_kept_waiting_for_ever_by_small_ones(session: ln.Session) -> None:
    all_of_it = big.options(resources=ln.Resources(memory=8 * GiB))
    threads = Threads(4, resources=EIGHT)
    ln.compute([small(0), all_of_it(1), *[small(x) for x in range(2, 200)]], executor=threads)
    assert threads.submitted.index("big") < 40
    assert ("big",) in threads.together
    assert not any("big" in held and len(held) > 1 for held in threads.together)


def test_small_calls_pass_a_big_one_that_does_not_fit_yet() -> None:
    line: Line[int] = Line()
    for size in (8, 1, 1, 9):
        line.append(size)
    assert line.next(lambda size: size < 5) == 1
    assert line.next(lambda size: size < 5) == 1
    assert line.next(lambda size: size < 5) is None
    assert line.next(lambda size: size < 9) == 8
    assert len(line) == 1


def test_what_is_given_back_can_be_taken_again() -> None:
    budget = Admission(EIGHT, "it")
    asked = ln.Resources(cpus=0.5, memory=8 * GiB)
    for _ in range(3):
        assert budget.fits(asked)
        budget.take(asked)
        assert not budget.fits(ln.Resources(memory=1))
        budget.release(asked)
    assert budget.fits(ln.Resources(cpus=64))


def test_the_machine_has_something() -> None:
    here = of_this_machine()
    assert here.cpus >= 1
    assert here.memory is not None
    assert here.memory > 64 << 20


def test_a_request_shows_itself_in_units() -> None:
    assert str(ln.Resources(cpus=2, memory=3 * GiB // 2, custom={"license": 1})) == (
        "2 cpus, 1.5 GiB of memory, 1 license"
    )


def test_an_executor_may_refuse_nodes_by_itself_before_anything_runs(session: ln.Session, log: EventLog) -> None:
    class Picky(Threads):
        def check(self, node: str, resources: ln.Resources | None) -> None:
            if node == "big":
                raise ExecutorError(f"no {node} here, asking for {resources}")

    with pytest.raises(ExecutorError, match="no big here, asking for 1 cpu, 4 GiB of memory"):
        ln.compute([plain(1), big(2)], executor=Picky(1))
    assert log.names() == []


# -- timeouts


def test_serial_refuses_a_timeout_that_its_thread_can_not_enforce(session: ln.Session) -> None:
    limited = plain.options(timeout=5)
    found: list[Any] = []

    @ln.dynamic
    def below(x: int) -> int:
        return plain(x)

    def ask() -> None:
        for call in (limited(1), limited.options(timeout=math.inf)(2), below.options(timeout=5)(3)):
            try:
                found.append(session.compute(call))
            except NodeError as error:
                found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "plain has a timeout, and in this process only the main thread can hold it" in str(found[0])
    assert found[1] == 2
    assert "below has a timeout" in str(found[2])


def test_a_timeout_that_the_code_takes_for_something_else_holds(session: ln.Session) -> None:
    @ln.node(timeout=0.05)
    def stubborn(x: int) -> int:
        try:
            time.sleep(5)
        except Exception:
            return x
        return -1

    with pytest.raises(NodeError, match=r"stubborn ran for more than 0\.05 s"):
        ln.compute(stubborn(1))


def test_nothing_of_a_timeout_is_left_behind(session: ln.Session) -> None:
    import signal

    before = signal.getsignal(signal.SIGALRM)
    assert ln.compute(plain.options(timeout=60)(1)) == 1
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
