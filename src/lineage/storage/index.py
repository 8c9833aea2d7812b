"""The index of the default store: one SQLite file in WAL mode, written in groups.

A write opens a transaction, which stays open for up to `GROUP_SECONDS` or `GROUP_ROWS`, or until another process wants
to write, and is then committed by a background thread, after the objects it speaks of are durable. While it is open no
other process can write, so that what it reads back is already what will hold: the first record of a key wins, in this
process and in all others. A kill loses the group that was open and nothing else.

A group that can't be committed (a full disk) is gone, and with it the numbers of its executions: every run that was
under way can write no more, and says why. A new run may try again.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import asdict

from lineage.codecs.base import Blob, Manifest
from lineage.digest import Digest
from lineage.errors import ReadOnlyStoreError, StoreError
from lineage.records import Execution, Record, Run
from lineage.storage.base import Recipe
from lineage.storage.objects import explained
from lineage.storage.schema import prepare
from lineage.storage.turns import Turns

if TYPE_CHECKING:
    import tempfile

__all__ = ["SqliteIndex"]

GROUP_SECONDS = 0.05
GROUP_ROWS = 2000
LOOK_SECONDS = 0.005
"""So often a process with an open group looks whether another one waits to write."""
_CHUNK = 500
_RECORD = "e.id, e.call_key, e.result, e.value, e.relies_on"
_EXECUTION = (
    "call_key, node, code, run, status, result, value, arguments, error, relies_on, note, "
    "started, wall, cpu, memory, attempt, executor, host, process, log, bytes_out, spans"
)
_INSERT_EXECUTION = f"INSERT INTO executions ({_EXECUTION}) VALUES ({','.join('?' * 22)})"


class SqliteIndex:
    """See `lineage.storage.base.Index` for the promises. `before_commit` makes objects durable."""

    def __init__(self, path: Path, *, before_commit: Callable[[], None], writable: bool = True) -> None:
        self.path = path
        self.writable = writable
        self._before_commit = before_commit
        self._rows = 0
        self._closed = False
        self._runs: set[int] = set()
        self._lost: dict[int, StoreError] = {}
        self._failure: StoreError | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._turns: Turns | None = None
        self._begin_anew()
        self._db: Any = self._connect()
        _opened.add(self)

    def _begin_anew(self) -> None:
        """Set what a forked child can't take over: locks and threads."""
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._writer: threading.Thread | None = None
        self._open = False
        self._nodes: dict[str, int] = {}
        self._codes: dict[bytes, int] = {}

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._connect_to_write() if self.writable else self._connect_to_read()
        except OSError as error:
            raise explained(error, self.path.parent) from error
        except sqlite3.Error as error:
            raise self._explained(error, "opened") from error

    def _connect_to_write(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        turns = Turns(self.path.parent)
        turns.take()  # changing the journal mode waits for nobody
        try:
            db = _open(self.path)
            try:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                db.execute("PRAGMA wal_autocheckpoint=20000")
                prepare(db, writable=True)
            except BaseException:
                db.close()
                raise
        except BaseException:
            turns.close()
            raise
        turns.give()
        self._turns = turns
        return db

    def _connect_to_read(self) -> sqlite3.Connection:
        """Open the index where it lies or, where SQLite can't make the file by which readers of a WAL agree, a copy.

        A copy too where it could make that file, but nothing is to be changed.
        """
        folder = self.path.parent
        if not self.path.exists():
            raise StoreError(f"there is no store in {folder}, and a session that only reads makes none")
        agreed = self.path.with_name(self.path.name + "-shm").exists()
        try:
            if agreed or not os.access(folder, os.W_OK):
                return _open_to_read(self.path, "?mode=ro")
        except sqlite3.OperationalError:
            pass
        import tempfile

        self._copy = tempfile.TemporaryDirectory(prefix="lineage-index-", ignore_cleanup_errors=True)
        try:
            return _open_to_read(_copied(self.path, Path(self._copy.name)))
        except BaseException:
            self._copy.cleanup()
            raise

    def _explained(self, error: Exception, what: str) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, OSError):
            return explained(error, self.path.parent)
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith("SQLITE_FULL") or name == "SQLITE_IOERR_WRITE":
            return explained(OSError(errno.ENOSPC, str(error)), self.path.parent)
        if name.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
            return ReadOnlyStoreError(f"the index {self.path} can't be written: {error}")
        if name in ("SQLITE_NOTADB", "SQLITE_CORRUPT") or "malformed" in str(error):
            return StoreError(
                f"the index {self.path} is damaged: {error}. Move it aside: the objects stay, and what is asked for "
                "is computed again"
            )
        if "closed database" in str(error):
            return StoreError(f"the store in {self.path.parent} is closed; open a session on it again")
        return StoreError(f"the index {self.path} can't be {what}: {error}")

    # -- look-ups

    def by_recipe(self, keys: Sequence[Digest]) -> dict[Digest, Record]:
        return self._by("recipes", keys)

    def by_call(self, keys: Sequence[Digest]) -> dict[Digest, Record]:
        return self._by("calls", keys)

    def _by(self, table: str, keys: Sequence[Digest]) -> dict[Digest, Record]:
        found: dict[Digest, Record] = {}
        with self._lock:
            for start in range(0, len(keys), _CHUNK):
                part = keys[start : start + _CHUNK]
                marks = ",".join("?" * len(part))
                rows = self._all(
                    f"SELECT k.key, {_RECORD} FROM {table} k JOIN executions e ON e.id = k.execution "
                    f"WHERE k.key IN ({marks})",
                    part,
                )
                for key, *fields in rows:
                    found[key] = _record(fields)
        return found

    def manifest(self, content: Digest) -> Manifest | None:
        row = self._one("SELECT manifest FROM contents WHERE digest = ?", content)
        return None if row is None else _manifest(row[0])

    def info(self, content: Digest) -> dict[str, Any]:
        row = self._one("SELECT info FROM contents WHERE digest = ?", content)
        return {} if row is None else dict(json.loads(row[0]))

    def generations(self) -> dict[Digest, int]:
        return dict(self._all("SELECT recipe, number FROM generations"))

    def code(self, code: Digest) -> str | None:
        row = self._one("SELECT leaves FROM codes WHERE digest = ?", code)
        return None if row is None or row[0] is None else str(row[0])

    def latest(self, node: str) -> tuple[int, Digest, str] | None:
        row = self._one(
            "SELECT e.id, c.digest, e.arguments FROM executions e JOIN codes c ON c.id = e.code "
            "WHERE e.node = (SELECT id FROM nodes WHERE reference = ?) AND e.status = 'ok' ORDER BY e.id DESC LIMIT 1",
            node,
        )
        return None if row is None else (row[0], row[1], row[2])

    def latest_of(self, node: str) -> Record | None:
        row = self._one(
            f"SELECT {_RECORD} FROM executions e WHERE e.node = (SELECT id FROM nodes WHERE reference = ?) "
            "AND e.status = 'ok' ORDER BY e.id DESC LIMIT 1",
            node,
        )
        return None if row is None else _record(row)

    def execution(self, number: int) -> dict[str, Any]:
        found = self._all(
            "SELECT e.*, n.name AS node_name, c.digest AS code_digest FROM executions e "
            "JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code WHERE e.id = ?",
            (number,),
            named=True,
        )
        return found[0] if found else {}

    def stamp(self, path: str) -> tuple[str, Digest] | None:
        row = self._one("SELECT stamp, digest FROM stamps WHERE path = ?", path)
        return None if row is None else (row[0], row[1])

    def anchor(self, key: Digest) -> Record | None:
        row = self._one(f"SELECT {_RECORD} FROM anchors a JOIN executions e ON e.id = a.execution WHERE a.key = ?", key)
        return None if row is None else _record(row)

    def tagged(self, name: str) -> Record | None:
        row = self._one(
            "SELECT e.id, e.call_key, t.result, t.value, e.relies_on FROM tags t "
            "JOIN executions e ON e.id = t.execution WHERE t.name = ? "
            "ORDER BY t.id DESC LIMIT 1",
            name,
        )
        return None if row is None else _record(row)

    def runs(self, limit: int) -> Iterable[Run]:
        rows = self._all(
            "SELECT id, name, started, finished, status, user, host, roots, counts, facts FROM runs "
            "ORDER BY id DESC LIMIT ?",
            (limit,),
        )
        return [Run(*row[:8], counts=json.loads(row[8]), facts=json.loads(row[9])) for row in rows]  # type: ignore[misc]

    def _one(self, statement: str, *values: Any) -> Any:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchone()
            except sqlite3.Error as error:
                raise self._explained(error, "read") from error

    def _all(self, statement: str, values: Sequence[Any] = (), *, named: bool = False) -> list[Any]:
        with self._lock:
            try:
                cursor = self._db.execute(statement, values)
                rows: list[Any] = cursor.fetchall()
            except sqlite3.Error as error:
                raise self._explained(error, "read") from error
        if named:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in rows]
        return rows

    # -- writes

    def record(self, execution: Execution, recipe: Recipe | None, run: int, *, replace: bool = False) -> Record:
        assert execution.result is not None
        assert execution.value is not None
        with self._lock:
            self._begin(run)
            try:
                number = self._insert(execution, run, "ok")
                verb = "REPLACE" if replace else "IGNORE"
                added = self._db.execute(f"INSERT OR {verb} INTO calls VALUES (?, ?)", (execution.call_key, number))
                if added.rowcount == 1:
                    winner = Record(number, execution.call_key, execution.result, execution.value, execution.relies_on)
                else:
                    winner = self.by_call([execution.call_key])[execution.call_key]
                    self._note_loser(number, execution, winner)
                if recipe is not None:
                    self._link(recipe, winner.execution, run)
            except sqlite3.Error as error:
                self._lose(error)
            self._wrote(3)
            return winner

    def _note_loser(self, number: int, execution: Execution, winner: Record) -> None:
        if winner.result == execution.result:
            note = f"equal to execution {winner.execution}"
        else:
            note = f"not deterministic: differs from execution {winner.execution}"
        self._db.execute("UPDATE executions SET note = ? WHERE id = ?", (note, number))

    def failed(self, execution: Execution, run: int) -> int:
        with self._lock:
            self._begin(run)
            try:
                number = self._insert(execution, run, "failed")
            except sqlite3.Error as error:
                self._lose(error)
            self._wrote(1)
            return number

    def link(self, recipe: Recipe, record: Record, run: int) -> None:
        with self._lock:
            self._begin(run)
            try:
                self._link(recipe, record.execution, run)
            except sqlite3.Error as error:
                self._lose(error)
            self._wrote(1)

    def add_manifest(self, content: Digest, manifest: Manifest, info: Mapping[str, Any]) -> None:
        text = json.dumps(asdict(manifest, value_serializer=_plain))
        self._write("INSERT OR REPLACE INTO contents VALUES (?, ?, ?)", content, text, json.dumps(dict(info)))

    def drop_manifest(self, content: Digest) -> None:
        self._write("DELETE FROM contents WHERE digest = ?", content)

    def collection(self, key: Digest) -> tuple[str, tuple[tuple[str, str], ...]] | None:
        row = self._one("SELECT value, relies_on FROM collections WHERE key = ?", key)
        return None if row is None else (row[0], tuple((name, code) for name, code in json.loads(row[1])))

    def note_collection(self, key: Digest, value: str, relies_on: tuple[tuple[str, str], ...]) -> None:
        self._write("INSERT OR REPLACE INTO collections VALUES (?, ?, ?)", key, value, json.dumps(relies_on))

    def raise_generation(self, recipe: Digest) -> None:
        self._write(
            "INSERT INTO generations VALUES (?, 1) ON CONFLICT (recipe) DO UPDATE SET number = number + 1", recipe
        )

    def forget_call(self, call_key: Digest) -> None:
        self._write("DELETE FROM calls WHERE key = ?", call_key)

    def forget_recipes(self, execution: int) -> None:
        with self._lock:
            for key, base in self._all("SELECT key, base FROM recipes WHERE execution = ?", (execution,)):
                self.raise_generation(base or key)
                self._write("DELETE FROM recipes WHERE key = ?", key)

    def note_code(self, code: Digest, text: str) -> None:
        with self._lock:
            if code not in self._codes:
                self._write(
                    "INSERT INTO codes (digest, leaves) VALUES (?, ?) "
                    "ON CONFLICT (digest) DO UPDATE SET leaves = excluded.leaves WHERE leaves IS NULL",
                    code,
                    text,
                )
                self._code(code)

    def note_stamp(self, path: str, stamp: str, digest: Digest) -> None:
        if self.writable:
            self._write("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)", path, stamp, digest)

    def note_anchor(self, key: Digest, execution: int) -> None:
        self._write("INSERT OR IGNORE INTO anchors VALUES (?, ?)", key, execution)

    def tag(self, name: str, record: Record, run: int | None) -> None:
        self._write(
            "INSERT INTO tags (name, execution, result, value, run, at) VALUES (?, ?, ?, ?, ?, ?)",
            name, record.execution, record.result, record.value, run, time.time(),
        )  # fmt: skip

    def begin_run(self, name: str, user: str, host: str, roots: str, facts: Mapping[str, Any]) -> int:
        with self._lock:
            self._failure = None
            number = self._write(
                "INSERT INTO runs (name, started, status, user, host, roots, counts, facts) "
                "VALUES (?, ?, 'running', ?, ?, ?, '{}', ?)",
                name, time.time(), user, host, roots, json.dumps(dict(facts)),
            ).lastrowid  # fmt: skip
            assert number is not None
            self._runs.add(number)
            self._lost.pop(number, None)
            return number

    def end_run(self, run: int, status: str, counts: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        with self._lock:
            self._begin(run)
            self._runs.discard(run)
            self._write(
                "UPDATE runs SET finished = ?, status = ?, counts = ?, facts = ? WHERE id = ?",
                time.time(), status, json.dumps(dict(counts)), json.dumps(dict(facts)), run,
            )  # fmt: skip

    def _insert(self, execution: Execution, run: int, status: str) -> int:
        side = execution.side
        relies = json.dumps(execution.relies_on) if execution.relies_on else None
        cursor: sqlite3.Cursor = self._db.execute(
            _INSERT_EXECUTION,
            (
                execution.call_key, self._node(execution), self._code(execution.code), run, status,
                execution.result, execution.value, execution.arguments, execution.error, relies, execution.note,
                side.started, side.wall, side.cpu, side.memory, side.attempt, side.executor, side.host,
                side.process, side.log, side.bytes_out, json.dumps(side.spans) if side.spans else None,
            ),
        )  # fmt: skip
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _node(self, execution: Execution) -> int:
        reference = execution.reference or execution.node
        number = self._nodes.get(reference)
        if number is None:
            self._db.execute("INSERT OR IGNORE INTO nodes (name, reference) VALUES (?, ?)", (execution.node, reference))
            number = int(self._one("SELECT id FROM nodes WHERE reference = ?", reference)[0])
            self._nodes[reference] = number
        return number

    def _code(self, code: Digest) -> int:
        number = self._codes.get(code)
        if number is None:
            self._db.execute("INSERT OR IGNORE INTO codes (digest) VALUES (?)", (code,))
            number = self._codes[code] = int(self._one("SELECT id FROM codes WHERE digest = ?", code)[0])
        return number

    def _link(self, recipe: Recipe, execution: int, run: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO recipes VALUES (?, ?, ?, ?)", (*recipe, execution, run))

    def _write(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with self._lock:
            self._begin()
            try:
                cursor: sqlite3.Cursor = self._db.execute(statement, values)
            except sqlite3.Error as error:
                self._lose(error)
            self._wrote(1)
            return cursor

    # -- groups

    def _begin(self, run: int | None = None) -> None:
        if self._failure is not None or run in self._lost:
            self._raise(run)
        if self._open:
            return
        if not self.writable:
            raise ReadOnlyStoreError(f"the store at {self.path.parent} is read-only, so nothing can be recorded there")
        if self._turns is None:
            if self._closed:
                raise StoreError(f"the store in {self.path.parent} is closed; open a session on it again")
            self._take_up()
        assert self._turns is not None
        self._turns.take()
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except (sqlite3.Error, StoreError) as error:
            self._let_go()
            raise self._explained(error, "written") from error
        self._open = True
        if self._writer is None:
            self._writer = threading.Thread(target=self._commit_groups, name="lineage-index", daemon=True)
            self._writer.start()
        self._wake.set()

    def _wrote(self, rows: int) -> None:
        self._rows += rows
        if self._rows >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Commit the open group, if any, once its objects are durable."""
        with self._lock:
            if self._failure is not None:
                self._raise(None)
            if not self._open:
                return
            try:
                self._before_commit()
                self._db.execute("COMMIT")
            except (sqlite3.Error, OSError, StoreError) as error:
                self._lose(error)
            self._let_go()

    def _lose(self, error: Exception) -> NoReturn:
        """Give the open group up: what it held is computed again, by a run that begins after this one."""
        try:
            self._db.execute("ROLLBACK")
        except (sqlite3.Error, StoreError):
            pass  # the engine has rolled back already
        self._let_go()
        self._nodes.clear()
        self._codes.clear()
        found = self._explained(error, "written")
        found.message += ". The last group of records is lost; what it held is computed again"
        self._lost |= dict.fromkeys(self._runs, found)
        raise found from error

    def _let_go(self) -> None:
        self._open = False
        self._rows = 0
        if self._turns is not None:
            self._turns.give()

    def _raise(self, run: int | None) -> NoReturn:
        """Raise what went wrong: once to whoever comes first, and to a run that it befell every time."""
        error = self._lost.get(run) if run is not None else None
        error = error or self._failure
        assert error is not None
        self._failure = None
        raise type(error)(error.message, **error.facts)

    def _commit_groups(self) -> None:
        wake = self._wake
        while not self._closed and wake is self._wake:
            wake.wait()
            wake.clear()
            until = time.monotonic() + GROUP_SECONDS
            while time.monotonic() < until and not self._closed:
                time.sleep(LOOK_SECONDS)
                with self._lock:  # so that nobody closes the turns while they are looked at
                    if self._turns is not None and self._turns.is_wanted():
                        break
            try:
                if not self._closed:
                    self.flush()
            except StoreError as error:
                self._failure = error  # the next write raises it

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                self.flush()
            finally:
                self._closed = True
                self._wake.set()
                self._db.close()
                if self._turns is not None:
                    self._turns.close()
                    self._turns = None
                if self._copy is not None:
                    self._copy.cleanup()

    # -- forks

    def _set_down(self) -> None:
        """Close the connection, to be opened again at the next use: SQLite's must not be carried across a fork."""
        if self._closed:
            return
        try:
            self.flush()
        except StoreError as error:
            self._failure = error
        self._db.close()
        self._db = _Unopened(self)
        if self._turns is not None:
            self._turns.close()
            self._turns = None

    def _take_up(self) -> sqlite3.Connection:
        self._db = self._connect()
        return self._db  # type: ignore[no-any-return]


class _Unopened:
    """Stands for a connection until it is used."""

    def __init__(self, index: SqliteIndex) -> None:
        self._index = index

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return self._index._take_up().execute(*arguments)

    def close(self) -> None: ...


_opened: weakref.WeakSet[SqliteIndex] = weakref.WeakSet()
_forking: list[SqliteIndex] = []


def _before_fork() -> None:
    for index in list(_opened):
        index._lock.acquire()
        _forking.append(index)
        index._set_down()


def _after_in_parent() -> None:
    while _forking:
        _forking.pop()._lock.release()


def _after_in_child() -> None:
    while _forking:
        _forking.pop()._begin_anew()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)


def _open(path: Path, options: str = "") -> sqlite3.Connection:
    db = sqlite3.connect(
        f"file:{_quoted(path)}{options}",
        uri=True, timeout=60, isolation_level=None, check_same_thread=False, cached_statements=256,
    )  # fmt: skip
    db.execute("PRAGMA cache_size=-65536")
    return db


def _open_to_read(path: Path, options: str = "") -> sqlite3.Connection:
    db = _open(path, options)
    try:
        prepare(db, writable=False)
    except BaseException:
        db.close()
        raise
    return db


def _copied(path: Path, folder: Path) -> Path:
    """Copy an index and its log, in one moment of theirs, and return where the copy is."""
    log = path.with_name(path.name + "-wal")
    for _ in range(20):
        before = _stamps(path, log)
        for source in (path, log):
            target = folder / source.name
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        if _stamps(path, log) == before:
            return folder / path.name
    raise StoreError(f"the index {path} is being written by somebody else all the time; try again")


def _stamps(*paths: Path) -> list[tuple[int, int] | None]:
    return [(path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else None for path in paths]


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))


def _record(fields: Sequence[Any]) -> Record:
    number, call_key, result, value, relies = fields
    pinned = tuple((name, code) for name, code in json.loads(relies)) if relies else ()
    return Record(number, call_key, result, value, pinned)


def _plain(_: Any, __: Any, value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _manifest(text: str) -> Manifest:
    plain = json.loads(text)
    blobs = tuple(Blob(b["name"], Digest(bytes.fromhex(b["digest"])), b["size"]) for b in plain["blobs"])
    return Manifest(plain["family"], blobs, plain["notes"])
