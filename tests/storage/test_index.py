"""`SqliteIndex`: the contract of indexes, and what is its own: groups, versions, damage, turns, forks."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lineage.errors import ReadOnlyStoreError, StoreError, StoreVersionError
from lineage.storage import groups, keys, schema
from lineage.storage.base import Recipe
from lineage.storage.index import SqliteIndex
from lineage.testing.stores import IndexContract, an_execution, key


def opened(folder: Path, **options: Any) -> SqliteIndex:
    return SqliteIndex(folder / "index.sqlite", before_commit=options.pop("before_commit", lambda: None), **options)


class TestSqliteIndex(IndexContract):
    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[SqliteIndex]:
        index = opened(tmp_path)
        yield index
        index.close()

    def again(self, index: Any) -> SqliteIndex:
        return opened(index.path.parent)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SqliteIndex]:
    index = opened(tmp_path)
    yield index
    index.close()


# -- groups


def count_of(folder: Path) -> int:
    db = sqlite3.connect(folder / "index.sqlite")
    try:
        return int(db.execute("SELECT count(*) FROM executions").fetchone()[0])
    finally:
        db.close()


def test_a_group_is_committed_soon_without_being_asked(index: SqliteIndex, tmp_path: Path) -> None:
    index.record(an_execution("a"), None, 1)
    assert count_of(tmp_path) == 0
    until = time.monotonic() + 5
    while count_of(tmp_path) == 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert count_of(tmp_path) == 1


def test_a_large_group_is_committed_at_once(
    index: SqliteIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "GROUP_ROWS", 30)
    monkeypatch.setattr(groups, "GROUP_SECONDS", 60)
    for number in range(10):
        index.record(an_execution(str(number)), None, 1)
    assert count_of(tmp_path) == 10


@pytest.mark.parametrize("rows", range(2, 12))
def test_a_group_that_ends_while_a_node_is_named_gives_no_number_twice(
    rows: int, index: SqliteIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "GROUP_ROWS", rows)
    other = opened(tmp_path)
    first, second = (one.begin_run("run", "user", "host", "roots", {}) for one in (index, other))
    numbers = []
    for name in "abc":
        execution = an_execution(name, node=f"node {name}", code=f"code {name}")
        numbers.append(index.record(execution, None, first).execution)
        numbers.append(other.record(an_execution(f"other {name}"), None, second).execution)
    index.end_run(first, "ok", {}, {})
    index.flush()
    other.end_run(second, "ok", {}, {})
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert len(index.by_call([key(name) for name in "abc"])) == 3
    other.close()


class Interrupting:
    """A connection that lets one statement pass, or not, and is interrupted."""

    def __init__(self, db: sqlite3.Connection, wanted: str, *, after: bool) -> None:
        self.db, self.wanted, self.after, self.done = db, wanted, after, False

    def _run(self, name: str, statement: str, *values: Any) -> Any:
        if statement.startswith(self.wanted) and not self.done:
            self.done = True
            if self.after:
                getattr(self.db, name)(statement, *values)
            raise KeyboardInterrupt
        return getattr(self.db, name)(statement, *values)

    def execute(self, statement: str, *values: Any) -> Any:
        return self._run("execute", statement, *values)

    def executemany(self, statement: str, *values: Any) -> Any:
        return self._run("executemany", statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.db, name)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "statement", ["BEGIN", "COMMIT", "INSERT INTO executions", "INSERT OR REPLACE INTO young_calls"]
)
def test_an_interrupt_while_the_index_is_written_leaves_an_index_that_works(
    statement: str, after: bool, index: SqliteIndex, tmp_path: Path
) -> None:
    index.record(an_execution("a"), None, 1)
    index.flush()
    plain = index._groups._db
    index._groups._db = Interrupting(plain, statement, after=after)
    with pytest.raises(KeyboardInterrupt):
        for name in "bc":
            index.record(an_execution(name), None, 2)
            index.flush()
    index._groups._db = plain
    other = opened(tmp_path)
    other.record(an_execution("d"), None, other.begin_run("run", "user", "host", "roots", {}))
    other.close()
    index.record(an_execution("e"), None, index.begin_run("run", "user", "host", "roots", {}))
    index.flush()
    assert {name for name in "ade" if index.by_call([key(name)])} == set("ade")
    whole = index.by_call([key("b")])
    assert bool(whole) == (statement == "COMMIT" and after)


def test_objects_are_durable_before_the_records_that_speak_of_them(tmp_path: Path) -> None:
    seen: list[int] = []
    index = opened(tmp_path, before_commit=lambda: seen.append(count_of(tmp_path)))
    index.record(an_execution("a"), None, 1)
    index.close()
    assert seen == [0]
    assert count_of(tmp_path) == 1


def test_a_group_that_cannot_be_committed_ends_the_runs_that_wrote_it(tmp_path: Path) -> None:
    broken = True

    def sync() -> None:
        if broken:
            raise OSError(28, "No space left on device")

    index = opened(tmp_path, before_commit=sync)
    run = index.begin_run("one", "me", "here", "", {})
    lost = index.record(an_execution("a"), Recipe(key("r")), run)
    with pytest.raises(StoreError, match=r"no space left.*computed again"):
        index.flush()
    broken = False
    assert index.by_recipe([key("r")]) == {}
    for _ in range(2):  # its numbers may be others' by now, so it must not write any more
        with pytest.raises(StoreError, match="no space left"):
            index.link(Recipe(key("other")), lost, run)
    run = index.begin_run("two", "me", "here", "", {})
    assert index.record(an_execution("a", "2"), Recipe(key("r")), run).value == "2"
    index.end_run(run, "ok", {}, {})
    index.close()
    assert count_of(tmp_path) == 1


def test_what_fails_in_the_background_is_raised_by_the_next_write(tmp_path: Path) -> None:
    def sync() -> None:
        raise OSError(28, "No space left on device")

    index = opened(tmp_path, before_commit=sync)
    index.record(an_execution("a"), None, 1)
    until = time.monotonic() + 5
    while index._groups._failure is None and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(StoreError, match="no space left"):
        index.record(an_execution("b"), None, 1)
    index.close()


# -- what waits in memory, and the two tables of each kind of key


@pytest.fixture
def small_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MERGE_ROWS", 7)


@pytest.mark.usefixtures("small_trees")
def test_keys_are_found_wherever_they_lie(index: SqliteIndex, tmp_path: Path) -> None:
    records = {}
    for number in range(40):
        records[key(str(number))] = index.record(an_execution(str(number)), Recipe(key(f"r{number}")), 1)
        if number % 3 == 0:
            index.flush()
    assert index.by_call(list(records)) == records
    index.close()
    db = sqlite3.connect(tmp_path / "index.sqlite")
    old, young = (db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("calls", "young_calls"))
    db.close()
    assert (old + young, old > 30, young < 7) == (40, True, True)
    again = opened(tmp_path)
    assert again.by_call(list(records)) == records
    assert again.by_recipe([key(f"r{number}") for number in range(40)]).keys() == {key(f"r{n}") for n in range(40)}
    again.close()


@pytest.mark.usefixtures("small_trees")
def test_a_later_record_goes_before_an_older_one_wherever_they_lie(index: SqliteIndex) -> None:
    for number in range(10):
        index.record(an_execution(str(number)), Recipe(key(f"r{number}")), 1)
    index.flush()
    new = index.record(an_execution("3", "33"), Recipe(key("r3")), 1, replace=True)
    assert index.by_call([key("3")]) == {key("3"): new}
    index.flush()
    assert index.by_recipe([key("r3")]) == {key("r3"): new}
    for number in range(10, 20):
        index.record(an_execution(str(number)), None, 1)
    index.flush()
    assert index.by_call([key("3")]) == {key("3"): new}


@pytest.mark.usefixtures("small_trees")
def test_what_is_forgotten_is_gone_from_both_tables(index: SqliteIndex) -> None:
    for number in range(10):
        index.record(an_execution(str(number)), Recipe(key(f"r{number}")), 1)
    index.flush()
    again = index.record(an_execution("3", "33"), Recipe(key("r3")), 1, replace=True)
    index.flush()
    index.forget_call(key("3"))
    index.forget_recipes(again.execution)
    assert index.by_call([key("3")]) == {}
    assert index.by_recipe([key("r3")]) == {}


def test_a_key_that_was_missed_may_have_been_recorded_by_another_since(index: SqliteIndex, tmp_path: Path) -> None:
    index.record(an_execution("mine"), None, 1)
    index.flush()
    assert index.by_call([key("a")]) == {}
    other = opened(tmp_path)
    first = other.record(an_execution("a", "theirs"), None, 1)
    other.close()
    assert index.record(an_execution("a", "ours"), None, 1) == first


def test_rows_of_two_processes_do_not_share_numbers(index: SqliteIndex, tmp_path: Path) -> None:
    numbers = [index.record(an_execution("a"), None, 1).execution]
    index.flush()
    other = opened(tmp_path)
    numbers.append(other.record(an_execution("b"), None, 1).execution)
    other.close()
    numbers.append(index.record(an_execution("c"), None, 1).execution)
    index.flush()
    assert len(set(numbers)) == 3
    assert count_of(tmp_path) == 3


# -- versions and damage


def test_an_index_of_a_newer_version_is_refused(index: SqliteIndex, tmp_path: Path) -> None:
    index.close()
    set_version(tmp_path, schema.VERSION + 1)
    for writable in (True, False):
        with pytest.raises(StoreVersionError, match="Upgrade lineage"):
            opened(tmp_path, writable=writable)


def set_version(folder: Path, version: int) -> None:
    db = sqlite3.connect(folder / "index.sqlite")
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


def test_an_index_of_an_older_version_is_brought_up_to_date(
    index: SqliteIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = index.record(an_execution("a", "41"), Recipe(key("r")), 1)
    index.close()
    steps = {
        schema.VERSION: "ALTER TABLE runs ADD COLUMN mood TEXT",
        schema.VERSION + 1: "CREATE TABLE moods (name TEXT); INSERT INTO moods VALUES ('x')",
    }
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    monkeypatch.setattr(schema, "_MIGRATIONS", steps)
    with pytest.raises(StoreVersionError, match="can't be written"):
        opened(tmp_path, writable=False)
    for _ in range(2):  # once migrated, it is of today's version
        migrated = opened(tmp_path)
        assert migrated.by_recipe([key("r")]) == {key("r"): record}
        assert migrated._groups.one("SELECT name FROM moods") == ("x",)
        assert migrated._groups.one("SELECT mood FROM runs") is None
        migrated.close()


def test_a_migration_that_fails_changes_nothing(
    index: SqliteIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = index.record(an_execution("a"), None, 1)
    index.close()
    with monkeypatch.context() as patched:
        patched.setattr(schema, "VERSION", schema.VERSION + 1)
        patched.setattr(schema, "_MIGRATIONS", {schema.VERSION - 1: "DROP TABLE calls; DROP TABLE no_such_table"})
        with pytest.raises(StoreError, match="no such table"):
            opened(tmp_path)
    again = opened(tmp_path)
    assert again.by_call([key("a")]) == {key("a"): record}
    again.close()


def undo_version_3(db: sqlite3.Connection) -> None:
    for table in ("cutoffs", "edges", "file_uses", "results", "run_spans", "failures", "verdicts"):
        db.execute(f"DROP TABLE {table}")
    for column in ("bytes_in", "rows_in", "rows_out"):
        db.execute(f"ALTER TABLE executions DROP COLUMN {column}")
    db.execute("ALTER TABLE tags DROP COLUMN user")


def test_an_index_of_the_first_version_is_read_and_written_on(index: SqliteIndex, tmp_path: Path) -> None:
    record = index.record(an_execution("a"), Recipe(key("r")), 1)
    index.close()
    db = sqlite3.connect(tmp_path / "index.sqlite")
    with db:  # as the first version laid it out: one table for each kind of key
        undo_version_3(db)
        db.execute("INSERT INTO calls SELECT * FROM young_calls")
        db.execute("INSERT INTO recipes SELECT * FROM young_recipes")
        db.execute("DROP TABLE young_calls")
        db.execute("DROP TABLE young_recipes")
    db.close()
    set_version(tmp_path, 1)
    again = opened(tmp_path)
    assert again.by_call([key("a")]) == {key("a"): record}
    assert again.record(an_execution("a", "2"), Recipe(key("s")), 1) == record
    assert again.by_recipe([key("r"), key("s")]) == {key("r"): record, key("s"): record}
    again.close()


def test_every_step_to_this_version_has_a_migration() -> None:
    assert sorted(schema._MIGRATIONS) == list(range(1, schema.VERSION))


@pytest.mark.parametrize("writable", [True, False])
def test_garbage_is_a_clear_error(tmp_path: Path, writable: bool) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database, whatever it says" * 200)
    with pytest.raises(StoreError, match=r"damaged.*Move it aside"):
        opened(tmp_path, writable=writable)
    assert (tmp_path / "index.sqlite").read_bytes().startswith(b"this is no database")


def test_a_damaged_page_is_a_clear_error(index: SqliteIndex, tmp_path: Path) -> None:
    for number in range(2000):
        index.record(an_execution(str(number), "x" * 200), Recipe(key(f"r{number}")), 1)
    index.close()
    file = tmp_path / "index.sqlite"
    data = bytearray(file.read_bytes())
    data[3 * 4096 :] = b"\xff" * (len(data) - 3 * 4096)
    file.write_bytes(data)
    damaged = opened(tmp_path)
    with pytest.raises(StoreError, match="damaged"):
        damaged.by_recipe([key(f"r{number}") for number in range(2000)])
    damaged.close()


def test_a_folder_that_is_not_there_and_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="can't be written"):
        opened(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match="no store"):
        opened(tmp_path / "none", writable=False)


# -- read-only


def test_a_read_only_index_serves_and_refuses(index: SqliteIndex, tmp_path: Path) -> None:
    record = index.record(an_execution("a"), Recipe(key("r")), 1)
    index.flush()
    reader = opened(tmp_path, writable=False)
    assert reader.by_recipe([key("r")]) == {key("r"): record}
    with pytest.raises(ReadOnlyStoreError, match="read-only"):
        reader.record(an_execution("b"), None, 1)
    reader.note_stamp("/a", "stamp", key("a"))  # only a memory: nothing is lost
    second = index.record(an_execution("b"), Recipe(key("s")), 1)
    index.flush()
    assert reader.by_recipe([key("s")]) == {key("s"): second}
    reader.close()


# -- turns


def _record_slowly(folder: str, name: str, count: int) -> None:
    index = opened(Path(folder))
    for number in range(count):
        index.record(an_execution(f"{name}{number}", name), Recipe(key(f"{name}{number}")), 1)
        time.sleep(0.001)
    index.close()


def test_six_processes_write_one_index(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_record_slowly, args=(str(tmp_path), name, 100)) for name in "abcdef"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 6
    index = opened(tmp_path)
    found = index.by_recipe([key(f"{name}{number}") for name in "abcdef" for number in range(100)])
    assert len(found) == 600
    assert len({record.execution for record in found.values()}) == 600
    index.close()


# -- forks


def test_a_forked_child_opens_its_own_connection_and_leaves_the_parents_group_alone(tmp_path: Path) -> None:
    index = opened(tmp_path)
    before = index.record(an_execution("before"), None, 1)
    index.flush()
    index.record(an_execution("open"), None, 1)  # the group that is open while the process forks
    child = os.fork()
    if child == 0:
        try:
            # It waits for the parent, whose group is committed soon, and then sees it.
            index.record(an_execution("child"), None, 2)
            index.flush()
            found = index.by_call([key(name) for name in ("before", "open", "child")])
            os._exit(0 if len(found) == 3 and found[key("before")] == before else 1)
        except BaseException:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    index.record(an_execution("after"), None, 1)
    index.flush()
    assert len(index.by_call([key(name) for name in ("before", "open", "child", "after")])) == 4
    index.close()
    assert count_of(tmp_path) == 4
