# ruff: noqa: UP007, UP045 (both spellings of a union are to be understood)
from __future__ import annotations

import collections.abc as abc
import datetime
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Protocol,
    SupportsInt,
    TypedDict,
    TypeVar,
    Union,
    runtime_checkable,
)

import attrs
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import lineage as ln
from lineage.errors import NodeError, WiringError
from lineage.wiring import check_value, misfit

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")
UserId = NewType("UserId", int)


class Predicts(Protocol):
    def predict(self, x: int) -> int: ...


@runtime_checkable
class HasX(Protocol):
    x: int


class Predictor:
    def predict(self, x: int) -> int:
        return x


@attrs.frozen
class WithX:
    x: int


class Config(TypedDict):
    alpha: int
    beta: NotRequired[str]


class Other(TypedDict):
    gamma: int


class Base: ...


class Sub(Base): ...


class Box(Generic[T]):
    def __repr__(self) -> str:
        return "Box()"

    def __init__(self, item: T) -> None:
        self.item = item


class Pair(NamedTuple):
    left: int
    right: str


Failure = ln.Failed

FITS: list[tuple[Any, Any]] = [
    # the numeric tower
    *[(bool, int), (int, float), (bool, float), (int, complex), (float, complex), (list[int], list[float])],
    (dict[str, list[int]], dict[str, abc.Sequence[float]]),
    # classes
    *[(Sub, Base), (int, object), (Sub, Any), (Any, Sub), (type[int], type), (UserId, int), (np.float64, float)],
    # unions
    *[(int, Optional[int]), (None, Optional[int]), (int, int | str), (int | str, str | int | None)],
    *[(Union[int, str], object), (dict[str, int] | None, dict | None), (list[int] | None, abc.Sequence[int] | None)],
    (ln.Ok[int] | Failure, ln.Ok[int] | Failure),
    (ln.Ok[Any] | Failure, ln.Ok[int] | Failure),
    # abstract collections
    *[(list[int], Sequence[int]), (list[int], Iterable[float]), (dict[str, int], Mapping[str, int])],
    *[(set[int], abc.Collection[int]), (frozenset[int], abc.Set[int]), (list[int], abc.Sized), (str, abc.Hashable)],
    *[(str, Sequence[str]), (str, Iterable[str]), (tuple[int, ...], Sequence[int]), (Pair, Sequence[Any])],
    *[(abc.Iterator[int], Iterable[int]), (abc.Iterator[int], Iterable[float])],
    (abc.Iterator[Annotated[int, "one"]], Iterable[Annotated[int, "other"]]),
    # bare generics and open types
    *[(list, list[int]), (list[int], list), (dict[str, int], dict), (Box[int], Box), (Box, Box[int])],
    *[(list[Any], list[int]), (list[int], list[Any]), (T, int), (int, T), (list[T], list[int])],  # type: ignore[valid-type]
    # tuples
    *[(tuple[int, str], tuple[int, str]), (tuple[int, int], tuple[int, ...]), (tuple[int, ...], tuple)],
    *[(tuple[()], tuple[()]), (tuple[()], tuple[int, ...]), (tuple[int, str], tuple[float, str]), (Pair, tuple)],
    # literals, typed dicts, protocols, callables
    *[(Literal[1, 2], int), (Literal["a"], Literal["a", "b"]), (Literal["a"], str)],
    *[(Config, Config), (Config, Mapping[str, object]), (dict, Config)],
    *[(Predictor, Predicts), (WithX, HasX), (int, SupportsInt)],
    *[(Callable[[int], int], Callable[[int], int]), (Callable[[int], int], Callable[..., Any])],
    (Callable, Callable[[int], int]),
    # marks
    *[(int, Annotated[int, "mark"]), (Annotated[int, "mark"], int)],
    (list[Annotated[int, "one"]], list[Annotated[int, "other"]]),
    # arrays
    *[(np.ndarray, npt.NDArray[np.float64]), (npt.NDArray[np.float64], np.ndarray)],
]

CLASHES: list[tuple[Any, Any]] = [
    *[(str, int), (float, int), (int, bool), (Base, Sub), (int, str), (complex, float)],
    *[(int | str, int), (Optional[int], int), (None, int), (int, None), (str, float | None)],
    *[(ln.Ok[int] | Failure, int), (ln.Ok[int] | Failure, ln.Ok[str] | Failure)],
    *[(list[str], list[int]), (list[int], dict[str, int]), (dict[str, int], dict[str, str]), (int, list[int])],
    *[(dict[str, int], Mapping[int, int]), (list[int], set[int]), (list[list[str]], list[list[int]])],
    *[(list[int | None], list[int]), (str, list[str]), (str, Sequence[int]), (Box[int], Box[str])],
    *[(tuple[int, str], tuple[str, int]), (tuple[int], tuple[int, int]), (tuple[()], tuple[int])],
    *[(tuple[int, ...], list[int]), (tuple[int, str], tuple[int, ...]), (Pair, list)],
    *[(Literal["c"], Literal["a", "b"]), (str, Literal["a"]), (Config, int), (int, Config), (Config, Other)],
    *[(WithX, Predicts), (Predictor, HasX), (Callable[[int], int], int), (int, Callable[[int], int])],
    *[(Annotated[str, "mark"], int), (list[Annotated[str, "one"]], list[Annotated[int, "other"]])],
    *[(pl.DataFrame, pl.LazyFrame), (np.ndarray, pl.DataFrame)],
]


@pytest.mark.parametrize(("producer", "parameter"), FITS, ids=map(str, range(len(FITS))))
def test_what_fits_is_let_through(producer: Any, parameter: Any) -> None:
    assert misfit(producer, parameter) is None


@pytest.mark.parametrize(("producer", "parameter"), CLASHES, ids=map(str, range(len(CLASHES))))
def test_what_can_not_fit_is_refused(producer: Any, parameter: Any) -> None:
    assert misfit(producer, parameter) is not None


VALUES_THAT_FIT: list[tuple[Any, Any]] = [
    *[(3, float), (True, int), (3, int | str), (None, Optional[int]), ("a", Literal["a", "b"])],
    *[([1, 2], list[float]), ((1, "a"), tuple[int, str]), ((), tuple[int, ...]), ({1}, abc.Set[int])],
    *[({"alpha": 1}, Config), ({"alpha": 1, "beta": "b"}, Config), ({"a": [1]}, Mapping[str, Sequence[int]])],
    *[(Predictor(), Predicts), (WithX(1), HasX), (len, Callable[..., int]), (3, Any), (3, T), (int, type[int])],
    *[(Pair(1, "a"), Pair), (Box(1), Box[int]), (3, Annotated[int, "mark"]), (UserId(3), UserId)],
    (np.zeros(2), npt.NDArray[np.float64]),
]

VALUES_THAT_CLASH: list[tuple[Any, Any, str]] = [
    (3, str, "str"),
    (3.5, int, "int"),
    ("a", Optional[int], "int"),
    ("c", Literal["a", "b"], "any of"),
    ([*range(100), "a"], list[int], "item 100"),
    ({**dict.fromkeys("abc", 1), "d": "x"}, dict[str, int], "'d'"),
    ({1, 2, "a"}, set[int], "set"),
    ((1, 2), tuple[int, str], "item 1"),
    ([[1], ["a"]], list[list[int]], "item 1|item 0"),
    ({"alpha": "a"}, Config, "alpha"),
    ({"beta": "b"}, Config, "alpha"),
    (WithX(1), Predicts, "predict"),
    (3, Callable[[int], int], "callable"),
    (3, Sequence[int], "sequence"),
]


@pytest.mark.parametrize(("value", "hint"), VALUES_THAT_FIT, ids=map(str, range(len(VALUES_THAT_FIT))))
def test_a_value_that_fits_is_let_through(value: Any, hint: Any) -> None:
    assert check_value(value, hint, "here") is None


@pytest.mark.parametrize(("value", "hint", "reason"), VALUES_THAT_CLASH, ids=map(str, range(len(VALUES_THAT_CLASH))))
def test_a_value_that_does_not_fit_is_refused_with_the_place(value: Any, hint: Any, reason: str) -> None:
    import re

    found = check_value(value, hint, "here")
    assert found is not None
    assert re.search(reason, found)


# -- through nodes


@ln.node
def tupled(pair: tuple[int, str]) -> int:
    return pair[0]


@ln.node
def number(x: int) -> int:
    return x


@ln.node
def text(x: int) -> str:
    return str(x)


@ln.node
def maybe(x: int) -> int | None:
    return x


@ln.node
def total(xs: list[int], by: Mapping[str, Sequence[int]] | None = None) -> int:
    return sum(xs)


@ln.node
def settled(config: Config, at: Pair | None = None) -> int:
    return config["alpha"]


@ln.node
def lived(x: WithX, y: Literal["a", "b"] = "a") -> int:
    return x.x


loose: Any = sys.modules[__name__]
"""These nodes, as a type checker that is switched off would see them."""


def test_the_message_names_both_ends() -> None:
    with pytest.raises(WiringError) as caught:
        number(text(1))  # type: ignore[arg-type]
    assert str(caught.value) == "number(): parameter `x: int` was given `text(x=1)` -> str: str is not int"
    assert (caught.value.node, caught.value.parameter) == ("number", "x")  # type: ignore[attr-defined]


def test_a_literal_is_named_with_its_type() -> None:
    with pytest.raises(WiringError, match=r"number\(\): parameter `x: int` was given 'a' \(str\): "):
        number("a")  # type: ignore[arg-type]


def test_a_literal_that_fitted_says_nothing_of_others_of_its_type() -> None:
    lived(WithX(1), "a")
    with pytest.raises(WiringError, match=r"parameter `y: Literal\['a', 'b'\]` was given 'c'"):
        lived(WithX(1), "c")  # type: ignore[arg-type]


def test_what_may_be_none_says_so() -> None:
    with pytest.raises(WiringError, match="it may be None, which a node must deal with"):
        number(maybe(1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("compose", "place"),
    [
        (lambda: loose.total([loose.number(1), loose.text(2)]), r"`text\(x=2\)` -> str: str is not int \(at \[1\]\)"),
        (lambda: loose.total([loose.number(1), "a"]), r"'a' \(str\).*\(at \[1\]\)"),
        (lambda: loose.total([loose.number(1)], {"a": [loose.text(1)]}), r"\(at \[0\]\) \(at \['a'\]\)"),
        (
            lambda: loose.total([loose.number(1)], {loose.number(1): [1]}),
            r"`number\(x=1\)` -> int: int is not str \(at key",
        ),
        (lambda: loose.total((loose.number(1),)), r"tuple is not list\[int\]"),
        (lambda: loose.total({loose.number(1)}), r"set is not list\[int\]"),
        (lambda: loose.settled({"alpha": loose.text(1)}), r"\(at \['alpha'\]\)"),
        (lambda: loose.settled({"alpha": loose.number(1), "delta": 1}), r"\(at \['delta'\]\)"),
        (lambda: loose.settled({"beta": loose.text(1)}), "it has no 'alpha'"),
        (lambda: loose.tupled((loose.number(1),)), "it has 1 items of 2"),
        (lambda: loose.tupled((loose.number(1), loose.text(1), 3)), r"no place \(at \[2\]\)"),
        (lambda: loose.tupled((loose.number(1), loose.text(1), loose.number(2))), r"no place|is not Never"),
        (lambda: loose.settled({"alpha": 1}, Pair(loose.text(1), "a")), r"str is not int \(at \.left\)"),
        (lambda: loose.lived(WithX(loose.text(1))), r"str is not int \(at \.x\)"),
        (lambda: loose.lived(Pair(loose.number(1), "a")), "Pair is not WithX"),
        (lambda: loose.lived(WithX(1), loose.text(1)), "str is not"),
    ],
)
def test_containers_that_hold_calls_are_checked_item_by_item(compose: Any, place: str) -> None:
    with pytest.raises(WiringError, match=place):
        compose()


def test_containers_that_hold_fitting_calls_are_let_through(session: ln.Session) -> None:
    assert ln.compute(total([number(1), 2], {"a": [number(1)], "b": (1, number(2))})) == 3
    assert ln.compute(settled({"alpha": number(1)}, Pair(number(1), text(2)))) == 1
    assert ln.compute(lived(WithX(number(1)))) == 1


def test_forward_references_and_names_for_checkers_only_are_let_be(session: ln.Session) -> None:
    @ln.node
    def later(x: Later, y: Decimal) -> Later:
        return x

    with pytest.raises(WiringError, match="parameter `x: Later` was given 3"):
        later(3, "anything")  # type: ignore[arg-type]
    assert ln.compute(later(Later(1), 2)).n == 1  # type: ignore[arg-type]


@attrs.frozen
class Later:
    n: int


def test_names_of_an_enclosing_function_are_resolved() -> None:
    class Local: ...

    @ln.node
    def wants(x: Local) -> Local:
        return x

    with pytest.raises(WiringError, match=r"Local` was given 3"):
        wants(3)  # type: ignore[arg-type]


def test_dates_and_datetimes_are_classes_like_any_other() -> None:
    @ln.node
    def day(x: datetime.date) -> int:
        return x.day

    day(datetime.date(2013, 1, 1))
    with pytest.raises(WiringError):
        day("2013-01-01")  # type: ignore[arg-type]


def test_a_result_is_checked_when_it_comes_back(session: ln.Session) -> None:
    @ln.node
    def lies(x: int) -> list[int]:
        return [1, "a"]  # type: ignore[list-item]

    with pytest.raises(NodeError, match=r"lies returned something else than it declares: item 1 of list"):
        ln.compute(lies(1))


def test_an_undeclared_parameter_takes_anything(session: ln.Session) -> None:
    @ln.node
    def free(x, y=2):  # type: ignore[no-untyped-def]
        return [x, y]

    assert ln.compute(free(text(1), number(2))) == ["1", 2]


def test_composing_imports_no_checker_for_plain_arguments(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(
        "import sys\nimport lineage as ln\n@ln.node\ndef f(x: int) -> int:\n    return x\nf(f(1))\n"
        "print([name for name in ('beartype', 'typeguard', 'polars', 'numpy') if name in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert result.stdout == "[]\n"
