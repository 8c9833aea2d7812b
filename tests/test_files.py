"""`lineage.File`: what a file holds counts, and it is read as seldom as soundness allows."""

from __future__ import annotations

import datetime
import importlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lineage as ln
from lineage.errors import CompositionError, InputChangedError, LineageError, NodeError

module: Any = importlib.import_module("lineage.fingerprints")


class Log(list[tuple[str, str]]):
    def __call__(self, verdict: str, node: str, text: str) -> None:
        self.append((verdict, node))

    def taken(self) -> list[tuple[str, str]]:
        found = list(self)
        self.clear()
        return found


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def session(tmp_path: Path, log: Log) -> Iterator[ln.Session]:
    with ln.Session(tmp_path / "store", on_event=log) as session:
        yield session


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return old(tmp_path / "data" / "a.txt", "hello")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read to be fingerprinted."""
    found: list[Path] = []
    digest_file = module.digest_file

    def counted(path: str) -> Any:
        found.append(Path(path))
        return digest_file(path)

    monkeypatch.setattr(module, "digest_file", counted)
    return found


def old(path: Path, text: str) -> Path:
    """Write a file so long ago that its stamp is trusted: the clock of `lineage` is what is moved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no file be young."""
    monkeypatch.setattr(module, "YOUNG", -3600.0)


@ln.node
def text(file: ln.File) -> str:
    return file.path.read_text()


@ln.node
def facts(file: ln.File) -> tuple[str, str, dict[str, Any]]:
    return file.name, file.path.suffix, file.partitions


@ln.node
def joined(files: list[ln.File], more: dict[str, ln.File]) -> str:
    return "".join(file.path.read_text() for file in [*files, *more.values()])


@ln.node
def edited_meanwhile(file: ln.File) -> str:
    found = file.path.read_text()
    file.path.write_text("changed")
    return found


@ln.node
def removed_meanwhile(file: ln.File) -> str:
    found = file.path.read_text()
    file.path.unlink()
    return found


@ln.node
def given_back(file: ln.File) -> ln.File:
    return file


@ln.dynamic
def found_in(folder: str) -> list[str]:
    return [text(file) for file in ln.files(f"{folder}/*.txt")]


@ln.dynamic
def listed(folder: str) -> list[ln.File]:
    return ln.files(f"{folder}/*.txt")


@ln.node
def together(files: list[ln.File]) -> str:
    return "".join(file.path.read_text() for file in files)


# -- what counts


def test_an_unchanged_file_is_a_hit_and_is_not_read_again(
    session: ln.Session, log: Log, file: Path, reads: list[Path], later: None
) -> None:
    assert session.compute(text(ln.File(file))) == "hello"
    assert reads == [file]
    assert session.compute(text(ln.File(file))) == "hello"
    assert log == [("executed", "text"), ("hit", "text")]
    assert reads == [file]


def test_a_young_file_is_read_again(session: ln.Session, log: Log, file: Path, reads: list[Path]) -> None:
    session.compute(text(ln.File(file)))
    count = len(reads)
    session.compute(text(ln.File(file)))
    assert len(reads) == count + 1
    assert log == [("executed", "text"), ("hit", "text")]


def test_a_touched_file_with_the_same_bytes_is_a_hit(session: ln.Session, log: Log, file: Path, later: None) -> None:
    session.compute(text(ln.File(file)))
    os.utime(file, (1, 1))
    session.compute(text(ln.File(file)))
    file.unlink()
    old(file, "hello")
    session.compute(text(ln.File(file)))
    assert log == [("executed", "text"), ("hit", "text"), ("hit", "text")]


def test_changed_bytes_execute_again(session: ln.Session, log: Log, file: Path, later: None) -> None:
    session.compute(text(ln.File(file)))
    old(file, "other, and longer")
    assert session.compute(text(ln.File(file))) == "other, and longer"
    old(file, "hello")
    assert session.compute(text(ln.File(file))) == "hello"
    assert log == [("executed", "text"), ("executed", "text"), ("hit", "text")]


def test_an_edit_that_keeps_size_and_mtime_is_seen(session: ln.Session, log: Log, file: Path, later: None) -> None:
    session.compute(text(ln.File(file)))
    before = file.stat()
    time.sleep(0.02)  # the clock of the kernel ticks every few milliseconds: that is what YOUNG is for
    with file.open("r+") as stream:
        stream.write("HELLO")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert session.compute(text(ln.File(file))) == "HELLO"


def test_a_second_edit_within_one_tick_of_the_clock_is_seen(session: ln.Session, file: Path) -> None:
    for number in range(50):
        old(file, f"{number:05d}")
        assert session.compute(text(ln.File(file))) == f"{number:05d}"


def test_name_and_suffix_are_seen_and_the_folder_is_not(session: ln.Session, log: Log, tmp_path: Path) -> None:
    for name in ("one/a.txt", "two/a.txt", "one/b.txt", "one/a.csv"):
        old(tmp_path / name, "same")
    found = [
        session.compute(facts(ln.File(tmp_path / name)))
        for name in ("one/a.txt", "two/a.txt", "one/b.txt", "one/a.csv")
    ]
    assert [value[:2] for value in found] == [
        ("a.txt", ".txt"),
        ("a.txt", ".txt"),
        ("b.txt", ".txt"),
        ("a.csv", ".csv"),
    ]
    assert [verdict for verdict, _ in log] == ["executed", "hit", "executed", "executed"]


def test_partition_values_are_seen(session: ln.Session, log: Log, tmp_path: Path) -> None:
    for name in ("month=1/a.txt", "month=2/a.txt", "year=1/a.txt"):
        old(tmp_path / name, "same")
    found = [
        session.compute(facts(ln.File(tmp_path / name)))[2]
        for name in ("month=1/a.txt", "month=2/a.txt", "year=1/a.txt")
    ]
    assert found == [{"month": 1}, {"month": 2}, {"year": 1}]
    assert [verdict for verdict, _ in log] == ["executed"] * 3


def test_partitions_do_not_depend_on_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old(tmp_path / "month=1" / "a.txt", "same")
    monkeypatch.chdir(tmp_path / "month=1")
    assert ln.File("a.txt").partitions == ln.File(tmp_path / "month=1" / "a.txt").partitions == {"month": 1}


def test_a_relative_path_is_found_though_a_node_changes_the_folder(
    session: ln.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old(tmp_path / "data" / "a.txt", "hello")
    monkeypatch.chdir(tmp_path)
    call = text(ln.File("data/a.txt"))
    monkeypatch.chdir(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert session.compute(call) == "hello"


def test_files_in_containers_count(session: ln.Session, log: Log, tmp_path: Path, later: None) -> None:
    one, two = old(tmp_path / "1.txt", "one"), old(tmp_path / "2.txt", "two")
    assert session.compute(joined([ln.File(one)], {"more": ln.File(two)})) == "onetwo"
    assert session.compute(joined([ln.File(one)], {"more": ln.File(two)})) == "onetwo"
    old(two, "TWO")
    assert session.compute(joined([ln.File(one)], {"more": ln.File(two)})) == "oneTWO"
    assert [verdict for verdict, _ in log] == ["executed", "hit", "executed"]


def test_many_files_are_mapped_and_only_the_changed_one_executes(
    session: ln.Session, log: Log, tmp_path: Path, later: None
) -> None:
    for number in range(5):
        old(tmp_path / "data" / f"{number}.txt", str(number))
    assert session.compute(ln.map(text, ln.files(tmp_path / "data/*.txt"))) == list("01234")
    old(tmp_path / "data" / "3.txt", "three")
    log.clear()
    assert session.compute(ln.map(text, ln.files(tmp_path / "data/*.txt"))) == ["0", "1", "2", "three", "4"]
    assert sorted(verdict for verdict, _ in log) == ["executed", "hit", "hit", "hit", "hit"]


def test_a_link_is_what_it_points_to(session: ln.Session, log: Log, tmp_path: Path, later: None) -> None:
    one, two = old(tmp_path / "1" / "x.txt", "one"), old(tmp_path / "2" / "x.txt", "two")
    link = tmp_path / "a.txt"
    link.symlink_to(one)
    assert session.compute(text(ln.File(link))) == "one"
    link.unlink()
    link.symlink_to(two)
    assert session.compute(text(ln.File(link))) == "two"
    old(two, "TWO")
    assert session.compute(text(ln.File(link))) == "TWO"
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no such file"):
        session.compute(text(ln.File(link)))


def test_an_empty_file_is_a_file(session: ln.Session, tmp_path: Path) -> None:
    assert session.compute(text(ln.File(old(tmp_path / "empty", "")))) == ""


# -- what is refused


def test_a_missing_file_is_a_clear_error(session: ln.Session, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file: .*none\.txt.*lineage\.File"):
        session.compute(text(ln.File(tmp_path / "none.txt")))


def test_a_folder_is_no_file(session: ln.Session, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="no file"):
        session.compute(text(ln.File(tmp_path)))


def test_a_pattern_that_matches_nothing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CompositionError, match="no file matches"):
        ln.files(tmp_path / "*.parquet")


@pytest.mark.parametrize("young", [True, False])
@pytest.mark.parametrize("node", [edited_meanwhile, removed_meanwhile])
def test_a_file_that_changes_while_it_is_read_discards_the_result(
    session: ln.Session, log: Log, file: Path, node: Any, young: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "YOUNG", 2.0 if young else -3600.0)
    with pytest.raises(InputChangedError, match=r"changed while a call read it"):
        session.compute(node(ln.File(file)))
    assert log.taken() == [("failed", node.name)]
    old(file, "hello")
    with pytest.raises(InputChangedError):  # nothing was recorded: it is executed again
        session.compute(node(ln.File(file)))


def test_a_file_that_changes_while_it_is_fingerprinted_is_an_error(
    session: ln.Session, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest_file = module.digest_file

    def slow(path: str) -> Any:
        found = digest_file(path)
        Path(path).write_text("longer than before")
        return found

    monkeypatch.setattr(module, "digest_file", slow)
    with pytest.raises(InputChangedError, match="changed while it was read"):
        session.compute(text(ln.File(file)))


def test_a_node_does_not_return_a_file(session: ln.Session, file: Path) -> None:
    with pytest.raises(NodeError, match="returned a"):
        session.compute(given_back(ln.File(file)))


# -- references in records


def test_files_that_a_dynamic_node_finds_are_inputs_of_what_it_composes(
    session: ln.Session, log: Log, tmp_path: Path
) -> None:
    old(tmp_path / "data" / "a.txt", "one")
    assert session.compute(found_in(str(tmp_path / "data"))) == ["one"]
    assert ("executed", "text") in log.taken()


def test_a_file_that_was_recorded_is_verified_when_it_is_opened(session: ln.Session, tmp_path: Path) -> None:
    file = old(tmp_path / "data" / "a.txt", "one")
    handle = session.materialize(listed(str(tmp_path / "data")))
    assert [found.path.read_text() for found in handle.value] == ["one"]
    old(file, "two")
    with pytest.raises(InputChangedError, match="has changed since it was recorded"):
        _ = handle.value
    file.unlink()
    with pytest.raises(LineageError, match="gone"):
        _ = handle.value


def test_a_recorded_file_that_changed_is_not_handed_on(session: ln.Session, tmp_path: Path) -> None:
    file = old(tmp_path / "data" / "a.txt", "one")
    handle = session.materialize(listed(str(tmp_path / "data")))
    assert session.compute(together(ln.ref(handle))) == "one"
    session.forget(together(ln.ref(handle)))
    old(file, "two")
    with pytest.raises(LineageError, match="has changed since it was recorded"):
        session.compute(together(ln.ref(handle)))


def test_files_that_a_dynamic_node_lists_are_looked_at_again(session: ln.Session, tmp_path: Path) -> None:
    file = old(tmp_path / "data" / "a.txt", "one")
    assert session.compute(together(listed(str(tmp_path / "data")))) == "one"
    old(file, "two")
    assert session.compute(together(listed(str(tmp_path / "data")))) == "two"
    old(tmp_path / "data" / "b.txt", "three")
    assert session.compute(together(listed(str(tmp_path / "data")))) == "twothree"


def test_what_came_out_of_a_record_is_not_taken_for_what_was_seen_in_this_run(session: ln.Session, file: Path) -> None:
    recorded = module.Fingerprints(session.store.index, session.store.downloads).leaf(ln.File(file))
    old(file, "other")
    fingerprints = module.Fingerprints(session.store.index, session.store.downloads)
    fingerprints.check(fingerprints.leaf(ln.File(file)))
    with pytest.raises(InputChangedError):
        fingerprints.check(recorded)


# -- snapshots


def test_a_snapshot_serves_when_the_file_is_gone(session: ln.Session, log: Log, file: Path) -> None:
    assert session.compute(text(ln.File(file, snapshot=True))) == "hello"
    file.unlink()
    assert session.compute(text(ln.File(file, snapshot=True))) == "hello"
    assert log.taken() == [("executed", "text"), ("hit", "text")]
    assert session.compute(facts(ln.File(file, snapshot=True)))[0] == "a.txt"
    assert session.compute(joined([ln.File(file, snapshot=True)], {})) == "hello"
    assert log == [("executed", "facts"), ("executed", "joined")]


def test_without_a_snapshot_a_missing_file_is_an_error(session: ln.Session, file: Path) -> None:
    session.compute(text(ln.File(file)))
    file.unlink()
    with pytest.raises(FileNotFoundError):
        session.compute(text(ln.File(file)))


def test_a_file_with_a_snapshot_that_changes_is_another_input(session: ln.Session, log: Log, file: Path) -> None:
    session.compute(text(ln.File(file, snapshot=True)))
    old(file, "changed")
    assert session.compute(text(ln.File(file, snapshot=True))) == "changed"
    assert [verdict for verdict, _ in log] == ["executed", "executed"]


def test_with_and_without_a_snapshot_are_one_input(session: ln.Session, log: Log, file: Path) -> None:
    session.compute(text(ln.File(file, snapshot=True)))
    session.compute(text(ln.File(file)))
    assert [verdict for verdict, _ in log] == ["executed", "hit"]


def test_a_call_reads_the_snapshot_and_not_the_file(session: ln.Session, file: Path) -> None:
    """What it reads is read-only, and can't change under its hands."""
    assert session.compute(reads_elsewhere(ln.File(file, snapshot=True), str(file))) == ("hello", True, 0)


@ln.node
def reads_elsewhere(file: ln.File, original: str) -> tuple[str, bool, int]:
    Path(original).write_text("changed meanwhile")
    return file.path.read_text(), file.path != Path(original), file.path.stat().st_mode & 0o222


def test_a_file_that_changes_before_its_snapshot_is_taken_is_an_error(session: ln.Session, file: Path) -> None:
    leaf = module.Fingerprints(session.store.index, session.store.downloads).leaf(ln.File(file, snapshot=True))
    old(file, "changed")
    with pytest.raises(InputChangedError, match="before a snapshot was taken"):
        session.store.read(leaf)


def test_a_damaged_snapshot_is_taken_again(session: ln.Session, file: Path, tmp_path: Path) -> None:
    session.compute(text(ln.File(file, snapshot=True)))
    for path in (tmp_path / "store" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_text("hallo")
    assert session.compute(joined([ln.File(file, snapshot=True)], {})) == "hello"
    file.unlink()
    for path in (tmp_path / "store" / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_text("hallo")
    with pytest.raises(LineageError, match="gone, and so is its snapshot"):
        session.compute(facts(ln.File(file, snapshot=True)))


def test_a_table_is_scanned_from_a_file(session: ln.Session, tmp_path: Path) -> None:
    pl.DataFrame({"x": [1, 2, 3]}).write_parquet(tmp_path / "t.parquet")
    assert session.compute(total(ln.File(tmp_path / "t.parquet"))) == 6


@ln.node
def total(file: ln.File) -> int:
    return int(pl.scan_parquet(file.path).select(pl.col("x").sum()).collect().item())


# -- partition values


def found(tmp_path: Path, *names: str) -> list[dict[str, Any]]:
    for name in names:
        old(tmp_path / "data" / name / "x.txt", name)
    return [file.partitions for file in ln.files(tmp_path / "data/**/*.txt")]


def test_partition_values_are_typed_over_the_whole_list(tmp_path: Path) -> None:
    names = ("n=1/d=2013-01-31/m=1/z=01", "n=12/d=2013-02-01/m=b/z=02")
    assert found(tmp_path, *names) == [
        {"n": 1, "d": datetime.date(2013, 1, 31), "m": "1", "z": "01"},
        {"n": 12, "d": datetime.date(2013, 2, 1), "m": "b", "z": "02"},
    ]


@pytest.mark.parametrize("text", ["01", "+1", "1_0", " 1", "-0", "\u0661", "1.0", "2013-1-1", "2013-W01-1", ""])
def test_what_python_would_write_otherwise_stays_text(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, f"x={text}") == [{"x": text}]


def test_a_null_partition_is_none_and_has_no_type(tmp_path: Path) -> None:
    assert found(tmp_path, "x=1", "x=__HIVE_DEFAULT_PARTITION__") == [{"x": 1}, {"x": None}]
    assert ln.File("x=__HIVE_DEFAULT_PARTITION__/a").partitions == {"x": None}


def test_a_file_given_to_a_list_stays_what_it_was(tmp_path: Path) -> None:
    given = ln.File(old(tmp_path / "x=1" / "a.txt", "same"), storage_options={"a": 1})
    made, _ = ln.files([given, old(tmp_path / "x=b" / "a.txt", "same")])
    assert (given.partitions, made.partitions) == ({"x": 1}, {"x": "1"})
    assert dict(made.options) == {"a": 1}


def test_partition_values_are_decoded_once(tmp_path: Path) -> None:
    assert found(tmp_path, "city=New%20York", "city=100%2525") == [{"city": "100%25"}, {"city": "New York"}]


def test_of_two_folders_with_one_name_the_inner_one_counts(tmp_path: Path) -> None:
    assert found(tmp_path, "x=1/x=2") == [{"x": 2}]


def test_the_type_of_a_partition_value_counts(session: ln.Session, log: Log, tmp_path: Path) -> None:
    old(tmp_path / "one" / "m=1" / "a.txt", "same")
    old(tmp_path / "two" / "m=1" / "a.txt", "same")
    old(tmp_path / "two" / "m=b" / "a.txt", "same")
    (one,) = session.compute(ln.map(facts, ln.files(tmp_path / "one/*/*.txt")))
    two, _ = session.compute(ln.map(facts, ln.files(tmp_path / "two/*/*.txt")))
    assert (one[2], two[2]) == ({"m": 1}, {"m": "1"})
    assert [verdict for verdict, _ in log] == ["executed"] * 3


def test_partition_values_come_back_from_a_record_with_their_types(session: ln.Session, tmp_path: Path) -> None:
    old(tmp_path / "data" / "d=2013-01-31" / "n=1" / "a.txt", "same")
    handle = session.materialize(listed(str(tmp_path / "data" / "*" / "*")))
    assert handle.value[0].partitions == {"d": datetime.date(2013, 1, 31), "n": 1}


def test_options_of_a_local_file_do_nothing(session: ln.Session, log: Log, file: Path) -> None:
    assert session.compute(text(ln.File(file, storage_options={"anon": True}))) == "hello"
    assert session.compute(text(ln.File(file))) == "hello"
    assert [verdict for verdict, _ in log] == ["executed", "hit"]


# -- content only


@ln.node
def seen(file: ln.File) -> tuple[str, str, dict[str, Any], str]:
    assert file.url == file.path.as_uri()
    return file.name, file.path.name, file.partitions, file.path.read_text()


def test_content_only_is_one_input_whatever_it_is_called(session: ln.Session, log: Log, tmp_path: Path) -> None:
    for name in ("m=1/a.txt", "m=2/b.csv"):
        file = ln.File(old(tmp_path / name, "same"), content_only=True)
        assert session.compute(seen(file)) == ("content", "content", {}, "same")
    assert [verdict for verdict, _ in log] == ["executed", "hit"]


def test_content_only_and_a_file_of_that_name_are_two_inputs(session: ln.Session, log: Log, tmp_path: Path) -> None:
    file = old(tmp_path / "content", "same")
    session.compute(text(ln.File(file)))
    session.compute(text(ln.File(file, content_only=True)))
    assert [verdict for verdict, _ in log] == ["executed", "executed"]


def test_content_only_is_checked_and_changes_as_any_file(session: ln.Session, log: Log, file: Path) -> None:
    assert session.compute(text(ln.File(file, content_only=True))) == "hello"
    old(file, "other")
    assert session.compute(text(ln.File(file, content_only=True))) == "other"
    with pytest.raises(InputChangedError):
        session.compute(edited_meanwhile(ln.File(file, content_only=True)))


def test_a_snapshot_with_content_only_has_no_name(session: ln.Session, file: Path) -> None:
    assert session.compute(seen(ln.File(file, content_only=True, snapshot=True)))[:2] == ("content", "content")


# -- many


def test_many_files_are_looked_up_together(session: ln.Session, tmp_path: Path, later: None) -> None:
    """A thousand files ask the index twice and are noted once."""
    for number in range(1000):
        old(tmp_path / "data" / f"{number:04}.txt", str(number))
    asked: list[str] = []
    statements = session.store.index._groups._db
    statements.set_trace_callback(lambda sql: asked.append(sql) if "stamps" in sql else None)
    session.plan(ln.map(text, ln.files(tmp_path / "data/*.txt")))
    assert len([sql for sql in asked if sql.startswith("SELECT")]) == 2
    asked.clear()
    session.plan(ln.map(text, ln.files(tmp_path / "data/*.txt")))
    assert len(asked) == 2
    statements.set_trace_callback(None)


def test_files_of_a_list_keep_its_order_and_those_of_a_pattern_are_sorted(tmp_path: Path) -> None:
    for name in ("b/1.txt", "a/2.txt", "a-b/3.txt"):
        old(tmp_path / name, name)
    assert [file.name for file in ln.files(tmp_path / "*/*.txt")] == ["3.txt", "2.txt", "1.txt"]
    one, two = tmp_path / "b/1.txt", ln.File(tmp_path / "a/2.txt", snapshot=True)
    assert ln.files([one, two]) == [ln.File(one), two]
    assert ln.files([]) == []


def test_no_files_at_all_make_an_empty_list_of_results(session: ln.Session) -> None:
    assert session.compute(ln.map(text, ln.files([]))) == []
    assert session.compute(together(ln.files([]))) == ""


def test_a_file_that_a_list_names_twice_is_an_error(file: Path) -> None:
    with pytest.raises(CompositionError, match="stands twice in the list"):
        ln.files([file, file])


def test_a_folder_where_files_are_meant_is_an_error_that_says_what_to_write(tmp_path: Path, file: Path) -> None:
    with pytest.raises(CompositionError, match=r"data/\* matches the files of a folder, and lineage\.Directory"):
        ln.files(f"{file.parent}/")
    with pytest.raises(CompositionError, match="no file matches ''"):
        ln.files("")


def test_a_file_that_can_not_be_read_is_named(session: ln.Session, tmp_path: Path) -> None:
    link = tmp_path / "loop.txt"
    link.symlink_to(link)
    with pytest.raises(OSError, match=r"loop\.txt"):
        session.compute(text(ln.File(link)))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"pipe is no plain file"):
        session.compute(text(ln.File(tmp_path / "pipe")))


def test_a_name_that_is_no_text_is_a_name(session: ln.Session, log: Log, tmp_path: Path, later: None) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")
    with open(path, "w") as stream:
        stream.write("hello")
    assert session.compute(text(ln.File(path))) == "hello"
    assert session.compute(text(ln.File(path))) == "hello"
    assert [verdict for verdict, _ in log] == ["executed", "hit"]


def test_a_file_that_shrinks_while_it_is_fingerprinted_does_not_end_the_process(tmp_path: Path) -> None:
    """A mapped file that somebody shortens would."""
    path = tmp_path / "big"
    path.write_bytes(b"x" * (1 << 24))
    code = (
        "import os, sys, threading, time\n"
        "from lineage.fingerprints import digest_file\n"
        "path = sys.argv[1]\n"
        "def shorten():\n"
        "    while not done:\n"
        "        os.truncate(path, 10)\n"
        "        os.truncate(path, 1 << 24)\n"
        "done = []\n"
        "thread = threading.Thread(target=shorten)\n"
        "thread.start()\n"
        "for _ in range(20):\n"
        "    digest_file(path)\n"
        "done.append(1)\n"
        "thread.join()\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def test_a_declaration_of_a_file_is_a_value(file: Path) -> None:
    declared = ln.File(file, snapshot=True, content_only=True)
    assert pickle.loads(pickle.dumps(declared)) == declared
    assert hash(declared) == hash(ln.File(file, snapshot=True, content_only=True))
    assert len({ln.File(file), ln.File(str(file)), ln.File(f"{file.parent}/./{file.name}")}) == 1
    assert ln.File(file) != declared
    assert repr(declared) == f"File({str(file)!r})"
