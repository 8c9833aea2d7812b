"""Runs, calls and datasets as frames, and their filters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import lineage as ln
from lineage.errors import CompositionError, NotFoundError
from lineage.query import columns


@ln.node
def half(x: int) -> float:
    return 1 / x


@ln.node
def words(text: str) -> list[str]:
    return text.split()


@ln.node
def count(items: list[str]) -> int:
    return len(items)


@ln.node
def table(n: int) -> pl.DataFrame:
    return pl.DataFrame({"a": range(n)})


@ln.node
def height(frame: pl.DataFrame) -> int:
    return frame.height


def test_runs_are_listed_the_latest_first_with_what_they_did(session: ln.Session) -> None:
    ln.compute(count(words("a b")))
    ln.compute(count(words("a  b")))
    found = ln.runs()
    assert found.select("run", "name", "status", "executed", "unchanged", "hit").rows() == [
        (2, "count", "ok", 1, 1, 0),
        (1, "count", "ok", 2, 0, 0),
    ]
    assert found["results"].to_list() == [[2], [2]]
    assert all(wall >= 0 for wall in found["wall"])


def test_runs_can_be_chosen(session: ln.Session) -> None:
    with pytest.raises(ln.LineageError):
        ln.compute(half(0))
    ln.compute(half(1))
    assert ln.runs(status="failed")["run"].to_list() == [1]
    assert ln.runs(limit=1)["run"].to_list() == [2]
    assert ln.runs(user="nobody")["run"].to_list() == []
    now = datetime.now(UTC)
    for since in (now + timedelta(hours=1), (now + timedelta(hours=1)).isoformat()):
        assert ln.runs(since=since).height == 0
        assert ln.calls(since=since).height == 0
    assert ln.runs(since=now.timestamp() - 3600).height == 2


def test_failed_calls_of_a_wide_run_are_found_by_a_filter(session: ln.Session) -> None:
    ln.compute(ln.map(ln.attempt(half), [1, 0, 2]))
    ln.compute(ln.map(ln.attempt(half), [3, 0]))
    found = ln.calls(run=1, status="failed")
    assert found.select("node", "run", "verdict", "arguments").rows() == [("half", 1, "failed", '{"x": 0}')]
    assert found["error"][0].startswith("ZeroDivisionError: division by zero\n")
    assert ln.calls(status="failed")["run"].to_list() == [2, 1]
    assert ln.calls(status="ok", node=half)["execution"].to_list() == [4, 3, 1]


def test_the_calls_of_a_run_are_what_it_executed_and_what_it_took_over(session: ln.Session) -> None:
    ln.compute(count(words("a b")))
    ln.compute(count(words("a  b")))
    ln.compute(count(words("a b")))
    assert ln.calls(run=2).select("execution", "node", "verdict").rows() == [
        (3, "words", "executed"),
        (2, "count", "unchanged"),
        (1, "words", "hit"),
    ]
    assert ln.calls(run=3)["verdict"].to_list() == ["hit", "hit"]
    assert ln.calls(run=2, node="words", limit=1)["execution"].to_list() == [3]


def test_calls_of_no_run_and_of_no_status_are_errors(session: ln.Session) -> None:
    with pytest.raises(NotFoundError, match="there is no run 5"):
        ln.calls(run=5)
    with pytest.raises(CompositionError, match="no call has the status 'bad'"):
        ln.calls(status="bad")


def test_a_view_of_several_datasets_leads_to_each_of_them(session: ln.Session) -> None:
    @ln.node
    def height(frame: pl.LazyFrame) -> int:
        return int(frame.select(pl.len()).collect().item())

    handle = ln.materialize(height(ln.scan([table(3), table(4)])))
    assert sorted(ln.upstream(handle)["node"]) == ["height", "table", "table"]


def test_datasets_say_type_rows_and_tags(session: ln.Session) -> None:
    handle = ln.materialize(table(3))
    ln.tag(handle, "small")
    ln.compute(count(words("a")), half(4))
    found = ln.datasets()
    assert found.select("node", "type", "tags").sort("node").rows() == [
        ("count", "int", []),
        ("half", "float", []),
        ("table", "polars.DataFrame", [f"{session.own.text}/small"]),
        ("words", "list", []),
    ]
    assert ln.datasets("small")["digest"].to_list() == [handle.digest.hex()]


@pytest.mark.parametrize("name", ["runs", "calls", "datasets"])
def test_an_empty_store_gives_frames_of_the_same_columns(session: ln.Session, name: str) -> None:
    empty = getattr(ln, name)()
    ln.compute(count(words("a")))
    full = getattr(ln, name)()
    assert empty.schema == full.schema
    assert empty.height == 0


@pytest.mark.parametrize("name", ["RUNS", "CALLS", "STREAM", "DATASETS"])
def test_the_reference_says_what_each_column_means(name: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    for column, (kind, meaning) in getattr(columns, name).items():
        assert f"| `{column}` | {kind} | {meaning} |" in text
