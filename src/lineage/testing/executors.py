"""What any executor must do, as a class of tests: what `Serial` does, for the same graph.

An executor's own test is its fixture:

    class TestMyExecutor(ExecutorContract):
        @pytest.fixture
        def executor(self):
            executor = MyExecutor()
            yield executor
            executor.close()

Every test runs a graph on the executor and on `Serial`, each with a store of its own, and compares what comes of it. `place`
is the folder in which stores are made; an executor whose workers see another folder overrides it.
"""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lineage.api import compute, materialize
from lineage.asking import calls, upstream
from lineage.combinators import attempt, ref
from lineage.errors import LineageError, MutationError, NodeError
from lineage.executors.serial import Serial
from lineage.files import File
from lineage.logs import logs
from lineage.mapping import map as map_
from lineage.node import node
from lineage.reduction import reduce as reduce_
from lineage.session import Session
from lineage.shards import scan
from lineage.testing import EventLog

__all__ = ["ExecutorContract"]

_MODULE, _STATE = "contract_nodes", "contract_state"
_NODES = Path(__file__).with_name("executor_nodes.py")

_OF_ONE = ("execution", "run", "started", "wall", "cpu", "memory", "executor", "host", "process", "arguments", "error")
"""What may differ between two executions of one call."""


class ExecutorContract:
    """The promises of `lineage.executors.base.Executor`, and that a graph gives the same everywhere. Override `executor`."""

    isolates = True
    """Whether what a call does to its process is unseen by later ones. `Serial` only refuses to record what saw it."""

    @pytest.fixture
    def executor(self) -> Any:
        raise NotImplementedError("return an executor without work")

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path

    @pytest.fixture
    def nodes(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        """The module of nodes, in a project of its own."""
        folder = place / "project"
        folder.mkdir(parents=True)
        shutil.copyfile(_NODES, folder / f"{_MODULE}.py")
        (folder / f"{_STATE}.py").write_text("SETTING = 5\n")
        monkeypatch.syspath_prepend(str(folder))
        _forget()
        yield importlib.import_module(_MODULE)
        _forget()

    @pytest.fixture
    def log(self) -> EventLog:
        return EventLog()

    @pytest.fixture
    def session(self, executor: Any, place: Path, log: EventLog) -> Iterator[Session]:
        with Session(place / "store", executors={"default": executor}, on_event=log, user="contract") as session:
            yield session

    @pytest.fixture
    def same(self, session: Session, place: Path) -> Callable[[Callable[[], Any]], Any]:
        """Materialise what a function composes on the executor and on `Serial`, check that they agree, and return the handle."""

        def run(make: Callable[[], Any]) -> Any:
            ours = materialize(make())
            rows, behind = _rows(), _rows(ours)
            with Session(place / "reference", executors={"default": Serial()}, user="contract"):
                theirs = materialize(make())
                assert theirs.digest == ours.digest
                assert (_rows(), _rows(theirs)) == (rows, behind)
            return ours

        return run

    # -- results

    def test_scalars_and_lists(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.total(map_(nodes.add, list(range(40)), y=3))).value == sum(range(40)) + 120

    def test_tables(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.sizes(nodes.table(1000))).value == {"rows": 1000, "names": ["i", "x", "s"]}

    def test_tables_read_lazily(self, same: Any, nodes: Any) -> None:
        same(lambda: nodes.lazily(scan(nodes.table(5000, 3))))

    def test_arrays(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.column_sum(nodes.array(100_000))).value == float(sum(range(100_000)))

    def test_float_sums_do_not_depend_on_threads(self, same: Any, nodes: Any) -> None:
        same(lambda: nodes.product(300))

    def test_instances_of_the_projects_classes(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.moved(nodes.point(3), by=4)).value == nodes.Point(7, 1.5)

    def test_files_that_a_node_writes(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.length(nodes.written("twelve chars"))).value == 12

    def test_declared_files(self, same: Any, nodes: Any, place: Path) -> None:
        (place / "input.txt").write_text("some text")
        assert same(lambda: nodes.file_length(File(place / "input.txt"))).value == 9

    def test_heavy_arguments_that_are_given(self, same: Any, nodes: Any) -> None:
        frame = nodes.table.fn(300)
        assert same(lambda: nodes.sizes(frame)).value["rows"] == 300

    def test_graphs_that_compose_as_they_run(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.countdown(9)).value == -1

    def test_merges_of_many_parts(self, same: Any, nodes: Any) -> None:
        assert same(lambda: reduce_(nodes.merge, map_(nodes.add, list(range(100))))).value == sum(range(1, 101))

    def test_closures_and_lambdas(self, same: Any, nodes: Any) -> None:
        factor = 7

        @node
        def scaled(x: int) -> int:
            return x * factor

        def with_offset(offset: int) -> Any:
            return node(lambda x: x + offset, name="offset")

        with_offset_of = with_offset(4)
        assert same(lambda: scaled(6)).value == 42
        assert compute(with_offset_of(1)) == 5

    def test_what_was_computed_is_found_again(self, session: Session, log: EventLog, nodes: Any) -> None:
        assert compute(nodes.total(map_(nodes.add, [1, 2, 3]))) == 9
        log.clear()
        assert compute(nodes.total(map_(nodes.add, [1, 2, 3]))) == 9
        assert log.count("executed") == 0
        assert compute(nodes.total(map_(nodes.add, [1, 2, 3, 4]))) == 14
        assert sorted(log.names()).count("executed add") == 1

    def test_a_name_is_an_input(self, session: Session, nodes: Any) -> None:
        first = materialize(nodes.table(10))
        session.tag(first, "contract/table")
        assert compute(nodes.sizes(ref("contract/table")))["rows"] == 10

    # -- failures

    def test_an_error_comes_back_as_it_was(self, same_failure: Any, nodes: Any) -> None:
        error = same_failure(lambda: nodes.fails(3))
        assert isinstance(error.__cause__, ValueError)
        assert str(error.__cause__) == "no 3"
        assert "about to fail with 3" in error.log
        assert 'raise ValueError(f"no {x}")' in error.traceback_text

    def test_an_error_that_does_not_survive_pickling_has_a_stand_in(self, same_failure: Any, nodes: Any) -> None:
        error = same_failure(lambda: nodes.fails_peculiarly(3))
        assert isinstance(error.__cause__, nodes.Peculiar)
        assert str(error.__cause__) == "peculiar 3"

    def test_a_result_of_another_type_is_refused(self, same_failure: Any, nodes: Any) -> None:
        same_failure(lambda: nodes.returns_wrong(1))

    def test_what_succeeded_beside_a_failure_is_kept(self, session: Session, log: EventLog, nodes: Any) -> None:
        with pytest.raises(NodeError, match="is even"):
            compute(map_(nodes.odd_only, list(range(12))))
        assert log.count("executed") == 6
        log.clear()
        assert compute(map_(nodes.odd_only, [1, 3, 5, 7, 9, 11])) == [1, 3, 5, 7, 9, 11]
        assert log.count("executed") == 0

    def test_a_failure_can_be_caught(self, same: Any, nodes: Any) -> None:
        found = same(lambda: [nodes.worth(attempt(nodes.odd_only)(x)) for x in (1, 2)][1])
        assert found.value == "failed: ValueError: 2 is even"

    def test_every_attempt_counts_and_is_recorded(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.third_time(10)).value == 13
        found = calls().filter(node="third_time").sort("attempt")
        assert found["attempt"].to_list() == [1, 2, 3]
        assert found["status"].to_list() == ["failed", "failed", "ok"]

    def test_a_timeout_counts_from_the_start_of_the_call(self, same_failure: Any, nodes: Any) -> None:
        error = same_failure(lambda: nodes.sleeps(5.0))
        assert isinstance(error.__cause__, TimeoutError)
        assert "going to sleep" in error.log

    def test_a_call_within_its_time_is_left_alone(self, same: Any, nodes: Any) -> None:
        assert same(lambda: nodes.sleeps(0.01)).value == 0.01

    # -- logs

    def test_what_is_printed_and_logged_is_kept(self, session: Session, nodes: Any) -> None:
        found = materialize(nodes.says(4))
        assert logs(found).splitlines() == [
            "to standard output 4",
            "to standard error",
            "WARNING contract: logged 4",
        ]

    # -- isolation

    def test_a_global_that_was_written_is_not_seen_by_other_calls(self, session: Session, nodes: Any) -> None:
        def asked() -> Any:
            written = map_(nodes.writes_setting, [7, 8, 9])
            return compute([nodes.reads_setting(x) for x in written])

        try:
            if self.isolates:
                assert asked() == [5, 5, 5]
            else:
                with pytest.raises(MutationError):
                    asked()
        finally:
            sys.modules[_STATE].SETTING = 5  # type: ignore[attr-defined]

    def test_a_node_that_keeps_what_it_reads_is_refused(self, session: Session, nodes: Any) -> None:
        for x in (1, 2):
            with pytest.raises(MutationError):
                compute(nodes.remembers(x))
            nodes.REMEMBERED.clear()

    def test_settings_of_the_process_are_not_seen_by_other_calls(self, session: Session, nodes: Any) -> None:
        if not self.isolates:
            pytest.skip("it shares its process with whoever asks")
        assert compute([nodes.is_upset(x) for x in map_(nodes.upsets, [1, 2, 3])]) == [[], [], []]

    def test_what_a_call_does_to_its_arguments_is_unseen(self, same: Any, nodes: Any) -> None:
        given = [1, 2, 3]
        assert same(lambda: nodes.spoils(map_(nodes.add, given))).value == 4
        assert same(lambda: nodes.total(map_(nodes.add, given))).value == 9

    # -- interruption

    def test_what_is_given_up_does_not_come_back(self, executor: Any, session: Session, nodes: Any) -> None:
        """A run that is interrupted leaves nothing in the executor."""

        def interrupt(verdict: str, *_: str) -> None:
            if verdict == "executed":
                raise KeyboardInterrupt

        session.on_event = interrupt
        with pytest.raises(KeyboardInterrupt):
            compute(map_(nodes.add, list(range(50))))
        session.on_event = None
        assert compute(nodes.total(map_(nodes.add, list(range(50))))) == sum(range(1, 51))

    @pytest.fixture
    def same_failure(self, session: Session, place: Path) -> Callable[[Callable[[], Any]], Any]:
        """Compute what a function composes on the executor and on `Serial`, check that they fail alike, and return the error."""

        def run(make: Callable[[], Any]) -> Any:
            ours = _failure(make)
            rows = _rows()
            with Session(place / "reference", executors={"default": Serial()}, user="contract"):
                theirs = _failure(make)
                assert _rows() == rows
            assert type(theirs) is type(ours)
            assert type(theirs.__cause__).__qualname__ == type(ours.__cause__).__qualname__
            assert str(theirs.__cause__) == str(ours.__cause__)
            assert theirs.facts.keys() == ours.facts.keys()
            assert theirs.log == ours.log
            assert theirs.call == ours.call
            return ours

        return run


def _forget() -> None:
    for name in (_MODULE, _STATE):
        sys.modules.pop(name, None)


def _failure(make: Callable[[], Any]) -> Any:
    with pytest.raises(LineageError) as caught:
        compute(make())
    return caught.value


def _rows(wanted: Any = None) -> list[dict[str, Any]]:
    """Return what is recorded of the calls in the store of now (of those behind `wanted`, if it is given), without what may
    differ between two executions of one call.
    """
    behind = upstream(wanted)["execution"] if wanted is not None else None
    frame = calls() if behind is None else calls().filter(calls()["execution"].is_in(behind.implode()))
    return sorted(frame.drop([name for name in _OF_ONE if name in frame.columns]).to_dicts(), key=str)
