"""What any object store and any index must do, as classes of tests.

A store's own test is its fixture:

    class TestMyObjects(ObjectStoreContract):
        @pytest.fixture
        def objects(self, tmp_path):
            return MyObjects(tmp_path)

        def damage(self, objects, digest): ...

`IndexModel` is an index in a few dicts: what the promises mean, with which any implementation must agree.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, field

from lineage.codecs.base import Blob, Manifest
from lineage.digest import Digest, digest_of
from lineage.errors import CorruptObjectError, ObjectMissingError, StoreError
from lineage.records import Execution, Record, SideData, Verdict
from lineage.storage.base import Index, ObjectStore, Recipe

__all__ = ["IndexContract", "IndexModel", "ObjectStoreContract", "an_execution", "key"]


def key(text: str) -> Digest:
    """Return a key for tests."""
    return digest_of("test", text.encode())


def an_execution(call: str, value: str = "1", *, node: str = "node", code: str = "code", **facts: Any) -> Execution:
    """Return a successful execution of the call that `call` names, whose result is `value`."""
    return Execution(
        call_key=key(call),
        node=node,
        code=key(code),
        arguments='{"x": 1}',
        side=SideData(started=1.0, wall=0.5, host="here", log="said"),
        result=key("result " + value),
        value=value,
        **facts,
    )


class ObjectStoreContract:
    """The promises of `lineage.storage.base.ObjectStore`. Override `objects` and `damage`."""

    @pytest.fixture
    def objects(self, tmp_path: Path) -> Any:
        raise NotImplementedError("return an empty store")

    def damage(self, objects: Any, digest: Digest, data: bytes) -> None:
        """Put `data` in the place of a stored object."""
        raise NotImplementedError

    def remove(self, objects: Any, digest: Digest) -> None:
        """Remove a stored object behind the store's back."""
        raise NotImplementedError

    @pytest.mark.parametrize("data", [b"", b"x", b"\0" * 70_000, bytes(range(256)) * 5_000])
    def test_what_was_put_comes_back(self, objects: ObjectStore, data: bytes) -> None:
        digest = objects.put(data)
        assert objects.get(digest) == data
        assert objects.path(digest).read_bytes() == data
        assert objects.has(digest)

    def test_a_digest_says_what_the_bytes_are(self, objects: ObjectStore, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"some bytes")
        assert objects.put(b"some bytes") == objects.put(b"some bytes") == objects.put_file(file)
        assert objects.put(b"other bytes") != objects.put(b"some bytes")

    def test_a_file_that_is_put_is_consumed(self, objects: ObjectStore, tmp_path: Path) -> None:
        for _ in range(2):
            file = tmp_path / "file"
            file.write_bytes(b"moved in")
            digest = objects.put_file(file)
            assert not file.exists()
            assert objects.get(digest) == b"moved in"

    def test_what_was_never_put_is_missing(self, objects: ObjectStore) -> None:
        assert not objects.has(key("nothing"))
        with pytest.raises(ObjectMissingError, match="gone"):
            objects.get(key("nothing"))
        with pytest.raises(ObjectMissingError):
            objects.path(key("nothing"))

    def test_an_object_that_was_removed_is_missing(self, objects: ObjectStore) -> None:
        digest = objects.put(b"here today")
        self.remove(objects, digest)
        assert not objects.has(digest)
        with pytest.raises(ObjectMissingError):
            objects.get(digest)
        assert objects.put(b"here today") == digest
        assert objects.get(digest) == b"here today"

    @pytest.mark.parametrize("data", [b"", b"good byte", b"good bytes and more", b"gOod bytes"])
    def test_a_damaged_object_is_never_returned(self, objects: ObjectStore, data: bytes) -> None:
        digest = objects.put(b"good bytes")
        self.damage(objects, digest, data)
        with pytest.raises(CorruptObjectError):
            objects.path(digest)

    def test_a_damaged_object_is_set_aside_and_can_be_put_again(self, objects: ObjectStore) -> None:
        digest = objects.put(b"good bytes")
        self.damage(objects, digest, b"bad  bytes")
        with pytest.raises(CorruptObjectError):
            objects.get(digest)
        assert not objects.has(digest)
        assert objects.put(b"good bytes") == digest
        assert objects.get(digest) == b"good bytes"

    def test_objects_are_read_only_files(self, objects: ObjectStore) -> None:
        assert objects.path(objects.put(b"immutable")).stat().st_mode & 0o222 == 0

    def test_many_threads_may_put_and_get_at_once(self, objects: ObjectStore) -> None:
        wrong: list[int] = []

        def work() -> None:
            for number in range(50):
                data = str(number).encode() * 100
                if objects.get(objects.put(data)) != data:
                    wrong.append(number)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        objects.sync()
        assert not wrong


class IndexContract:
    """The promises of `lineage.storage.base.Index`. Override `index` and `again`."""

    @pytest.fixture
    def index(self, tmp_path: Path) -> Iterator[Any]:
        raise NotImplementedError("yield an empty index")

    def again(self, index: Any) -> Any:
        """Return another index on the same data, as another process would open it."""
        raise NotImplementedError

    def test_a_key_that_was_never_recorded_leads_nowhere(self, index: Index) -> None:
        assert index.by_call([key("a")]) == {}
        assert index.by_recipe([key("a")]) == {}
        assert index.by_recipe([]) == {}

    def test_a_record_is_found_by_both_keys_at_once(self, index: Index) -> None:
        record = index.record(an_execution("a", "41"), Recipe(key("recipe")), 1)
        assert index.by_call([key("a"), key("b")]) == {key("a"): record}
        assert index.by_recipe([key("recipe")]) == {key("recipe"): record}
        assert record.value == "41"
        assert record.result == an_execution("a", "41").result

    def test_a_record_says_what_it_relies_on(self, index: Index) -> None:
        pinned = (("module:f", "ab"), ("module:g", "cd"))
        index.record(an_execution("a", relies_on=pinned), None, 1)
        assert index.by_call([key("a")])[key("a")].relies_on == pinned

    def test_without_a_recipe_only_the_call_key_leads_to_it(self, index: Index) -> None:
        index.record(an_execution("a"), None, 1)
        assert index.by_recipe([key("a")]) == {}

    def test_the_first_record_of_a_key_wins(self, index: Index) -> None:
        first = index.record(an_execution("a", "1"), Recipe(key("r1")), 1)
        second = index.record(an_execution("a", "2"), Recipe(key("r2")), 1)
        assert second == first
        assert index.by_recipe([key("r2")])[key("r2")] == first

    def test_who_loses_is_kept_in_the_history_with_a_note(self, index: Index) -> None:
        first = index.record(an_execution("a", "1"), None, 1)
        index.record(an_execution("a", "2"), None, 1)
        index.record(an_execution("a", "1"), None, 1)
        notes = [index.execution(first.execution + offset)["note"] for offset in range(3)]
        assert notes[0] is None
        assert "not deterministic" in notes[1]
        assert "equal" in notes[2]

    def test_replacing_gives_the_key_to_the_new_record(self, index: Index) -> None:
        index.record(an_execution("a", "1"), Recipe(key("r")), 1)
        second = index.record(an_execution("a", "2"), Recipe(key("r")), 1, replace=True)
        assert second.value == "2"
        assert index.by_call([key("a")])[key("a")] == index.by_recipe([key("r")])[key("r")] == second

    def test_a_link_leads_another_recipe_to_a_record(self, index: Index) -> None:
        record = index.record(an_execution("a"), None, 1)
        index.link(Recipe(key("r")), record, 2)
        assert index.by_recipe([key("r")]) == {key("r"): record}

    def test_a_failure_is_in_the_history_and_under_no_key(self, index: Index) -> None:
        failed = an_execution("a")._replace(result=None, value=None, error="ValueError: no")
        number = index.failed(failed, 1)
        assert index.by_call([key("a")]) == {}
        assert index.execution(number)["error"] == "ValueError: no"
        assert index.latest("node") is None

    def test_thousands_of_keys_are_looked_up_at_once(self, index: Index) -> None:
        for number in range(1200):
            index.record(an_execution(str(number), str(number)), Recipe(key(f"r{number}")), 1)
        found = index.by_recipe([key(f"r{number}") for number in range(1300)])
        assert len(found) == 1200
        assert found[key("r1199")].value == "1199"

    def test_what_is_flushed_is_seen_by_others(self, index: Index) -> None:
        record = index.record(an_execution("a"), Recipe(key("r")), 1)
        manifest = Manifest("table", (Blob("file", key("object"), 3),), {"rows": 2})
        index.add_manifest(key("content"), manifest, {"rows": 2})
        index.flush()
        other = self.again(index)
        try:
            assert other.by_recipe([key("r")]) == {key("r"): record}
            assert other.manifest(key("content")) == manifest
        finally:
            other.close()

    def test_two_writers_get_one_winner(self, index: Index) -> None:
        other = self.again(index)
        try:
            first = index.record(an_execution("a", "1"), None, 1)
            index.flush()
            assert other.record(an_execution("a", "2"), None, 2) == first
        finally:
            other.close()

    def test_manifests_come_back_and_can_be_dropped(self, index: Index) -> None:
        manifest = Manifest("table", (Blob("a", key("1"), 3), Blob("b", key("2"), 4)), {"rows": 2, "deep": {"x": [1]}})
        index.add_manifest(key("content"), manifest, {"schema": {"x": "i64"}})
        assert index.manifest(key("content")) == manifest
        assert index.info(key("content")) == {"schema": {"x": "i64"}}
        index.drop_manifest(key("content"))
        assert index.manifest(key("content")) is None
        assert index.info(key("content")) == {}

    def test_a_collection_is_what_was_noted_last(self, index: Index) -> None:
        assert index.collection(key("all")) is None
        index.note_collection(key("all"), "[1]", ())
        index.note_collection(key("all"), "[2]", (("module:f", "ab"),))
        assert index.collection(key("all")) == ("[2]", (("module:f", "ab"),))

    def test_generations_count_up(self, index: Index) -> None:
        assert index.generations() == {}
        index.raise_generation(key("a"))
        index.raise_generation(key("a"))
        index.raise_generation(key("b"))
        assert index.generations() == {key("a"): 2, key("b"): 1}

    def test_a_forgotten_call_is_not_found(self, index: Index) -> None:
        record = index.record(an_execution("a", "1"), Recipe(key("r"), key("base")), 1)
        index.forget_call(key("a"))
        index.forget_recipes(record.execution)
        assert index.by_call([key("a")]) == {}
        assert index.by_recipe([key("r")]) == {}
        assert index.generations() == {key("base"): 1}
        assert index.record(an_execution("a", "2"), None, 1).value == "2"

    def test_code_is_kept_once(self, index: Index) -> None:
        index.note_code(key("code"), "leaves")
        index.note_code(key("code"), "other")
        assert index.code(key("code")) == "leaves"
        assert index.code(key("other")) is None

    def test_the_latest_of_a_node_is_its_latest_success(self, index: Index) -> None:
        index.record(an_execution("a", "1"), None, 1)
        last = index.record(an_execution("b", "2", code="new"), None, 1)
        index.failed(an_execution("c")._replace(result=None, value=None, error="no"), 1)
        assert index.latest("node") == (last.execution, key("new"), '{"x": 1}')
        assert index.latest_of("node") == last
        assert index.latest_of("unknown") is None

    def test_stamps_are_replaced_and_anchors_are_not(self, index: Index) -> None:
        index.note_stamp("/a", "one", key("1"))
        index.note_stamp("/a", "two", key("2"))
        assert index.stamp("/a") == ("two", key("2"))
        assert index.stamp("/b") is None

    def test_many_stamps_are_noted_and_looked_up_at_once(self, index: Index) -> None:
        index.note_stamps([(f"/{number}", str(number), key("1")) for number in range(1200)])
        index.note_stamps([("/7", "seven", key("7"))])
        found = index.stamps([f"/{number}" for number in range(1300)])
        assert len(found) == 1200
        assert (found["/7"], found["/8"]) == (("seven", key("7")), ("8", key("1")))
        assert index.stamps([]) == {}
        first, second = (index.record(an_execution(name), None, 1) for name in "ab")
        index.note_anchor(key("place"), first.execution)
        index.note_anchor(key("place"), second.execution)
        assert index.anchor(key("place")) == first
        assert index.anchor(key("elsewhere")) is None

    def test_a_tag_points_to_what_it_was_given_last(self, index: Index) -> None:
        first, second = (index.record(an_execution(name), None, 1) for name in "ab")
        index.tag("prod", first, None)
        index.tag("prod", second, 1)
        assert index.tagged("prod") == second
        assert index.tagged("none") is None

    def test_verdicts_are_kept_the_latest_first(self, index: Index) -> None:
        made = index.record(an_execution("a"), None, 1)
        first = Verdict(made.execution, "differs", "", "[3]: 1 and 2", {"hash seed": 7}, "me")
        second = Verdict(made.execution, "cannot be run", "it is an effect", None, {}, "you")
        index.note_verdict(first)
        index.note_verdict(second)
        found = index.verdicts(made.execution)
        assert [verdict._replace(at=0.0) for verdict in found] == [second, first]
        assert found[0].at >= found[1].at > 0
        assert index.verdicts(made.execution + 1) == []

    def test_every_move_of_a_tag_is_kept(self, index: Index) -> None:
        run = index.begin_run("one", "me", "here", "f(1)", {})
        first, second = (index.record(an_execution(name), None, run) for name in "ab")
        index.tag("prod", first, None, user="me")
        index.tag("prod", second, None, user="you")
        index.tag("other", first, None)
        moves = index.tags("prod")
        assert [(move.record, move.user) for move in moves] == [(second, "you"), (first, "me")]
        assert moves[0].node == an_execution("b").node
        assert moves[0].run == run == index.run_of(second.execution).id
        assert moves[0].at >= moves[1].at
        assert [(move.name, move.record) for move in index.tags()] == [("other", first), ("prod", second)]
        assert index.tags("none") == []

    def test_the_latest_of_a_node_may_be_asked_for_by_whose_run_made_it(self, index: Index) -> None:
        facts: list[dict[str, Any]] = [{}, {"project": "p"}, {"branch": "main"}, {"project": "p", "branch": "main"}]
        runs = [index.begin_run("one", "me", "here", "f(1)", fact) for fact in facts]
        runs.append(index.begin_run("one", "you", "here", "f(1)", {}))
        made = [index.record(an_execution(name), None, run) for name, run in zip("abcde", runs, strict=True)]
        node = an_execution("a").reference or an_execution("a").node
        whose = [("user", "me", None), ("user", "me", "p"), ("branch", "main", None), ("branch", "main", "p")]
        assert [index.latest_of(node, one) for one in whose] == made[:4]
        assert index.latest_of(node) == index.latest_of(node, ("user", "you", None)) == made[4]
        assert index.latest_of(node, ("user", "nobody", None)) is None

    def test_runs_are_listed_newest_first(self, index: Index) -> None:
        one = index.begin_run("one", "me", "here", "f(1)", {"a": 1})
        two = index.begin_run("two", "me", "here", "f(2)", {})
        index.end_run(one, "ok", {"executed": 3}, {"a": 2})
        newest, oldest = index.runs(10)
        assert (newest.id, newest.status, newest.finished) == (two, "running", None)
        assert (oldest.name, oldest.status, oldest.counts, oldest.facts) == ("one", "ok", {"executed": 3}, {"a": 2})
        assert len(list(index.runs(1))) == 1

    def test_a_run_is_found_by_its_number(self, index: Index) -> None:
        number = index.begin_run("report", "ann", "here", "report()", {})
        found = index.run(number)
        assert found is not None
        assert (found.name, found.status) == ("report", "running")
        assert index.run(number + 1) is None

    def test_the_executions_of_a_run_are_listed_with_their_side_data(self, index: Index) -> None:
        index.record(an_execution("a", node="load"), None, 1)
        index.record(an_execution("b"), None, 2)
        index.failed(an_execution("c")._replace(result=None, value=None, error="no"), 1)
        found = index.of_run(1, 10)
        assert [(row["node"], row["status"], row["wall"]) for row in found] == [
            ("load", "ok", 0.5),
            ("node", "failed", 0.5),
        ]
        assert len(index.of_run(1, 1)) == 1

    def test_the_last_failure_of_each_call_of_a_node_is_found(self, index: Index) -> None:
        for call, error in (("a", "first"), ("b", "other"), ("a", "second")):
            index.failed(an_execution(call, reference="m:node")._replace(result=None, value=None, error=error), 1)
        index.record(an_execution("c", reference="m:node"), None, 1)
        found = index.failures("m:node")
        assert {call: error for call, (_, error) in found.items()} == {key("a"): "second", key("b"): "other"}
        assert index.failures("m:node", 2) == {key("a"): found[key("a")]}
        assert index.failures("m:none") == {}

    def test_a_closed_index_says_so(self, index: Index) -> None:
        index.record(an_execution("a"), None, 1)
        index.close()
        index.close()
        with pytest.raises(StoreError, match="closed"):
            index.by_call([key("a")])

    def test_many_threads_may_write_and_look_up_at_once(self, index: Index) -> None:
        wrong: list[Any] = []

        def work(name: str) -> None:
            for number in range(100):
                record = index.record(an_execution(f"{number}", name), Recipe(key(f"{name}{number}")), 1)
                if index.by_call([key(str(number))])[key(str(number))] != record:
                    wrong.append(record)

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


@define
class IndexModel:
    """An index in a few dicts, for tests that compare."""

    calls: dict[Digest, Record] = field(factory=dict)
    recipes: dict[Digest, tuple[Digest | None, Record]] = field(factory=dict)
    manifests: dict[Digest, Manifest] = field(factory=dict)
    raised: dict[Digest, int] = field(factory=dict)

    def by_call(self, keys: Sequence[Digest], codes: Sequence[Digest] = ()) -> dict[Digest, Record]:
        return {key: self.calls[key] for key in keys if key in self.calls}

    def by_recipe(self, keys: Sequence[Digest], codes: Sequence[Digest] = ()) -> dict[Digest, Record]:
        return {key: self.recipes[key][1] for key in keys if key in self.recipes}

    def record(self, execution: Execution, recipe: Recipe | None, number: int, *, replace: bool) -> Record:
        assert execution.result is not None
        assert execution.value is not None
        new = Record(number, execution.call_key, execution.result, execution.value, execution.relies_on)
        winner = new if replace else self.calls.get(execution.call_key, new)
        self.calls[execution.call_key] = winner
        if recipe is not None:
            self.link(recipe, winner)
        return winner

    def link(self, recipe: Recipe, record: Record) -> None:
        self.recipes[recipe.key] = (recipe.base, record)

    def forget_call(self, call: Digest) -> None:
        self.calls.pop(call, None)

    def forget_recipes(self, execution: int) -> None:
        for recipe, (base, record) in list(self.recipes.items()):
            if record.execution == execution:
                del self.recipes[recipe]
                self.raise_generation(base or recipe)

    def raise_generation(self, recipe: Digest) -> None:
        self.raised[recipe] = self.raised.get(recipe, 0) + 1
