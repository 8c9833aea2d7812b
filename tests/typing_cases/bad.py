# ruff: noqa: B018
"""Wiring that both checkers refuse: each marked line, and no other. Never run."""

from __future__ import annotations

import polars as pl
from good import (
    Model,
    Split,
    add,
    config,
    double,
    fit,
    height,
    numbers,
    pair,
    publish,
    scaled,
    split,
    stacked,
    table,
    told,
    until,
)

import lineage as ln

double("a")  # E: both
double()  # E: both
double(1, 2)  # E: both
double(y=1)  # E: both
double(table(1))  # E: both
scaled(double(1), factor="a")  # E: both
scaled(1, 2.0, pluss=1)  # E: both
scaled(1, 2.0, 3)  # E: both
until(double(1), "a")  # E: both
publish(double(1), "here")  # E: both
double.fn("a")  # E: both
double.options(retry=3)  # E: both
double.options(retries=3)("a")  # E: both
ln.node(retry=3)  # E: both
ln.node(3)  # E: both

split(table(1)).validation  # E: both
height(split(table(1)).train)  # E: both
double(pair(1)[1])  # E: both
config("a")["beta"]  # E: both
fit(table(1)).predict("a")  # E: both
Model(1.0).predict()  # E: both
Model.load(3)  # E: both
fit(table(1), {"alpha": "a"})  # E: both
fit(table(1), numbers(1))  # E: both

ln.map(double, ["a"])  # E: both
ln.map(scaled, [1], factor="a")  # E: both
ln.map(scaled, [1])  # E: both
ln.map(double, 3)  # E: both
height(ln.map(table, [1]))  # E: both
ln.starmap(scaled, [("a", 2.0)])  # E: both
ln.starmap(scaled, [(1,)])  # E: both
ln.zip([1], 3)  # E: both
ln.flatten([1, 2])  # E: both
ln.reduce(add, ["a"])  # E: both
ln.reduce(add, [1], initial="a")  # E: both
ln.reduce(stacked, [1])  # E: both
ln.reduce(height, [table(1)])  # E: both
height(ln.reduce(add, [1]))  # E: both
ln.attempt(double)("a")  # E: both
double(ln.attempt(double)(1))  # E: both
ln.attempt(double)(1).value  # E: both
told(ln.attempt(table)(1))  # E: both

computed: str = ln.compute(double(1))  # E: both
several: tuple[int, int] = ln.compute(double(1), pair(1))  # E: both
handle: ln.Dataset[str] = ln.materialize(double(1))  # E: both
ln.compute(double(1), on_failure="maybe")  # E: both
ln.compute(double(1), retrys=2)  # E: both
ln.materialize(double(1), on_failure="continue").value  # E: both
model: Model = ln.ref("prod", of=double)  # E: both
frame: pl.DataFrame = ln.dataset(split).value  # E: both
ln.scan(double(1))  # E: both
ln.scan([double(1)])  # E: both
ln.ref(3)  # E: both
parts: Split = ln.scan(table(1))  # E: both


@ln.node
def lines(file: ln.File) -> int:
    return len(file.path.read_text().splitlines())


lines("a.txt")  # E: both
lines(ln.Directory("data"))  # E: both
ln.map(lines, ["a.txt"])  # E: both
ln.Directory("data", content_only=True)  # E: both
