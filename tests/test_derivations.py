"""From which columns a column is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from lineage.derivations import Trace, traced

SCHEMAS = {
    "t": pl.Schema({"k": pl.Int64, "x": pl.Float64, "y": pl.Float64, "s": pl.String}),
    "u": pl.Schema({"k": pl.Int64, "z": pl.Float64}),
}
Given = dict[str, pl.LazyFrame]


def of(compose: Callable[[Given], Any]) -> Trace:
    return traced(compose, SCHEMAS)


def shown(trace: Trace) -> dict[str, list[str]]:
    assert trace.opaque is None
    return {
        name: [f"{source.parameter}.{source.column} {source.kind}" for source in sources]
        for name, sources in trace.columns.items()
    }


CASES: dict[str, tuple[Callable[[Given], Any], dict[str, list[str]]]] = {
    "a choice of columns": (lambda g: g["t"].select("x", b="s"), {"x": ["t.x value"], "b": ["t.s value"]}),
    "an expression": (lambda g: g["t"].select(c=pl.col("x") * pl.col("y")), {"c": ["t.x value", "t.y value"]}),
    "a literal": (
        lambda g: g["u"].with_columns(c=pl.lit(1)),
        {"k": ["u.k value"], "z": ["u.z value"], "c": []},
    ),
    "a literal as long as a column": (
        lambda g: g["t"].select("x", c=pl.lit(1)),
        {"x": ["t.x value"], "c": ["t.x value"]},
    ),
    "a position": (lambda g: g["t"].select(c=pl.nth(0), d=pl.nth(-1)), {"c": ["t.k value"], "d": ["t.s value"]}),
    "all columns": (
        lambda g: g["u"].select(c=pl.sum_horizontal(pl.all())),
        {"c": ["u.k value", "u.z value"]},
    ),
    "a filter": (
        lambda g: g["t"].filter(pl.col("s") == "a").select("x"),
        {"x": ["t.x value", "t.s rows"]},
    ),
    "a filter by the column itself": (lambda g: g["t"].filter(pl.col("x") > 0).select("x"), {"x": ["t.x either"]}),
    "groups": (
        lambda g: g["t"].group_by("k").agg(m=pl.col("x").mean(), n=pl.len()),
        {"k": ["t.k either"], "m": ["t.x value", "t.k rows"], "n": ["t.k either"]},
    ),
    "a join": (
        lambda g: g["t"].join(g["u"], on="k").select("s", "z"),
        {"s": ["t.s value", "t.k rows", "u.k rows"], "z": ["u.z value", "t.k rows", "u.k rows"]},
    ),
    "a window": (lambda g: g["t"].select(w=pl.col("x").sum().over("s")), {"w": ["t.x value", "t.s value"]}),
    "one column by a function of Python's": (
        lambda g: g["t"].select("k", f=pl.col("x").map_elements(lambda value: value, return_dtype=pl.Float64)),
        {"k": ["t.k value"], "f": ["t.x value"]},
    ),
    "two frames under one another": (
        lambda g: pl.concat([g["t"].select("k"), g["u"].select("k")]),
        {"k": ["t.k value", "u.k value"]},
    ),
    "a number of rows": (lambda g: g["t"].select(pl.len()), {"len": []}),
}


@pytest.mark.filterwarnings("ignore::polars.exceptions.PolarsInefficientMapWarning")
@pytest.mark.parametrize("name", CASES)
def test_columns_are_traced_through(name: str) -> None:
    compose, expected = CASES[name]
    assert shown(of(compose)) == expected


OPAQUE: dict[str, tuple[Callable[[Given], Any], str]] = {
    "map_batches": (lambda g: g["t"].map_batches(lambda frame: frame), "whole frame"),
    "a frame that is collected": (lambda g: g["t"].collect().lazy(), "collects"),
    "a table": (lambda g: pl.DataFrame({"a": [1]}), "returns a DataFrame"),
    "what needs rows": (lambda g: {"a": g}["x"], "KeyError"),
}


@pytest.mark.parametrize("name", OPAQUE)
def test_what_hides_its_columns_is_opaque(name: str) -> None:
    compose, reason = OPAQUE[name]
    found = of(compose)
    assert found.columns == {}
    assert found.opaque is not None
    assert reason in found.opaque


def test_an_empty_result_has_no_columns() -> None:
    assert of(lambda g: g["t"].select()).columns == {}
