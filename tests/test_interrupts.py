"""Ctrl-C and SIGTERM, sent to real processes at any instant."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import interrupted_pipeline as pipeline
import lineage as ln
from lineage.interrupts import Stops

COUNT = 100
EXECUTORS = ["serial"]
if importlib.util.find_spec("lineage.executors.processes") is not None:
    EXECUTORS.append("processes:2")


def start(store: Path, executor: str) -> subprocess.Popen[str]:
    asked = [sys.executable, pipeline.__file__, str(store), executor, str(COUNT)]
    started = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert started.stdout is not None
    started.stdout.readline()
    return started


def recorded(store: Path) -> int:
    with ln.Session(store, read_only=True) as session:
        return int(session.store.index._groups.one("SELECT count(*) FROM executions WHERE status = 'ok'")[0])


def status(store: Path) -> str:
    with ln.Session(store, read_only=True) as session:
        (run,) = session.store.index.runs(1)
        return run.status


def leftovers(store: Path) -> list[str]:
    return sorted(str(path) for part in ("tmp", "scratch") for path in (store / part).rglob("*") if path.is_file())


def alive_in_session(leader: int) -> list[int]:
    """Return the processes that were started in the session of `leader` and are still there."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(folder.name))
    return found


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("seed", range(4))
def test_an_interrupt_at_any_instant_keeps_what_is_done_and_leaves_nothing(
    tmp_path: Path, executor: str, number: signal.Signals, seed: int
) -> None:
    store = tmp_path / "store"
    first = start(store, executor)
    assert first.stdout is not None
    begun = first.stdout.readline()  # the run is on, and its handlers are there
    time.sleep(random.Random(f"{seed} {number} {executor}").uniform(0.0, 0.4))
    first.send_signal(number)
    out, error = first.communicate(timeout=60)
    out = begun + out
    assert first.returncode in ((143,) if number == signal.SIGTERM else (-signal.SIGINT, 130)), error
    assert alive_in_session(first.pid) == []
    assert status(store) == "interrupted"
    kept = recorded(store)
    assert out.count("executed") <= kept <= out.count("executed") + 1
    again = start(store, executor)
    out, error = again.communicate(timeout=60)
    assert json.loads(out.splitlines()[-1]) == {"right": True}, error
    assert out.count("executed") == 2 * COUNT - kept
    assert leftovers(store) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_code_that_swallows_an_interrupt_does_not_get_its_result_recorded(
    tmp_path: Path, number: signal.Signals
) -> None:
    store = tmp_path / "store"
    first = start(store, "deaf")
    first.send_signal(number)
    out, _ = first.communicate(timeout=60)
    assert first.returncode in (143, -signal.SIGINT, 130)
    assert "executed" not in out
    assert recorded(store) == 0
    assert status(store) == "interrupted"


def test_a_second_sigterm_ends_the_process_at_once(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\n"
        "from lineage.interrupts import Stops\n"
        "with Stops():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(1)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('still here', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGTERM
    assert done.stdout == ""


def test_handlers_are_there_while_a_run_is_on_and_not_after(session: ln.Session) -> None:
    found: list[Any] = []

    @ln.node(version="1")
    def look() -> int:
        found.extend([signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)])
        return 1

    before = [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)]
    ln.compute(look())
    assert all(during != usual for during, usual in zip(found, before, strict=True))
    assert [signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)] == before


def test_handlers_of_the_user_s_are_left_alone(session: ln.Session) -> None:
    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        with Stops():
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_in_another_thread_has_no_handlers_and_works(session: ln.Session) -> None:
    found: list[int] = []

    @ln.node(version="1")
    def one() -> int:
        return 1

    thread = threading.Thread(target=lambda: found.append(session.compute(one())))
    thread.start()
    thread.join()
    assert found == [1]


def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_check() -> None:
    with pytest.raises(KeyboardInterrupt), Stops() as stops:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            pass
        stops.check()
        pytest.fail("the check let it pass")


def test_what_must_be_done_at_the_end_is_done_again_if_it_is_interrupted() -> None:
    from lineage.interrupts import insistently

    done: list[int] = []

    def end() -> None:
        done.append(1)
        if len(done) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        insistently(end)
    assert done == [1, 1]


def test_a_run_that_is_interrupted_while_it_is_recorded_is_recorded(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = session.store.index
    original, calls = index.end_run, []

    def end_run(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        original(*args)

    monkeypatch.setattr(index, "end_run", end_run)
    with pytest.raises(KeyboardInterrupt):
        ln.compute(pipeline.after(1))
    assert [run.status for run in index.runs(1)] == ["ok"]
    assert recorded(session.root) == 1
