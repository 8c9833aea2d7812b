"""`lineage.Directory`: a folder as one input, by the names and bytes in it."""

from __future__ import annotations

import importlib
import os
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest

import lineage as ln
from lineage.errors import InputChangedError, LineageError, ObjectMissingError, WiringError
from lineage.testing import EventLog

module: Any = importlib.import_module("lineage.fingerprints")


@ln.node
def names(folder: ln.Directory) -> list[str]:
    found = [path for path in folder.path.rglob("*") if path.is_file()]
    return sorted(f"{path.relative_to(folder.path)}={path.read_text()}" for path in found)


@ln.node
def folders(folder: ln.Directory) -> list[str]:
    return sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_dir())


@ln.node
def count(folder: ln.Directory) -> int:
    return sum(path.is_file() for path in folder.path.rglob("*"))


@ln.node
def lengthened(folder: ln.Directory) -> int:
    (folder.path / "new.txt").write_text("new")
    return 1


@ln.node
def edited(folder: ln.Directory) -> int:
    (folder.path / "a.txt").write_text("changed")
    return 1


@ln.dynamic
def listed(path: str) -> list[ln.Directory]:
    return [ln.Directory(path)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that nobody has touched for long."""
    monkeypatch.setattr(module, "YOUNG", -3600.0)
    return fill(tmp_path / "data")


def fill(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "b.txt").write_text("2")
    (folder / "a.txt").write_text("1")
    (folder / "sub" / "c.txt").write_text("3")
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were read to be fingerprinted."""
    found: list[str] = []
    digest_file = module.digest_file

    def counted(path: str) -> Any:
        found.append(os.path.basename(path))
        return digest_file(path)

    monkeypatch.setattr(module, "digest_file", counted)
    return found


def test_a_folder_is_one_input(session: ln.Session, log: EventLog, data: Path) -> None:
    assert session.compute(names(ln.Directory(data))) == ["a.txt=1", "b.txt=2", "sub/c.txt=3"]
    assert session.compute(names(ln.Directory(f"{data}/"))) == ["a.txt=1", "b.txt=2", "sub/c.txt=3"]
    assert log.names() == ["executed names", "hit names"]


def test_one_changed_file_is_read_alone_and_executes_again(
    session: ln.Session, log: EventLog, data: Path, reads: list[str]
) -> None:
    session.compute(names(ln.Directory(data)))
    assert sorted(reads) == ["a.txt", "b.txt", "c.txt"]
    reads.clear()
    (data / "b.txt").write_text("two")
    assert session.compute(names(ln.Directory(data)))[1] == "b.txt=two"
    assert reads == ["b.txt"]
    assert log.names() == ["executed names", "executed names"]


def test_where_it_lies_what_it_is_called_and_times_do_not_count(
    session: ln.Session, log: EventLog, data: Path, tmp_path: Path
) -> None:
    session.compute(names(ln.Directory(data)))
    os.utime(data / "a.txt", (1, 1))
    session.compute(names(ln.Directory(data)))
    session.compute(names(ln.Directory(fill(tmp_path / "other"))))
    assert log.names() == ["executed names", "hit names", "hit names"]


@pytest.mark.parametrize("change", ["add", "remove", "rename", "move", "empty folder", "swap"])
def test_names_count(session: ln.Session, log: EventLog, data: Path, change: str) -> None:
    session.compute(names(ln.Directory(data)))
    if change == "add":
        (data / "d.txt").write_text("")
    elif change == "remove":
        (data / "a.txt").unlink()
    elif change == "rename":
        (data / "a.txt").rename(data / "z.txt")
    elif change == "move":
        (data / "sub" / "c.txt").rename(data / "c.txt")
        (data / "sub").rmdir()
    elif change == "empty folder":
        (data / "void").mkdir()
    else:
        (data / "a.txt").write_text("2")
        (data / "b.txt").write_text("1")
    session.compute(names(ln.Directory(data)))
    assert log.names() == ["executed names", "executed names"]


def test_an_empty_folder_is_an_input(session: ln.Session, log: EventLog, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert session.compute(count(ln.Directory(tmp_path / "void"))) == 0
    (tmp_path / "void" / "inner").mkdir()
    assert session.compute(folders(ln.Directory(tmp_path / "void"))) == ["inner"]
    assert session.compute(count(ln.Directory(tmp_path / "void"))) == 0
    assert log.names() == ["executed count", "executed folders", "executed count"]


def test_links_are_what_they_point_to(session: ln.Session, log: EventLog, data: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("a.txt", "b.txt", "sub"):
        (linked / name).symlink_to(data / name)
    session.compute(count(ln.Directory(data)))
    session.compute(count(ln.Directory(linked)))
    (data / "sub" / "c.txt").write_text("three")
    session.compute(count(ln.Directory(linked)))
    assert log.names() == ["executed count", "hit count", "executed count"]


@pytest.mark.parametrize("what", ["dangling", "circle", "self", "socket"])
def test_what_has_no_bytes_is_refused_by_name(
    session: ln.Session, data: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = data / "sub" / "odd"
    server = socket.socket(socket.AF_UNIX)
    try:
        if what == "dangling":
            odd.symlink_to(data / "nowhere")
        elif what == "circle":
            odd.symlink_to(data)
        elif what == "self":
            odd.symlink_to(odd)
        else:
            monkeypatch.chdir(data / "sub")  # the whole path may be too long for a socket
            server.bind("odd")
        with pytest.raises(OSError, match="odd.*no end" if what == "circle" else "odd"):
            session.compute(count(ln.Directory(data)))
    finally:
        server.close()


def test_a_missing_folder_or_a_file_is_a_clear_error(session: ln.Session, data: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such folder: .*none \(an input declared with lineage\.Directory"):
        session.compute(count(ln.Directory(data / "none")))
    with pytest.raises(NotADirectoryError, match=r"a\.txt is no folder"):
        session.compute(count(ln.Directory(data / "a.txt")))


@pytest.mark.parametrize("node", [lengthened, edited])
@pytest.mark.parametrize("young", [True, False])
def test_a_folder_that_changes_while_it_is_read_discards_the_result(
    session: ln.Session, data: Path, node: Any, young: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "YOUNG", 2.0 if young else -3600.0)
    with pytest.raises(InputChangedError, match="changed while a call read it"):
        session.compute(node(ln.Directory(data)))


def test_files_read_in_a_declared_folder_are_declared(session: ln.Session, data: Path) -> None:
    assert session.compute(names(ln.Directory(data)))  # a warning would be an error here


def test_a_recorded_folder_is_verified_when_it_is_opened(session: ln.Session, data: Path) -> None:
    handle = session.materialize(listed(str(data)))
    assert [folder.path for folder in handle.value] == [data]
    (data / "sub" / "c.txt").write_text("changed")
    with pytest.raises(InputChangedError, match="has changed since it was recorded"):
        _ = handle.value
    (data / "sub" / "c.txt").write_text("3")
    assert handle.value[0].path == data
    (data / "sub" / "d.txt").write_text("")
    with pytest.raises(InputChangedError, match="has changed since it was recorded"):
        _ = handle.value


def test_a_snapshot_serves_when_the_folder_is_gone(
    session: ln.Session, log: EventLog, data: Path, tmp_path: Path
) -> None:
    (data / "void").mkdir()
    folder = ln.Directory(data, snapshot=True)
    assert session.compute(names(folder)) == ["a.txt=1", "b.txt=2", "sub/c.txt=3"]
    data.rename(tmp_path / "moved")
    assert session.compute(names(folder)) == ["a.txt=1", "b.txt=2", "sub/c.txt=3"]
    assert session.compute(folders(folder)) == ["sub", "void"]
    assert log.names() == ["executed names", "hit names", "executed folders"]
    with pytest.raises(FileNotFoundError):
        session.compute(count(ln.Directory(data)))


def test_a_snapshot_of_an_empty_folder_serves_when_it_is_gone(session: ln.Session, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    folder = ln.Directory(tmp_path / "void", snapshot=True, storage_options={"anon": True})
    assert session.compute(count(folder)) == 0
    (tmp_path / "void").rmdir()
    assert session.compute(names(folder)) == []


def test_a_snapshot_that_was_never_read_is_not_there(session: ln.Session, data: Path, tmp_path: Path) -> None:
    folder = ln.Directory(data, snapshot=True)
    session.plan(names(folder))
    data.rename(tmp_path / "moved")
    with pytest.raises(LineageError, match="gone"):
        session.compute(names(folder))


def test_a_folder_is_not_a_file_and_a_file_not_a_folder(data: Path) -> None:
    @ln.node
    def text(file: ln.File) -> str:
        return file.path.read_text()

    with pytest.raises(WiringError, match=r"lineage\.files\(\.\.\.\) gives the files of a folder"):
        text(ln.Directory(data))  # type: ignore[arg-type]
    with pytest.raises(WiringError, match=r"lineage\.Directory\(\.\.\.\) is a folder"):
        count(ln.File(data / "a.txt"))  # type: ignore[arg-type]
    with pytest.raises(WiringError, match=r"write lineage\.File\('data/a\.txt'\), so that what it holds counts"):
        text("data/a.txt")  # type: ignore[arg-type]
    with pytest.raises(WiringError, match=r"write lineage\.Directory\('data'\)"):
        count(Path("data"))  # type: ignore[arg-type]


def test_a_declaration_is_a_value(data: Path) -> None:
    folder = ln.Directory(data, snapshot=True)
    assert pickle.loads(pickle.dumps(folder)) == folder
    assert hash(folder) == hash(ln.Directory(data, snapshot=True))
    assert folder != ln.Directory(data)
    assert ln.Directory(data) != ln.File(data)
    assert repr(folder) == f"Directory({str(data)!r})"
    assert folder.url == data.as_uri()


def test_a_folder_without_a_copy_is_read_where_it_lies(session: ln.Session, data: Path) -> None:
    @ln.node
    def where(folder: ln.Directory) -> str:
        return str(folder.path)

    assert session.compute(where(ln.Directory(data))) == str(data)


def test_a_recorded_folder_that_is_gone_says_so(session: ln.Session, data: Path, tmp_path: Path) -> None:
    handle = session.materialize(listed(str(data)))
    data.rename(tmp_path / "moved")
    with pytest.raises(ObjectMissingError, match="is gone, and no snapshot"):
        _ = handle.value
