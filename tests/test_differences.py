"""Where two values differ first."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import attrs
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lineage.differences import Difference, first_difference


class Point(NamedTuple):
    x: float
    y: float


@attrs.frozen
class Model:
    name: str
    weights: list[float]


CASES: list[tuple[Any, Any, Difference]] = [
    (1, 2, Difference("", "1", "2")),
    (1, 1.0, Difference("", "1 (int)", "1.0 (float)")),
    (0.0, -0.0, Difference("", "0.0", "-0.0")),
    ([1, 2, 3], [1, 5, 6], Difference("[1]", "2", "5")),
    ([1, 2], [1], Difference("", "2 items", "1 items")),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, Difference("", "key 'a'", "key 'b'")),
    ({"a": 1}, {"a": 1, "b": 2}, Difference("", "nothing", "key 'b'")),
    ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, Difference("['a']['b'][1]", "2", "3")),
    ({1, 2}, {1, 3}, Difference("", "2", "3")),
    (Point(1, 2), Point(1, 3), Difference(".y", "2", "3")),
    (Model("m", [1.0, 2.0]), Model("m", [1.0, 2.5]), Difference(".weights[1]", "2.0", "2.5")),
    (np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]]), Difference("[1, 1]", "4", "5")),
    (np.zeros(2), np.zeros(3), Difference("", "float64 of shape (2,)", "float64 of shape (3,)")),
    (np.array([0.0]), np.array([-0.0]), Difference("[0]", "0.0", "-0.0")),
    (
        pl.DataFrame({"a": [1, 2, 3], "b": [0.5, None, 2.0]}),
        pl.DataFrame({"a": [1, 2, 4], "b": [0.5, 1.0, 2.0]}),
        Difference("", "None", "1.0", "b", 1),
    ),
    (pl.DataFrame({"a": [0.0]}), pl.DataFrame({"a": [-0.0]}), Difference("", "0.0", "-0.0", "a", 0)),
    (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1, 2]}), Difference("", "1 rows", "2 rows")),
    (
        pl.DataFrame({"a": [1]}),
        pl.DataFrame({"a": ["1"]}),
        Difference("", "column 'a' of Int64", "column 'a' of String"),
    ),
    ([pl.DataFrame({"a": [1]}).lazy()], [pl.DataFrame({"a": [2]}).lazy()], Difference("[0]", "1", "2", "a", 0)),
    (pa.table({"a": [1]}), pa.table({"a": [2]}), Difference("", "1", "2", "a", 0)),
    (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]}), Difference("", "2", "3", "a", 1)),
    (pl.Series("a", [1, 2]), pl.Series("a", [1, 3]), Difference("", "2", "3", "a", 1)),
]


@pytest.mark.parametrize(("one", "other", "expected"), CASES, ids=range(len(CASES)))
def test_the_first_difference_is_found(one: Any, other: Any, expected: Difference) -> None:
    assert first_difference(one, other) == expected
    assert first_difference(one, one) is None


@pytest.mark.parametrize("same", [math.nan, np.array([math.nan]), pl.DataFrame({"a": [math.nan, None]}), [], {}, {1}])
def test_equal_values_show_no_difference(same: Any) -> None:
    assert first_difference(same, same) is None


def test_a_difference_reads_as_a_sentence() -> None:
    assert str(Difference("['a']", "1", "2", "b", 3)) == "at ['a'], column 'b', row 3: 1 and 2"


def test_deep_values_are_no_trouble() -> None:
    one: Any = 1
    other: Any = 2
    for _ in range(5000):
        one, other = [one], [other]
    found = first_difference(one, other)
    assert found is not None
    assert (found.one, found.other) == ("1", "2")
