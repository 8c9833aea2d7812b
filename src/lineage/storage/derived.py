"""What queries need of the history and recording does not write: which execution was made from which, and a few ways in.

The rows of `executions` say where each argument came from, as JSON. Here that becomes tables, when a query first needs
them and then for the rows that are new since: recording stays as cheap as it is. In a store that can't be written what is
missing is derived into temporary tables of the connection, whose names begin with `late_`.

`edges` joins executions: `source` was an argument of `target`. With `equal` it was an argument of a call that was not
executed, since it was found equal to `target`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from lineage.collector import collector_at_rest
from lineage.storage.groups import Groups

__all__ = ["PREFIX_BYTES", "Derived"]

PREFIX_BYTES = 7
"""Bytes of a result's digest in `results`: they fit into a positive integer of SQLite's."""

_CHUNK = 50_000
_SOURCES = re.compile(r'"(?:from|each)": \[([0-9, ]*)\]')
"""Sources in recorded arguments. In a JSON text every quote has a backslash before it, so that no literal looks like this."""

_TABLES = {
    "edges": ("target INTEGER, source INTEGER, equal INTEGER, PRIMARY KEY (target, source)", 3),
    "file_uses": ("path TEXT, execution INTEGER, PRIMARY KEY (path, execution)", 2),
    "results": ("prefix INTEGER, execution INTEGER, PRIMARY KEY (prefix, execution)", 2),
    "run_spans": ("run INTEGER PRIMARY KEY, first INTEGER, last INTEGER", 3),
    "failures": ("execution INTEGER PRIMARY KEY", 1),
    "marks": ("name TEXT PRIMARY KEY, last INTEGER", 2),
}


class _Found(NamedTuple):
    """Rows for the derived tables."""

    edges: list[tuple[int, int, int]]
    file_uses: list[tuple[str, int]]
    results: list[tuple[int, int]]
    run_spans: dict[int, list[int]]
    failures: list[tuple[int]]


class Derived:
    """Keeps the derived tables of one index up to date."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def bring_up(self) -> None:
        """Derive what is missing. A million executions take seconds, once."""
        with self._groups.lock:
            self._groups.drain()
            self._make_late_tables()
        with collector_at_rest():
            while not self._derive_chunk():
                pass

    def _derive_chunk(self) -> bool:
        """Derive of the next rows; say whether there are no more. Others may write between two chunks."""
        groups = self._groups
        with groups.lock:
            groups.drain()
            if self._is_done():
                return True
            if not groups.writable:
                groups.write_many("BEGIN")
                try:
                    self._derive("late_", self._late_mark)
                finally:
                    groups.write_many("COMMIT")
                return False
            groups.begin()
            self._derive("", self._mark)
            groups.flush()
            return False

    def _is_done(self) -> bool:
        mark = self._mark if self._groups.writable else self._late_mark
        return all(self._last(table) <= mark(table) for table in ("executions", "cutoffs"))

    def _last(self, table: str) -> int:
        rows, _ = self._groups.look_up(f"SELECT max(id) FROM {table}", ())
        return int(rows[0][0] or 0)

    def _mark(self, table: str) -> int:
        rows, _ = self._groups.look_up("SELECT value FROM meta WHERE key = ?", (f"derived {table}",))
        return int(rows[0][0]) if rows else 0

    def _late_mark(self, table: str) -> int:
        rows, _ = self._groups.look_up("SELECT last FROM late_marks WHERE name = ?", (table,))
        return max(self._mark(table), int(rows[0][0]) if rows else 0)

    def _make_late_tables(self) -> None:
        """Make the temporary tables, which stay empty in a store that can be written: queries read both kinds."""
        rows, _ = self._groups.look_up("SELECT count(*) FROM sqlite_temp_master WHERE name = 'late_marks'", ())
        if rows[0][0]:
            return
        for name, (columns, _) in _TABLES.items():
            self._groups.write_many(f"CREATE TEMP TABLE late_{name} ({columns})")
        self._groups.write_many("CREATE INDEX temp.late_edges_by_source ON late_edges (source)")

    def _derive(self, prefix: str, mark: Any) -> None:
        executions, _ = self._groups.look_up(
            "SELECT id, run, status, result, arguments FROM executions WHERE id > ? ORDER BY id LIMIT ?",
            (mark("executions"), _CHUNK),
        )
        cutoffs, _ = self._groups.look_up(
            "SELECT id, execution, arguments FROM cutoffs WHERE id > ? ORDER BY id LIMIT ?", (mark("cutoffs"), _CHUNK)
        )
        found = _of_executions(executions)
        _add_cutoffs(found, cutoffs)
        self._write(prefix, found)
        for table, rows in (("executions", executions), ("cutoffs", cutoffs)):
            if rows and prefix:
                self._groups.write_many("INSERT OR REPLACE INTO late_marks VALUES (?, ?)", [(table, rows[-1][0])])
            elif rows:
                self._groups.write_many(
                    "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(f"derived {table}", str(rows[-1][0]))]
                )

    def _write(self, prefix: str, found: _Found) -> None:
        put = self._groups.write_many
        put(
            f"INSERT INTO {prefix}edges VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET equal = min(equal, excluded.equal)",
            sorted(found.edges),
        ) if found.edges else None
        for table in ("file_uses", "results", "failures"):
            rows = sorted(getattr(found, table))
            if rows:
                marks = ",".join("?" * _TABLES[table][1])
                put(f"INSERT OR IGNORE INTO {prefix}{table} VALUES ({marks})", rows)
        spans = [(run, first, last) for run, (first, last) in found.run_spans.items()]
        if spans:
            put(
                f"INSERT INTO {prefix}run_spans VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET last = excluded.last",
                spans,
            )


def _of_executions(rows: Iterable[Any]) -> _Found:
    found = _Found([], [], [], {}, [])
    for number, run, status, result, arguments in rows:
        if result is not None:
            found.results.append((int.from_bytes(result[:PREFIX_BYTES], "big"), number))
        if status != "ok":
            found.failures.append((number,))
        span = found.run_spans.get(run)
        if span is None:
            found.run_spans[run] = [number, number]
        else:
            span[1] = number
        _add_sources(found, number, arguments, 0)
    return found


def _add_cutoffs(found: _Found, rows: Iterable[Any]) -> None:
    for _, execution, arguments in rows:
        _add_sources(found, execution, arguments, 1)


def _add_sources(found: _Found, target: int, arguments: str, equal: int) -> None:
    if '": [' not in arguments:
        return
    for numbers in _SOURCES.findall(arguments):
        found.edges.extend([(target, int(source), equal) for source in numbers.split(",") if source])
    if '"files": [' in arguments:
        for argument in json.loads(arguments).values():
            if isinstance(argument, dict):
                found.file_uses.extend([(path, target) for path in argument.get("files", ())])
