"""Wiring that both checkers accept, and what they infer. Never run."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, TypedDict, assert_type

import attrs
import polars as pl

import lineage as ln


class Split(NamedTuple):
    train: pl.DataFrame
    test: pl.DataFrame


class Config(TypedDict):
    alpha: float


@attrs.frozen
class Model:
    slope: float

    @ln.node
    def predict(self, x: float) -> list[float]:
        return [self.slope * x]

    @staticmethod
    @ln.node
    def load(name: str) -> Model:
        return Model(1.0)


@ln.node
def double(x: int) -> int:
    return 2 * x


@ln.node(retries=3, timeout=60.0, compare="approx", every="1d", executor="gpu")
def scaled(x: int, factor: float, *, plus: int = 0) -> float:
    return x * factor + plus


@ln.node
def split(frame: pl.DataFrame, share: float = 0.5) -> Split:
    return Split(frame, frame)


@ln.node
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


@ln.node
def config(name: str) -> Config:
    return {"alpha": 1.0}


@ln.node
def numbers(n: int) -> list[int]:
    return list(range(n))


@ln.node
def table(n: int) -> pl.DataFrame:
    return pl.DataFrame()


@ln.node
def height(frame: pl.LazyFrame) -> int:
    return 1


@ln.node
def fit(frame: pl.DataFrame, settings: Config | None = None) -> Model:
    return Model(1.0)


@ln.dynamic
def until(x: int, limit: int) -> int:
    return x if x > limit else until(double(x), limit)


@ln.sink
def publish(model: Model, where: str) -> str:
    return where


@ln.node
def told(outcome: ln.Ok[float] | ln.Failed) -> str:
    return outcome.error if isinstance(outcome, ln.Failed) else str(outcome.value)


@ln.node
def add(a: int, b: int) -> int:
    return a + b


@ln.node
def add_scaled(a: int, b: int, scale: int) -> int:
    return a + b * scale


@ln.node
def either(a: int | None, b: int | None) -> int | None:
    return b if a is None else a


@ln.node
def stacked(parts: list[pl.DataFrame], limit: int = 3) -> pl.DataFrame:
    return pl.concat(parts)


@ln.node
def joined(parts: list[dict[str, int]]) -> dict[str, int]:
    return parts[0]


# calls are typed as their results
assert_type(double(1), int)
assert_type(double(double(1)), int)
assert_type(scaled(double(1), factor=2.0, plus=double(3)), float)
assert_type(until(double(1), 100), int)
assert_type(publish(fit(table(1)), "here"), str)
assert_type(double.fn(1), int)
assert_type(double.options(retries=3)(1), int)
assert_type(scaled.options(timeout=1.0, resources=ln.Resources(cpus=2.0))(1, 2.0), float)

# fields
assert_type(split(table(1)).train, pl.DataFrame)
assert_type(split(table(1))[1], pl.DataFrame)
assert_type(pair(1)[0], int)
assert_type(config("a")["alpha"], float)
assert_type(numbers(2)[0], int)
assert_type(fit(table(1)).slope, float)
first, second = pair(1)
assert_type(second, str)
assert_type(fit(split(table(1)).train, {"alpha": config("a")["alpha"]}), Model)

# methods
assert_type(Model(1.0).predict(2.0), list[float])
assert_type(fit(table(1)).predict(2.0), list[float])
assert_type(Model.predict(fit(table(1)), 2.0), list[float])
assert_type(Model.load("a"), Model)

# map, starmap, flatten
assert_type(ln.map(double, [1, 2]), list[int])
assert_type(ln.map(double, numbers(2)), list[int])
assert_type(ln.map(scaled, [1, 2], 2.0, plus=double(1)), list[float])
assert_type(ln.map(scaled, [1, 2], factor=2.0), list[float])
assert_type(ln.map(lambda n: height(ln.scan(table(n))), [1, 2]), list[int])
assert_type(ln.map(table, ln.map(double, [1])), list[pl.DataFrame])
assert_type(ln.flatten(ln.map(numbers, [1, 2])), list[int])
assert_type(ln.flatten([numbers(1), [2]]), list[int])
assert_type(ln.starmap(scaled, [(1, 2.0)]), list[float])
assert_type(ln.starmap(scaled, [(1, 2.0)], plus=3), list[float])
assert_type(ln.starmap(scaled, ln.zip(numbers(1), [1.0])), list[float])
assert_type(ln.starmap(lambda x, factor: scaled(x, factor), [(1, 2.0)]), list[float])
assert_type(ln.zip([1], ["a"]), list[tuple[int, str]])
assert_type(ln.zip(numbers(1), [1.0], ["a"]), list[tuple[int, float, str]])
assert_type(ln.map(lambda xs: ln.map(lambda n: table(n), xs), ln.map(numbers, [1])), list[list[pl.DataFrame]])

# reduce
assert_type(ln.reduce(add, numbers(1)), int)
assert_type(ln.reduce(add, [1], initial=double(1)), int)
assert_type(ln.reduce(functools.partial(add_scaled, scale=2), [1]), int)
assert_type(ln.reduce(stacked, ln.map(table, [1])), pl.DataFrame)
assert_type(ln.reduce(stacked.options(compare="unordered"), ln.map(table, [1])), pl.DataFrame)
assert_type(ln.reduce(joined, [{"a": 1}, {"b": 2}]), dict[str, int])
assert_type(ln.reduce(either, [1], initial=None), int | None)
assert_type(double(ln.reduce(add, [1, 2])), int)

# attempt
assert_type(ln.attempt(double)(1), ln.Ok[int] | ln.Failed)
assert_type(ln.map(ln.attempt(double), [1]), list[ln.Ok[int] | ln.Failed])
assert_type(told(ln.attempt(scaled)(1, 2.0)), str)

# tables
assert_type(ln.scan(table(1)), pl.LazyFrame)
assert_type(height(ln.scan(ln.map(table, [1]))), int)
assert_type(ln.view(table(1), pl.LazyFrame), pl.LazyFrame)
assert_type(ln.view(ln.map(table, [1]), pl.DataFrame), pl.DataFrame)
assert_type(ln.scan([], schema={"a": int}), pl.LazyFrame)
assert_type(ln.partition(table(1), by="a", rows=10), list[pl.DataFrame])
assert_type(ln.partition(ln.map(table, [1])), list[pl.DataFrame])
assert_type(ln.partition(ln.scan(table(1)), by=["a", "b"]), list[pl.LazyFrame])
assert_type(ln.shuffle(ln.map(table, [1]), by="a", into=4), list[pl.DataFrame])
assert_type(ln.shuffle(table(1), by="a"), list[pl.DataFrame])
assert_type(ln.map(fit, ln.shuffle(ln.map(table, [1]), by="a")), list[Model])
assert_type(ln.map(height, ln.shuffle([ln.scan(table(1))], by="a")), list[int])
assert_type(ln.materialize(ln.map(table, [1])).scan(), pl.LazyFrame)


# inputs
@ln.node
def lines(file: ln.File) -> int:
    return len(file.path.read_text().splitlines())


@ln.node
def members(folder: ln.Directory) -> int:
    return sum(1 for _ in folder.path.iterdir())


assert_type(ln.map(lines, ln.files("data/*.txt", storage_options={"anon": True})), list[int])
assert_type(ln.files(["a.txt", ln.File("s3://bucket/b.txt", snapshot=True)]), list[ln.File])
assert_type(lines(ln.File("a.txt", content_only=True)), int)
assert_type(members(ln.Directory("data", snapshot=True)), int)

# asking
assert_type(ln.compute(double(1)), int)
assert_type(ln.compute(double(1), pair(1)), tuple[int, tuple[int, str]])
assert_type(ln.compute(double(1), 2.0, "a"), tuple[int, float, str])
assert_type(ln.compute(ln.map(double, [1])), list[int])
assert_type(ln.compute(double(1), refresh=[double], executor="gpu"), int)
assert_type(ln.compute(double(1), on_failure="stop", retries=2, timeout=60, resources=ln.Resources(cpus=2)), int)
assert_type(ln.materialize(double(1)), ln.Dataset[int])
assert_type(ln.materialize(double(1), on_failure="stop"), ln.Dataset[int])
assert_type(
    ln.materialize(double(1), on_failure="continue", retries=1), ln.Dataset[int] | ln.Incomplete[int] | ln.Failed
)
assert_type(ln.materialize(double(1)).value, int)
assert_type(ln.materialize(split(table(1)).train), ln.Dataset[pl.DataFrame])
assert_type(ln.materialize(double(1), pair(1)), tuple[ln.Dataset[int], ln.Dataset[tuple[int, str]]])

parts = ln.materialize(ln.map(table, [1]))
assert_type(parts[0], ln.Dataset[pl.DataFrame])
assert_type([part.value for part in parts], list[pl.DataFrame])
assert_type(ln.materialize({"a": double(1)})["a"], ln.Dataset[int])

# references
assert_type(ln.ref(double), int)
assert_type(ln.ref("prod", of=Model), Model)
assert_type(ln.ref("prod", of=fit), Model)
assert_type(ln.ref(ln.materialize(double(1))), int)
untyped: Any = ln.ref("prod")
assert_type(ln.dataset(double), ln.Dataset[int])
assert_type(ln.dataset("prod", of=Model), ln.Dataset[Model])
assert_type(ln.dataset("prod", of=fit), ln.Dataset[Model])


def flow(n: int = 3) -> int:
    return double(n)


ln.main(flow)
