"""All stores answer as a dict would, under any sequence of calls, also when they are closed and opened in between."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from lineage.codecs.base import Blob, Manifest
from lineage.digest import Digest
from lineage.errors import CorruptObjectError, ObjectMissingError
from lineage.storage import keys
from lineage.storage.base import Recipe
from lineage.storage.index import SqliteIndex
from lineage.storage.objects import LocalObjects
from lineage.testing.stores import IndexModel, an_execution, key

QUIET = settings(deadline=None, max_examples=40, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow])

KEYS = [key(name) for name in "abcd"]
NAMES = st.sampled_from("abcd")
VALUES = st.sampled_from("12")


class ObjectsAgree(RuleBasedStateMachine):
    """`LocalObjects` against a dict."""

    stored: Any = Bundle("stored")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lineage-agree-"))
        self.model: dict[Digest, bytes] = {}
        self.damaged: set[Digest] = set()

    @initialize(verify=st.sampled_from(["always", "first"]))
    def opened(self, verify: Any) -> None:
        self.objects = LocalObjects(self.folder / "objects", verify=verify)

    @rule(target=stored, data=st.sampled_from([b"", b"a", b"b", b"ab" * 40_000]), as_file=st.booleans())
    def put(self, data: bytes, as_file: bool) -> Digest:
        if as_file:
            path = self.folder / "file"
            path.write_bytes(data)
            digest = self.objects.put_file(path)
            assert not path.exists()
        else:
            digest = self.objects.put(data)
        assert self.model.setdefault(digest, data) == data
        self.damaged.discard(digest)
        return digest

    @rule(digest=stored)
    def get(self, digest: Digest) -> None:
        try:
            found: bytes | None = self.objects.get(digest)
        except CorruptObjectError:
            assert digest in self.damaged
            self.damaged.discard(digest)
            del self.model[digest]
            return
        except ObjectMissingError:
            found = None
        assert digest not in self.damaged
        assert found == self.model.get(digest)

    @rule(digest=stored)
    def has(self, digest: Digest) -> None:
        assert self.objects.has(digest) == (digest in self.model)

    @rule(digest=stored)
    def remove(self, digest: Digest) -> None:
        self._place(digest).unlink(missing_ok=True)
        self.model.pop(digest, None)
        self.damaged.discard(digest)

    @rule(digest=stored)
    def damage(self, digest: Digest) -> None:
        if digest in self.model:
            self._place(digest).chmod(0o644)
            self._place(digest).write_bytes(self.model[digest] + b"!")
            self.damaged.add(digest)

    @rule(verify=st.sampled_from(["always", "first"]))
    def open_again(self, verify: Any) -> None:
        self.objects.sync()
        self.objects = LocalObjects(self.folder / "objects", verify=verify)

    def _place(self, digest: Digest) -> Path:
        return self.folder / "objects" / digest.hex()[:2] / digest.hex()[2:]

    @invariant()
    def nothing_is_left_half_way(self) -> None:
        assert list((self.folder / "tmp").glob("*")) == []

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


class IndexAgrees(RuleBasedStateMachine):
    """`SqliteIndex`, two of them on one file by turns, against `IndexModel`."""

    records: Any = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lineage-agree-"))
        self.model = IndexModel()
        self.merge_rows, keys.MERGE_ROWS = keys.MERGE_ROWS, 3
        self.indexes = [self._opened(), self._opened()]

    @property
    def index(self) -> SqliteIndex:
        return self.indexes[0]

    def _opened(self) -> SqliteIndex:
        return SqliteIndex(self.folder / "index.sqlite", before_commit=lambda: None)

    @rule(
        target=records, call=NAMES, value=VALUES, recipe=st.none() | NAMES, based=st.booleans(), replace=st.booleans()
    )
    def record(self, call: str, value: str, recipe: str | None, based: bool, replace: bool) -> Any:
        found = None if recipe is None else Recipe(key(recipe), key("base " + recipe) if based else None)
        execution = an_execution(call, value)
        self.index.note_code(execution.code, "{}")
        record = self.index.record(execution, found, 1, replace=replace)
        number = int(self.index._groups.one("SELECT max(id) FROM executions")[0])
        assert record == self.model.record(execution, found, number, replace=replace)
        return record

    @rule(recipe=NAMES, record=records)
    def link(self, recipe: str, record: Any) -> None:
        self.index.link(Recipe(key(recipe)), record, 1)
        self.model.link(Recipe(key(recipe)), record)

    @rule(call=NAMES)
    def forget_call(self, call: str) -> None:
        self.index.forget_call(key(call))
        self.model.forget_call(key(call))

    @rule(record=records)
    def forget_recipes(self, record: Any) -> None:
        self.index.forget_recipes(record.execution)
        self.model.forget_recipes(record.execution)

    @rule(recipe=NAMES)
    def raise_generation(self, recipe: str) -> None:
        self.index.raise_generation(key(recipe))
        self.model.raise_generation(key(recipe))

    @rule(content=NAMES, value=VALUES)
    def add_manifest(self, content: str, value: str) -> None:
        manifest = Manifest("family", (Blob(value, key(value), 3),), {"value": value})
        self.index.add_manifest(key(content), manifest, {})
        self.model.manifests[key(content)] = manifest

    @rule(content=NAMES)
    def drop_manifest(self, content: str) -> None:
        self.index.drop_manifest(key(content))
        self.model.manifests.pop(key(content), None)

    @rule()
    def flush(self) -> None:
        self.index.flush()

    @rule()
    def open_again(self) -> None:
        self.index.close()
        self.indexes[0] = self._opened()

    @rule()
    def let_the_other_write(self) -> None:
        self.index.flush()
        self.indexes.reverse()

    @invariant()
    def look_ups_agree(self) -> None:
        assert self.index.by_call(KEYS) == self.model.by_call(KEYS)
        assert self.index.by_call(KEYS, [key("code")] * len(KEYS)) == self.model.by_call(KEYS)
        assert self.index.by_recipe(KEYS) == self.model.by_recipe(KEYS)
        assert self.index.by_recipe(KEYS, [key("code")] * len(KEYS)) == self.model.by_recipe(KEYS)
        assert {name: found for name in KEYS if (found := self.index.manifest(name))} == self.model.manifests
        assert self.index.generations() == self.model.raised

    def teardown(self) -> None:
        for index in self.indexes:
            index.close()
        keys.MERGE_ROWS = self.merge_rows
        shutil.rmtree(self.folder)


TestObjectsAgree = ObjectsAgree.TestCase
TestObjectsAgree.settings = QUIET
TestIndexAgrees = IndexAgrees.TestCase
TestIndexAgrees.settings = QUIET
