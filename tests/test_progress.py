"""What people see while a run is on, and what calls printed afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import lineage as ln
from lineage import progress
from lineage.errors import CompositionError, LineageError, NodeError, NotFoundError
from lineage.logs import _of_one_run
from lineage.progress import line


@ln.node
def invert(x: int) -> float:
    print(f"inverting {x}")
    return 1 / x


@ln.node
def slowly(x: int) -> int:
    time.sleep(0.004)
    if x < 0:
        raise ValueError(f"{x} is below zero")
    return x


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    monkeypatch.setattr(progress, "EVERY", {"bar": 0.01, "lines": 0.01})


@pytest.mark.usefixtures("impatient")
def test_lines_count_what_happens_and_list_failures(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ln.Session(tmp_path, progress="lines"):
        ln.compute([slowly(x) for x in range(10)])
        ln.materialize([slowly(x) for x in range(-15, 40)], on_failure="continue")
    lines = capfd.readouterr().err.splitlines()
    assert all(text.startswith("lineage: ") for text in lines)
    assert "lineage: failed: slowly(x=-15): ValueError: -15 is below zero" in lines
    assert sum("is below zero" in text for text in lines) == 10
    assert lines.count("lineage: failures from here on are only counted") == 1
    assert lines[-1].startswith("lineage: 55 of 55 calls: 30 done, 10 cached, 15 failed; ")
    assert any("1 running" in text for text in lines)


@pytest.mark.usefixtures("impatient")
def test_a_log_without_a_terminal_stays_empty(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ln.Session(tmp_path):
        ln.compute([slowly(x) for x in range(10)])
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("impatient")
def test_the_environment_asks_for_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINEAGE_PROGRESS", "lines")
    with ln.Session(tmp_path):
        ln.compute([slowly(x) for x in range(10)])
    assert "10 of 10 calls: 10 done" in capfd.readouterr().err


@pytest.mark.usefixtures("impatient")
def test_a_bar_shows_the_same_on_a_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ln.Session(tmp_path, progress=True), pytest.raises(NodeError):
        ln.compute([slowly(x) for x in range(-1, 30)])
    assert "failed: slowly(x=-1): ValueError" in capfd.readouterr().err


def test_a_mode_that_is_not_known_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="'bar', 'lines' or 'off'"), ln.Session(tmp_path, progress="loud"):
        ln.compute(invert(1))


@pytest.mark.usefixtures("impatient")
def test_calls_that_are_composed_at_run_time_are_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    @ln.node
    def numbers(n: int) -> list[int]:
        return list(range(n))

    with ln.Session(tmp_path, progress="lines"):
        ln.compute(ln.map(slowly, numbers(7)))
    lines = capfd.readouterr().err.splitlines()
    assert any(
        " of 9 calls: " in text and " left" in text for text in lines
    )  # the numbers, the map and its seven calls
    assert lines[-1].startswith("lineage: 9 of 9 calls: 9 done; ")


def test_a_line_says_how_fast_and_for_how_long() -> None:
    assert line({}, 10, 0, 0.0) == "0 of 10 calls"
    assert line({"executed": 50, "retried": 3}, 100, 2, 10.0) == (
        "50 of 100 calls: 50 done, 3 retried, 2 running; 5/s, 10 s left"
    )
    assert line({"executed": 4000}, 4000, 0, 2.0) == "4,000 of 4,000 calls: 4,000 done; 2,000/s"
    assert line({"executed": 1}, 7201, 1, 1.0).endswith("1/s, 2.0 h left")


# -- logs


def test_the_log_of_a_call_is_found_by_whatever_names_it(session: ln.Session) -> None:
    handle = ln.materialize(invert(2))
    (outcome,) = ln.compute([ln.attempt(invert)(0)])
    assert isinstance(outcome, ln.Failed)
    with pytest.raises(NodeError) as caught:
        ln.compute(invert(0))
    assert ln.logs(handle) == ln.logs(invert(2)) == ln.logs(handle.origin.execution) == "inverting 2\n"  # type: ignore[union-attr]
    assert ln.logs(outcome) == ln.logs(caught.value) == ln.logs(invert(0)) == ln.logs(outcome.call) == "inverting 0\n"


def test_the_logs_of_all_attempts_are_there(session: ln.Session, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    @ln.node(retries=2, version="1")
    def flaky(path: str) -> int:
        with open(path, "a") as file:
            file.write("x")
        size = mark.stat().st_size
        print(f"try {size}")
        if size < 3:
            raise ConnectionError("not yet")
        return size

    handle = ln.materialize(flaky(str(mark)))
    expected = (
        "-- attempt 1: ConnectionError: not yet\ntry 1\n-- attempt 2: ConnectionError: not yet\ntry 2\n"
        "-- attempt 3: ok\ntry 3\n"
    )
    assert ln.logs(handle) == expected
    ln.compute(flaky(str(mark)), refresh=[flaky])
    assert ln.logs(flaky(str(mark))) == "try 4\n"
    assert ln.logs(handle) == expected


def test_what_has_no_log_is_a_clear_error(session: ln.Session) -> None:
    with pytest.raises(NotFoundError, match="was never executed"):
        ln.logs(invert(5))
    with pytest.raises(NotFoundError, match="no execution 99"):
        ln.logs(99)
    with pytest.raises(CompositionError, match="logs takes a call"):
        ln.logs(3.5)


def test_attempts_of_another_run_at_the_same_time_are_not_mixed_in(session: ln.Session) -> None:
    rows = [
        {"id": i, "run": run, "attempt": attempt} for i, (run, attempt) in enumerate([(1, 1), (2, 1), (1, 2), (2, 2)])
    ]
    assert [row["id"] for row in _of_one_run(rows)] == [1, 3]
    assert [row["id"] for row in _of_one_run(rows[:3])] == [0, 2]
