"""What a store is made of: two protocols, of which the default store has one implementation each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lineage.codecs.base import Manifest
from lineage.digest import Digest
from lineage.records import Execution, Record, Run, Tag, Verdict

__all__ = ["Index", "ObjectStore", "Recipe"]


class Recipe(NamedTuple):
    """A recipe key, and the key before generations were counted in (None where it is the same)."""

    key: Digest
    base: Digest | None = None


class ObjectStore(Protocol):
    """Bytes, found by what they are. An object never changes once stored.

    Readers see all of an object or none. An object is durable once `sync` has returned.
    """

    def put(self, data: bytes) -> Digest:
        """Keep `data` and return its digest."""

    def put_file(self, path: Path) -> Digest:
        """Keep the bytes of the file at `path`, which is consumed, and return their digest."""

    def has(self, digest: Digest) -> bool: ...

    def path(self, digest: Digest) -> Path:
        """Return a local, read-only file with the bytes behind `digest`, checked as the store's policy says.

        Raises:
            ObjectMissingError: nothing is stored there.
            CorruptObjectError: what is stored there is not what was put. It is set aside first.
        """

    def get(self, digest: Digest) -> bytes:
        """Return the bytes behind `digest`. Raises as `path` does."""

    def sync(self) -> None:
        """Return when all that was put is durable."""


class Index(Protocol):
    """Keys to records. The first record of a key wins, and everybody reads that one.

    What is written is visible to this process at once and durable, for all, after `flush` (which a background thread
    calls soon after each write). Where two processes write one key, `record` returns the winner to both.
    """

    writable: bool

    def by_recipe(self, keys: Sequence[Digest], codes: Sequence[Digest] = ()) -> dict[Digest, Record]:
        """Return the records of those of `keys` that have one.

        `codes` may say of which code each key was made: keys of code that nobody has recorded need no look.
        """

    def by_call(self, keys: Sequence[Digest], codes: Sequence[Digest] = ()) -> dict[Digest, Record]: ...

    def record(self, execution: Execution, recipe: Recipe | None, run: int, *, replace: bool = False) -> Record:
        """Keep a successful execution under its call key, and under `recipe` if given; return the record that holds.

        With `replace`, a record that is there already gives way (a refresh, a damaged object); the old execution stays in the history.
        """

    def failed(self, execution: Execution, run: int) -> int:
        """Keep a failed execution in the history and return its number. No key leads to it."""

    def link(self, recipe: Recipe, record: Record, run: int) -> None:
        """Let `recipe` lead to `record` as well: a cutoff."""

    def manifest(self, content: Digest) -> Manifest | None: ...

    def add_manifest(self, content: Digest, manifest: Manifest, info: Mapping[str, Any]) -> None: ...

    def drop_manifest(self, content: Digest) -> None: ...

    def info(self, content: Digest) -> dict[str, Any]: ...

    def note_cutoff(self, execution: int, arguments: str, run: int) -> None:
        """Keep in the history that a call with these arguments (JSON) was found equal to `execution`."""

    def ask(self, statement: str, values: Sequence[Any] = (), *, derived: bool = False) -> list[tuple[Any, ...]]:
        """Return the rows of a query over the tables of `lineage.storage.schema`; with `derived`, over those too that
        `lineage.storage.derived` fills.
        """

    def collection(self, key: Digest) -> tuple[str, tuple[tuple[str, str], ...]] | None:
        """Return the text of a large collection of results that was answered before, and what it relies on."""

    def note_collection(self, key: Digest, value: str, relies_on: tuple[tuple[str, str], ...]) -> None: ...

    def generations(self) -> dict[Digest, int]:
        """Return the recipe keys that were refreshed or forgotten, and how often."""

    def raise_generation(self, recipe: Digest) -> None: ...

    def forget_call(self, call_key: Digest) -> None: ...

    def forget_recipes(self, execution: int) -> None:
        """Let no recipe lead to `execution` any more, and raise the generation of those that did."""

    def note_code(self, code: Digest, text: str) -> None: ...

    def code(self, code: Digest) -> str | None: ...

    def latest(self, reference: str) -> tuple[int, Digest, str] | None:
        """Return number, code and arguments of the latest successful execution of a node."""

    def failures(self, node: str, most: int = 1000) -> dict[bytes, tuple[int, str]]:
        """Return number and error of the last failure of each call key among a node's last `most` executions."""

    def of_run(self, run: int, most: int) -> list[dict[str, Any]]:
        """Return the first `most` executions of a run: number, node, status, when, how long, and by whom."""

    def stamp(self, path: str) -> tuple[str, Digest] | None: ...

    def note_stamp(self, path: str, stamp: str, digest: Digest) -> None: ...

    def stamps(self, paths: Sequence[str]) -> dict[str, tuple[str, Digest]]:
        """Return what is noted of those of `paths` of which something is."""

    def note_stamps(self, rows: Sequence[tuple[str, str, Digest]]) -> None:
        """Note path, stamp and digest of many files at once. A store that can't be written notes nothing."""

    def anchor(self, key: Digest) -> Record | None: ...

    def note_anchor(self, key: Digest, execution: int) -> None: ...

    def tag(self, name: str, record: Record, run: int | None, *, user: str = "") -> None:
        """Let `name` lead to `record`, which may be one field of what its execution gave. `user` did it."""

    def tagged(self, name: str) -> Record | None: ...

    def tags(self, name: str | None = None) -> list[Tag]:
        """Return every move of a name, the latest first; without one, the latest move of every name, by name."""

    def note_verdict(self, verdict: Verdict) -> None:
        """Keep what was found when an execution was carried out once more, now."""

    def verdicts(self, execution: int) -> list[Verdict]:
        """Return what was found of an execution, the latest first."""

    def latest_of(self, reference: str, whose: tuple[str, str, str | None] | None = None) -> Record | None:
        """Return the latest successful result of a node, of all runs or of those of `whose`: `user` or `branch`, the name of
        it, and the project. Runs of a branch are nobody's own.
        """

    def run_of(self, execution: int) -> Run:
        """Return the run in which something was executed."""

    def execution(self, number: int) -> dict[str, Any]: ...

    def attempts(self, call_key: Digest, before: int | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return the latest executions of a call whose numbers are below `before`, the latest last: their `id`, `run`, `status`,
        `attempt`, `log` and `error`.
        """

    def begin_run(self, name: str, user: str, host: str, roots: str, facts: Mapping[str, Any]) -> int: ...

    def end_run(self, run: int, status: str, counts: Mapping[str, int], facts: Mapping[str, Any]) -> None: ...

    def runs(self, limit: int) -> Iterable[Run]: ...

    def run(self, number: int) -> Run | None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...
