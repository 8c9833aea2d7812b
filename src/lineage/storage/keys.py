"""Keys that lead to executions, in two tables each: many old ones, and the latest.

Keys are random. In one large tree every new key falls on a page of its own, which is read, written to the log and copied
back: at a million keys this costs more than all else about a call. New keys go into a small tree, and from there in
order into the large one when there are enough of them (a log-structured merge tree of two levels, O'Neil et al. 1996).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lineage.digest import Digest
from lineage.records import Record
from lineage.storage.groups import Groups

__all__ = ["RECORD", "Keys", "record_of_row"]

MERGE_ROWS = 50_000
RECORD = "e.id, e.call_key, e.result, e.value, e.relies_on"
_CHUNK = 500


class Keys:
    """One kind of key. `table` holds the old ones and `young_` + table the latest, which go before."""

    def __init__(self, groups: Groups, table: str, columns: int) -> None:
        self._groups = groups
        self._table = table
        self._insert = f"INSERT OR REPLACE INTO young_{table} VALUES ({','.join('?' * columns)})"
        self._young: int | None = None
        self._selects: dict[int, str] = {}

    def find(self, keys: Sequence[Digest]) -> dict[Digest, Record]:
        """Return the records of those of `keys` that have one. The caller holds the lock."""
        found: dict[Digest, Record] = {}
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            rows, _ = self._groups.look_up(self._select(len(part)), part)
            if len(rows) > 1:
                rows.sort(key=_age)
            for _, key, *fields in rows:
                found[key] = record_of_row(fields)
        return found

    def _select(self, count: int) -> str:
        found = self._selects.get(count)
        if found is None:
            found = self._selects[count] = self._select_anew(count)
        return found

    def _select_anew(self, count: int) -> str:
        marks = ",".join(f"?{number}" for number in range(1, count + 1))
        return " UNION ALL ".join(
            f"SELECT {age}, k.key, {RECORD} FROM {table} k JOIN executions e ON e.id = k.execution "
            f"WHERE k.key IN ({marks})"
            for age, table in enumerate((self._table, f"young_{self._table}"))
        )

    def put(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows, which begin with their keys, in the open group."""
        if not rows:
            return
        if self._young is None:
            counted, _ = self._groups.look_up(f"SELECT count(*) FROM young_{self._table}", ())
            self._young = int(counted[0][0])
        self._groups.write_many(self._insert, sorted(rows, key=_first))
        self._young += len(rows)
        if self._young >= MERGE_ROWS:
            self._merge()

    def _merge(self) -> None:
        self._groups.write_many(f"INSERT OR REPLACE INTO {self._table} SELECT * FROM young_{self._table} ORDER BY key")
        self._groups.write_many(f"DELETE FROM young_{self._table}")
        self._young = 0

    def remove(self, key: Digest) -> None:
        for table in (self._table, f"young_{self._table}"):
            self._groups.write(f"DELETE FROM {table} WHERE key = ?", key)

    def where(self, column: str, value: Any, wanted: str) -> list[Any]:
        """Return `wanted` columns of the rows whose `column` is `value`."""
        young = f"SELECT {wanted} FROM young_{self._table} WHERE {column} = ?1"
        old = f"SELECT {wanted} FROM {self._table} WHERE {column} = ?1 AND key NOT IN (SELECT key FROM young_{self._table})"
        return self._groups.all(f"{young} UNION ALL {old}", (value,))

    def forget_count(self) -> None:
        """The rows that were counted may be gone, or others may have added some."""
        self._young = None


def _age(row: Sequence[Any]) -> int:
    return int(row[0])


def _first(row: Sequence[Any]) -> bytes:
    return row[0]  # type: ignore[no-any-return]


def record_of_row(fields: Sequence[Any]) -> Record:
    """Return the record in a row of the columns `RECORD`."""
    number, call_key, result, value, relies = fields
    pinned = tuple((name, code) for name, code in json.loads(relies)) if relies else ()
    return Record(number, call_key, result, value, pinned)
