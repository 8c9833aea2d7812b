"""How runs on Ray end: by a signal, by force, in silence. Nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DRIVER = Path(__file__).parent.parent / "ray_driver.py"

pytestmark = pytest.mark.slow


class Driver:
    """A process that computes on a Ray cluster of its own."""

    def __init__(self, tmp_path: Path, *, count: int, seconds: float) -> None:
        self.folder = tmp_path / "marks"
        self.folder.mkdir(exist_ok=True)
        command = [sys.executable, str(DRIVER), str(tmp_path / "store"), str(self.folder), str(count), str(seconds)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )

    def wait_for_marks(self, count: int) -> set[int]:
        """Wait until so many calls were begun, and return the numbers of all processes below the driver."""
        while len(list(self.folder.iterdir())) < count:
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        return below(self.process.pid)

    def marks(self) -> dict[str, int]:
        """Return how often each call was begun."""
        return {path.name: len(path.read_text()) for path in self.folder.iterdir()}


def below(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            children = {int(child) for child in (task / "children").read_text().split()}
        except OSError:
            continue
        for child in children - found:
            try:
                found |= {child} | below(child)
            except OSError:
                found.add(child)
    return found


def gone(pids: set[int], *, seconds: float) -> bool:
    """Say whether all processes end within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(is_running(pid) for pid in pids):
            return True
        time.sleep(0.1)
    return False


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def commands(pids: set[int]) -> dict[int, str]:
    return {pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip() for pid in pids if is_running(pid)}


def test_a_killed_driver_leaves_no_worker_and_the_next_run_executes_only_what_was_not_finished(tmp_path: Path) -> None:
    driver = Driver(tmp_path, count=1000, seconds=0.005)
    processes = driver.wait_for_marks(600)
    workers = {pid for pid, command in commands(processes).items() if command.startswith("ray::RayWorker")}
    assert workers
    driver.process.kill()
    driver.process.communicate()
    assert gone(workers, seconds=30)
    before = driver.marks()
    again = Driver(tmp_path, count=1000, seconds=0.005)
    out, _ = again.process.communicate()
    executed = int(out.split()[-1])
    assert sum(again.marks().values()) - sum(before.values()) == executed
    assert len(again.marks()) == 1000
    assert 1000 - len(before) <= executed <= 900  # what was in flight was not finished


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    driver = Driver(tmp_path, count=100, seconds=1.0)
    processes = driver.wait_for_marks(2)
    os.kill(driver.process.pid, number)
    driver.process.communicate(timeout=60)
    assert driver.process.returncode != 0
    assert gone(processes, seconds=20), commands(processes)


def test_nothing_of_rays_own_is_on_the_terminal(tmp_path: Path) -> None:
    driver = Driver(tmp_path, count=5, seconds=0.0)
    out, err = driver.process.communicate()
    assert out == "started\n5\n"
    assert err == ""
