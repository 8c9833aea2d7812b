"""What differs between runs, tables, models and values; and the code that made something."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import Ridge
from sklearn.tree import DecisionTreeRegressor

import lineage as ln
from lineage.errors import CompositionError, NotFoundError
from lineage.query.diff import _equal_columns
from lineage.query.differences import DIFF

BY = 2


@ln.node
def table(n: int, shift: int = 0) -> pl.DataFrame:
    return pl.DataFrame({"id": range(n), "x": [value + shift for value in range(n)], "s": ["a"] * n})


def scaled(x: int) -> int:
    return x * BY


@ln.node
def scale(x: int) -> int:
    return scaled(x)


@ln.node
def add(a: int, b: int) -> int:
    return a + b


@ln.node(version="3")
def vouched(x: int) -> int:
    return x + 1


class Point(NamedTuple):
    x: int
    y: list[int]


@attrs.frozen
class Settings:
    rate: float
    points: list[Point]


def lines(found: Any) -> list[str]:
    return [str(difference) for difference in found]


# -- values


def test_values_are_compared_place_by_place() -> None:
    a = Settings(0.5, [Point(1, [2, 3])])
    b = Settings(0.75, [Point(1, [2, 4, 5])])
    assert lines(ln.diff(a, b)) == [
        "value .rate: 0.5 → 0.75 (by +0.25)",
        "value .points[0].y[1]: 3 → 4",
        "value .points[0].y[2]: only in b: 5",
    ]
    assert not ln.diff(a, Settings(0.5, [Point(1, [2, 3])]))


def test_types_count() -> None:
    assert lines(ln.diff(1, True)) == ["value: 1 → True (int → bool)"]
    assert lines(ln.diff([1], (1,))) == ["value: [1] → (1,) (list → tuple)"]
    assert lines(ln.diff({"a": None}, {"a": None, "b": None})) == ["value ['b']: only in b: None"]


def test_values_of_libraries_are_compared_as_they_are() -> None:
    assert not ln.diff(datetime(2024, 1, 1), datetime(2024, 1, 1))
    assert lines(ln.diff(Path("a"), Path("b"))) == ["value: PosixPath('a') → PosixPath('b')"]


def test_arrays_say_how_much_differs() -> None:
    a, b = np.array([1.0, np.nan, 3.0]), np.array([1.0, np.nan, 3.5])
    assert lines(ln.diff(a, b)) == [
        "value: ndarray of 3 float64 → ndarray of 3 float64 (1 of 3 items differ, by up to 0.5)"
    ]
    assert not ln.diff(a, a.copy())


def test_a_value_that_holds_itself_and_a_deep_one_are_compared() -> None:
    one: list[Any] = [1]
    other: list[Any] = [2]
    one.append(one)
    other.append(other)
    assert lines(ln.diff(one, other)) == ["value [0]: 1 → 2"]
    deep, deeper = [1], [2]
    for _ in range(5000):
        deep, deeper = [deep], [deeper]  # type: ignore[list-item]
    assert len(ln.diff(deep, deeper)) == 1


def test_very_many_differences_are_cut_off() -> None:
    found = ln.diff(list(range(3000)), list(range(1, 3001)))
    assert len(found) == 1001
    assert "more than 1,000 places differ" in lines(found)[-1]


# -- models


def test_models_differ_by_parameters_and_fitted_state() -> None:
    x = np.arange(10.0).reshape(-1, 1)
    a, b = Ridge(alpha=1.0).fit(x, x[:, 0]), Ridge(alpha=2.0).fit(x, x[:, 0])
    found = ln.diff(a, b)
    assert lines(found)[0] == "parameter .alpha: 1.0 → 2.0 (by +1)"
    assert [(one.what, one.name) for one in found if one.what == "attribute"] == [
        ("attribute", ".coef_"),
        ("attribute", ".intercept_"),
    ]
    assert not ln.diff(a, Ridge(alpha=1.0).fit(x, x[:, 0]))


def test_compiled_state_of_a_model_is_seen() -> None:
    x = np.arange(10.0).reshape(-1, 1)
    a, b = (DecisionTreeRegressor(random_state=0).fit(x, y) for y in (x[:, 0], x[:, 0] ** 2))
    found = ln.diff(a, b)
    assert any(one.name.startswith(".tree_") for one in found)
    assert not any(one.what == "parameter" for one in found)


# -- tables


def test_tables_differ_by_schema_rows_columns_and_statistics() -> None:
    a = pl.DataFrame({"x": [1, 2], "gone": [1, 1], "t": [1, 2], "same": ["a", "b"]})
    b = pl.DataFrame({"x": [1, 5], "t": [1.0, 2.0], "same": ["a", "b"], "new": [0, 0]})
    found = ln.diff(a, b)
    assert lines(found) == [
        "schema gone: only in a: Int64",
        "schema t: Int64 → Float64",
        "schema new: only in b: Int64",
        "column x: 1 of 2 values differ, row by row",
        "statistic max of x: 2 → 5",
        "statistic mean of x: 1.5 → 3.0",
        "statistic std of x: 0.7071067811865476 → 2.8284271247461903",
        "column t: has other values",
        *lines(found)[8:],
    ]
    assert found.added is None  # rows of other types are not compared


def test_without_a_key_rows_are_counted() -> None:
    a = pl.DataFrame({"x": [1, 1, 2, None], "y": [0, 0, 0, 0]})
    b = pl.DataFrame({"x": [1, 2, 2, None], "y": [0, 0, 0, 0]})
    found = ln.diff(a, b)
    assert found.added is not None
    assert found.removed is not None
    assert found.added.rows() == [(2, 0)]
    assert found.removed.rows() == [(1, 0)]
    assert not ln.diff(a, a.clone())


def test_with_a_key_rows_are_added_removed_and_changed() -> None:
    a = pl.DataFrame({"id": [1, 2, 3, None], "x": [1.0, 2.0, None, float("nan")], "s": ["a", "b", "c", "d"]})
    b = pl.DataFrame({"s": ["y", "c", "z", "e"], "id": [None, 3, 2, 4], "x": [float("nan"), 3.0, 2.0, 9.0]})
    found = ln.diff(a, b, on="id")
    assert found.added is not None
    assert found.removed is not None
    assert found.changed is not None
    assert found.added["id"].to_list() == [4]
    assert found.removed["id"].to_list() == [1]
    assert found.changed.rows() == [(3, "x", "None", "3.0"), (2, "s", "'b'", "'z'"), (None, "s", "'d'", "'y'")]
    assert "rows changed: 3" in lines(found)


def test_a_key_must_be_there_and_come_once() -> None:
    a = pl.DataFrame({"id": [1, 1], "x": [1, 2]})
    with pytest.raises(CompositionError, match=r"the key id comes 2 times in a: \(1,\)"):
        ln.diff(a, a, on="id")
    with pytest.raises(CompositionError, match="a has no column k for a key; its columns are id, x"):
        ln.diff(a, a, on=["k"])


def test_tables_of_other_libraries_are_tables() -> None:
    a, b = pd.DataFrame({"x": [1, 2]}), pa.table({"x": [1, 3]})
    assert "column x: 1 of 2 values differ, row by row" in lines(ln.diff(a, b))


def test_datasets_are_compared_with_what_made_them(session: ln.Session) -> None:
    a, b = ln.materialize(table(3), table(3, shift=1))
    found = ln.diff(a, b, on="id")
    assert "column x: 3 of 3 values differ" in lines(found)
    assert lines(found)[-1] == "argument shift: 0 → 1"
    assert found.title.startswith("a: <Dataset")
    assert not ln.diff(a, table(3))
    ln.tag(a, "first")
    assert lines(ln.diff("first", b.digest.hex()[:12], on="id")) == lines(found)


def test_columns_of_equal_digest_are_not_read(session: ln.Session) -> None:
    a, b = ln.materialize(table(3), table(3, shift=1))
    found = ln.diff(a, b)
    assert [one.name for one in found if one.what == "column"] == ["x"]
    assert _equal_columns(a, b) == {"id", "s"}


def test_values_of_datasets_and_plain_values_are_compared(session: ln.Session) -> None:
    handle = ln.materialize(add(1, 2))
    assert lines(ln.diff(handle, 4)) == ["value: 3 → 4"]
    assert lines(ln.diff("text", "other")) == ["value: 'text' → 'other'"]
    assert lines(ln.diff(add(1, 2), ln.materialize(add(1, 5)))) == ["value: 3 → 6", "argument b: 2 → 5"]


# -- runs


def test_asking_for_a_difference_records_no_run(session: ln.Session) -> None:
    ln.compute(add(1, 2), add(1, 5))
    assert ln.diff(add(1, 2), add(1, 5))
    assert ln.runs().height == 1


def test_runs_differ_by_calls_and_why(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    ln.compute(add(scale(1), scale(5)))
    ln.compute(add(scale(1), scale(6)))
    found = ln.diff(1, 2)
    assert found.title == "Runs 1 and 2: 1 calls answered by the same executions"
    assert [(one.what, one.name, one.detail) for one in found] == [
        ("call", "scale", "argument x: 5 → 6"),
        ("call", "add", "input b has other content: execution 2 of scale → execution 4 of scale"),
    ]
    assert (found.differences[0].a, found.differences[0].b) == ("execution 2: scale(x=5)", "execution 4: scale(x=6)")
    assert not ln.diff(1, 1)
    ln.compute(scale(1))
    assert [line.partition(": ")[2][:9] for line in lines(ln.diff(1, 3))] == ["only in a"] * 2
    with pytest.raises(NotFoundError, match="there is no run 9"):
        ln.diff(1, 9)


def test_facts_of_runs_that_differ(session: ln.Session) -> None:
    ln.compute(scale(1))
    session.user = "somebody"
    ln.compute(scale(1))
    assert [(one.what, one.name, one.b) for one in ln.diff(1, 2)] == [("fact", "user", "somebody")]


def test_differences_are_plain_data(session: ln.Session) -> None:
    found = ln.diff({"a": 1}, {"a": 2})
    assert json.loads(json.dumps(found.records())) == [
        {"what": "value", "name": "['a']", "a": "1", "b": "2", "detail": ""}
    ]
    assert found.frame().columns == list(DIFF)
    assert repr(ln.diff("a", "a")).endswith("no difference")


# -- source


def test_source_is_what_made_a_dataset_and_not_what_is_there_now(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = ln.materialize(scale(3))
    monkeypatch.setattr("lineage.testing.unused", 1, raising=False)
    found = ln.source(handle)
    assert list(found.parts) == ["function scale", "function scaled", "constant BY"]
    assert "BY = 2" in str(found)
    assert str(found).index("def scaled") < str(found).index("def scale(")
    assert str(ln.source(scale)) == str(ln.source("node:scale")) == str(found)
    monkeypatch.setitem(globals(), "BY", 5)
    assert "BY = 5" in str(ln.source(scale))
    assert "BY = 2" in str(ln.source(handle))
    assert json.loads(json.dumps(found.record()))["python"].startswith("3.")


def test_source_of_a_node_with_a_version_is_its_function(session: ln.Session) -> None:
    assert "return x + 1" in str(ln.source(ln.materialize(vouched(1))))


def test_source_lists_packages(session: ln.Session) -> None:
    assert ln.source(ln.materialize(table(1))).packages["polars"] == pl.__version__


def test_the_reference_says_what_each_column_of_differences_means() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    for column, (kind, meaning) in DIFF.items():
        assert f"| `{column}` | {kind} | {meaning} |" in text
