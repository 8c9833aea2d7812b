"""The index of the default store: one SQLite file in WAL mode, written in groups.

A write opens a transaction, which stays open for up to `GROUP_SECONDS` or `GROUP_ROWS` and is then committed by a
background thread, after the objects it speaks of are durable. While it is open no other process can write, so that what
it reads back is already what will hold: the first record of a key wins, in this process and in all others. A kill loses
the group that was open and nothing else.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from lineage.codecs.base import Blob, Manifest
from lineage.digest import Digest
from lineage.errors import ReadOnlyStoreError, StoreError
from lineage.records import Execution, Record, Run
from lineage.storage.base import Recipe
from lineage.storage.schema import prepare

__all__ = ["SqliteIndex"]

GROUP_SECONDS = 0.05
GROUP_ROWS = 2000
_CHUNK = 500
_RECORD = "e.id, e.call_key, e.result, e.value, e.relies_on"
_EXECUTION = (
    "call_key, node, code, run, status, result, value, arguments, error, relies_on, note, "
    "started, wall, cpu, memory, attempt, executor, host, process, log, bytes_out"
)
_INSERT_EXECUTION = f"INSERT INTO executions ({_EXECUTION}) VALUES ({','.join('?' * 21)})"


class SqliteIndex:
    """See `lineage.storage.base.Index` for the promises. `before_commit` makes objects durable."""

    def __init__(self, path: Path, *, before_commit: Callable[[], None], writable: bool = True) -> None:
        self.path = path
        self.writable = writable
        self._before_commit = before_commit
        self._lock = threading.RLock()
        self._rows = 0
        self._open = False
        self._failure: Exception | None = None
        self._wake = threading.Event()
        self._closed = False
        self._writer: threading.Thread | None = None
        self._nodes: dict[str, int] = {}
        self._codes: dict[bytes, int] = {}
        self._db = self._connect()

    def _connect(self) -> sqlite3.Connection:
        if self.writable:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            uri = f"file:{_quoted(self.path)}"
        else:
            uri = f"file:{_quoted(self.path)}?mode=ro"
        try:
            db = sqlite3.connect(
                uri, uri=True, timeout=60, isolation_level=None, check_same_thread=False, cached_statements=256
            )
            if self.writable:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute("PRAGMA synchronous=FULL")
                db.execute("PRAGMA wal_autocheckpoint=20000")
            db.execute("PRAGMA cache_size=-65536")
            prepare(db, writable=self.writable)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"the index {self.path} can't be opened: {error}. If it is damaged, move it aside: "
                "the objects stay, and what is asked for is computed again"
            ) from error
        return db

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
                rows = self._db.execute(
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
        with self._lock:
            return dict(self._db.execute("SELECT recipe, number FROM generations").fetchall())

    def code(self, code: Digest) -> str | None:
        row = self._one("SELECT leaves FROM codes WHERE digest = ?", code)
        return None if row is None else str(row[0])

    def latest(self, node: str) -> tuple[int, Digest, str] | None:
        row = self._one(
            "SELECT e.id, c.digest, e.arguments FROM executions e JOIN codes c ON c.id = e.code "
            "WHERE e.node = (SELECT id FROM nodes WHERE name = ?) AND e.status = 'ok' ORDER BY e.id DESC LIMIT 1",
            node,
        )
        return None if row is None else (row[0], row[1], row[2])

    def latest_of(self, node: str) -> Record | None:
        row = self._one(
            f"SELECT {_RECORD} FROM executions e WHERE e.node = (SELECT id FROM nodes WHERE name = ?) "
            "AND e.status = 'ok' ORDER BY e.id DESC LIMIT 1",
            node,
        )
        return None if row is None else _record(row)

    def execution(self, number: int) -> dict[str, Any]:
        with self._lock:
            cursor = self._db.execute(
                "SELECT e.*, n.name AS node_name, c.digest AS code_digest FROM executions e "
                "JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code WHERE e.id = ?",
                (number,),
            )
            row = cursor.fetchone()
            return {} if row is None else dict(zip((d[0] for d in cursor.description), row, strict=True))

    def stamp(self, path: str) -> tuple[str, Digest] | None:
        row = self._one("SELECT stamp, digest FROM stamps WHERE path = ?", path)
        return None if row is None else (row[0], row[1])

    def anchor(self, key: Digest) -> Record | None:
        row = self._one(
            f"SELECT {_RECORD} FROM anchors a JOIN executions e ON e.id = a.execution WHERE a.key = ?", key
        )
        return None if row is None else _record(row)

    def tagged(self, name: str) -> Record | None:
        row = self._one(
            f"SELECT {_RECORD} FROM tags t JOIN executions e ON e.id = t.execution WHERE t.name = ? "
            "ORDER BY t.id DESC LIMIT 1",
            name,
        )
        return None if row is None else _record(row)

    def runs(self, limit: int) -> Iterable[Run]:
        with self._lock:
            rows = self._db.execute(
                "SELECT id, name, started, finished, status, user, host, roots, counts, facts FROM runs "
                "ORDER BY id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [Run(*row[:8], counts=json.loads(row[8]), facts=json.loads(row[9])) for row in rows]

    def _one(self, statement: str, *values: Any) -> Any:
        with self._lock:
            return self._db.execute(statement, values).fetchone()

    # -- writes

    def record(
        self, execution: Execution, recipe: Recipe | None, run: int, *, replace: bool = False
    ) -> Record:
        with self._lock:
            self._begin()
            number = self._insert(execution, run, "ok")
            verb = "REPLACE" if replace else "IGNORE"
            added = self._db.execute(
                f"INSERT OR {verb} INTO calls VALUES (?, ?)", (execution.call_key, number)
            )
            if added.rowcount == 1:
                assert execution.result is not None
                assert execution.value is not None
                winner = Record(
                    number, execution.call_key, execution.result, execution.value, execution.relies_on
                )
            else:
                winner = self.by_call([execution.call_key])[execution.call_key]
                self._note_loser(number, execution, winner)
            if recipe is not None:
                self._link(recipe, winner.execution, run)
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
            self._begin()
            number = self._insert(execution, run, "failed")
            self._wrote(1)
            return number

    def link(self, recipe: Recipe, record: Record, run: int) -> None:
        with self._lock:
            self._begin()
            self._link(recipe, record.execution, run)
            self._wrote(1)

    def add_manifest(self, content: Digest, manifest: Manifest, info: Mapping[str, Any]) -> None:
        text = json.dumps(asdict(manifest, value_serializer=_plain))
        self._write("INSERT OR REPLACE INTO contents VALUES (?, ?, ?)", content, text, json.dumps(dict(info)))

    def drop_manifest(self, content: Digest) -> None:
        self._write("DELETE FROM contents WHERE digest = ?", content)

    def raise_generation(self, recipe: Digest) -> None:
        self._write(
            "INSERT INTO generations VALUES (?, 1) ON CONFLICT (recipe) DO UPDATE SET number = number + 1", recipe
        )

    def forget_call(self, call_key: Digest) -> None:
        self._write("DELETE FROM calls WHERE key = ?", call_key)

    def forget_recipes(self, execution: int) -> None:
        with self._lock:
            rows = self._db.execute("SELECT key, base FROM recipes WHERE execution = ?", (execution,)).fetchall()
            for key, base in rows:
                self.raise_generation(base or key)
                self._write("DELETE FROM recipes WHERE key = ?", key)

    def note_code(self, code: Digest, text: str) -> None:
        with self._lock:
            if code not in self._codes:
                self._write("INSERT OR IGNORE INTO codes (digest, leaves) VALUES (?, ?)", code, text)
                self._codes[code] = self._one("SELECT id FROM codes WHERE digest = ?", code)[0]

    def note_stamp(self, path: str, stamp: str, digest: Digest) -> None:
        if self.writable:
            self._write("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)", path, stamp, digest)

    def note_anchor(self, key: Digest, execution: int) -> None:
        self._write("INSERT OR IGNORE INTO anchors VALUES (?, ?)", key, execution)

    def tag(self, name: str, execution: int, run: int | None) -> None:
        self._write(
            "INSERT INTO tags (name, execution, run, at) VALUES (?, ?, ?, ?)", name, execution, run, time.time()
        )

    def begin_run(self, name: str, user: str, host: str, roots: str, facts: Mapping[str, Any]) -> int:
        with self._lock:
            self._begin()
            cursor = self._db.execute(
                "INSERT INTO runs (name, started, status, user, host, roots, counts, facts) "
                "VALUES (?, ?, 'running', ?, ?, ?, '{}', ?)",
                (name, time.time(), user, host, roots, json.dumps(dict(facts))),
            )
            self._wrote(1)
            assert cursor.lastrowid is not None
            return cursor.lastrowid

    def end_run(self, run: int, status: str, counts: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        self._write(
            "UPDATE runs SET finished = ?, status = ?, counts = ?, facts = ? WHERE id = ?",
            time.time(), status, json.dumps(dict(counts)), json.dumps(dict(facts)), run,
        )  # fmt: skip

    def _insert(self, execution: Execution, run: int, status: str) -> int:
        side = execution.side
        relies = json.dumps(execution.relies_on) if execution.relies_on else None
        cursor = self._db.execute(
            _INSERT_EXECUTION,
            (
                execution.call_key, self._node(execution.node), self._codes[execution.code], run, status,
                execution.result, execution.value, execution.arguments, execution.error, relies, execution.note,
                side.started, side.wall, side.cpu, side.memory, side.attempt, side.executor, side.host,
                side.process, side.log, side.bytes_out,
            ),
        )  # fmt: skip
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _node(self, name: str) -> int:
        number = self._nodes.get(name)
        if number is None:
            self._db.execute("INSERT OR IGNORE INTO nodes (name) VALUES (?)", (name,))
            number = self._nodes[name] = self._one("SELECT id FROM nodes WHERE name = ?", name)[0]
        return number

    def _link(self, recipe: Recipe, execution: int, run: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO recipes VALUES (?, ?, ?, ?)", (*recipe, execution, run))

    def _write(self, statement: str, *values: Any) -> None:
        with self._lock:
            self._begin()
            self._db.execute(statement, values)
            self._wrote(1)

    # -- groups

    def _begin(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.writable:
            raise ReadOnlyStoreError(f"the store at {self.path.parent} is read-only, so nothing can be recorded there")
        if not self._open:
            try:
                self._db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise StoreError(f"the index {self.path} can't be written: {error}") from error
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
                raise self._failure
            if not self._open:
                return
            try:
                self._before_commit()
                self._db.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self._roll_back()
                self._failure = StoreError(
                    f"the index {self.path} can't be written: {error}. The last group of records is lost; "
                    "what it held is computed again"
                )
                raise self._failure from error
            self._open = False
            self._rows = 0

    def _roll_back(self) -> None:
        try:
            self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the engine has rolled back already
        self._open = False
        self._rows = 0
        self._nodes.clear()
        self._codes.clear()

    def _commit_groups(self) -> None:
        while not self._closed:
            self._wake.wait()
            self._wake.clear()
            time.sleep(GROUP_SECONDS)
            try:
                if not self._closed:
                    self.flush()
            except StoreError:
                pass  # kept in `_failure`: the next write raises it

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
