"""Calls on a Ray cluster of several machines, which processes on this one play. Drivers are processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import lineage as ln
import ray_nodes as nodes
from lineage.errors import ExecutorError
from lineage.executors.ray import Ray
from ray_machines import ENVIRONMENT, Machine, new_token

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def token() -> Iterator[str]:
    """The token of the cluster, in the environment of those who want to join."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT, RAY_AUTH_TOKEN=new_token())
    yield os.environ["RAY_AUTH_TOKEN"]
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def head(token: str) -> Iterator[Machine]:
    head = Machine(token, "head", 1)
    yield head
    head.close()


@pytest.fixture
def session(head: Machine, tmp_path: Path) -> Iterator[ln.Session]:
    with ln.Session(tmp_path / "store", executors={"default": Ray(head.address)}) as session:
        yield session


def test_a_machine_that_is_lost_in_the_middle_of_a_run_costs_only_what_it_had_begun(
    session: ln.Session, head: Machine, token: str, tmp_path: Path
) -> None:
    folder = tmp_path / "marks"
    folder.mkdir()
    second = Machine(token, "machine", 1, head.address)

    def end_it() -> None:
        while len(list(folder.iterdir())) < 20:
            time.sleep(0.05)
        os.kill(second.raylet, signal.SIGKILL)

    thread = threading.Thread(target=end_it)
    thread.start()
    found = session.compute([nodes.marked(x, str(folder), 0.1) for x in range(60)])
    thread.join()
    second.close()
    assert found == list(range(60))
    again = sum(len(path.read_text()) - 1 for path in folder.iterdir())
    assert again <= 4, "a call or two were begun on the lost machine"


def test_a_store_that_a_machine_does_not_see_is_refused_at_once(session: ln.Session, head: Machine, token: str) -> None:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("a folder can be hidden from a process by root only")
    assert session.compute(nodes.increment(1)) == 2
    blind = Machine(token, "machine", 1, head.address, hidden=session.root)
    try:
        with pytest.raises(ExecutorError, match=rf"does not see the store in {session.root}.*shared|share") as caught:
            session.compute(nodes.increment(2))
        assert caught.value.store == str(session.root)  # type: ignore[attr-defined]
    finally:
        blind.close()


def test_an_address_where_nothing_listens_is_said_at_once(tmp_path: Path) -> None:
    with (
        ln.Session(tmp_path / "store", executors={"default": Ray("127.0.0.1:9")}) as session,
        pytest.raises(ExecutorError, match=r"no Ray cluster at '127.0.0.1:9'"),
    ):
        session.compute(nodes.increment(1))


def test_who_joins_asks_for_no_more_cores_than_a_machine_has(session: ln.Session) -> None:
    with pytest.raises(ln.LineageError, match=r"wider_than_there_is needs 64 cores on one machine.* is 1 cores"):
        session.compute(nodes.wider_than_there_is(1))


def test_the_cluster_of_others_goes_on_when_a_driver_leaves(session: ln.Session, head: Machine) -> None:
    assert session.compute(nodes.increment(5)) == 6
    session.close()
    assert Path(f"/proc/{head.raylet}").exists()
    assert session.compute(nodes.increment(6)) == 7


def test_an_interpreter_that_is_not_there_is_said_and_not_waited_for(head: Machine, tmp_path: Path) -> None:
    executor = Ray(head.address, python="/nowhere/python", start=5)
    with (
        ln.Session(tmp_path / "store", executors={"default": executor}) as session,
        pytest.raises(ExecutorError, match=r"/nowhere/python"),
    ):
        session.compute(nodes.increment(1))
