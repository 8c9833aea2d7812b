"""A session that only reads serves what its store has, refuses work, and changes nothing in the folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lineage as ln
from lineage.errors import ReadOnlyStoreError, StoreError
from lineage.testing import EventLog


@ln.node
def table(n: int) -> pl.DataFrame:
    logging.getLogger("ran").warning("ran")  # a call that ran and could not be recorded is told of by no event
    return pl.DataFrame({"n": range(n)})


@ln.node
def total(t: pl.DataFrame) -> int:
    return int(t["n"].sum())


@ln.dynamic
def chosen(n: int) -> int:
    return total(table(n))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store"
    with ln.Session(folder) as session:
        session.tag(session.materialize(table(4)), "known")
        session.compute(total(table(4)), chosen(4))
        session.compute([table(n) for n in range(200)])
    return folder


def _contents(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return inode, mtime and bytes of everything below `folder`."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        stat = path.lstat()
        found[str(path)] = (stat.st_ino, stat.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
    return found


def test_hits_are_served_and_nothing_changes(store: Path, log: EventLog) -> None:
    before = _contents(store)
    with ln.Session(store, read_only=True, on_event=log) as session:
        assert session.compute(total(table(4))) == 6
        assert session.compute(chosen(4)) == 6
        assert session.compute(table(4))["n"].to_list() == [0, 1, 2, 3]
        assert session.dataset("known").value.height == 4
        assert session.compute(ln.ref(table, of=pl.DataFrame)) is not None
        assert session.plan(total(table(4))).counts() == {"hit": 1}
    assert set(log.names()) == {"hit total", "hit chosen", "hit table"}
    assert _contents(store) == before


def test_a_large_collection_is_served_and_nothing_changes(store: Path) -> None:
    before = _contents(store)
    with ln.Session(store, read_only=True) as session:
        assert [t.height for t in session.compute([table(n) for n in range(200)])] == list(range(200))
    assert _contents(store) == before


def _work(session: ln.Session) -> Any:
    return session.compute(total(table(5_000)))


REFUSED: dict[str, Callable[[ln.Session], Any]] = {
    "a miss": _work,
    "a miss that is materialised": lambda session: session.materialize(table(5_000)),
    "a miss below a dynamic node": lambda session: session.compute(chosen(5_000)),
    "a refresh": lambda session: session.compute(total(table(4)), refresh=[table]),
    "a tag": lambda session: session.tag(session.dataset("known"), "other"),
    "forgetting a call": lambda session: session.forget(table(4)),
    "forgetting a dataset": lambda session: session.forget(session.dataset("known")),
}


@pytest.mark.parametrize("what", REFUSED)
def test_work_is_refused_and_nothing_changes(store: Path, caplog: pytest.LogCaptureFixture, what: str) -> None:
    before = _contents(store)
    caplog.clear()
    with ln.Session(store, read_only=True) as session:
        with pytest.raises(ReadOnlyStoreError, match="read-only"):
            REFUSED[what](session)
        assert "ran" not in caplog.messages
        assert session.compute(total(table(4))) == 6
    assert _contents(store) == before


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_what_is_damaged_is_not_made_again_and_left_where_it_is(
    store: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    for path in (store / "objects").rglob("*"):
        if path.is_file() and damage == "gone":
            path.unlink()
        elif path.is_file():
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[::-1])
    before = _contents(store)
    caplog.clear()
    with ln.Session(store, read_only=True) as session:
        with pytest.raises(ReadOnlyStoreError, match="damaged or gone"):
            session.compute(table(4))
        with pytest.raises(StoreError):
            _ = session.materialize(table(4)).value
    assert "ran" not in caplog.messages
    assert _contents(store) == before


def test_no_store_is_made_where_there_is_none(tmp_path: Path) -> None:
    with ln.Session(tmp_path / "none", read_only=True) as session, pytest.raises(StoreError, match="there is no store"):
        session.compute(table(4))
    assert not (tmp_path / "none").exists()


def test_a_file_that_was_touched_is_a_hit_and_its_new_stamp_is_not_kept(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n")
    with ln.Session(store) as session:
        session.compute(rows(ln.File(path)))
    os.utime(path, (1, 1))
    before = _contents(store)
    with ln.Session(store, read_only=True) as session:
        assert session.compute(rows(ln.File(path))) == 1
    assert _contents(store) == before


def test_no_snapshot_is_taken(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("a\n1\n")
    before = _contents(store)
    with ln.Session(store, read_only=True) as session, pytest.raises(ReadOnlyStoreError):
        session.compute(rows(ln.File(path, snapshot=True)))
    assert _contents(store) == before


def test_objects_are_not_put(store: Path) -> None:
    with ln.Session(store, read_only=True) as session, pytest.raises(ReadOnlyStoreError, match="read-only"):
        session.store.objects.put(b"new")


@ln.node
def rows(file: ln.File) -> int:
    return pl.read_csv(file.path).height


def test_it_reads_while_somebody_else_writes(store: Path) -> None:
    with ln.Session(store) as writer:
        writer.compute(table(1_000))
        with ln.Session(store, read_only=True) as session:
            assert session.compute(table(1_000)).height == 1_000
            with pytest.raises(ReadOnlyStoreError):
                _work(session)
        assert writer.compute(total(table(1_000))) == 499_500


def test_the_default_session_can_be_made_read_only(store: Path) -> None:
    try:
        ln.configure(store, read_only=True)
        assert ln.compute(total(table(4))) == 6
        with pytest.raises(ReadOnlyStoreError):
            ln.compute(table(5_000))
    finally:
        ln.configure(store)
