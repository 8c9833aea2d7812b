"""Where the time of a run went."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lineage as ln
from lineage.errors import NotFoundError
from lineage.pictures.lanes import draw_timeline
from lineage.pictures.svg import Pen
from lineage.pictures.timeline import timeline_of, timeline_text
from lineage.records import SideData
from lineage.storage.index import SqliteIndex
from lineage.testing.stores import an_execution
from picture_pipeline import broken


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SqliteIndex]:
    index = SqliteIndex(tmp_path / "index.sqlite", before_commit=lambda: None)
    yield index
    index.close()


def a_run(index: SqliteIndex, *bars: tuple[str, int, float, float], seconds: float = 10.0) -> int:
    """Record a run that took so long: node, process, start within the run and seconds of each execution."""
    number = index.begin_run("report", "ann", "here", "report()", {})
    for position, (node, process, start, wall) in enumerate(bars):
        side = SideData(1000.0 + start, wall, cpu=wall / 2, executor="processes", host="here", process=process)
        execution = an_execution(f"{number} {position}", node=node)._replace(side=side)
        if node == "bad":
            index.failed(execution._replace(result=None, value=None, error="no"), number)
        else:
            index.record(execution, None, number)
    index.end_run(number, "ok", {"executed": len(bars)}, {})
    index._groups.write("UPDATE runs SET started = 1000.0, finished = ? WHERE id = ?", 1000.0 + seconds, number)
    return number


def test_a_worker_is_a_lane_and_busy_while_it_executes(index: SqliteIndex) -> None:
    timeline = timeline_of(index, a_run(index, ("load", 1, 0, 8), ("load", 2, 0, 2), ("fit", 2, 4, 2)))
    assert [(lane.process, lane.busy, len(lane.bars)) for lane in timeline.lanes] == [(1, 8, 1), (2, 4, 2)]
    assert timeline.seconds == pytest.approx(10)
    assert timeline.busy == pytest.approx(0.6)
    assert timeline.between == pytest.approx(2)


def test_time_is_added_up_by_node_the_dearest_first(index: SqliteIndex) -> None:
    shares = timeline_of(index, a_run(index, ("load", 1, 0, 1), ("fit", 1, 1, 5), ("load", 1, 6, 2))).shares
    assert [(share.node, share.calls, share.wall, share.longest) for share in shares] == [
        ("fit", 1, 5.0, 5.0),
        ("load", 2, 3.0, 2.0),
    ]
    assert shares[0].cpu == 2.5


def test_what_a_process_does_at_once_stands_in_lanes_of_its_own(index: SqliteIndex) -> None:
    lanes = timeline_of(index, a_run(index, ("load", 1, 0, 4), ("load", 1, 2, 4), ("load", 1, 5, 1))).lanes
    assert [len(lane.bars) for lane in lanes] == [2, 1]


def test_many_short_executions_become_few_bars_that_count_them(index: SqliteIndex) -> None:
    bars = [("load", 1, number / 1000, 0.0009) for number in range(5000)]
    (lane,) = timeline_of(index, a_run(index, *bars, ("fit", 1, 6, 3))).lanes
    assert len(lane.bars) < 450
    assert sum(bar.count for bar in lane.bars) == 5001
    assert lane.bars[-1].node == "fit"
    assert lane.bars[-1].end - lane.bars[-1].start == pytest.approx(3)


def test_a_long_bar_does_not_swallow_what_follows_it(index: SqliteIndex) -> None:
    (lane,) = timeline_of(index, a_run(index, ("load", 1, 0, 4), ("load", 1, 4.001, 4))).lanes
    assert len(lane.bars) == 2


def test_failures_are_counted_and_drawn(index: SqliteIndex) -> None:
    timeline = timeline_of(index, a_run(index, ("load", 1, 0, 1), ("bad", 1, 2, 1)))
    assert {share.node: share.failed for share in timeline.shares} == {"load": 0, "bad": 1}
    assert "1 failed" in timeline_text(timeline)
    assert "1 failed</title>" in draw_timeline(timeline, Pen()).body


def test_a_clock_that_is_behind_does_not_leave_the_picture(index: SqliteIndex) -> None:
    timeline = timeline_of(index, a_run(index, ("load", 1, -3, 1), ("load", 1, 9, 4)))
    assert min(bar.start for lane in timeline.lanes for bar in lane.bars) >= 0
    assert max(bar.end for lane in timeline.lanes for bar in lane.bars) <= timeline.seconds


def test_the_text_has_a_line_for_each_node_and_each_worker(index: SqliteIndex) -> None:
    text = timeline_text(timeline_of(index, a_run(index, ("load", 1, 0, 5), ("fit", 2, 5, 5))))
    first, *_, one, two = text.splitlines()
    assert first == ("run 1 (report): ok, 10 s; 2 executions on 2 workers, busy 50% of the time; 0 s in which none ran")
    assert one.split()[0] == "█" * 30 + "·" * 30
    assert two.split()[0] == "·" * 30 + "▓" * 30


def test_a_run_in_which_nothing_was_executed_says_so(session: ln.Session, capsys: pytest.CaptureFixture[str]) -> None:
    ln.materialize(ln.map(abs_of, [1, 2]))
    ln.materialize(ln.map(abs_of, [1, 2]))
    ln.show(2)
    assert "nothing was executed, 2 found" in capsys.readouterr().out


@ln.node
def abs_of(x: int) -> int:
    return abs(x)


def test_a_run_that_failed_has_a_timeline(session: ln.Session, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ln.LineageError):
        ln.compute(broken(1.0))
    ln.show(1)
    out = capsys.readouterr().out
    assert "run 1 (broken): failed" in out
    assert "1 failed" in out


def test_a_run_that_is_not_there_is_a_named_error(session: ln.Session) -> None:
    ln.compute(abs_of(1))
    with pytest.raises(NotFoundError, match="there is no run 7 in"):
        ln.show(7)


def test_asking_for_a_run_makes_no_store(session: ln.Session) -> None:
    with pytest.raises(NotFoundError, match="there is no store"):
        ln.show(1)
    assert not session.root.exists()


def test_a_run_is_given_by_number_or_record(session: ln.Session, capsys: pytest.CaptureFixture[str]) -> None:
    handle: Any = ln.materialize(abs_of(-3))
    ln.show(handle.origin.run)
    (record,) = session.store.index.runs(1)
    ln.show(record)
    one, two = capsys.readouterr().out.split("run 1 ")[1:]
    assert one == two
