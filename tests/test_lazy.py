"""A lazy never passes for a value: one test per way in which somebody tries."""

from __future__ import annotations

import asyncio
import collections
import copy
import json
import math
import operator
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

import lineage as ln
from lineage.errors import LazyValueError, WiringError


class Split(NamedTuple):
    train: list[int]
    test: list[int]


@ln.node
def number(x: int) -> int:
    return x


@ln.node
def table(x: int) -> pl.DataFrame:
    return pl.DataFrame({"a": [x]})


@ln.node
def numbers(n: int) -> list[int]:
    return list(range(n))


@ln.node
def split(n: int) -> Split:
    return Split([n], [])


@ln.node
def consume(x: Any) -> str:
    return repr(x)


call: Any = number(1)

BRANCH = "used as a condition.*Branch in a node, or in a function declared with @lineage.dynamic"
MEASURE = r"iterated or measured.*lineage\.map\(f, items\) in place of \[f\(item\) for item in items\]"
NUMBER = "used as a number.*in a node"
TEXT = r"lineage\.compute\(\.\.\.\), or put the expression in a node"
COMPARE = "compared with a value.*in a node"
ARRAY = "turned into an array.*in a node"
PATH = "used as a path.*in a node"
CHANGE = "was changed.*return a changed copy from a node"
COPY = "copied or pickled.*materialise it"

USES: dict[str, tuple[Callable[[], Any], str]] = {
    "truth": (lambda: bool(call), BRANCH),
    "if": (lambda: 1 if call else 2, BRANCH),
    "not": (lambda: not call, BRANCH),
    "and": (lambda: call and 1, BRANCH),
    "any": (lambda: any([call]), BRANCH),
    "filter": (lambda: list(filter(None, [call])), BRANCH),
    "len": (lambda: len(call), MEASURE),
    "for": (lambda: [x for x in call], MEASURE),  # noqa: C416
    "list": (lambda: list(call), MEASURE),
    "unpacking": (lambda: operator.setitem({}, 0, [*call]), MEASURE),
    "zip": (lambda: list(zip(call, [1], strict=False)), MEASURE),
    "reversed": (lambda: reversed(call), MEASURE),
    "dict": (lambda: dict(call), MEASURE),
    "list.extend": (lambda: [].extend(call), MEASURE),
    "in it": (lambda: 1 in call, "searched with `in`.*in a node"),
    "f-string": (lambda: f"{call}", "formatted as text.*" + TEXT),
    "f-string with a format": (lambda: f"{call:.2f}", "formatted as text.*" + TEXT),
    "str.format": (lambda: "{}".format(call), "formatted as text.*" + TEXT),  # noqa: UP032
    "text +": (lambda: "a" + call, "joined to text.*" + TEXT),
    "+ text": (lambda: call + "a", "joined to text.*" + TEXT),
    "bytes": (lambda: bytes(call), "formatted as text.*" + TEXT),
    "== 3": (lambda: call == 3, COMPARE),
    "!= 3": (lambda: call != 3, COMPARE),
    "3 ==": (lambda: call == 3, COMPARE),
    "<": (lambda: call < 3, COMPARE),
    "sorted": (lambda: sorted([call, number(2)]), COMPARE),
    "max": (lambda: max(1, call), COMPARE),
    "in a list of values": (lambda: call in [1, 2], COMPARE),
    "match a literal": (lambda: _matched_literal(call), COMPARE),
    "+": (lambda: call + 1, NUMBER),
    "1 +": (lambda: 1 + call, NUMBER),
    "+=": (lambda: _added(call), NUMBER),
    "-": (lambda: -call, NUMBER),
    "**": (lambda: 2**call, NUMBER),
    "divmod": (lambda: divmod(call, 2), NUMBER),
    "@": (lambda: call @ call, NUMBER),
    "|": (lambda: call | 1, NUMBER),
    "sum": (lambda: sum([call]), NUMBER),
    "abs": (lambda: abs(call), NUMBER),
    "round": (lambda: round(call, 2), NUMBER),
    "int": (lambda: int(call), NUMBER),
    "float": (lambda: float(call), NUMBER),
    "complex": (lambda: complex(call), NUMBER),
    "math": (lambda: math.sqrt(call), NUMBER),
    "floor": (lambda: math.floor(call), NUMBER),
    "range": (lambda: range(call), NUMBER),
    "index": (lambda: [1, 2][call], NUMBER),
    "slice bound": (lambda: [1, 2][:call], NUMBER),
    "np.asarray": (lambda: np.asarray(call), ARRAY),
    "np.array of calls": (lambda: np.array([call, call]), ARRAY),
    "ufunc": (lambda: np.add(call, 1), ARRAY),
    "array +": (lambda: np.arange(3) + call, ARRAY),
    "array ==": (lambda: np.arange(3) == call, ARRAY),
    "np.mean": (lambda: np.mean(call), ARRAY),
    "np.concatenate": (lambda: np.concatenate([call, call]), ARRAY),
    "array index": (lambda: np.arange(3)[call], ARRAY),
    "pl.DataFrame": (lambda: pl.DataFrame(call), ARRAY),
    "pl.Series": (lambda: pl.Series(call), ARRAY),
    "Path": (lambda: Path(call), PATH),
    "path /": (lambda: Path("a") / call, PATH),
    "open": (lambda: open(call).close(), PATH),
    "called": (lambda: call(), "was called.*in a node"),
    "set attribute": (lambda: setattr(call, "a", 1), CHANGE),
    "delete attribute": (lambda: delattr(call, "a"), CHANGE),
    "set item": (lambda: operator.setitem(call, 0, 1), CHANGE),
    "delete item": (lambda: operator.delitem(call, 0), CHANGE),
    "with": (lambda: _entered(call), "with statement.*in a node"),
    "await": (lambda: asyncio.run(_awaited(call)), r"was awaited.*lineage\.compute"),
    "copy": (lambda: copy.copy(call), COPY),
    "deepcopy": (lambda: copy.deepcopy({"a": [call]}), COPY),
    "pickle": (lambda: pickle.dumps([call]), COPY),
    "isinstance Failed": (lambda: isinstance(call, ln.Failed), "not its outcome.*no Failed yet.*inside a node"),
    "isinstance Ok": (lambda: isinstance(call, ln.Ok), "not its outcome.*no Ok yet"),
    "match Failed": (lambda: _matched_outcome(call), "not its outcome.*no Failed yet"),
    "slice": (lambda: numbers(3)[1:], "was sliced.*Slice in a node"),
    "item by call": (lambda: numbers(3)[call], "known by an index or a name.*Take it in a node"),
    "attribute": (lambda: table(1).height, r"no lazy field `height`\. Use lineage\.compute\(\.\.\.\)\.height"),
    "method": (lambda: table(1).head(), "nothing has run.*no lazy field `head`"),
    "column": (lambda: table(1)["a"], "no lazy item 'a'.*only the items of tuples, lists, dicts"),
    "item of a number": (lambda: call[0], "no lazy item 0"),
}


@pytest.mark.parametrize("use", USES)
def test_using_a_call_as_its_value_is_refused_with_advice(use: str) -> None:
    action, advice = USES[use]
    with pytest.raises(LazyValueError, match=advice) as caught:
        action()
    assert "nothing has run" in str(caught.value)


def _entered(lazy: Any) -> None:
    with lazy:
        pass


def _added(lazy: Any) -> Any:
    lazy += 1
    return lazy


async def _awaited(lazy: Any) -> None:
    await lazy


def _matched_literal(lazy: Any) -> Any:
    match lazy:
        case 3:
            return True


def _matched_outcome(lazy: Any) -> Any:
    match lazy:
        case ln.Failed():
            return True


OTHERS_REFUSE: dict[str, Callable[[], Any]] = {
    "join": lambda: "".join([call]),
    "%d": lambda: "%d" % call,  # noqa: UP031
    "json": lambda: json.dumps({"a": call}),
    "pl.lit": lambda: pl.lit(call),
    "pl.col ==": lambda: pl.col("a") == call,
    "with_columns": lambda: pl.DataFrame({"a": [1]}).with_columns(b=call),
    "concat": lambda: pl.concat([call, call]),
    "**": lambda: dict(**call),
    "next": lambda: next(call),
    "vars": lambda: vars(call),
}
"""Where Python or polars answer before the call is asked: a TypeError of theirs, which names the type."""


@pytest.mark.parametrize("use", OTHERS_REFUSE)
def test_where_others_answer_first_using_a_call_is_an_error_too(use: str) -> None:
    with pytest.raises(TypeError):
        OTHERS_REFUSE[use]()


CONTAINERS: dict[str, Callable[[], Any]] = {
    "polars frame of a call": lambda: pl.DataFrame({"a": call}),
    "polars series of calls": lambda: pl.Series([call]),
    "object array": lambda: _object_array(),
    "object": lambda: _Holder(call),
    "list subclass": lambda: _List([call]),
    "dict subclass": lambda: _Dict(a=call),
}
"""Where nobody asks the call: it stays, and the container is refused as soon as it meets the graph."""


class _Holder:
    def __init__(self, held: Any) -> None:
        self.held = held


class _List(list[Any]): ...


class _Dict(dict[str, Any]): ...


def _object_array() -> Any:
    array = np.empty(1, dtype=object)
    array[0:1] = [None]
    array.flat[0] = _Holder(call)
    return array


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_call_hidden_in_what_is_not_understood_is_refused_as_an_argument(kind: str) -> None:
    with pytest.raises(WiringError, match=r"can't be given this.*(call|not computed|Python objects)"):
        consume(CONTAINERS[kind]())


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_call_hidden_in_what_is_not_understood_is_refused_by_compute(kind: str, session: ln.Session) -> None:
    with pytest.raises((LazyValueError, ValueError)):
        ln.compute(CONTAINERS[kind]())


def test_a_call_shows_what_it_is() -> None:
    assert repr(call) == str(call) == "<number(x=1) -> int, not computed>"
    assert repr(split(1).train) == "<split(n=1).train -> list[int], not computed>"
    assert repr(split(1).train[0]) == "<split(n=1).train[0] -> int, not computed>"


def test_a_long_chain_is_shown_in_one_line() -> None:
    long: Any = numbers(1)
    for _ in range(5000):
        long = consume(long)
    assert repr(long) == "<consume(x=consume(…)) -> str, not computed>"
    fields: Any = split(1)

    @ln.node
    def again(n: Any) -> Split:
        return Split([], [])

    for _ in range(5000):
        fields = again(fields.train)
    assert repr(fields) == "<again(n=again(…).train) -> Split, not computed>"


def test_hasattr_is_true_of_lazy_fields_only() -> None:
    assert hasattr(split(1), "train")
    assert not hasattr(split(1), "validation")
    assert not hasattr(table(1), "head")
    assert not hasattr(table(1), "_repr_mimebundle_")


def test_calls_may_be_kept_in_sets_dicts_and_lists() -> None:
    other = number(1)
    assert {call, call, other} == {call, other}
    assert len({call, other}) == 2
    assert {call: 1}[call] == 1
    known: dict[str, Any] = {}
    assert known.get("missing", call) is call
    assert [other, call].index(call) == 1
    assert call in [other, call]
    assert call != other


def test_the_same_field_of_a_call_is_the_same_lazy() -> None:
    whole = split(1)
    assert whole.train == whole.train
    assert whole.train != whole.test
    assert whole.train != split(1).train
    assert {whole.train, whole.train} == {whole.train}


def test_a_tuple_of_known_length_is_unpacked_measured_and_reversed(session: ln.Session) -> None:
    @ln.node
    def pair(x: int) -> tuple[int, str]:
        return x, str(x)

    first, second = pair(1)
    assert ln.compute(first, second) == (1, "1")
    assert len(pair(1)) == 2
    assert ln.compute(*reversed(pair(2))) == ("2", 2)
    train, test = split(4)
    assert ln.compute(train, test) == ([4], [])


def test_an_empty_tuple_is_unpacked_to_nothing(session: ln.Session) -> None:
    @ln.node
    def nothing(x: int) -> tuple[()]:
        return ()

    assert list(nothing(1)) == []
    with pytest.raises(LazyValueError, match="no lazy item 0"):
        nothing(1)[0]  # type: ignore[misc]
    assert ln.compute(nothing(1)) == ()


def test_a_tuple_of_unknown_length_is_not_iterated() -> None:
    @ln.node
    def some(n: int) -> tuple[int, ...]:
        return tuple(range(n))

    with pytest.raises(LazyValueError, match=MEASURE):
        list(some(2))


def test_collections_of_calls_are_no_calls(session: ln.Session) -> None:
    queue = collections.deque([call, number(2)])
    assert ln.compute(list(queue)) == [1, 2]


def test_results_are_not_asked_for_inside_a_node(session: ln.Session) -> None:
    @ln.node
    def nested(x: int) -> int:
        return ln.compute(x)

    with pytest.raises(Exception, match="can't be asked for inside the node"):
        ln.compute(nested(1))
