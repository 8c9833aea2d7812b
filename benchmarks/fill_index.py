"""A `lineage` index with very many rows, made quickly: real rows, copied under other keys.

Running a million calls would take a minute or two; here a thousand are run, and their rows are
copied a thousand times by SQL. Digests become other digests (the same in each table, so that rows
still belong together), row numbers are moved on. Rows go in in the order of execution, so that keys
are random and the trees of the indexes as full as those of a real one.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

__all__ = ["fill"]

_NUMBERS = ("id", "execution")
"""Columns that hold the number of an execution."""


def fill(path: Path, copies: int) -> dict[str, int]:
    """Copy the rows of calls in the index at `path`, and return how many rows each table has then.

    Tables that grow with every call are found by their size: those with a row for each execution.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=MEMORY")
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-2000000")
        for table in ("calls", "recipes"):  # into the large trees, where a real index of that size has them
            db.execute(f"INSERT INTO {table} SELECT * FROM young_{table}")
            db.execute(f"DELETE FROM young_{table}")
        executions = _count(db, "executions")
        tables = [name for name in _tables(db) if _count(db, name) == executions]
        db.execute("BEGIN")
        for table in tables:
            _multiply(db, table, copies, executions)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode=WAL")
        return {table: _count(db, table) for table in tables}


def _tables(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def _multiply(db: sqlite3.Connection, table: str, copies: int, executions: int) -> None:
    cursor = db.execute(f"SELECT * FROM {table}")
    columns = [description[0] for description in cursor.description]
    rows = cursor.fetchall()
    if "execution" in columns:
        rows.sort(key=lambda row: row[columns.index("execution")])
    digests = set(_digest_columns(columns, rows))
    numbers = {column for column, name in enumerate(columns) if name in _NUMBERS}
    marks = ",".join("?" * len(columns))
    copied = _copied(rows, copies, executions, digests, numbers)
    db.executemany(f"INSERT INTO {table} VALUES ({marks})", copied)


def _digest_columns(columns: list[str], rows: list[tuple[Any, ...]]) -> Iterator[int]:
    """Yield the columns with digests that differ from row to row; the code of a node, say, does
    not.
    """
    for column in range(len(columns)):
        values = {row[column] for row in rows}
        if len(values) > 1 and all(isinstance(value, bytes) and len(value) == 32 for value in values):
            yield column


def _copied(
    rows: list[tuple[Any, ...]], copies: int, executions: int, digests: set[int], numbers: set[int]
) -> Iterator[list[Any]]:
    for copy in range(1, copies):
        salt = copy.to_bytes(8, "little")
        for row in rows:
            made = list(row)
            for column in digests:
                made[column] = blake2b(row[column], digest_size=32, key=salt).digest()
            for column in numbers:
                if made[column] is not None:
                    made[column] += copy * executions
            yield made
