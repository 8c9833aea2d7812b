"""Faults, caused rather than imagined: each ends in the right value or a clear error, never in a wrong value."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from blake3 import blake3

import fault_pipeline as pipeline
import lineage as ln
from lineage.errors import LineageError, ReadOnlyStoreError, StoreError, StoreVersionError
from lineage.storage import schema

KILLED = -signal.SIGKILL
STRIDE = int(os.environ.get("LINEAGE_FAULT_STRIDE", "7"))
"""Every so-manieth step is a death: odd, so that those before and after something take turns. Try 1 now and then."""


class Zygote:
    """A process that forks one for each request, all libraries loaded."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "answer.json"
        self.process = subprocess.Popen(
            [sys.executable, pipeline.__file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        assert self.stdout.readline() == "ready\n"

    def ask(self, do: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        self.out.unlink(missing_ok=True)
        self.stdin.write(json.dumps({"do": do, "out": str(self.out), **arguments}) + "\n")
        self.stdin.flush()
        code = int(self.stdout.readline())
        return code, json.loads(self.out.read_text()) if self.out.exists() else {}

    def close(self) -> None:
        self.stdin.close()
        self.process.wait(30)
        self.stdout.close()


@pytest.fixture(scope="module")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    found = Zygote(tmp_path_factory.mktemp("zygote"))
    yield found
    found.close()


CALLS = "SELECT * FROM calls UNION ALL SELECT * FROM young_calls"


def recorded(store: Path) -> list[str]:
    """Return the nodes whose results the index leads to."""
    if not (store / "index.sqlite").exists():
        return []
    db = sqlite3.connect(store / "index.sqlite")
    try:
        rows = db.execute(
            f"SELECT n.name FROM ({CALLS}) c JOIN executions e ON e.id = c.execution JOIN nodes n ON n.id = e.node"
        ).fetchall()
    except sqlite3.OperationalError:  # killed before there were tables
        rows = []
    finally:
        db.close()
    return sorted(name for (name,) in rows)


def assert_every_object_is_whole(store: Path) -> None:
    for path in (store / "objects").rglob("*"):
        if path.is_file():
            assert blake3(path.read_bytes()).hexdigest() == path.parent.name + path.name


def leftovers(store: Path) -> list[str]:
    return [f"{name}/{left}" for name in ("tmp", "scratch", "alive") for left in listed(store / name)]


def listed(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


# -- kill -9


@pytest.mark.slow
def test_kill_at_every_step_of_a_write(zygote: Zygote, tmp_path: Path) -> None:
    code, whole = zygote.ask("run", store=str(tmp_path / "whole"), count=True)
    assert code == 0, whole
    assert whole["right"]
    assert whole["executed"] == pipeline.NODES
    assert len(whole["steps"]) > 200  # or the steps are not seen any more
    died = set()
    for die_at in range(1, len(whole["steps"]) + 1, STRIDE):
        store = tmp_path / str(die_at)
        code, _ = zygote.ask("run", store=str(store), die_at=die_at)
        if code != KILLED:  # the threads were faster this time, and took fewer steps
            assert code == 0
            assert die_at > 0.8 * len(whole["steps"])
            continue
        assert_every_object_is_whole(store)
        kept = recorded(store)
        died.add(len(kept))
        code, again = zygote.ask("run", store=str(store))
        where = f"killed at step {die_at} ({whole['steps'][die_at - 1]}) with {kept} recorded"
        assert code == 0, f"{where}: {again}"
        assert again["right"], where
        expected = [] if "report" in kept else sorted(set(pipeline.NODES) - set(kept))
        assert again["executed"] == expected, where
        assert leftovers(store) == [], where
        assert_every_object_is_whole(store)
        shutil.rmtree(store)
    assert 0 in died
    assert len(died) > 2  # deaths between groups are among them


# -- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_finished_before_a_signal_is_kept(tmp_path: Path, number: signal.Signals) -> None:
    store = tmp_path / "store"
    asked = json.dumps({"do": "chain", "store": str(store)})
    first = subprocess.Popen([sys.executable, pipeline.__file__, asked], stderr=subprocess.PIPE, text=True)
    assert first.stderr is not None
    done = [first.stderr.readline() for _ in range(4)]
    assert all(line.startswith("executed") for line in done)
    time.sleep(0.08)  # a group is committed after 0.05 s
    first.send_signal(number)
    rest = first.communicate()[1]
    assert first.returncode in (-signal.SIGINT, 130, 143)
    seen = 4 + rest.count("executed ")
    kept = len(recorded(store))
    assert 4 <= kept <= seen < 10
    again = subprocess.run([sys.executable, pipeline.__file__, asked], capture_output=True, text=True, check=True)
    assert json.loads(again.stdout) == {"value": list(range(10))}
    assert again.stderr.count("executed") == 10 - kept
    assert again.stderr.count("hit") == kept
    assert leftovers(store) == []


# -- damage


def computed(store: Path, **options: Any) -> tuple[Any, list[tuple[str, str]]]:
    events: list[tuple[str, str]] = []
    with ln.Session(store, on_event=lambda verdict, node, _: events.append((verdict, node)), **options) as session:
        value = session.compute(pipeline.everything())
    return value, events


def object_of(store: Path, node: str) -> list[Path]:
    """Return the objects that hold the result of a node of the pipeline."""
    with ln.Session(store) as session:
        record = session.store.index.latest_of(getattr(pipeline, node).reference)
        assert record is not None
        if record.value.startswith("@"):
            digests = [record.value[1:]]
        else:
            found = json.loads(record.value)
            manifest = session.store.index.manifest(bytes.fromhex(found["d"]))  # type: ignore[arg-type]
            assert manifest is not None
            digests = [blob.digest.hex() for blob in manifest.blobs]
    return [store / "objects" / digest[:2] / digest[2:] for digest in digests]


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(data)


def delete(path: Path) -> None:
    path.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which everything is recorded."""
    store = tmp_path_factory.mktemp("whole") / "store"
    value, _ = computed(store)
    assert value == pipeline.EXPECTED
    return store


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "store")


@pytest.mark.parametrize("harm", [truncate, flip, delete])
@pytest.mark.parametrize("node", ["table", "model", "folder", "long_list"])
def test_a_damaged_object_is_made_again_when_it_is_needed(store: Path, node: str, harm: Any) -> None:
    for path in object_of(store, node):
        harm(path)
    forget(store, "report")
    value, events = computed(store, verify="always")
    assert value == pipeline.EXPECTED
    assert ("executed", node) in events
    assert computed(store, verify="always")[0] == pipeline.EXPECTED
    assert_every_object_is_whole(store)


@pytest.mark.parametrize("harm", [truncate, flip, delete])
@pytest.mark.parametrize("node", ["table", "array", "model", "folder", "long_list"])
def test_a_damaged_root_is_made_again_when_it_is_read(store: Path, node: str, harm: Any) -> None:
    frame = pipeline.table(500)
    roots = {
        "table": frame,
        "array": pipeline.array(frame),
        "model": pipeline.model(pipeline.array(frame)),
        "folder": pipeline.folder(frame),
        "long_list": pipeline.long_list(11_000),
    }
    for path in object_of(store, node):
        harm(path)
    with ln.Session(store, verify="always") as session:
        assert_as_it_was(node, session.compute(roots[node]))
    assert_every_object_is_whole(store)


def assert_as_it_was(node: str, value: Any) -> None:
    plain = pipeline.table.fn(500)
    if node == "table":
        assert value.equals(plain)
    elif node == "array":
        assert value.tolist() == (plain["x"].to_numpy() * 2.0).tolist()
    elif node == "model":
        assert value.score() == pipeline.EXPECTED.total
    elif node == "folder":
        assert (value / "a.txt").read_text() == "some text"
        assert (value / "deep" / "b.txt").read_text() == "500"
    else:
        assert len(value) == 11_000


def forget(store: Path, node: str) -> None:
    """Remove the record of a node, so that what it is made from is needed again."""
    db = sqlite3.connect(store / "index.sqlite")
    number = "(SELECT e.id FROM executions e JOIN nodes n ON n.id = e.node WHERE n.name = ?)"
    with db:
        for table in ("calls", "young_calls", "recipes", "young_recipes"):
            db.execute(f"DELETE FROM {table} WHERE execution IN {number}", (node,))
    db.close()


@pytest.mark.parametrize("harm", [truncate, flip])
def test_a_damaged_file_of_a_folder_that_was_read_before_is_noticed(store: Path, harm: Any) -> None:
    """The view of a folder has hard links to the objects: what harms one harms both."""
    assert (store / "views").is_dir()
    for path in object_of(store, "folder"):
        harm(path)
    with ln.Session(store) as session:
        assert_as_it_was("folder", session.compute(pipeline.folder(pipeline.table(500))))


def test_a_truncated_object_is_noticed_even_by_a_store_that_verifies_nothing(store: Path) -> None:
    for path in object_of(store, "array"):
        truncate(path)
    with ln.Session(store, verify="never") as session:
        assert_as_it_was("array", session.compute(pipeline.array(pipeline.table(500))))


def test_a_lost_row_of_contents_is_made_again(store: Path) -> None:
    db = sqlite3.connect(store / "index.sqlite")
    with db:
        db.execute("DELETE FROM contents")
    db.close()
    forget(store, "report")
    value, events = computed(store)
    assert value == pipeline.EXPECTED
    assert {node for verdict, node in events if verdict == "executed"} >= {"report", "table"}


def test_a_lost_index_is_made_again_and_finds_the_objects(store: Path) -> None:
    before = sorted(path.name for path in (store / "objects").rglob("*"))
    for path in store.glob("index.sqlite*"):
        path.unlink()
    value, events = computed(store)
    assert value == pipeline.EXPECTED
    assert sorted(node for verdict, node in events if verdict == "executed") == pipeline.NODES
    assert sorted(path.name for path in (store / "objects").rglob("*")) == before


def test_lost_objects_are_made_again(store: Path) -> None:
    shutil.rmtree(store / "objects")
    forget(store, "report")
    assert computed(store)[0] == pipeline.EXPECTED


def test_garbage_in_place_of_the_index_is_a_clear_error(store: Path) -> None:
    (store / "index.sqlite").write_bytes(os.urandom(50_000))
    with pytest.raises(StoreError, match="Move it aside"):
        computed(store)


def test_an_index_of_a_newer_version_is_refused(store: Path) -> None:
    db = sqlite3.connect(store / "index.sqlite")
    db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()
    with pytest.raises(StoreVersionError, match="Upgrade lineage"):
        computed(store)


# -- no space, no permission


def mounted(folder: Path, *arguments: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a filesystem needs root")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no filesystem can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 6 MB."""
    folder = tmp_path / "small"
    mounted(folder, "-t", "tmpfs", "-o", "size=6m", "tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@ln.node
def numbers(n: int) -> np.ndarray:
    return np.random.default_rng(1).random(n)


@ln.node
def frame_of(n: int) -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(2).random(n)})


@ln.node
def blob(n: int) -> bytes:
    return np.random.default_rng(3).bytes(n)


@ln.node
def written(n: int) -> Path:
    place = ln.scratch() / "file"
    place.write_bytes(np.random.default_rng(4).bytes(n))
    return place


@ln.node
def pickled(n: int) -> pipeline.Model:
    return pipeline.Model(np.random.default_rng(5).random(n))


@ln.node
def size_of(value: int) -> int:
    return value + 1


BIG = {
    "array": numbers(800_000),
    "table": frame_of(800_000),
    "bytes": blob(6_400_000),
    "path": written(3_500_000),
    "pickle": pickled(800_000),
}


@pytest.mark.parametrize("kind", BIG)
def test_a_full_disk_is_a_clear_error_and_costs_nothing_else(small: Path, kind: str) -> None:
    with ln.Session(small / "store") as session:
        assert session.compute(size_of(1)) == 2
        with pytest.raises((LineageError, OSError), match=r"(?i)no space left"):
            session.compute(BIG[kind])
        assert os.listdir(small / "store" / "tmp") == []
        assert session.compute(size_of(2)) == 3  # the session goes on
    subprocess.run(["mount", "-o", "remount,size=60m", str(small)], check=True)
    events: list[str] = []
    with ln.Session(small / "store", on_event=lambda verdict, node, _: events.append(verdict)) as session:
        assert session.compute([size_of(1), size_of(2)]) == [2, 3]
        assert session.compute(BIG[kind]) is not None
    assert events == ["hit", "hit", "executed"]
    assert_every_object_is_whole(small / "store")


def test_a_disk_that_is_full_for_the_index_is_a_clear_error(small: Path) -> None:
    with ln.Session(small / "store") as session:
        assert session.compute(size_of(1)) == 2
        filler = small / "filler"
        with pytest.raises(OSError, match="No space"), filler.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        with pytest.raises(StoreError, match="no space left"):
            session.compute([size_of(number) for number in range(20_000)])
        with pytest.raises(StoreError, match="no space left"):
            session.compute([size_of(number) for number in range(20_000)])
        filler.unlink()
        assert session.compute([size_of(number) for number in range(100)]) == list(range(1, 101))
    events: list[str] = []
    with ln.Session(small / "store", on_event=lambda verdict, node, _: events.append(verdict)) as session:
        assert session.compute(size_of(1)) == 2
    assert events == ["hit"]


def test_opening_a_store_on_a_full_disk_is_a_clear_error(small: Path) -> None:
    with pytest.raises(OSError, match="No space"), (small / "filler").open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    with pytest.raises(StoreError, match="no space left"):
        ln.Session(small / "store").compute(size_of(1))


@pytest.fixture
def frozen(whole: Path, tmp_path: Path) -> Iterator[Path]:
    """A store on a filesystem that is mounted read-only."""
    folder = tmp_path / "frozen"
    mounted(folder, "-t", "tmpfs", "-o", "size=60m", "tmpfs")
    shutil.copytree(whole, folder / "store")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield folder / "store"
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_store_serves_hits(frozen: Path) -> None:
    value, events = computed(frozen)
    assert value == pipeline.EXPECTED
    assert events == [("hit", "report")]
    frame = pipeline.table(500)
    with ln.Session(frozen) as session:
        assert_as_it_was("table", session.compute(frame))
        assert_as_it_was("array", session.compute(pipeline.array(frame)))
        assert_as_it_was("model", session.compute(pipeline.model(pipeline.array(frame))))
        assert_as_it_was("folder", session.compute(pipeline.folder(frame)))
        assert session.plan(pipeline.everything()).counts() == {"hit": 1}


def test_a_read_only_store_refuses_misses(frozen: Path) -> None:
    with ln.Session(frozen) as session:
        with pytest.raises(ReadOnlyStoreError, match="read-only"):
            session.compute(size_of(7))
        assert session.plan(size_of(7)).counts() == {"execute": 1}
        assert_as_it_was("table", session.compute(pipeline.table(500)))


def test_what_a_killed_writer_left_in_the_log_is_read_from_a_read_only_store(zygote: Zygote, tmp_path: Path) -> None:
    """SQLite would need to write beside the log to read it."""
    store = tmp_path / "killed"
    code, _ = zygote.ask("run", store=str(store), die_on="before close")
    assert code == KILLED
    assert (store / "index.sqlite-wal").stat().st_size > 0
    folder = tmp_path / "frozen"
    mounted(folder, "-t", "tmpfs", "-o", "size=60m", "tmpfs")
    try:
        shutil.copytree(store, folder / "store")
        (folder / "store" / "index.sqlite-shm").unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        value, events = computed(folder / "store")
        assert value == pipeline.EXPECTED
        assert events == [("hit", "report")]
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_store_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        ln.Session(tmp_path / "file" / "store").compute(size_of(1))


# -- many processes


@pytest.mark.parametrize("count", [2, 6])
def test_processes_that_write_one_store_agree(tmp_path: Path, count: int) -> None:
    store = str(tmp_path / "store")
    start = time.time() + 2.0
    requests = [
        json.dumps({"do": "race", "store": store, "start": start, "parts": [(first + i) % 12 for i in range(8)]})
        for first in range(count)
    ]

    def run(request: str) -> dict[str, Any]:
        done = subprocess.run([sys.executable, pipeline.__file__, request], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(run, requests))
    merged: dict[str, Any] = {}
    for answer in answers:
        for part, found in answer["found"].items():
            assert merged.setdefault(part, found) == found
    assert {part: found[1] for part, found in merged.items()} == {
        str(part): sum(i * i for i in range(part)) for part in map(int, merged)
    }
    assert len({tuple(answer["noise"]) for answer in answers}) == 1  # all adopted the first
    db = sqlite3.connect(store + "/index.sqlite")
    calls = db.execute(f"SELECT count(*), count(DISTINCT key) FROM ({CALLS})").fetchone()
    notes = [note for (note,) in db.execute("SELECT note FROM executions WHERE status = 'ok'")]
    db.close()
    assert calls[0] == calls[1] == 2 * len(merged) + 2
    assert len([note for note in notes if note is None]) == calls[0]  # one execution of each holds
    assert_every_object_is_whole(tmp_path / "store")


def test_who_loses_a_race_hands_the_winners_result_on(tmp_path: Path) -> None:
    """Between look-up and record, another process records the same call with another result."""
    with ln.Session(tmp_path / "store") as other, ln.Session(tmp_path / "store") as session:
        theirs: list[Any] = []

        def meanwhile(verdict: str, node: str, text: str) -> None: ...

        record = session.store.index.record

        def late(*arguments: Any, **options: Any) -> Any:
            if not theirs:
                theirs.append(None)
                theirs[0] = other.compute(pipeline.noise(4))
            return record(*arguments, **options)

        session.store.index.record = late  # type: ignore[method-assign]
        assert session.compute(pipeline.shown(pipeline.noise(4))) == str(theirs[0])
        index = session.store.index
        notes = [index.execution(number)["note"] for number in (1, 2)]
    assert notes[0] is None
    assert "not deterministic" in notes[1]


# -- leftovers


def test_what_a_dead_process_left_is_swept_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ln.Session(store) as session:
        session.compute(size_of(1))
        dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        number = int(dead.stdout)
        for process in (number, os.getpid()):
            (store / "tmp" / f"{process}-1-abc").mkdir(parents=True)
            (store / "tmp" / f"{process}-1-abc" / "data").write_text("half")
            (store / "tmp" / f"{process}-2-abc").write_text("half")
            (store / "scratch" / f"abcdef-{process}-1").mkdir(parents=True)
        with ln.Session(store) as again:
            again.compute(size_of(1))
            assert sorted(os.listdir(store / "tmp")) == [f"{os.getpid()}-1-abc", f"{os.getpid()}-2-abc"]
            assert os.listdir(store / "scratch") == [f"abcdef-{os.getpid()}-1"]


def test_what_is_marked_to_be_kept_is_not_swept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    dead = int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)
    for name in (f"abc-{dead}-1", f"abc-{dead}-2"):
        (store / "scratch" / name).mkdir(parents=True)
    (store / "scratch" / f"abc-{dead}-1.keep").touch()
    with ln.Session(store) as session:
        session.compute(size_of(1))
    assert listed(store / "scratch") == [f"abc-{dead}-1", f"abc-{dead}-1.keep"]


def test_what_a_living_process_without_a_sign_uses_is_not_swept(tmp_path: Path) -> None:
    """On a filesystem without locks, numbers have to do."""
    store = tmp_path / "store"
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (store / "tmp" / f"{living.pid}-1-abc").mkdir(parents=True)
    with ln.Session(store) as session:
        session.compute(size_of(1))
    assert (store / "tmp" / f"{living.pid}-1-abc").exists()
    living.communicate(b"\n")
    with ln.Session(store) as session:
        session.compute(size_of(1))
    assert not (store / "tmp" / f"{living.pid}-1-abc").exists()


def test_what_a_process_of_another_container_uses_is_not_swept(tmp_path: Path) -> None:
    """Its number means nothing here: it may be free, but its lock is held."""
    import fcntl

    store = tmp_path / "store"
    with ln.Session(store) as session:
        session.compute(size_of(1))
    dead = int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)
    (store / "tmp").mkdir(exist_ok=True)
    (store / "tmp" / f"{dead}-1-abc").write_text("half")
    with (store / "alive" / f"{dead}-there").open("w") as sign:
        fcntl.flock(sign, fcntl.LOCK_EX)
        with ln.Session(store) as session:
            session.compute(size_of(1))
        assert (store / "tmp" / f"{dead}-1-abc").exists()
    with ln.Session(store) as session:
        session.compute(size_of(1))
    assert not (store / "tmp" / f"{dead}-1-abc").exists()
    assert os.listdir(store / "alive") == []
