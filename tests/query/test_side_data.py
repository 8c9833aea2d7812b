"""What is recorded of every call without asking: times, memory, bytes and rows, attempts, place, log."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lineage as ln

MEGABYTE = 1 << 20


@ln.node
def large(megabytes: int) -> int:
    return int(np.ones(megabytes * MEGABYTE, dtype=np.uint8).sum())


@ln.node
def small(x: int) -> int:
    until = time.perf_counter() + 0.005
    while time.perf_counter() < until:
        pass
    return x


small_ = small.options(version="busy")


@ln.node
def table(n: int) -> pl.DataFrame:
    return pl.DataFrame({"x": range(n)})


@ln.node
def both(a: pl.DataFrame, b: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    return pl.concat([a, b]), 3


@ln.node
def size(file: ln.File) -> int:
    return len(file.path.read_bytes())


@ln.node
def biggest(folder: ln.Directory) -> int:
    return max(path.stat().st_size for path in folder.path.iterdir())


@ln.node(retries=2)
def flaky(marks: str) -> str:
    mark = Path(marks)
    print("trying", flush=True)
    if len(list(mark.iterdir())) < 2:
        (mark / str(len(list(mark.iterdir())))).touch()
        raise ConnectionError("not yet")
    return "done"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks can't be begun anew here")
def test_memory_is_the_peak_of_the_call_and_not_of_those_before_it(session: ln.Session) -> None:
    ln.compute(large(300))
    ln.compute(small_(1))
    after, before = ln.calls()["memory"]
    assert before - after > 200 * MEGABYTE


def test_rows_and_bytes_in_and_out(session: ln.Session) -> None:
    handle = ln.materialize(both(table(3), table(4)))
    found = ln.calls().sort("execution").select("rows_in", "rows_out", "bytes_in", "bytes_out").rows()
    first, second, third = found
    assert first[:3] == (None, 3, 0)
    assert third[:2] == (7, 7)
    assert third[2] == first[3] + second[3] > 0
    assert third[3] == handle.bytes


def test_what_is_in_the_store_already_counts_as_made(session: ln.Session) -> None:
    ln.compute(table(3))
    ln.compute(table(3), refresh=[table])
    assert ln.calls()["bytes_out"].n_unique() == 1


def test_files_and_folders_count_by_their_size(session: ln.Session, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "data" / "b").write_bytes(b"x" * 234)
    ln.compute(size(ln.File(tmp_path / "data" / "a")), biggest(ln.Directory(tmp_path / "data")))
    assert sorted(ln.calls().select("bytes_in", "rows_in").rows()) == [(1000, None), (1234, None)]


def test_every_attempt_is_a_row_with_its_log(session: ln.Session, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    assert ln.compute(flaky.options(version="1")(str(marks))) == "done"
    assert ln.calls().select("attempt", "status", "log", "process", "host").rows() == [
        (attempt, status, "trying\n", os.getpid(), os.uname().nodename)
        for attempt, status in ((3, "ok"), (2, "failed"), (1, "failed"))
    ]
    assert ln.calls(status="failed")["error"].str.contains("not yet").all()


def test_times_are_of_the_call(session: ln.Session) -> None:
    before = time.time()
    ln.compute(small_(2))
    (call,) = ln.calls().rows(named=True)
    assert before <= call["started"].timestamp() <= time.time()
    assert 0.004 < call["wall"] < 60
    assert call["cpu"] > 0
