"""Files that lie elsewhere: fetched once, recognised by what is told of them, read as a copy of what was fingerprinted."""

from __future__ import annotations

import contextlib
import http.server
import os
import pickle
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
from fsspec.spec import AbstractFileSystem

import lineage as ln
from lineage import remote
from lineage.errors import CompositionError, InputChangedError, ObjectMissingError
from lineage.testing import EventLog


@ln.node
def text(file: ln.File) -> str:
    return file.path.read_text()


@ln.node
def facts(file: ln.File) -> tuple[str, dict[str, Any], str, bool]:
    return file.name, file.partitions, file.path.name, file.path.is_absolute()


@ln.node
def size(file: ln.File) -> int:
    return len(file.path.read_bytes())


@ln.node
def names(folder: ln.Directory) -> list[str]:
    found = [path for path in folder.path.rglob("*") if path.is_file()]
    return sorted(f"{path.relative_to(folder.path)}={path.read_text()}" for path in found)


@ln.node
def rows(table: ln.File) -> int:
    return pl.scan_parquet(table.path).collect().height


@ln.dynamic
def listed(url: str) -> list[ln.File]:
    return [ln.File(url)]


# -- in memory


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    yield fs
    fs.store.clear()


def test_a_file_behind_a_url_is_read_as_a_local_file(session: ln.Session, memory: Any) -> None:
    memory.pipe("/data/month=11/a.txt", b"hello")
    file = ln.File("memory://data/month=11/a.txt")
    assert session.compute(text(file)) == "hello"
    assert session.compute(facts(file)) == ("a.txt", {"month": 11}, "a.txt", True)
    assert file.url == "memory://data/month=11/a.txt"
    with pytest.raises(CompositionError, match="fetched when a node needs it"):
        _ = file.path


def test_changed_bytes_behind_a_url_execute_again_and_equal_ones_do_not(
    session: ln.Session, log: EventLog, memory: Any
) -> None:
    for content in (b"one", b"two", b"two", b"one"):
        memory.pipe("/a.txt", content)
        assert session.compute(text(ln.File("memory://a.txt"))) == content.decode()
    assert log.names() == ["executed text", "executed text", "hit text", "hit text"]


def test_a_file_is_the_same_input_wherever_it_lies(
    session: ln.Session, log: EventLog, memory: Any, tmp_path: Path
) -> None:
    memory.pipe("/elsewhere/a.txt", b"hello")
    (tmp_path / "a.txt").write_text("hello")
    session.compute(text(ln.File(tmp_path / "a.txt")))
    session.compute(text(ln.File("memory://elsewhere/a.txt")))
    assert log.names() == ["executed text", "hit text"]


def test_a_copy_may_be_removed_at_any_time(session: ln.Session, memory: Any, tmp_path: Path) -> None:
    memory.pipe("/a.txt", b"hello")
    file = ln.File("memory://a.txt")
    assert session.compute(text(file)) == "hello"
    for path in (tmp_path / "store" / "downloads").rglob("*"):
        if path.is_file():
            path.unlink()
    assert session.compute(facts(file))[0] == "a.txt"


def test_a_copy_that_was_written_to_is_fetched_again(session: ln.Session, memory: Any, tmp_path: Path) -> None:
    memory.pipe("/a.txt", b"hello")
    assert session.compute(text(ln.File("memory://a.txt"))) == "hello"
    for path in (tmp_path / "store" / "downloads").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_text("hallo")
    assert session.compute(size(ln.File("memory://a.txt"))) == 5
    session.forget(text(ln.File("memory://a.txt")))
    assert session.compute(text(ln.File("memory://a.txt"))) == "hello"


def test_a_file_that_changes_during_the_call_discards_the_result(
    session: ln.Session, log: EventLog, memory: Any
) -> None:
    @ln.node(version="1")
    def meddling(file: ln.File) -> str:
        found = file.path.read_text()
        fsspec.filesystem("memory").pipe("/a.txt", b"HELLO")
        return found

    memory.pipe("/a.txt", b"hello")
    with pytest.raises(InputChangedError, match=r"memory://a\.txt changed while a call read it"):
        session.compute(meddling(ln.File("memory://a.txt")))
    assert log.names()[-1].startswith("failed")


def test_an_edit_in_memory_that_leaves_no_trace_is_seen(
    session: ln.Session, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "YOUNG", -1.0)
    memory.pipe("/a.txt", b"one")
    assert session.compute(text(ln.File("memory://a.txt"))) == "one"
    memory.store["/a.txt"].seek(0)
    memory.store["/a.txt"].write(b"two")
    assert session.compute(text(ln.File("memory://a.txt"))) == "two"


def test_a_missing_object_is_a_clear_error(session: ln.Session, memory: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file: memory://none\.txt \(an input declared"):
        session.compute(text(ln.File("memory://none.txt")))
    memory.pipe("/folder/a.txt", b"")
    with pytest.raises(IsADirectoryError, match="memory://folder is no file"):
        session.compute(text(ln.File("memory://folder")))


def test_an_unknown_protocol_is_a_clear_error(session: ln.Session) -> None:
    with pytest.raises(CompositionError, match=r"nowhere://a\.txt can't be read: Protocol not known"):
        session.compute(text(ln.File("nowhere://a.txt")))


def test_a_pattern_matches_urls_sorted_and_no_hidden_names(session: ln.Session, memory: Any) -> None:
    for name in ("b.txt", "a.txt", ".hidden.txt", "sub/c.txt", "d.csv"):
        memory.pipe(f"/data/{name}", name.encode())
    assert [file.url for file in ln.files("memory://data/*.txt")] == ["memory://data/a.txt", "memory://data/b.txt"]
    assert [file.name for file in ln.files("memory://data/**/*.txt")] == ["a.txt", "b.txt", "c.txt"]
    assert session.compute(ln.map(text, ln.files("memory://data/*.txt"))) == ["a.txt", "b.txt"]
    with pytest.raises(CompositionError, match=r"no file matches 'memory://data/\*\.parquet'"):
        ln.files("memory://data/*.parquet")
    with pytest.raises(CompositionError, match=r"no file matches 'memory://data/'; memory://data/\* matches"):
        ln.files("memory://data/")


def test_a_snapshot_serves_when_the_object_is_gone(session: ln.Session, log: EventLog, memory: Any) -> None:
    memory.pipe("/a.txt", b"hello")
    assert session.compute(text(ln.File("memory://a.txt", snapshot=True))) == "hello"
    memory.rm("/a.txt")
    assert session.compute(text(ln.File("memory://a.txt", snapshot=True))) == "hello"
    assert session.compute(size(ln.File("memory://a.txt", snapshot=True))) == 5
    assert log.names() == ["executed text", "hit text", "executed size"]
    with pytest.raises(FileNotFoundError):
        session.compute(text(ln.File("memory://a.txt")))


def test_a_snapshot_is_read_though_all_copies_are_gone(session: ln.Session, memory: Any, tmp_path: Path) -> None:
    memory.pipe("/a.txt", b"hello")
    session.compute(text(ln.File("memory://a.txt", snapshot=True)))
    memory.rm("/a.txt")
    for path in (tmp_path / "store" / "downloads").rglob("*"):
        if path.is_file():
            path.unlink()
    assert session.compute(size(ln.File("memory://a.txt", snapshot=True))) == 5


def test_a_recorded_url_is_verified_when_it_is_opened(session: ln.Session, memory: Any) -> None:
    memory.pipe("/a.txt", b"one")
    handle = session.materialize(listed("memory://a.txt"))
    assert [file.path.read_text() for file in handle.value] == ["one"]
    memory.pipe("/a.txt", b"two")
    with pytest.raises(InputChangedError, match="has changed since it was recorded"):
        _ = handle.value
    memory.rm("/a.txt")
    with pytest.raises(ObjectMissingError, match="gone, and no snapshot"):
        _ = handle.value


def test_an_input_is_declared_by_a_url_that_can_be_recorded() -> None:
    with pytest.raises(CompositionError, match="password"):
        ln.File("ftp://me:secret@host/a.txt")
    with pytest.raises(CompositionError, match="has lost a slash"):
        ln.File(Path("s3://bucket/a.txt"))
    with pytest.raises(CompositionError, match="names no file"):
        ln.File("https://host/")


def test_options_are_neither_shown_nor_pickled() -> None:
    file = ln.File("s3://bucket/a.txt", storage_options={"secret": "hunter2"})
    assert "hunter2" not in repr(file) + repr(file.options) + str(pickle.dumps(file))
    assert pickle.loads(pickle.dumps(file)).url == file.url


def test_a_file_url_is_a_local_file(tmp_path: Path, session: ln.Session) -> None:
    path = tmp_path / "a b%.txt"
    path.write_text("hello")
    assert ln.File(ln.File(path).url).path == path
    assert session.compute(text(ln.File(path.as_uri()))) == "hello"


def test_content_only_is_one_input_whatever_the_url(session: ln.Session, log: EventLog, memory: Any) -> None:
    @ln.node
    def seen(file: ln.File) -> tuple[str, dict[str, Any], bool]:
        return file.path.name, file.partitions, file.url == file.path.as_uri()

    for name in ("m=1/a.txt", "m=2/b.csv"):
        memory.pipe(f"/{name}", b"same")
        assert session.compute(seen(ln.File(f"memory://{name}", content_only=True))) == ("content", {}, True)
    assert log.names() == ["executed seen", "hit seen"]


def test_members_of_an_archive_are_files_and_the_archive_a_folder(
    session: ln.Session, log: EventLog, tmp_path: Path
) -> None:
    def pack(**members: str) -> None:
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(zipfile.ZipInfo(name.replace("_", ".")), content)  # each written in 1980

    where = f"file://{tmp_path}/x.zip"
    pack(a_txt="one", b_txt="two")
    assert session.compute(text(ln.File(f"zip://a.txt::{where}"))) == "one"
    assert session.compute(names(ln.Directory(f"zip://::{where}"))) == ["a.txt=one", "b.txt=two"]
    assert [file.name for file in ln.files(f"zip://*.txt::{where}")] == ["a.txt", "b.txt"]
    pack(a_txt="ONE", b_txt="two")
    assert session.compute(text(ln.File(f"zip://a.txt::{where}"))) == "ONE"
    assert session.compute(names(ln.Directory(f"zip://::{where}"))) == ["a.txt=ONE", "b.txt=two"]


def test_all_that_is_in_memory_is_a_folder(session: ln.Session, memory: Any) -> None:
    memory.pipe("/a.txt", b"1")
    memory.pipe("/sub/b.txt", b"2")
    assert session.compute(names(ln.Directory("memory://"))) == ["a.txt=1", "sub/b.txt=2"]
    assert session.compute(names(ln.Directory("memory://sub/"))) == ["b.txt=2"]


# -- the limit


def test_copies_past_the_limit_go_oldest_first_and_none_that_is_in_use(
    memory: Any, tmp_path: Path, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = tmp_path / "store" / "downloads"

    def kept() -> list[str]:
        return sorted({path.read_text()[0] for path in downloads.rglob("*") if path.is_file()})

    for letter in "abcd":
        memory.pipe(f"/{letter}.txt", letter.encode() * 1000)
    with ln.Session(tmp_path / "store", downloads=2500, on_event=log) as session:
        for letter in "ab":
            session.compute(size(ln.File(f"memory://{letter}.txt")))
        session.compute(size(ln.File("memory://c.txt")))
        assert kept() == ["a", "b", "c"]  # all were used just now
        for path in downloads.rglob("*"):
            if path.is_file():
                age = {"a": 7200, "b": 9000, "c": 0}[path.read_text()[0]]
                os.utime(path, ns=(time.time_ns() - age * 10**9, path.stat().st_mtime_ns))
        for place in (tmp_path / "store" / "opened").iterdir():
            os.utime(place, (time.time() - 9999, time.time()))
        session.compute(size(ln.File("memory://d.txt")))
        assert kept() == ["c", "d"]
        session.forget(size(ln.File("memory://a.txt")))
        assert session.compute(size(ln.File("memory://a.txt"))) == 1000


# -- changes for real, and ends in the middle


class Shifting(AbstractFileSystem):  # type: ignore[misc]
    """Holds one file, which somebody rewrites after its first block was read."""

    protocol = "shifting"
    cachable = False
    blocksize = 4
    content = b"aaaabbbb"
    changed = 1000.0
    shifts = True

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "type": "file", "size": len(Shifting.content), "mtime": Shifting.changed}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return _Blocks()


class _Blocks:
    size = 8

    def __init__(self) -> None:
        self.at = 0

    def read(self, _: int) -> bytes:
        data = Shifting.content[self.at : self.at + 4]
        self.at += 4
        if Shifting.shifts:
            Shifting.content, Shifting.changed = b"AAAABBBB", 2000.0
        return data

    def __enter__(self) -> _Blocks:
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.fixture
def shifting(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.register_implementation("shifting", Shifting, clobber=True)
    monkeypatch.setattr(Shifting, "content", b"aaaabbbb")
    monkeypatch.setattr(Shifting, "changed", 1000.0)
    monkeypatch.setattr(Shifting, "shifts", True)


def test_a_file_that_changes_while_it_is_fetched_is_an_error(session: ln.Session, shifting: None) -> None:
    with pytest.raises(InputChangedError, match=r"shifting://a\.txt changed while it was read"):
        session.compute(text(ln.File("shifting://a.txt")))
    Shifting.shifts = False
    assert session.compute(text(ln.File("shifting://a.txt"))) == "AAAABBBB"


def test_an_old_time_and_size_are_believed_and_a_new_time_is_not(
    session: ln.Session, shifting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    fetch = remote.fetch

    def counted(url: str, *rest: Any) -> None:
        fetched.append(url)
        fetch(url, *rest)

    monkeypatch.setattr(remote, "fetch", counted)
    Shifting.shifts = False
    for _ in range(2):
        session.compute(text(ln.File("shifting://a.txt")))
    assert len(fetched) == 1
    Shifting.changed = time.time() - 30
    for _ in range(2):
        session.compute(text(ln.File("shifting://a.txt")))
    assert len(fetched) == 3


def test_options_that_may_mean_another_place_keep_a_time_from_being_believed(shifting: None) -> None:
    assert remote.look("shifting://a.txt", {}).trusted
    assert not remote.look("shifting://a.txt", {"host": "other"}).trusted


class Elsewhere(AbstractFileSystem):  # type: ignore[misc]
    """Has another file at the same URL on each host."""

    protocol = "elsewhere"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "type": "file", "size": 3, "mtime": 1000.0}

    def get_file(self, path: str, into: str, **_: Any) -> None:
        Path(into).write_text(self.storage_options["host"])


def test_one_url_on_two_hosts_is_two_files(session: ln.Session) -> None:
    fsspec.register_implementation("elsewhere", Elsewhere, clobber=True)
    files = [ln.File("elsewhere://a.txt", storage_options={"host": host}) for host in ("one", "two")]
    assert files[0] != files[1]
    assert session.compute([text(file) for file in files]) == ["one", "two"]
    assert session.compute([size(file) for file in reversed(files)] + [text(files[1])]) == [3, 3, "two"]


def test_a_snapshot_of_one_host_does_not_stand_for_another(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.register_implementation("elsewhere", Elsewhere, clobber=True)
    session.compute(text(ln.File("elsewhere://a.txt", storage_options={"host": "one"}, snapshot=True)))

    def gone(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr(Elsewhere, "info", gone)
    again = ln.File("elsewhere://a.txt", storage_options={"host": "one"}, snapshot=True)
    assert session.compute(size(again)) == 3
    with pytest.raises(FileNotFoundError):
        session.compute(text(ln.File("elsewhere://a.txt", storage_options={"host": "two"}, snapshot=True)))


class Cut(AbstractFileSystem):  # type: ignore[misc]
    """Ends before all was sent, and says nothing."""

    protocol = "cut"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": path, "type": "file", "size": 8, "mtime": 1000.0}

    def get_file(self, path: str, into: str, **_: Any) -> None:
        Path(into).write_bytes(b"aaaa")


def test_what_comes_short_is_not_taken_for_the_file(session: ln.Session, tmp_path: Path) -> None:
    fsspec.register_implementation("cut", Cut, clobber=True)
    with pytest.raises(InputChangedError, match=r"cut://a\.txt"):
        session.compute(text(ln.File("cut://a.txt")))
    assert [path for path in (tmp_path / "store" / "downloads").rglob("*") if path.is_file()] == []
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


KILLED = """
import os, signal, sys
import fsspec
from fsspec.spec import AbstractFileSystem
import lineage as ln

class Dying(AbstractFileSystem):
    protocol = "dying"
    def info(self, path, **_):
        return {"name": path, "type": "file", "size": 8, "mtime": 1000.0}
    def get_file(self, path, into, **_):
        with open(into, "wb") as file:
            file.write(b"aaaa")
            if not os.environ.get("LIVES"):
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
            file.write(b"bbbb")

fsspec.register_implementation("dying", Dying)

@ln.node(version="1")
def text(file: ln.File) -> str:
    return file.path.read_text()

with ln.Session(sys.argv[1]) as session:
    print(session.compute(text(ln.File("dying://a.txt"))))
"""


def test_a_kill_in_the_middle_of_a_download_leaves_no_wrong_file(tmp_path: Path) -> None:
    def run(**more: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-c", KILLED, str(tmp_path / "store")]
        return subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **more}, check=False)

    assert run().returncode == -9
    assert [path.stat().st_size for path in (tmp_path / "store" / "tmp").iterdir()] == [4]
    done = run(LIVES="1")
    assert done.stdout.strip() == "aaaabbbb", done.stderr
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


# -- the web


class _Quiet(http.server.SimpleHTTPRequestHandler):
    tag: str | None = None
    dated = True

    def log_message(self, *_: object) -> None: ...

    def send_header(self, keyword: str, value: str) -> None:
        if self.dated or keyword != "Last-Modified":
            super().send_header(keyword, value)

    def end_headers(self) -> None:
        if self.tag:
            self.send_header("ETag", self.tag)
        super().end_headers()


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "web"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_address_is_an_input(session: ln.Session, log: EventLog, web: tuple[Path, str]) -> None:
    folder, url = web
    (folder / "a b.txt").write_text("one")
    file = ln.File(f"{url}/a%20b.txt?v=1")
    assert session.compute(text(file)) == "one"
    assert session.compute(facts(file))[0] == "a b.txt"
    (folder / "a b.txt").write_text("two")
    assert session.compute(text(file)) == "two"
    assert log.names() == ["executed text", "executed facts", "executed text"]
    with pytest.raises(FileNotFoundError, match="no such file"):
        session.compute(text(ln.File(f"{url}/none.txt")))


@pytest.mark.parametrize(("tag", "age", "trusted"), [
    (None, 3600, True),
    (None, 10, False),
    (None, None, False),
    ('"abc"', 3600, True),
    ('"abc"', 10, False),
    ('"abc"', None, True),
    ('W/"abc"', 10, False),
    ('W/"abc"', None, False),
])  # fmt: skip
def test_a_web_server_is_believed_once_what_it_tells_is_old(
    web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tag: str | None, age: int | None, trusted: bool
) -> None:
    monkeypatch.setattr(_Quiet, "tag", tag)
    monkeypatch.setattr(_Quiet, "dated", age is not None)
    folder, url = web
    (folder / "a.txt").write_text("one")
    os.utime(folder / "a.txt", (time.time() - (age or 3600),) * 2)
    assert remote.look(f"{url}/a.txt", {}).trusted is trusted


def test_what_tells_nothing_is_read_again_after_the_call(
    session: ln.Session, web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Quiet, "dated", False)
    folder, url = web

    @ln.node(version="1")
    def meddling(file: ln.File) -> str:
        found = file.path.read_text()
        (folder / "a.txt").write_text("TWO")
        return found

    (folder / "a.txt").write_text("one")
    with pytest.raises(InputChangedError, match="changed while a call read it"):
        session.compute(meddling(ln.File(f"{url}/a.txt")))


def test_a_server_that_does_not_answer_or_refuses_is_a_clear_error(
    session: ln.Session, web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match=r"127\.0\.0\.1:9/a\.txt can't be read: ClientConnectorError") as found:
        session.compute(text(ln.File("http://127.0.0.1:9/a.txt")))
    assert not isinstance(found.value, FileNotFoundError)
    monkeypatch.setattr(_Quiet, "do_GET", lambda self: self.send_error(500))
    monkeypatch.setattr(_Quiet, "do_HEAD", lambda self: self.send_error(500))
    with pytest.raises(OSError, match=r"a\.txt can't be read: ClientResponseError: 500"):
        session.compute(text(ln.File(f"{web[1]}/a.txt")))


# -- S3


class Bucket:
    """A bucket of a server of ours, written to by another client than the one that is tested."""

    def __init__(self, name: str, endpoint: str, log: Path) -> None:
        import boto3

        self.options = {"key": "testing", "secret": "hunter2hunter2", "endpoint_url": endpoint}
        self.name = name
        self.log = log
        session = boto3.session.Session("testing", "hunter2hunter2", region_name="us-east-1")
        self.client = session.client("s3", endpoint_url=endpoint)
        self.client.create_bucket(Bucket=name)
        self.taken()

    def url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def file(self, key: str, **options: Any) -> ln.File:
        return ln.File(self.url(key), storage_options=self.options, **options)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def taken(self) -> list[str]:
        """Return the requests since the last time, without the other client's writes."""
        found = self.log.read_text().splitlines()
        self.log.write_text("")
        return [line for line in found if line.startswith(("GET", "HEAD"))]

    def gets(self) -> list[str]:
        return [line for line in self.taken() if line.startswith("GET") and "list-type" not in line]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    log = tmp_path_factory.mktemp("s3") / "requests"
    log.touch()
    script = Path(__file__).with_name("s3_server.py")
    arguments = [sys.executable, str(script), str(log)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}", log
        finally:
            process.terminate()


@pytest.fixture
def bucket(s3_server: tuple[str, Path], request: pytest.FixtureRequest) -> Iterator[Bucket]:
    made = Bucket(f"b{abs(hash(request.node.name))}", *s3_server)
    with contextlib.closing(made.client):
        yield made


def test_an_object_is_fetched_once_and_then_only_looked_at(tmp_path: Path, log: EventLog, bucket: Bucket) -> None:
    bucket.put("a.txt", b"hello")
    for _ in range(2):
        with ln.Session(tmp_path / "store", on_event=log) as session:
            assert session.compute(text(bucket.file("a.txt"))) == "hello"
    requests = bucket.taken()
    assert log.names() == ["executed text", "hit text"]
    assert [line for line in requests if line.startswith("GET")] == [f"GET /{bucket.name}/a.txt pinned"]
    assert requests.count(f"HEAD /{bucket.name}/a.txt -") == 3  # two plans, and one look after the call
    with ln.Session(tmp_path / "store") as session:
        assert session.compute(size(bucket.file("a.txt"))) == 5
    assert bucket.gets() == []


def test_an_object_that_is_written_over_executes_again(session: ln.Session, log: EventLog, bucket: Bucket) -> None:
    for content in (b"one", b"two", b"two"):
        bucket.put("a.txt", content)
        assert session.compute(text(bucket.file("a.txt"))) == content.decode()
    assert log.names() == ["executed text", "executed text", "hit text"]


def test_an_object_that_changes_between_look_and_read_is_not_read(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("a.txt", b"one")
    told = remote.look(bucket.url("a.txt"), bucket.options)
    bucket.put("a.txt", b"two")
    with pytest.raises(InputChangedError, match="changed while it was read"):
        remote.fetch(bucket.url("a.txt"), bucket.options, told, str(tmp_path / "into"))
    bucket.delete("a.txt")
    with pytest.raises(InputChangedError, match="changed while it was read"):
        remote.fetch(bucket.url("a.txt"), bucket.options, told, str(tmp_path / "again"))


def test_an_old_version_is_read_where_the_bucket_keeps_them(bucket: Bucket, tmp_path: Path) -> None:
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    bucket.put("a.txt", b"one")
    told = remote.look(bucket.url("a.txt"), bucket.options)
    assert told.version is not None
    bucket.put("a.txt", b"two")
    remote.fetch(bucket.url("a.txt"), bucket.options, told, str(tmp_path / "into"))
    assert (tmp_path / "into").read_bytes() == b"one"


def test_an_object_that_changes_during_the_call_discards_the_result(session: ln.Session, bucket: Bucket) -> None:
    @ln.node(version="1")
    def meddling(file: ln.File) -> str:
        found = file.path.read_text()
        bucket.put("a.txt", b"HELLO")
        return found

    bucket.put("a.txt", b"hello")
    with pytest.raises(InputChangedError, match="changed while a call read it"):
        session.compute(meddling(bucket.file("a.txt")))


def test_a_large_object_is_read_in_ranges_that_belong_together(
    session: ln.Session, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_PART", 1000)
    data = bytes(range(256)) * 20
    bucket.put("big.bin", data)
    bucket.taken()
    assert session.compute(same_bytes(bucket.file("big.bin"), data.hex()))
    gets = bucket.gets()
    assert len(gets) == 6
    assert all(line.endswith("pinned") for line in gets)


@ln.node
def same_bytes(file: ln.File, expected: str) -> bool:
    return file.path.read_bytes().hex() == expected


def test_an_empty_object_is_a_file(session: ln.Session, bucket: Bucket) -> None:
    bucket.put("empty", b"")
    assert session.compute(size(bucket.file("empty"))) == 0


def test_what_another_client_wrote_is_seen_at_once(session: ln.Session, bucket: Bucket) -> None:
    bucket.put("month=1/a.txt", b"one")
    assert len(ln.files(bucket.url("month=*/*.txt"), storage_options=bucket.options)) == 1
    assert len(ln.files(bucket.url("month=1/*.txt"), storage_options=bucket.options)) == 1
    bucket.put("month=1/b.txt", b"more")
    assert len(ln.files(bucket.url("month=1/*.txt"), storage_options=bucket.options)) == 2
    bucket.delete("month=1/b.txt")
    bucket.put("month=2/a.txt", b"two")
    found = ln.files(bucket.url("month=*/*.txt"), storage_options=bucket.options)
    assert [file.url for file in found] == [bucket.url("month=1/a.txt"), bucket.url("month=2/a.txt")]
    assert [file.partitions for file in found] == [{"month": 1}, {"month": 2}]
    assert session.compute(ln.map(text, found)) == ["one", "two"]


def test_a_snapshot_survives_the_deletion_of_the_object(session: ln.Session, bucket: Bucket) -> None:
    bucket.put("a.txt", b"hello")
    assert session.compute(text(bucket.file("a.txt", snapshot=True))) == "hello"
    bucket.delete("a.txt")
    assert session.compute(size(bucket.file("a.txt", snapshot=True))) == 5
    with pytest.raises(FileNotFoundError, match="no such file: s3://"):
        session.compute(size(bucket.file("a.txt")))


def test_a_folder_of_objects_is_one_input(session: ln.Session, log: EventLog, bucket: Bucket) -> None:
    folder = ln.Directory(bucket.url("data/"), storage_options=bucket.options)
    bucket.put("data/", b"")  # the mark that some tools leave
    bucket.put("data/a.txt", b"1")
    bucket.put("data/sub/b.txt", b"2")
    bucket.put("database/c.txt", b"3")
    assert session.compute(names(folder)) == ["a.txt=1", "sub/b.txt=2"]
    bucket.taken()
    assert session.compute(names(folder)) == ["a.txt=1", "sub/b.txt=2"]
    assert bucket.gets() == []
    bucket.put("data/a.txt", b"one")
    assert session.compute(names(folder)) == ["a.txt=one", "sub/b.txt=2"]
    assert bucket.gets() == [f"GET /{bucket.name}/data/a.txt pinned"]
    bucket.put("data/c.txt", b"3")
    assert session.compute(names(folder)) == ["a.txt=one", "c.txt=3", "sub/b.txt=2"]
    assert log.names() == ["executed names", "hit names", "executed names", "executed names"]


def test_a_folder_of_objects_that_is_not_there_is_a_clear_error(session: ln.Session, bucket: Bucket) -> None:
    with pytest.raises(FileNotFoundError, match="s3://"):
        session.compute(names(ln.Directory(bucket.url("none"), storage_options=bucket.options)))


def test_objects_that_no_folder_can_hold_are_refused_by_name(session: ln.Session, bucket: Bucket) -> None:
    bucket.put("data/a", b"1")
    bucket.put("data/a/b", b"2")
    with pytest.raises(OSError, match="'a/b', which no local folder can hold"):
        session.compute(names(ln.Directory(bucket.url("data"), storage_options=bucket.options)))


def test_secrets_are_not_recorded(
    session: ln.Session, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(fsspec.config.conf, "testing", bucket.options)
    bucket.put("a.txt", b"hello")
    session.compute(text(bucket.file("a.txt", snapshot=True)))
    session.materialize(listed_with_options(bucket.url("a.txt")))
    session.close()
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            assert b"hunter2" not in path.read_bytes()


@ln.dynamic
def listed_with_options(url: str) -> list[ln.File]:
    return [ln.File(url, storage_options=fsspec.config.conf["testing"])]


CONFIGURED = """
import sys
import lineage as ln

@ln.node
def text(file: ln.File) -> str:
    return file.path.read_text()

with ln.Session(sys.argv[1]) as session:
    print(session.compute(text(ln.File(sys.argv[2]))))
"""


def test_credentials_and_endpoint_come_from_the_variables_of_fsspec(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put("a.txt", b"hello")
    given = {f"FSSPEC_S3_{name.upper()}": value for name, value in bucket.options.items()}
    arguments = [sys.executable, "-c", CONFIGURED, str(tmp_path / "store"), bucket.url("a.txt")]
    done = subprocess.run(arguments, capture_output=True, text=True, env={**os.environ, **given}, check=False)
    assert done.stdout.strip() == "hello", done.stderr


def test_a_table_is_scanned_from_an_object(session: ln.Session, bucket: Bucket, tmp_path: Path) -> None:
    pl.DataFrame({"x": [1, 2, 3]}).write_parquet(tmp_path / "t.parquet")
    bucket.put("t.parquet", (tmp_path / "t.parquet").read_bytes())
    assert session.compute(rows(bucket.file("t.parquet"))) == 3


def test_many_objects_are_read_side_by_side_and_only_the_changed_one_again(
    session: ln.Session, log: EventLog, bucket: Bucket
) -> None:
    for number in range(20):
        bucket.put(f"{number:02}.txt", b"%d" % number)
    wanted = [str(number) for number in range(20)]
    find = partial(ln.files, bucket.url("*.txt"), storage_options=bucket.options)
    assert session.compute(ln.map(text, find())) == wanted
    bucket.put("07.txt", b"seven")
    bucket.taken()
    log.clear()
    assert session.compute(ln.map(text, find()))[7] == "seven"
    assert bucket.gets() == [f"GET /{bucket.name}/07.txt pinned"]
    assert (log.count("executed"), log.count("hit")) == (1, 19)
