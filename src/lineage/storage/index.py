"""The index of the default store: what is known of calls, in one SQLite file. The first record of a key wins.

What a run records waits in memory until there is enough of it, or somebody looks; it is part of the group of writes that
is open (`lineage.storage.groups`), in which no other process can write. So who wins is known at once: whoever records a key
that had no record when the group began, or at the last look since others wrote.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from lineage.codecs.base import Blob, Manifest
from lineage.digest import Digest
from lineage.records import Execution, Record, Run, Tag, Verdict
from lineage.storage.base import Recipe
from lineage.storage.derived import Derived
from lineage.storage.groups import Groups
from lineage.storage.keys import RECORD, Keys, record_of_row

__all__ = ["SqliteIndex"]

_EXECUTION = (
    "id, call_key, node, code, run, status, result, value, arguments, error, relies_on, note, "
    "started, wall, cpu, memory, attempt, executor, host, process, log, bytes_out, spans, bytes_in, rows_in, rows_out"
)
_RUN = "SELECT id, name, started, finished, status, user, host, roots, counts, facts FROM runs"
_SPAN = " AND ".join(
    f"(SELECT {end}({name}) FROM (SELECT {name} FROM run_spans WHERE run = ?1 UNION ALL "
    f"SELECT {name} FROM late_run_spans WHERE run = ?1))"
    for end, name in (("min", "first"), ("max", "last"))
)
_RECENT = 200
"""Runs in which it is looked for a result that was cached by somebody else."""

_WHOSE = {
    "user": "r.user = ? AND json_extract(r.facts, '$.project') IS ? AND json_extract(r.facts, '$.branch') IS NULL",
    "branch": "json_extract(r.facts, '$.branch') = ? AND json_extract(r.facts, '$.project') IS ?",
}
_CHUNK = 500
_INSERT_EXECUTION = f"INSERT INTO executions ({_EXECUTION}) VALUES ({','.join('?' * 26)})"


class SqliteIndex:
    """See `lineage.storage.base.Index` for the promises. `before_commit` makes objects durable."""

    def __init__(self, path: Path, *, before_commit: Callable[[], None], writable: bool = True) -> None:
        self.path = path
        self.writable = writable
        self._nodes: dict[str, int] = {}
        self._codes: dict[bytes, int] = {}
        self._absent: set[Digest] = set()
        """Call keys that had no record when they were looked up, and that nobody can have recorded since."""
        self._new_codes: set[Digest] = set()
        """Code that nobody had recorded before this process did, as far as is known."""
        self._of_new_codes: set[Digest] = set()
        """The keys that have been recorded since such code was met: there are no others of that code."""
        self._next: int | None = None
        self._begin_to_wait()
        self._groups = Groups(
            path, writable=writable, before_commit=before_commit, write_out=self._write_out, on_change=self._on_change
        )
        self._calls = Keys(self._groups, "calls", 2)
        self._recipes = Keys(self._groups, "recipes", 4)
        self._derived = Derived(self._groups)

    # -- what waits in memory

    def _begin_to_wait(self) -> None:
        self._new_executions: list[tuple[Any, ...]] = []
        self._new_calls: dict[Digest, Record] = {}
        self._new_recipes: dict[Digest, tuple[Recipe, Record, int]] = {}
        self._new_cutoffs: list[tuple[int, int, str]] = []

    def _write_out(self) -> None:
        executions, calls, recipes = self._new_executions, self._new_calls, self._new_recipes
        cutoffs = self._new_cutoffs
        if not executions and not recipes and not cutoffs:
            return
        self._begin_to_wait()
        if executions:
            self._groups.write_many(_INSERT_EXECUTION, executions)
        self._calls.put([(key, record.execution) for key, record in calls.items()])
        self._recipes.put([(*recipe, record.execution, run) for recipe, record, run in recipes.values()])
        if cutoffs:
            self._groups.write_many("INSERT INTO cutoffs (run, execution, arguments) VALUES (?, ?, ?)", cutoffs)

    def _on_change(self, lost: bool) -> None:
        """Forget what is remembered of the tables: others have written, or the open group was lost."""
        self._absent.clear()
        self._new_codes.clear()
        self._of_new_codes.clear()
        self._next = None
        self._calls.forget_count()
        self._recipes.forget_count()
        if lost:
            self._nodes.clear()
            self._codes.clear()
            self._begin_to_wait()

    # -- look-ups

    def by_recipe(self, keys: Sequence[Digest], codes: Sequence[Digest] = ()) -> dict[Digest, Record]:
        with self._groups.lock:
            waiting = self._new_recipes
            found = self._stored(self._recipes, waiting, keys, codes)
            if waiting:
                found.update((key, waiting[key][1]) for key in keys if key in waiting)
            return found

    def by_call(self, keys: Sequence[Digest], codes: Sequence[Digest] = ()) -> dict[Digest, Record]:
        with self._groups.lock:
            waiting = self._new_calls
            found = self._stored(self._calls, waiting, keys, codes)
            if waiting:
                found.update((key, waiting[key]) for key in keys if key in waiting)
            if len(found) < len(keys) and self.writable:
                self._absent.update(key for key in keys if key not in found)
            return found

    def _stored(
        self, stored: Keys, waiting: Container[Digest], keys: Sequence[Digest], codes: Sequence[Digest]
    ) -> dict[Digest, Record]:
        """Return the records in the tables of those of `keys` that do not wait in memory."""
        asked: Sequence[Digest] = self._that_may_be_there(keys, codes) if codes else keys
        return stored.find([key for key in asked if key not in waiting])

    def _that_may_be_there(self, keys: Sequence[Digest], codes: Sequence[Digest]) -> list[Digest]:
        """Return those of `keys` whose code has been recorded by somebody, or that were recorded here."""
        self._groups.look_for_changes()
        new = {code for code in set(codes) if self._is_new(code)}
        if not new:
            return list(keys)
        recorded = self._of_new_codes
        return [key for key, code in zip(keys, codes, strict=True) if code not in new or key in recorded]

    def _is_new(self, code: Digest) -> bool:
        if code in self._new_codes:
            return True
        if code in self._codes or self._groups.peek("SELECT id FROM codes WHERE digest = ?", code) is not None:
            return False
        self._new_codes.add(code)
        return True

    def manifest(self, content: Digest) -> Manifest | None:
        row = self._groups.peek("SELECT manifest FROM contents WHERE digest = ?", content)
        return None if row is None else _manifest(row[0])

    def info(self, content: Digest) -> dict[str, Any]:
        row = self._groups.peek("SELECT info FROM contents WHERE digest = ?", content)
        return {} if row is None else dict(json.loads(row[0]))

    def generations(self) -> dict[Digest, int]:
        return dict(self._groups.all("SELECT recipe, number FROM generations"))

    def code(self, code: Digest) -> str | None:
        row = self._groups.peek("SELECT leaves FROM codes WHERE digest = ?", code)
        return None if row is None or row[0] is None else str(row[0])

    def latest(self, node: str) -> tuple[int, Digest, str] | None:
        row = self._groups.one(
            "SELECT e.id, c.digest, e.arguments FROM executions e JOIN codes c ON c.id = e.code "
            "WHERE e.node = (SELECT id FROM nodes WHERE reference = ?) AND e.status = 'ok' ORDER BY e.id DESC LIMIT 1",
            node,
        )
        return None if row is None else (row[0], row[1], row[2])

    def latest_of(self, node: str, whose: tuple[str, str, str | None] | None = None) -> Record | None:
        """See `Index.latest_of`. Runs that were handed the results of others count where there are none of one's own."""
        if whose is None:
            return self._latest_where("", node)
        theirs = _WHOSE[whose[0]]
        found = self._latest_where(f"AND (SELECT {theirs} FROM runs r WHERE r.id = e.run)", node, *whose[1:])
        if found is None:
            recent = f"SELECT r.facts FROM runs r WHERE {theirs} ORDER BY r.id DESC LIMIT {_RECENT}"
            handed = f"SELECT j.value FROM ({recent}) r, json_each(r.facts, '$.results') j"
            found = self._latest_where(f"AND e.id IN ({handed})", node, *whose[1:])
        return found

    def _latest_where(self, condition: str, node: str, *values: Any) -> Record | None:
        row = self._groups.one(
            f"SELECT {RECORD} FROM executions e WHERE e.node = (SELECT id FROM nodes WHERE reference = ?) "
            f"AND e.status = 'ok' {condition} ORDER BY e.id DESC LIMIT 1",
            node,
            *values,
        )
        return None if row is None else record_of_row(row)

    def execution(self, number: int) -> dict[str, Any]:
        found = self._groups.all(
            "SELECT e.*, n.name AS node_name, n.reference AS node_reference, c.digest AS code_digest FROM executions e "
            "JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code WHERE e.id = ?",
            (number,),
            named=True,
        )
        return found[0] if found else {}

    def failures(self, node: str, most: int = 1000) -> dict[bytes, tuple[int, str]]:
        rows = self._groups.all(
            "SELECT call_key, id, error FROM (SELECT * FROM executions "
            "WHERE node = (SELECT id FROM nodes WHERE reference = ?) ORDER BY id DESC LIMIT ?) WHERE status = 'failed'",
            (node, most),
        )
        return {key: (number, error or "") for key, number, error in reversed(rows)}

    def of_run(self, run: int, most: int) -> list[dict[str, Any]]:
        self._derived.bring_up()
        return self._groups.all(
            "SELECT e.id, n.name AS node, e.status, e.started, e.wall, e.cpu, e.executor, e.host, e.process "
            f"FROM executions e JOIN nodes n ON n.id = e.node WHERE e.run = ?1 AND e.id BETWEEN {_SPAN} ORDER BY e.id LIMIT ?2",
            (run, most),
            named=True,
        )

    def attempts(self, call_key: Digest, before: int | None = None, limit: int = 100) -> list[dict[str, Any]]:
        found = self._groups.all(
            "SELECT id, run, status, attempt, log, error FROM executions WHERE call_key = ? AND id < ? ORDER BY id DESC LIMIT ?",
            (call_key, (1 << 62) if before is None else before, limit),
            named=True,
        )
        return found[::-1]

    def stamp(self, path: str) -> tuple[str, Digest] | None:
        row = self._groups.peek("SELECT stamp, digest FROM stamps WHERE path = ?", path)
        return None if row is None else (row[0], row[1])

    def stamps(self, paths: Sequence[str]) -> dict[str, tuple[str, Digest]]:
        found: dict[str, tuple[str, Digest]] = {}
        for start in range(0, len(paths), _CHUNK):
            part = paths[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            with self._groups.lock:
                rows, _ = self._groups.look_up(f"SELECT path, stamp, digest FROM stamps WHERE path IN ({marks})", part)
            found.update((path, (stamp, digest)) for path, stamp, digest in rows)
        return found

    def anchor(self, key: Digest) -> Record | None:
        row = self._groups.one(
            f"SELECT {RECORD} FROM anchors a JOIN executions e ON e.id = a.execution WHERE a.key = ?", key
        )
        return None if row is None else record_of_row(row)

    def tagged(self, name: str) -> Record | None:
        row = self._groups.one(
            "SELECT e.id, e.call_key, t.result, t.value, e.relies_on FROM tags t "
            "JOIN executions e ON e.id = t.execution WHERE t.name = ? "
            "ORDER BY t.id DESC LIMIT 1",
            name,
        )
        return None if row is None else record_of_row(row)

    def tags(self, name: str | None = None) -> list[Tag]:
        which = "t.id IN (SELECT max(id) FROM tags GROUP BY name) ORDER BY t.name"
        rows = self._groups.all(
            "SELECT e.id, e.call_key, t.result, t.value, e.relies_on, t.name, coalesce(t.user, ''), t.at, n.name, e.run "
            "FROM tags t JOIN executions e ON e.id = t.execution JOIN nodes n ON n.id = e.node WHERE "
            + (which if name is None else "t.name = ? ORDER BY t.id DESC"),
            () if name is None else (name,),
        )
        return [Tag(row[5], record_of_row(row[:5]), *row[6:]) for row in rows]

    def run_of(self, execution: int) -> Run:
        (row,) = self._groups.all(f"{_RUN} WHERE id = (SELECT run FROM executions WHERE id = ?)", (execution,))
        return _run(row)

    def runs(self, limit: int) -> Iterable[Run]:
        return [_run(row) for row in self._groups.all(f"{_RUN} ORDER BY id DESC LIMIT ?", (limit,))]

    def run(self, number: int) -> Run | None:
        row = self._groups.one(f"{_RUN} WHERE id = ?", number)
        return None if row is None else _run(row)

    def ask(self, statement: str, values: Sequence[Any] = (), *, derived: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a query. What waits in memory counts. With `derived`, the tables of
        `lineage.storage.derived` are brought up to date first.
        """
        if derived:
            self._derived.bring_up()
        return self._groups.all(statement, values)

    # -- writes

    def record(self, execution: Execution, recipe: Recipe | None, run: int, *, replace: bool = False) -> Record:
        assert execution.result is not None
        assert execution.value is not None
        key = execution.call_key
        with self._groups.lock:
            self._name(execution)
            self._groups.begin(run)
            found = None if replace or key in self._absent else self.by_call([key]).get(key)
            number = self._add(execution, run, "ok", execution.note if found is None else _against(execution, found))
            if found is None:
                found = Record(number, key, execution.result, execution.value, execution.relies_on)
                self._new_calls[key] = found
                self._absent.discard(key)
                if self._new_codes:
                    self._of_new_codes.add(key)
            if recipe is not None and set(execution.relies_on) <= set(found.relies_on):
                self._link(recipe, found, run)
            self._groups.wrote(3)
            return found

    def failed(self, execution: Execution, run: int) -> int:
        with self._groups.lock:
            self._name(execution)
            self._groups.begin(run)
            number = self._add(execution, run, "failed", execution.note)
            self._groups.wrote(1)
            return number

    def link(self, recipe: Recipe, record: Record, run: int) -> None:
        with self._groups.lock:
            self._groups.begin(run)
            self._link(recipe, record, run)
            self._groups.wrote(1)

    def note_cutoff(self, execution: int, arguments: str, run: int) -> None:
        with self._groups.lock:
            self._groups.begin(run)
            self._new_cutoffs.append((run, execution, arguments))
            self._groups.wrote(1)

    def _link(self, recipe: Recipe, record: Record, run: int) -> None:
        self._new_recipes[recipe.key] = (recipe, record, run)
        if self._new_codes:
            self._of_new_codes.add(recipe.key)

    def add_manifest(self, content: Digest, manifest: Manifest, info: Mapping[str, Any]) -> None:
        text = json.dumps(asdict(manifest, value_serializer=_plain))
        self._groups.write("INSERT OR REPLACE INTO contents VALUES (?, ?, ?)", content, text, json.dumps(dict(info)))

    def drop_manifest(self, content: Digest) -> None:
        self._groups.write("DELETE FROM contents WHERE digest = ?", content)

    def collection(self, key: Digest) -> tuple[str, tuple[tuple[str, str], ...]] | None:
        row = self._groups.peek("SELECT value, relies_on FROM collections WHERE key = ?", key)
        return None if row is None else (row[0], tuple((name, code) for name, code in json.loads(row[1])))

    def note_collection(self, key: Digest, value: str, relies_on: tuple[tuple[str, str], ...]) -> None:
        self._groups.write("INSERT OR REPLACE INTO collections VALUES (?, ?, ?)", key, value, json.dumps(relies_on))

    def raise_generation(self, recipe: Digest) -> None:
        self._groups.write(
            "INSERT INTO generations VALUES (?, 1) ON CONFLICT (recipe) DO UPDATE SET number = number + 1", recipe
        )

    def forget_call(self, call_key: Digest) -> None:
        with self._groups.lock:
            self._groups.drain()
            self._calls.remove(call_key)

    def forget_recipes(self, execution: int) -> None:
        with self._groups.lock:
            for key, base in self._recipes.where("execution", execution, "key, base"):
                self.raise_generation(base or key)
                self._recipes.remove(key)

    def note_code(self, code: Digest, text: str) -> None:
        with self._groups.lock:
            if code not in self._codes:
                self._groups.write(
                    "INSERT INTO codes (digest, leaves) VALUES (?, ?) "
                    "ON CONFLICT (digest) DO UPDATE SET leaves = excluded.leaves WHERE leaves IS NULL",
                    code,
                    text,
                )
                self._code(code)

    def note_stamp(self, path: str, stamp: str, digest: Digest) -> None:
        if self.writable:
            self._groups.write("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)", path, stamp, digest)

    def note_stamps(self, rows: Sequence[tuple[str, str, Digest]]) -> None:
        if self.writable:
            self._groups.write_rows("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?)", rows)

    def note_anchor(self, key: Digest, execution: int) -> None:
        self._groups.write("INSERT OR IGNORE INTO anchors VALUES (?, ?)", key, execution)

    def tag(self, name: str, record: Record, run: int | None, *, user: str = "") -> None:
        self._groups.write(
            "INSERT INTO tags (name, execution, result, value, run, at, user) VALUES (?, ?, ?, ?, ?, ?, ?)",
            name, record.execution, record.result, record.value, run, time.time(), user,
        )  # fmt: skip

    def note_verdict(self, verdict: Verdict) -> None:
        self._groups.write(
            "INSERT INTO verdicts (execution, outcome, reason, difference, circumstances, user, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            verdict.execution, verdict.outcome, verdict.reason, verdict.difference,
            json.dumps(dict(verdict.circumstances)), verdict.user, time.time(),
        )  # fmt: skip

    def verdicts(self, execution: int) -> list[Verdict]:
        rows = self._groups.all(
            "SELECT execution, outcome, reason, difference, circumstances, user, at FROM verdicts WHERE execution = ? "
            "ORDER BY id DESC",
            (execution,),
        )
        return [
            Verdict(number, outcome, reason, difference, json.loads(under), user, at)
            for number, outcome, reason, difference, under, user, at in rows
        ]

    def begin_run(self, name: str, user: str, host: str, roots: str, facts: Mapping[str, Any]) -> int:
        with self._groups.lock:
            self._groups.forgive()
            number = self._groups.write(
                "INSERT INTO runs (name, started, status, user, host, roots, counts, facts) "
                "VALUES (?, ?, 'running', ?, ?, ?, '{}', ?)",
                name, time.time(), user, host, roots, json.dumps(dict(facts)),
            ).lastrowid  # fmt: skip
            assert number is not None
            self._groups.enter_run(number)
            return number

    def end_run(self, run: int, status: str, counts: Mapping[str, int], facts: Mapping[str, Any]) -> None:
        with self._groups.lock:
            self._groups.begin(run)
            self._groups.leave_run(run)
            self._absent.clear()
            self._new_codes.clear()
            self._of_new_codes.clear()
            self._groups.write(
                "UPDATE runs SET finished = ?, status = ?, counts = ?, facts = ? WHERE id = ?",
                time.time(), status, json.dumps(dict(counts)), json.dumps(dict(facts)), run,
            )  # fmt: skip

    def _name(self, execution: Execution) -> None:
        """Have numbers for the node and the code of an execution. This may end the open group, so it goes before what is
        decided in one.
        """
        self._node(execution)
        self._code(execution.code)

    def _add(self, execution: Execution, run: int, status: str, note: str | None) -> int:
        """Let a row wait for the tables, in the open group, and return its number. Its node and code have theirs."""
        node, code = self._node(execution), self._code(execution.code)
        number = self._next
        if number is None:
            number = int(self._groups.one("SELECT coalesce(max(id), 0) FROM executions")[0]) + 1
        self._next = number + 1
        side = execution.side
        self._new_executions.append(
            (
                number, execution.call_key, node, code, run, status,
                execution.result, execution.value, execution.arguments, execution.error,
                json.dumps(execution.relies_on) if execution.relies_on else None, note,
                side.started, side.wall, side.cpu, side.memory, side.attempt, side.executor, side.host,
                side.process, side.log, side.bytes_out, json.dumps(side.spans) if side.spans else None,
                side.bytes_in, side.rows_in, side.rows_out,
            )
        )  # fmt: skip
        return number

    def _node(self, execution: Execution) -> int:
        reference = execution.reference or execution.node
        number = self._nodes.get(reference)
        if number is None:
            self._groups.write("INSERT OR IGNORE INTO nodes (name, reference) VALUES (?, ?)", execution.node, reference)
            number = int(self._groups.one("SELECT id FROM nodes WHERE reference = ?", reference)[0])
            self._nodes[reference] = number
        return number

    def _code(self, code: Digest) -> int:
        number = self._codes.get(code)
        if number is None:
            self._groups.write("INSERT OR IGNORE INTO codes (digest) VALUES (?)", code)
            number = self._codes[code] = int(self._groups.one("SELECT id FROM codes WHERE digest = ?", code)[0])
        return number

    def flush(self) -> None:
        """Commit the open group, if any, once its objects are durable."""
        self._groups.flush()

    def close(self) -> None:
        self._groups.close()


def _against(execution: Execution, found: Record) -> str:
    """Return what is to be said of an execution whose key has a record already."""
    if found.result == execution.result:
        return f"equal to execution {found.execution}"
    return f"not deterministic: differs from execution {found.execution}"


def _run(row: Sequence[Any]) -> Run:
    return Run(*row[:8], counts=json.loads(row[8]), facts=json.loads(row[9]))  # type: ignore[misc]


def _plain(_: Any, __: Any, value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _manifest(text: str) -> Manifest:
    plain = json.loads(text)
    blobs = tuple(Blob(b["name"], Digest(bytes.fromhex(b["digest"])), b["size"]) for b in plain["blobs"])
    return Manifest(plain["family"], blobs, plain["notes"])
