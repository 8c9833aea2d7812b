"""Why calls ran, or would: the leaves that differ from the earlier call that is most alike."""

from __future__ import annotations

import importlib.util
import json
import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

import lineage as ln
from lineage import changes, nearest
from lineage.query.why import WHY

SOURCE = """
import lineage as ln
import polars as pl

LIMIT = 3
API_TOKEN = "a secret"

def helper(x: int) -> int:
    return x + LIMIT

@ln.node
def count(x: int) -> int:
    return helper(x)

@ln.node
def call(x: int) -> int:
    return x + len(API_TOKEN)
"""

Load = Callable[[str], Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a source as the module `pipeline`, in place of what was loaded before."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # of an edit in the same second it would be taken for current

    def load(text: str) -> Any:
        path = tmp_path / "pipeline.py"
        path.write_text(text)
        linecache.checkcache()
        spec = importlib.util.spec_from_file_location("pipeline", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "pipeline", module)
        spec.loader.exec_module(module)
        return module

    return load


@ln.node
def add(a: int, b: int) -> int:
    return a + b


@ln.node
def read(file: ln.File) -> pl.DataFrame:
    return pl.read_csv(file.path)


@ln.node
def height(table: pl.DataFrame, times: int = 1) -> int:
    return table.height * times


@ln.node
def half(x: int) -> float:
    return 1 / x


@ln.node
def chatty(x: int, manner: Annotated[str, ln.Unhashed]) -> int:
    return x


@ln.node
def joined(names: list[str]) -> str:
    return " ".join(names)


def lines(found: Any) -> list[str]:
    return [str(change) for call in found for change in call.changes]


def test_a_function_that_changed_is_shown_with_a_diff(session: ln.Session, load: Load) -> None:
    ln.compute(load(SOURCE).count(1))
    module = load(SOURCE.replace("x + LIMIT", "x - LIMIT"))
    for found in (ln.why(module.count(1)), (ln.compute(module.count(1)), ln.why(2))[1]):
        ((change,),) = [call.changes for call in found]
        assert (change.kind, change.name, str(change)) == ("function", "helper", "function helper changed")
        assert change.diff.splitlines()[-2:] == ["-    return x + LIMIT", "+    return x - LIMIT"]
        assert "    +    return x - LIMIT" in repr(found)


def test_a_constant_is_shown_with_both_values(session: ln.Session, load: Load) -> None:
    ln.compute(load(SOURCE).count(1))
    module = load(SOURCE.replace("LIMIT = 3", "LIMIT = 4"))
    assert lines(ln.why(module.count(1))) == ["constant LIMIT: 3 → 4"]
    assert [call.reason for call in ln.plan(module.count(1))] == ["constant LIMIT: 3 → 4"]


def test_a_secret_is_not_shown(session: ln.Session, load: Load) -> None:
    ln.compute(load(SOURCE).call(1))
    module = load(SOURCE.replace("a secret", "another"))
    assert lines(ln.why(module.call(1))) == ["constant API_TOKEN changed"]
    rows = session.store.index.ask("SELECT leaves FROM codes")
    assert not any("a secret" in row[0] for row in rows)


def test_an_argument_is_shown_with_both_values(session: ln.Session) -> None:
    ln.compute(add(1, 2))
    assert lines(ln.why(add(1, 3))) == ["argument b: 2 → 3"]
    ln.compute(add(1, 3))
    assert lines(ln.why(2)) == ["argument b: 2 → 3"]


def test_a_container_is_shown_as_python_writes_it(session: ln.Session) -> None:
    ln.compute(joined(["a", "b"]))
    assert lines(ln.why(joined(["a", "c"]))) == ["argument names: ['a', 'b'] → ['a', 'c']"]


def test_values_of_two_types_differ(session: ln.Session) -> None:
    assert changes.same_argument(1, 1)
    assert not changes.same_argument(1, True)
    assert not changes.same_argument(1, 1.0)


def test_the_nearest_is_not_merely_the_latest(session: ln.Session) -> None:
    ln.compute(add(1, 2))
    ln.compute(add(7, 8))
    (call,) = ln.why(add(1, 3))
    assert (call.before, call.run) == (1, 1)
    assert lines([call]) == ["argument b: 2 → 3"]


def test_among_many_the_nearest_is_found(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_CLOSE", 2)
    ln.compute(ln.map(lambda a: add(a, b=2), range(50)))
    ln.compute(ln.map(lambda a: add(a, b=3), range(100, 150)))
    (call,) = ln.why(add(10, 9))
    assert lines([call]) == ["argument b: 2 → 9"]


def test_each_call_of_a_map_is_compared_with_its_own_past(session: ln.Session, load: Load) -> None:
    ln.compute(ln.map(load(SOURCE).count, [1, 2, 3]))
    edited = SOURCE.replace("LIMIT = 3", "LIMIT = 4").replace("x + LIMIT", "x - LIMIT")
    ln.compute(ln.map(load(edited).count, [1, 2, 3]))
    assert [(call.before, lines([call])) for call in ln.why(2)] == [
        (before, ["function helper changed", "constant LIMIT: 3 → 4"]) for before in (1, 2, 3)
    ]


def test_a_file_whose_content_changed_and_the_columns_of_what_came_of_it(session: ln.Session, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    ln.compute(height(read(ln.File(path))))
    path.write_text("a,b\n1,2\n3,5\n")
    assert ln.why(height(read(ln.File(path)))).calls[1].remarks == ("input from read is decided anew",)
    handle = ln.materialize(height(read(ln.File(path))))
    assert lines(ln.why(handle)) == [
        f"file file has other content: {path}",
        "input table has other content: execution 1 of read → execution 3 of read",
        "column table.b has other values",
    ]


def test_columns_that_came_and_went_and_rows(session: ln.Session, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    ln.compute(height(read(ln.File(path))))
    path.write_text("a,c\n1,x\n1,y\n")
    ln.compute(height(read(ln.File(path))))
    assert lines(ln.why(2))[2:] == [
        "column table.a has other values",
        "column table.c is new",
        "column table.b is gone",
        "rows table: 1 → 2",
    ]


def test_a_package_is_shown_with_both_versions() -> None:
    before = changes.Code(json.dumps({"leaves": {"package polars 2.0.0": "a", "python 3.11": "p"}}))
    now = changes.Code(json.dumps({"leaves": {"package polars 2.1.0": "b", "python 3.12": "p"}}))
    assert [str(change) for change in changes.code_changes(before, now)] == [
        "package polars: 2.0.0 → 2.1.0",
        "python: 3.11 → 3.12",
    ]
    anew = changes.Code(json.dumps({"leaves": {"package polars 2.0.0": "b", "python 3.11": "p"}}))
    (change,) = changes.code_changes(before, anew)
    assert str(change) == "package polars 2.0.0 was installed anew, with other content"


def test_ignored_arguments_are_no_reason(session: ln.Session) -> None:
    ln.compute(chatty(1, "loud"))
    assert lines(ln.why(chatty(2, "quiet"))) == ["argument x: 1 → 2"]
    ln.compute(chatty(2, "quiet"))
    assert lines(ln.why(2)) == ["argument x: 1 → 2"]


def test_the_first_call_of_a_node_never_ran_before(session: ln.Session) -> None:
    assert ln.why(add(1, 2)).calls[0].remarks == ("never ran before",)
    ln.compute(add(1, 2))
    assert ln.why(add(1, 2)).calls[0].remarks == ("never ran before",)


def test_a_call_that_only_failed_says_so(session: ln.Session) -> None:
    with pytest.raises(ln.LineageError):
        ln.compute(half(0))
    assert ln.why(half(0)).calls[0].remarks == ("never succeeded before; execution 1 failed",)


def test_a_refreshed_call_has_nothing_that_differs(session: ln.Session) -> None:
    ln.compute(add(1, 2))
    ln.compute(add(1, 2), refresh=[add])
    (call,) = ln.why(2)
    assert call.changes == ()
    assert call.remarks == ("the same key: it was refreshed or forgotten, or its result was lost or out of date",)


def test_a_run_that_executed_nothing_has_no_reasons(session: ln.Session) -> None:
    ln.compute(add(1, 2))
    ln.compute(add(1, 2))
    assert len(ln.why(2)) == 0
    assert repr(ln.why(2)) == "run 2 executed nothing"


def test_reasons_are_plain_data(session: ln.Session) -> None:
    ln.compute(add(1, 2))
    ln.compute(add(1, 3))
    found = ln.why(2)
    assert json.loads(json.dumps(found.records()))[0]["changes"][0]["now"] == "3"
    assert json.loads(json.dumps(found.changes)) == [
        {"node": "add", "execution": 2, "before_execution": 1, "kind": "argument", "name": "b", "before": "2", "now": "3",
         "detail": "", "diff": ""}
    ]  # fmt: skip
    frame = found.frame()
    assert frame.columns == list(WHY)
    assert frame.select("call", "kind", "name", "was", "now").rows() == [("add(a=1, b=3)", "argument", "b", "2", "3")]


def test_the_reference_says_what_each_column_of_reasons_means() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    for column, (kind, meaning) in WHY.items():
        assert f"| `{column}` | {kind} | {meaning} |" in text
