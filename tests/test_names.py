"""Names of datasets: whose they are, where they lead, and that a run reads each of them once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import lineage as ln
from lineage.errors import CompositionError, ForeignNameError, NotFoundError, UnknownNameError
from lineage.names import Namespace, full_name
from lineage.testing import EventLog


@ln.node
def double(x: int) -> int:
    return 2 * x


@ln.node
def add(x: int, y: int) -> int:
    return x + y


@ln.node
def pair(x: int) -> tuple[int, int]:
    return x, 2 * x


def of(store: Path, user: str, **options: str) -> ln.Session:
    return ln.Session(store, user=user, progress=False, **options)  # type: ignore[arg-type]


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[ln.Session]:
    with of(tmp_path / "store", "ann") as session:
        yield session


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[ln.Session]:
    session = of(tmp_path / "store", "bob")
    yield session
    session.close()


# -- whose a name is


def test_a_name_leads_to_ones_own_dataset_whatever_others_call_theirs(ann: ln.Session, bob: ln.Session) -> None:
    ann.tag(ann.materialize(double(1)), "model")
    bob.tag(bob.materialize(double(2)), "model")
    assert (ann.dataset("model").value, bob.dataset("model").value) == (2, 4)
    assert ann.compute(double(ln.ref("model", of=int))) == 4
    assert bob.compute(double(ln.ref("model", of=int))) == 8


def test_a_name_of_somebody_else_is_read_by_its_full_name(ann: ln.Session, bob: ln.Session) -> None:
    bob.tag(bob.materialize(double(2)), "prod/model")
    assert ann.dataset("user:bob/prod/model").value == 4
    assert ann.dataset("prod/model", namespace="user:bob").value == 4
    assert ann.compute(double(ln.ref("user:bob/prod/model", of=int))) == 8
    assert ann.compute(double(ln.ref("prod/model", of=int, namespace="user:bob"))) == 8


def test_a_foreign_name_is_an_error_that_says_whose_it_is_and_how_to_name_it(ann: ln.Session, bob: ln.Session) -> None:
    bob.tag(bob.materialize(double(2)), "prod/model")
    with pytest.raises(ForeignNameError, match=r"'user:bob/prod/model' \(given by bob on \d{4}-") as caught:
        ann.dataset("prod/model")
    assert caught.value.facts["owners"] == ["user:bob/prod/model"]
    with pytest.raises(ForeignNameError):
        ann.compute(double(ln.ref("prod/model", of=int)))


def test_a_mistyped_name_is_an_error_that_shows_what_looks_like_it(ann: ln.Session, bob: ln.Session) -> None:
    ann.tag(ann.materialize(double(1)), "prod/model")
    bob.tag(bob.materialize(double(1)), "prod/modem")
    with pytest.raises(UnknownNameError, match=r"did you mean 'prod/model' or 'user:bob/prod/modem'\?"):
        ann.dataset("prod/modle")
    with pytest.raises(UnknownNameError, match=r"lineage\.tag\(dataset, 'zzz'\)"):
        ann.dataset("zzz")
    with pytest.raises(UnknownNameError, match="no dataset of user:bob"):
        ann.dataset("user:bob/prod/model")


def test_a_session_writes_to_its_own_names_and_to_branches_of_its_project(ann: ln.Session, bob: ln.Session) -> None:
    with pytest.raises(CompositionError, match="writes to user:ann"):
        ann.tag(ann.materialize(double(1)), "user:bob/model")
    with pytest.raises(CompositionError, match="a name of flights:branch:prod"):
        ann.tag(ann.materialize(double(1)), "flights:branch:prod/model")
    ann.tag(ann.materialize(double(1)), "branch:prod/model")
    assert bob.dataset("branch:prod/model").value == 2


def test_people_share_the_names_of_a_branch(tmp_path: Path) -> None:
    with of(tmp_path, "ann", branch="test") as ann:
        ann.tag(ann.materialize(double(1)), "model")
    with of(tmp_path, "bob", branch="test") as bob:
        assert bob.dataset("model").value == 2
    with of(tmp_path, "bob", branch="new") as other, pytest.raises(ForeignNameError, match="branch:test/model"):
        other.dataset("model")


def test_projects_have_names_of_their_own(tmp_path: Path) -> None:
    with of(tmp_path, "ann", project="flights") as session:
        session.tag(session.materialize(double(1)), "model")
        assert session.dataset("user:ann/model").value == 2  # of this project
    with of(tmp_path, "ann") as session:
        with pytest.raises(ForeignNameError, match="'flights:user:ann/model'"):
            session.dataset("model")
        assert session.dataset("flights:user:ann/model").value == 2
        session.tag(session.materialize(double(5)), "model")
    with of(tmp_path, "ann", project="taxis") as session:
        assert session.dataset(":user:ann/model").value == 10


def test_a_session_may_read_the_names_of_others_and_still_write_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with of(tmp_path, "bob") as bob:
        bob.tag(bob.materialize(double(2)), "model")
    with of(tmp_path, "ann", namespace="user:bob") as ann:
        assert ann.compute(double(ln.ref("model", of=int))) == 8
        ann.tag(ann.materialize(double(1)), "model")
        assert ann.dataset("user:ann/model").value == 2
    monkeypatch.setenv("LINEAGE_NAMESPACE", "user:bob")
    with of(tmp_path, "ann") as ann:
        assert ann.dataset("model").value == 4


@pytest.mark.parametrize(
    "name",
    ["", "/", "a//b", " a", "a ", "/a", "a:b", "user:ann", "user:ann/", "team:x/a", "a:user:/b", "a\nb", "x" * 201],
)
def test_what_is_no_name_is_refused(ann: ln.Session, name: str) -> None:
    with pytest.raises(CompositionError, match="is no name"):
        ann.tag(ann.materialize(double(1)), name)
    with pytest.raises(CompositionError, match="is no name"):
        ann.dataset(name)


@pytest.mark.parametrize("who", ["ann", "feature/x", "a:b", "50%", "%2F", "DOMAIN\\ann"])
def test_any_user_branch_and_project_makes_a_namespace_that_reads_back(who: str) -> None:
    for space in (Namespace("user", who), Namespace("branch", "b", who), Namespace("branch", who, who)):
        assert full_name(f"{space.text}/model", Namespace("user", "me")) == (space, "model")


def test_a_name_from_before_there_were_namespaces_is_everybodys(tmp_path: Path) -> None:
    with of(tmp_path, "ann") as ann:
        ann.tag(ann.materialize(double(1)), "model")
    db = sqlite3.connect(tmp_path / "index.sqlite")
    db.execute("UPDATE tags SET name = 'model', user = NULL")
    db.commit()
    db.close()
    with of(tmp_path, "bob") as bob:
        assert bob.dataset("model").value == 2
        assert bob.compute(double(ln.ref("model", of=int))) == 4
        bob.tag(bob.materialize(double(2)), "model")
        assert bob.dataset("model").value == 4
    with of(tmp_path, "ann") as ann:
        assert ann.dataset("model").value == 2


# -- moving a name


def test_the_history_of_a_name_says_who_when_what_and_from_which_run(tmp_path: Path) -> None:
    with of(tmp_path, "ann", branch="prod") as session:
        session.tag(double(1), "model")
    with of(tmp_path, "bob", branch="prod") as session:
        session.tag(double(2), "model")
        history = ln.tags("model")
        runs = [session.dataset("model", back=back).origin.run for back in (0, 1)]  # type: ignore[union-attr]
        assert history.columns == ["name", "digest", "at", "user", "node", "run", "execution"]
        assert history["user"].to_list() == ["bob", "ann"]
        assert history["run"].to_list() == runs
        assert history["digest"].to_list() == [session.materialize(double(x)).digest.hex() for x in (2, 1)]
        assert set(history["name"]) == {"branch:prod/model"}
        assert history["at"].is_sorted(descending=True)
        assert history["at"].dtype.time_zone == "UTC"  # type: ignore[attr-defined]
        assert ln.tags()["node"].to_list() == ["double"]
        with pytest.raises(UnknownNameError):
            ln.tags("modle")


def test_a_table_of_no_tags_has_its_columns(ann: ln.Session) -> None:
    assert ln.tags().shape == (0, 7)


def test_a_name_is_promoted_and_rolled_back_by_moving_it(ann: ln.Session) -> None:
    ln.tag(double(1), "candidate")
    ln.tag(ln.dataset("candidate"), "branch:prod/model")
    ln.tag(double(2), "branch:prod/model")
    assert ln.dataset("branch:prod/model").value == 4
    ln.tag(ln.dataset("branch:prod/model", back=1), "branch:prod/model")
    assert ln.dataset("branch:prod/model").value == 2
    assert len(ln.tags("branch:prod/model")) == 3
    with pytest.raises(NotFoundError, match="moved 2 times"):
        ln.dataset("branch:prod/model", back=3)


def test_a_call_is_tagged_by_materialising_it_and_several_are_refused(ann: ln.Session) -> None:
    ln.tag(pair(3)[1], "second")
    assert ln.dataset("second").value == 6
    with pytest.raises(CompositionError, match="collection"):
        ln.tag([double(1), double(2)], "both")


# -- what a run reads


def test_a_name_is_an_input_that_is_recorded_with_name_and_digest(ann: ln.Session) -> None:
    handle = ln.materialize(double(3))
    ln.tag(handle, "model")
    origin = ln.materialize(add(ln.ref("model", of=int), 1)).origin
    assert origin is not None
    assert handle.origin is not None
    assert origin.arguments["x"] == {
        "digest": handle.digest.hex(),
        "from": [handle.origin.execution],
        "names": ["user:ann/model"],
    }


def test_a_field_of_what_a_name_leads_to_shows_the_name(ann: ln.Session) -> None:
    ln.tag(pair(3), "both")
    origin = ln.materialize(double(ln.ref("both", of=pair)[1])).origin
    assert origin is not None
    assert origin.arguments["x"]["names"] == ["user:ann/both"]


def test_two_names_of_equal_datasets_are_two_inputs_with_origins_of_their_own(ann: ln.Session) -> None:
    ln.tag(double(6), "one")
    ln.tag(add(5, 7), "other")
    origin = ln.materialize(add(ln.ref("one", of=int), ln.ref("other", of=int))).origin
    assert origin is not None
    made_by = [ln.dataset(name).origin.execution for name in ("one", "other")]  # type: ignore[union-attr]
    assert [origin.arguments[parameter]["from"] for parameter in "xy"] == [[number] for number in made_by]
    assert [origin.arguments[parameter]["names"] for parameter in "xy"] == [["user:ann/one"], ["user:ann/other"]]


def test_a_run_records_what_its_names_led_to_though_nothing_was_executed(ann: ln.Session) -> None:
    ln.tag(double(3), "model")
    call = double(ln.ref("model", of=int))
    ln.compute(call)
    ln.tag(double(4), "other")
    ln.compute(call)
    (run,) = ann.store.index.runs(1)
    handle = ln.dataset("model")
    assert handle.origin is not None
    assert run.counts == {"hit": 1}
    assert run.facts["names"] == {
        "user:ann/model": {"digest": handle.digest.hex(), "execution": handle.origin.execution}
    }


def test_two_runs_in_one_process_resolve_a_name_anew(ann: ln.Session, bob: ln.Session) -> None:
    call = double(ln.ref("branch:prod/model", of=int))
    ann.tag(double(1), "branch:prod/model")
    assert ann.compute(call) == 4
    bob.tag(bob.materialize(double(5)), "branch:prod/model")
    assert ann.compute(call) == 20


moves: list[ln.Session] = []


@ln.node(version="1")
def moved(x: int) -> int:
    """Move the name while the run goes on, as a colleague would."""
    session = moves.pop()
    session.store.index.tag("branch:prod/model", session.store.index.tags("user:bob/next")[0].record, None)
    session.store.index.flush()
    return x


@ln.dynamic
def reads_again(x: int) -> int:
    return add(x, ln.ref("branch:prod/model", of=int))


def test_a_name_that_is_moved_during_a_run_changes_nothing_that_the_run_reads(ann: ln.Session, bob: ln.Session) -> None:
    bob.tag(bob.materialize(double(500)), "next")
    ann.tag(double(1), "branch:prod/model")
    bob.close()
    moves.append(bob)
    first = moved(double(ln.ref("branch:prod/model", of=int)))
    assert ann.compute(reads_again(first)) == 4 + 2
    assert not moves
    assert ann.compute(double(ln.ref("branch:prod/model", of=int))) == 2000


def test_a_run_that_starts_over_reads_what_it_read_before(
    ann: ln.Session, bob: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob.tag(bob.materialize(double(500)), "next")
    ann.tag(double(1), "branch:prod/model")
    bob.close()
    moves.append(bob)
    look_up, seen = ann._look_up, []

    def interrupted(graph: object, tree: object) -> object:
        seen.append(graph)
        found = look_up(graph, tree)  # type: ignore[arg-type]
        if len(seen) == 1:
            moved.fn(1)
            raise __import__("lineage.engine", fromlist=["Replan"]).Replan
        return found

    monkeypatch.setattr(ann, "_look_up", interrupted)
    assert ann.compute(double(ln.ref("branch:prod/model", of=int))) == 4
    assert len(seen) == 2


# -- the latest of a node


def test_the_latest_of_a_node_is_ones_own(ann: ln.Session, bob: ln.Session) -> None:
    ann.compute(double(1))
    bob.compute(double(2))
    assert ann.dataset(double).value == 2
    assert ann.compute(add(ln.ref(double), 0)) == 2
    assert ann.dataset(double, namespace="user:bob").value == 4
    assert ann.compute(add(ln.ref(double, namespace="*"), 0)) == 4


def test_a_latest_that_only_others_have_is_an_error_that_says_whose(ann: ln.Session, bob: ln.Session) -> None:
    bob.compute(double(2))
    with pytest.raises(ForeignNameError, match=r"run 1 of user:bob.*namespace='user:bob'"):
        ann.dataset(double)
    with pytest.raises(NotFoundError, match="materialise one first"):
        ann.dataset(add)


def test_what_others_had_computed_is_ones_own_latest_once_a_run_was_handed_it(ann: ln.Session, bob: ln.Session) -> None:
    bob.compute(double(2))
    bob.compute(double(3))
    assert ann.compute(double(2)) == 4
    assert ann.dataset(double).value == 4


def other_double() -> ln.Node[[int], int]:
    @ln.node(name="double")
    def thrice(x: int) -> int:
        return 3 * x

    return thrice


def test_two_nodes_of_one_name_have_a_latest_each(ann: ln.Session) -> None:
    thrice = other_double()
    ln.compute(double(1), thrice(1))
    assert ln.compute(add(ln.ref(double), ln.ref(thrice))) == 5
    ln.tag(double(50), "latest double".replace(" ", "-"))
    assert json.loads(json.dumps(ann.store.index.tags()[0].name)) == "user:ann/latest-double"


def test_cached_results_of_a_name_are_hits(tmp_path: Path) -> None:
    log = EventLog()
    with ln.Session(tmp_path, on_event=log, user="ann") as session:
        session.tag(double(1), "model")
        session.compute(add(ln.ref("model", of=int), 1))
        log.clear()
        session.compute(add(ln.ref("model", of=int), 1))
        assert log.names() == ["hit add"]


def test_a_run_that_recalls_a_large_collection_records_its_names_too(tmp_path: Path) -> None:
    with of(tmp_path, "ann") as session:
        session.tag(double(1), "model")
        model = ln.ref("model", of=int)
        for _ in range(2):
            session.compute([add(model, x) for x in range(120)])
        (run,) = session.store.index.runs(1)
        assert run.counts == {"hit": 120}
        assert list(run.facts["names"]) == ["user:ann/model"]
