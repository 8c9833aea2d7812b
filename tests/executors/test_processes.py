"""Worker processes of this machine: what happens when they die, hang, grow, or lose their driver."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import lineage as ln
import process_nodes as nodes
from lineage.errors import NodeError, WorkerError
from lineage.testing import EventLog

TESTS = Path(__file__).parent.parent


@pytest.fixture
def session(tmp_path: Path, log: EventLog) -> Iterator[ln.Session]:
    with ln.Session(tmp_path / "store", executors={"default": ln.Processes(2)}, on_event=log) as session:
        yield session


def failed_by_platform(call: object) -> NodeError:
    with pytest.raises(NodeError) as caught:
        ln.compute(call, retries=ln.Retry(platform=0))
    assert isinstance(caught.value.__cause__, WorkerError)
    return caught.value


def run_script(text: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(text))
    command = [sys.executable, str(script), *arguments]
    env = {**os.environ, "PYTHONPATH": str(TESTS), "LINEAGE_STORE": str(folder / "store")}
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=folder, timeout=120, check=False)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: object, seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


# -- processes


def test_calls_run_in_warm_processes_of_their_own(session: ln.Session) -> None:
    first = set(ln.compute(ln.map(nodes.pid, list(range(40)))))
    again = set(ln.compute(ln.map(nodes.pid, list(range(100, 140)))))
    assert os.getpid() not in first
    assert (
        len(first | again) <= 4
    )  # eighty calls; a worker is replaced where what it would be sent has changed meanwhile


def test_closing_ends_all_workers(tmp_path: Path) -> None:
    with ln.Session(tmp_path / "store", executors={"default": ln.Processes(2)}):
        workers = set(ln.compute(ln.map(nodes.pid, list(range(40)))))
        assert all(map(is_running, workers))
    assert not any(map(is_running, workers))


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(ln.LineageError, match="at least 1"):
        ln.Processes(0)


# -- death


def test_a_crash_is_told_by_its_signal_with_the_log_so_far(session: ln.Session) -> None:
    error = failed_by_platform(nodes.segfaults(3))
    assert "died of SIGSEGV" in str(error)
    assert "before the end 3" in error.log  # type: ignore[attr-defined]
    assert f'File "{nodes.__file__}", line' in error.traceback_text  # type: ignore[attr-defined]
    assert ln.compute(nodes.inc(1)) == 2


def test_an_exit_is_told_by_its_code(session: ln.Session) -> None:
    assert "exited with code 3" in str(failed_by_platform(nodes.exits(1)))


def test_a_kill_from_outside_is_told_apart(session: ln.Session) -> None:
    assert "SIGKILL" in str(failed_by_platform(nodes.is_killed(1)))


def test_a_crash_is_tried_again_and_costs_other_calls_nothing(session: ln.Session, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    assert ln.compute(ln.map(nodes.noted, list(range(300)), notes=str(notes))) == list(range(300))
    ran = Counter(int(line) for line in notes.read_text().splitlines())
    assert {x: count for x, count in ran.items() if count > 1} == {50: 2, 150: 2, 250: 2}
    attempts = ln.calls().group_by("attempt", "status").len().sort("attempt", "status").rows()
    assert attempts == [(1, "failed", 3), (1, "ok", 297), (2, "ok", 3)]


def test_nothing_waits_behind_a_call_that_takes_long(session: ln.Session, tmp_path: Path) -> None:
    (tmp_path / "warm").mkdir()
    (tmp_path / "place").mkdir()
    ln.compute(ln.map(nodes.waits_for_all, list(range(1, 100)), others=0, place=str(tmp_path / "warm")))
    calls = ln.map(nodes.waits_for_all, list(range(200)), others=199, place=str(tmp_path / "place"))
    assert all(ln.compute(calls))
    assert ln.calls(node="waits_for_all", status="ok").height == 99 + 200


# -- limits


def test_a_timeout_ends_native_code(session: ln.Session) -> None:
    with pytest.raises(NodeError, match=r"deaf ran for more than 0\.3 s") as caught:
        ln.compute(nodes.deaf(1))
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert "busy" in caught.value.log  # type: ignore[attr-defined]


def test_a_call_that_uses_too_much_memory_is_ended_with_the_numbers(session: ln.Session) -> None:
    greedy = nodes.fills_memory.options(resources=ln.Resources(memory=200 << 20))
    error = failed_by_platform(greedy(800))
    assert re.search(r"used [\d,]+ MiB of memory, and its call may use 200", str(error))
    assert ln.compute(nodes.fills_memory.options(resources=ln.Resources(memory=1 << 30))(20)) == 20


def test_a_large_input_is_mapped_and_not_copied(session: ln.Session) -> None:
    large = nodes.ones(40_000_000)
    used = ln.compute([nodes.memory_of_its_own(large, x) for x in range(4)])
    assert max(used) < 250 << 20


# -- code


def test_an_edit_on_disk_during_a_run_reaches_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: EventLog
) -> None:
    place = tmp_path / "nodes_edited_while_running.py"
    text = """
        import ctypes
        import lineage as ln

        VALUE = 1

        @ln.node
        def value(x: int) -> int:
            return VALUE + x

        @ln.node(version="1")
        def edits(place: str, after: int) -> int:
            with open(place) as file:
                text = file.read()
            with open(place, "w") as file:
                file.write(text.replace("VALUE = 1", "VALUE = 1000"))
            return 10

        @ln.node
        def later(x: int) -> int:
            return VALUE + x

        @ln.node
        def crashes_first(x: int) -> int:
            if ln.current().attempt == 1:
                ctypes.string_at(0)
            return x
    """
    place.write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(str(tmp_path))
    import nodes_edited_while_running as edited  # type: ignore[import-not-found]

    with ln.Session(tmp_path / "store", executors={"default": ln.Processes(1)}):
        first = edited.value(0)
        found = ln.compute(edited.later(edited.value(edited.crashes_first(edited.edits(str(place), first)))))
        assert found == 12
    assert "1000" in place.read_text()


def test_a_file_beside_the_code_is_there_for_workers(session: ln.Session) -> None:
    assert ln.compute(nodes.query_length(0)) == len("select 1\n")


def test_a_variable_that_code_reads_reaches_workers_that_run_already(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCESS_SETTING", "a")
    assert ln.compute(nodes.setting(1)) == "a1"
    monkeypatch.setenv("PROCESS_SETTING", "b")
    assert ln.compute(nodes.setting(1)) == "b1"


def test_a_worker_that_differs_from_what_was_planned_refuses_and_says_in_what(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Lisbon")  # workers have UTC
    error = failed_by_platform(nodes.zone(1))
    assert "environment variable TZ (differs)" in str(error)


SCRIPT = """
    import enum
    from dataclasses import dataclass, field
    from pathlib import Path
    from typing import NamedTuple
    import attrs
    import lineage as ln
    from lineage.digest import Digest
    print("script runs")

    FACTOR = 3

    @dataclass
    class Pair:
        a: int
        b: int

    class Odd(Exception):
        pass

    class Colour(enum.Enum):
        RED = "r"
        GREEN = "g"

    class Place(NamedTuple):
        x: int
        y: int = 2

    @attrs.frozen
    class Box:
        place: Place
        colours: list[Colour] = attrs.field(factory=list)

    @dataclass
    class Shelf:
        boxes: list[Box] = field(default_factory=list)

    @ln.node
    def shelf(n: int, colour: Colour) -> Shelf:
        return Shelf([Box(Place(i), [colour]) for i in range(n)])

    @ln.node
    def height(s: Shelf) -> int:
        return sum(box.place.y for box in s.boxes if box.colours == [Colour.RED])

    def times(x: int) -> int:
        return x * FACTOR

    class Stamp:
        def __init__(self, text: str) -> None:
            self.text = text

    class StampCodec:
        family = "stamp"
        def identify(self, value, kind):
            return Digest(value.text.encode().rjust(32)), {}
        def lossless(self, value):
            return True
        def encode(self, value, kind, folder):
            (folder / "text").write_text(value.text)
            return {}
        def decode(self, files, notes, kind):
            return Stamp(files["text"].read_text())

    ln.register(Stamp, StampCodec())

    @ln.node
    def stamp(text: str) -> Stamp:
        return Stamp(text)

    @ln.node
    def read(s: Stamp) -> str:
        return s.text

    @ln.node
    def pair(x: int) -> Pair:
        return Pair(x, times(x))

    @ln.node
    def apart(p: Pair) -> int:
        return p.b - p.a

    @ln.node
    def odd(x: int) -> int:
        raise Odd(str(x))

    @ln.node
    def beside(x: int) -> str:
        return (Path(__file__).parent / "beside.txt").read_text()

    @ln.node
    def merge(a: int, b: int) -> int:
        return a + b

    @ln.dynamic
    def down(n: int) -> int:
        return n if n <= 0 else down(merge(n, -3))

    with ln.Session(executors={"default": ln.Processes(2)}):
        print(ln.compute([apart(pair(x)) for x in range(4)]), ln.compute(beside(1)), ln.compute(pair(2)))
        print(ln.compute(ln.reduce(merge, list(map(apart, [pair(x) for x in range(20)])))), ln.compute(down(7)))
        print(ln.compute(height(shelf(3, Colour.RED))), ln.compute(read(stamp("today"))))
        try:
            ln.compute(odd(5))
        except ln.LineageError as error:
            print(type(error.__cause__) is Odd, error.__cause__)
        print(ln.compute(beside(1), executor="serial"))
"""


def test_a_script_is_not_run_again_and_its_own_classes_travel(tmp_path: Path) -> None:
    (tmp_path / "beside.txt").write_text("beside it")
    done = run_script(SCRIPT, folder=tmp_path)
    assert done.stdout.splitlines() == [
        "script runs",
        "[0, 2, 4, 6] beside it Pair(a=2, b=6)",
        "380 -2",
        "6 today",
        "True 5",
        "beside it",
    ], done.stderr


NOTEBOOK = """
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance()
    cells = [
        "import lineage as ln; import polars as pl; pl.Config.set_tbl_rows(5);",
        "RATE = 4\\ndef helper(x): return x * RATE",
        "@ln.node\\ndef work(x: int) -> int:\\n    return helper(x)",
        "with ln.Session(executors={'default': ln.Processes(2)}): print(ln.compute(ln.map(work, [1, 2, 3])))",
        "RATE = 5",
        "with ln.Session(executors={'default': ln.Processes(2)}): print(ln.compute(ln.map(work, [1, 2, 3])))",
    ]
    for cell in cells:
        shell.run_cell(cell, store_history=True).raise_error()
"""


def test_nodes_of_a_notebook_travel_with_their_source(tmp_path: Path) -> None:
    done = run_script(NOTEBOOK, folder=tmp_path)
    assert "[4, 8, 12]" in done.stdout, done.stdout + done.stderr
    assert "[5, 10, 15]" in done.stdout, done.stdout + done.stderr


# -- output


def test_what_native_code_writes_is_kept_and_shown(session: ln.Session, capfd: pytest.CaptureFixture[str]) -> None:
    found = ln.materialize(nodes.says_natively(1))
    assert sorted(ln.logs(found).splitlines()) == ["from C", "from Python"]
    session.close()
    assert sorted(capfd.readouterr().out.splitlines()) == ["from C", "from Python"]


# -- the driver

DRIVER = """
    import sys
    sys.path.insert(0, {tests!r})
    import lineage as ln, process_nodes as nodes
    place = sys.argv[1]
    if __name__ == "__main__":
        with ln.Session(executors={{"default": ln.Processes(2)}}) as session:
            print(sum(ln.compute(ln.map(nodes.{node}, list(range(1000)), {more}place=place))))
"""


def start_driver(folder: Path, node: str, more: str = "") -> subprocess.Popen[bytes]:
    script = folder / "driver.py"
    script.write_text(textwrap.dedent(DRIVER.format(tests=str(TESTS), node=node, more=more)))
    (folder / "place").mkdir(exist_ok=True)
    env = {**os.environ, "LINEAGE_STORE": str(folder / "store")}
    command = [sys.executable, str(script), str(folder / "place")]
    return subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE)


def test_workers_end_when_their_driver_is_killed(tmp_path: Path) -> None:
    driver = start_driver(tmp_path, "sleeps", "seconds=600.0, ")
    place = tmp_path / "place"
    assert until(lambda: len(list(place.iterdir())) == 2)
    workers = [int(path.name) for path in place.iterdir()]
    driver.kill()
    driver.communicate()
    assert until(lambda: not any(map(is_running, workers)))


def test_a_driver_killed_amid_a_thousand_calls_leaves_only_what_was_not_done(tmp_path: Path) -> None:
    driver = start_driver(tmp_path, "one_of_many")
    place = tmp_path / "place"
    assert until(lambda: len(list(place.iterdir())) > 300)
    driver.kill()
    driver.communicate()
    time.sleep(0.2)
    with ln.Session(tmp_path / "store") as session:
        recorded = session.store.index.ask("SELECT count(*) FROM executions WHERE status = 'ok'")[0][0]
    before = len(list(place.iterdir()))
    assert 0 < recorded <= before < 1000
    again = start_driver(tmp_path, "one_of_many")
    printed, _ = again.communicate(timeout=120)
    assert int(printed) == sum(range(1000))
    assert len(list(place.iterdir())) - before == 1000 - recorded


def test_an_interrupt_ends_what_runs(tmp_path: Path) -> None:
    driver = start_driver(tmp_path, "sleeps", "seconds=600.0, ")
    place = tmp_path / "place"
    assert until(lambda: len(list(place.iterdir())) == 2)
    workers = [int(path.name) for path in place.iterdir()]
    driver.send_signal(signal.SIGINT)
    driver.communicate(timeout=60)
    assert not any(map(is_running, workers))
