"""The connection to the index of the default store: one SQLite file in WAL mode, written in groups.

A write opens a transaction, which stays open for up to `GROUP_SECONDS` or `GROUP_ROWS`, or until another process wants
to write, and is then committed by a background thread, after the objects it speaks of are durable. While it is open no
other process can write, so that what it reads back is already what will hold. A kill loses the group that was open and
nothing else.

A group that can't be committed (a full disk) is gone, and with it the numbers of its executions: every run that was
under way can write no more, and says why. A new run may try again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lineage.errors import ReadOnlyStoreError, StoreError
from lineage.storage.objects import explained
from lineage.storage.schema import prepare
from lineage.storage.turns import Turns

if TYPE_CHECKING:
    import tempfile

__all__ = ["Groups"]

GROUP_SECONDS = 0.05
GROUP_ROWS = 10_000
LOOK_SECONDS = 0.005
"""So often a process with an open group looks whether another one waits to write."""


class Groups:
    """A connection, and the group of writes that is open on it. Safe to use from several threads.

    `before_commit` makes objects durable; `write_out` writes what waits in memory, and is called before any look at the
    tables and before a commit; `on_change(lost)` says that others have written, or that the open group was lost:
    what is remembered of the tables no longer holds.
    """

    def __init__(
        self,
        path: Path,
        *,
        writable: bool,
        before_commit: Callable[[], None],
        write_out: Callable[[], None],
        on_change: Callable[[bool], None],
    ) -> None:
        self.path = path
        self.writable = writable
        self._before_commit = before_commit
        self._write_out = write_out
        self._on_change = on_change
        self._rows = 0
        self._closed = False
        self._runs: set[int] = set()
        self._lost: dict[int, StoreError] = {}
        self._failure: StoreError | None = None
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._turns: Turns | None = None
        self._version: int | None = None
        """This connection's number of what others have written, as it was when a group last began."""
        self._begin_anew()
        self._db: Any = self._connect()
        _opened.add(self)

    def _begin_anew(self) -> None:
        """Set what a forked child can't take over: locks and threads."""
        self.lock = threading.RLock()
        self._wake = threading.Event()
        self._writer: threading.Thread | None = None
        self._open = False

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
        self._version = None  # another connection counts otherwise
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

    # -- reading and writing

    def one(self, statement: str, *values: Any) -> Any:
        with self.lock:
            self.drain()
            try:
                return self._db.execute(statement, values).fetchone()
            except sqlite3.Error as error:
                raise self._explained(error, "read") from error

    def peek(self, statement: str, *values: Any) -> Any:
        """Return one row of a table for which nothing waits in memory."""
        with self.lock:
            rows, _ = self.look_up(statement, values)
        return rows[0] if rows else None

    def all(self, statement: str, values: Sequence[Any] = (), *, named: bool = False) -> list[Any]:
        with self.lock:
            self.drain()
            rows, names = self.look_up(statement, values)
        return [dict(zip(names, row, strict=True)) for row in rows] if named else rows

    def look_up(self, statement: str, values: Sequence[Any]) -> tuple[list[Any], list[str]]:
        """Return rows and the names of columns, without what waits in memory: the caller knows of that. Holds the lock."""
        try:
            cursor = self._db.execute(statement, values)
            return cursor.fetchall(), [column[0] for column in cursor.description]
        except sqlite3.Error as error:
            raise self._explained(error, "read") from error

    def write(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Write one row in the open group."""
        with self.lock:
            self.begin()
            try:
                cursor: sqlite3.Cursor = self._db.execute(statement, values)
            except sqlite3.Error as error:
                self._lose(error)
            self.wrote(1)
            return cursor

    def write_rows(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows in the open group."""
        with self.lock:
            self.begin()
            try:
                self._db.executemany(statement, rows)
            except sqlite3.Error as error:
                self._lose(error)
            self.wrote(len(rows))

    def drain(self) -> None:
        """Write what waits in memory. Holds the lock."""
        try:
            self._write_out()
        except sqlite3.Error as error:
            self._lose(error)
        except BaseException:
            self._interrupted()
            raise

    def write_many(self, statement: str, rows: Sequence[Sequence[Any]] = ()) -> None:
        """Write rows that `wrote` has counted: for `write_out`, which holds the lock."""
        if rows:
            self._db.executemany(statement, rows)
        else:
            self._db.execute(statement)

    def enter_run(self, run: int) -> None:
        """From now on `run` is under way: it shares the fate of what is written."""
        self._runs.add(run)
        self._lost.pop(run, None)

    def leave_run(self, run: int) -> None:
        self._runs.discard(run)

    def forgive(self) -> None:
        """A run begins: what befell earlier ones is not its own."""
        self._failure = None

    # -- groups

    def begin(self, run: int | None = None) -> None:
        """Open a group unless one is open. `run` is what writes, if a run does."""
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
        try:
            self._turns.take()
            self._db.execute("BEGIN IMMEDIATE")
            self._look_for_changes()
            if self._writer is None:
                self._writer = threading.Thread(target=self._commit_groups, name="lineage-index", daemon=True)
                self._writer.start()
            self._wake.set()
            self._open = True
        except (sqlite3.Error, StoreError) as error:
            self._roll_back()
            raise self._explained(error, "written") from error
        except BaseException:  # an interrupt
            self._roll_back()
            raise

    def look_for_changes(self) -> None:
        """Tell `on_change` if others have written. While a group is open nobody can. Holds the lock."""
        if not self._open:
            self._look_for_changes()

    def _look_for_changes(self) -> None:
        version = int(self._db.execute("PRAGMA data_version").fetchone()[0])
        if version != self._version:
            self._version = version
            self._on_change(False)

    def wrote(self, rows: int) -> None:
        """Count rows that were written or wait to be; a large group is committed."""
        self._rows += rows
        if self._rows >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Commit the open group, if any, once its objects are durable."""
        with self.lock:
            if self._failure is not None:
                self._raise(None)
            if not self._open:
                return
            try:
                self._write_out()
                self._before_commit()
                self._db.execute("COMMIT")
            except (sqlite3.Error, OSError, StoreError) as error:
                self._lose(error)
            except BaseException:
                self._interrupted()
                raise
            self._let_go()

    def _interrupted(self) -> None:
        """End the open group after an interrupt: it is committed, or nobody knows how much of it was written."""
        if not self._db.in_transaction:
            self._let_go()
            return
        with contextlib.suppress(StoreError):
            self._lose(StoreError(f"writing to the index {self.path} was interrupted"))

    def _roll_back(self) -> None:
        try:
            self._db.execute("ROLLBACK")
        except (sqlite3.Error, StoreError):
            pass  # the engine has rolled back already
        self._let_go()

    def _lose(self, error: Exception) -> NoReturn:
        """Give the open group up: what it held is computed again, by a run that begins after this one."""
        self._roll_back()
        self._on_change(True)
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
                with self.lock:  # so that nobody closes the turns while they are looked at
                    if self._turns is not None and self._turns.is_wanted():
                        break
            try:
                if not self._closed:
                    self.flush()
            except StoreError as error:
                self._failure = error  # the next write raises it

    def close(self) -> None:
        with self.lock:
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

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return self._groups._take_up().execute(*arguments)

    def close(self) -> None: ...


_opened: weakref.WeakSet[Groups] = weakref.WeakSet()
_forking: list[Groups] = []


def _before_fork() -> None:
    for index in list(_opened):
        index.lock.acquire()
        _forking.append(index)
        index._set_down()


def _after_in_parent() -> None:
    while _forking:
        _forking.pop().lock.release()


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
