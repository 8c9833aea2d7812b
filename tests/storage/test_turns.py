"""Who may write, in turn: kernel locks, which dead processes don't hold."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineage.storage.index import SqliteIndex
from lineage.storage.turns import Turns
from lineage.testing.stores import an_execution, key


@pytest.fixture
def turns(tmp_path: Path) -> Iterator[Turns]:
    turns = Turns(tmp_path)
    yield turns
    turns.close()


def wait_until_wanted(turns: Turns) -> None:
    until = time.monotonic() + 30
    while not turns.is_wanted():
        assert time.monotonic() < until, "nobody waits for the turn"
        time.sleep(0.001)


def test_nobody_wants_a_turn_that_nobody_waits_for(turns: Turns) -> None:
    turns.take()
    assert not turns.is_wanted()
    turns.give()


def test_who_comes_back_at_once_queues_behind_who_waits(turns: Turns, tmp_path: Path) -> None:
    order: list[str] = []

    def other() -> None:
        mine = Turns(tmp_path)
        mine.take()
        order.append("the one that waited")
        mine.give()
        mine.close()

    for _ in range(20):
        turns.take()
        thread = threading.Thread(target=other)
        thread.start()
        wait_until_wanted(turns)
        turns.give()
        turns.take()
        order.append("the one that came back")
        turns.give()
        thread.join()
    assert order == ["the one that waited", "the one that came back"] * 20


def test_a_killed_process_holds_no_turn(turns: Turns, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lineage.storage.turns import Turns\n"
        "turns = Turns(Path(sys.argv[1])); turns.take(); print('taken', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"taken\n"
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    turns.take()
    turns.give()


def test_an_index_writes_in_its_turn_and_lets_go_when_another_waits(turns: Turns, tmp_path: Path) -> None:
    index = SqliteIndex(tmp_path / "index.sqlite", before_commit=lambda: None)
    turns.take()
    recorded = threading.Event()

    def write() -> None:
        index.record(an_execution("a"), None, 1)
        recorded.set()

    thread = threading.Thread(target=write)
    thread.start()
    wait_until_wanted(turns)
    assert not recorded.is_set()
    turns.give()
    thread.join()
    turns.take()  # comes as soon as the group is committed
    reader = SqliteIndex(tmp_path / "index.sqlite", before_commit=lambda: None, writable=False)
    assert list(reader.by_call([key("a")])) == [key("a")]
    turns.give()
    reader.close()
    index.close()
