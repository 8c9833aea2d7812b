"""The tables of the SQLite index, and how an older index is brought up to date.

`executions` is append-only: history is never rewritten. `calls` and `recipes` lead from keys to executions; `contents`
says which objects hold a dataset. Names and code are interned, so that a row of a small result takes about 250 bytes.
"""

from __future__ import annotations

import sqlite3

from lineage.errors import StoreVersionError

__all__ = ["VERSION", "prepare"]

VERSION = 3
"""Raised when the tables change; a migration for each step stands in `_MIGRATIONS`."""

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, name TEXT, started REAL, finished REAL, status TEXT, user TEXT, host TEXT,
    roots TEXT, counts TEXT, facts TEXT
);
CREATE TABLE nodes (id INTEGER PRIMARY KEY, name TEXT, reference TEXT UNIQUE);
CREATE TABLE codes (id INTEGER PRIMARY KEY, digest BLOB UNIQUE, leaves TEXT);
CREATE TABLE executions (
    id INTEGER PRIMARY KEY, call_key BLOB, node INTEGER, code INTEGER, run INTEGER, status TEXT,
    result BLOB, value TEXT, arguments TEXT, error TEXT, relies_on TEXT, note TEXT,
    started REAL, wall REAL, cpu REAL, memory INTEGER, attempt INTEGER, executor TEXT, host TEXT, process INTEGER,
    log TEXT, bytes_out INTEGER, spans TEXT, bytes_in INTEGER, rows_in INTEGER, rows_out INTEGER
);
CREATE INDEX executions_by_node ON executions (node, id);
CREATE TABLE calls (key BLOB PRIMARY KEY, execution INTEGER) WITHOUT ROWID;
CREATE TABLE recipes (key BLOB PRIMARY KEY, base BLOB, execution INTEGER, run INTEGER) WITHOUT ROWID;
CREATE TABLE collections (key BLOB PRIMARY KEY, value TEXT, relies_on TEXT) WITHOUT ROWID;
CREATE TABLE contents (digest BLOB PRIMARY KEY, manifest TEXT, info TEXT) WITHOUT ROWID;
CREATE TABLE generations (recipe BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID;
CREATE TABLE stamps (path TEXT PRIMARY KEY, stamp TEXT, digest BLOB) WITHOUT ROWID;
CREATE TABLE anchors (key BLOB PRIMARY KEY, execution INTEGER) WITHOUT ROWID;
CREATE TABLE tags (
    id INTEGER PRIMARY KEY, name TEXT, execution INTEGER, result BLOB, value TEXT, run INTEGER, at REAL,
    user TEXT
);
CREATE INDEX tags_by_name ON tags (name, id);
"""

_YOUNG = """
CREATE TABLE young_calls (key BLOB PRIMARY KEY, execution INTEGER) WITHOUT ROWID;
CREATE TABLE young_recipes (key BLOB PRIMARY KEY, base BLOB, execution INTEGER, run INTEGER) WITHOUT ROWID;
"""
"""The latest rows of `calls` and `recipes`, which go before theirs (`lineage.storage.keys`)."""

_NAMES = """
ALTER TABLE tags ADD COLUMN user TEXT;
"""
"""Who moved a name. Names of before have no namespace, and are everybody's (`lineage.names`)."""

_VERDICTS = """
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY, execution INTEGER, outcome TEXT, reason TEXT, difference TEXT, circumstances TEXT,
    user TEXT, at REAL
);
CREATE INDEX verdicts_by_execution ON verdicts (execution);
"""
"""What was found of executions that were carried out once more (`lineage.verification`)."""

_DERIVED = """
CREATE TABLE cutoffs (id INTEGER PRIMARY KEY, run INTEGER, execution INTEGER, arguments TEXT);
CREATE TABLE edges (target INTEGER, source INTEGER, equal INTEGER, PRIMARY KEY (target, source)) WITHOUT ROWID;
CREATE INDEX edges_by_source ON edges (source);
CREATE TABLE file_uses (path TEXT, execution INTEGER, PRIMARY KEY (path, execution)) WITHOUT ROWID;
CREATE TABLE results (prefix INTEGER, execution INTEGER, PRIMARY KEY (prefix, execution)) WITHOUT ROWID;
CREATE TABLE run_spans (run INTEGER PRIMARY KEY, first INTEGER, last INTEGER);
CREATE TABLE failures (execution INTEGER PRIMARY KEY);
"""
"""Calls that were found equal to an execution; and what is derived of `executions` and of those when a query first
needs it (`lineage.storage.derived`), so that recording pays nothing for it.
"""

_MEASURES = """
ALTER TABLE executions ADD COLUMN bytes_in INTEGER;
ALTER TABLE executions ADD COLUMN rows_in INTEGER;
ALTER TABLE executions ADD COLUMN rows_out INTEGER;
"""

_MIGRATIONS: dict[int, str] = {1: _YOUNG, 2: _MEASURES + _DERIVED + _NAMES + _VERDICTS}


def prepare(connection: sqlite3.Connection, *, writable: bool) -> None:
    """Make the tables of a new index, or check (and bring up to date) those of an old one.

    Raises:
        StoreVersionError: it was made by a newer `lineage`, or is old and can't be written.
    """
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found == VERSION:
        return
    if found > VERSION:
        raise StoreVersionError(
            f"this store has index version {found}; this lineage reads up to {VERSION}. "
            "Upgrade lineage, or point LINEAGE_STORE at another folder"
        )
    if not writable:
        raise StoreVersionError(
            f"this store has index version {found} and can't be written, so not upgraded to {VERSION}"
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if found == 0:
            _run(connection, _TABLES + _YOUNG + _DERIVED + _VERDICTS)
        for version in range(found, VERSION) if found else ():
            _run(connection, _MIGRATIONS[version])
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";"):
        if statement.strip():
            connection.execute(statement)
