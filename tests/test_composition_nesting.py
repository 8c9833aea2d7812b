"""Calls inside containers and records, as arguments and as results; fields of results as datasets of their own."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import pytest

import lineage as ln
from lineage.errors import LazyValueError, NodeError, WiringError
from lineage.testing import EventLog

T = TypeVar("T")


@attrs.frozen
class Point:
    x: int
    y: int = 0


@attrs.frozen
class _Any:
    x: Any
    y: Any


@attrs.define
class Slotted:
    x: int
    total: int = attrs.field(init=False, default=7)


@dataclasses.dataclass
class Row:
    x: int
    y: int = 0


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int
    total: int = dataclasses.field(init=False, default=5)


@dataclasses.dataclass
class Box(Generic[T]):
    item: T


class Pair(NamedTuple):
    left: int
    right: int


class Config(TypedDict):
    alpha: int
    beta: NotRequired[str]


@ln.node
def one(x: int) -> int:
    return x


@ln.node
def text(x: Any) -> str:
    return repr(x)


@ln.node
def same(x: Any) -> Any:
    return x


# -- arguments

NESTED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "list": (lambda c: [c, 2], "[1, 2]"),
    "tuple": (lambda c: (c, 2), "(1, 2)"),
    "set": (lambda c: {c, 2}, "{1, 2}"),
    "frozenset": (lambda c: frozenset({c}), "frozenset({1})"),
    "dict value": (lambda c: {"a": c}, "{'a': 1}"),
    "dict key": (lambda c: {c: "a"}, "{1: 'a'}"),
    "dict key and value": (lambda c: {(c, 0): [c]}, "{(1, 0): [1]}"),
    "deep": (lambda c: {"a": [(c, {"b": {c}})]}, "{'a': [(1, {'b': {1}})]}"),
    "attrs": (lambda c: Point(c, 3), "Point(x=1, y=3)"),
    "attrs with a field of no init": (lambda c: Slotted(c), "Slotted(x=1, total=7)"),
    "dataclass": (lambda c: Row(c, 3), "Row(x=1, y=3)"),
    "frozen dataclass with a field of no init": (lambda c: Frozen(c), "Frozen(x=1, total=5)"),
    "generic dataclass": (lambda c: Box[int](c), "Box(item=1)"),
    "named tuple": (lambda c: Pair(c, 3), "Pair(left=1, right=3)"),
    "typed dict": (lambda c: Config(alpha=c), "{'alpha': 1}"),
    "records in records": (lambda c: [_Any(Pair(c, 2), Row(c))], "[_Any(x=Pair(left=1, right=2), y=Row(x=1, y=0))]"),
    "OrderedDict": (lambda c: collections.OrderedDict(a=c), "OrderedDict({'a': 1})"),
    "defaultdict": (lambda c: collections.defaultdict(int, a=c), "defaultdict(<class 'int'>, {'a': 1})"),
    "deque": (lambda c: collections.deque([c], maxlen=3), "deque([1], maxlen=3)"),
    "Counter": (lambda c: collections.Counter({"a": c}), "Counter({'a': 1})"),
}


def _plain(shown: str) -> str:
    """`repr` of ordered dicts changed in Python 3.12."""
    return shown.replace("OrderedDict([('a', 1)])", "OrderedDict({'a': 1})")


@pytest.mark.parametrize("kind", NESTED)
def test_a_call_nested_in_an_argument_reaches_the_node_as_its_value(kind: str, session: ln.Session) -> None:
    wrap, expected = NESTED[kind]
    assert _plain(ln.compute(text(wrap(one(1))))) == expected


@pytest.mark.parametrize("kind", NESTED)
def test_a_nested_argument_is_the_same_input_as_the_plain_value(kind: str, session: ln.Session, log: EventLog) -> None:
    wrap, expected = NESTED[kind]
    assert _plain(ln.compute(text(wrap(1)))) == expected
    ln.compute(text(wrap(one(1))))
    assert log.names() == ["executed text", "executed one", "cutoff text"]


@pytest.mark.parametrize("kind", NESTED)
def test_compute_gives_the_values_of_calls_nested_anywhere(kind: str, session: ln.Session) -> None:
    wrap, expected = NESTED[kind]
    assert _plain(repr(ln.compute(wrap(one(1))))) == expected


@ln.dynamic
def wrapped(wrap: Any, x: int) -> Any:
    return wrap(one(x))


@pytest.mark.parametrize("kind", NESTED)
def test_a_dynamic_node_returns_calls_nested_anywhere(kind: str, session: ln.Session) -> None:
    wrap, expected = NESTED[kind]
    assert _plain(repr(ln.compute(wrapped(wrap, 1)))) == expected


@pytest.mark.parametrize("kind", NESTED)
def test_a_plain_node_that_returns_a_nested_call_is_refused(kind: str, session: ln.Session) -> None:
    # Nodes can't be called inside nodes, so the call has to be smuggled in.
    wrap, _ = NESTED[kind]
    smuggled = _Smuggler(one(1))

    def leak(x: int) -> Any:
        return wrap(_kept["call"])

    _kept["call"] = smuggled.call
    with pytest.raises((NodeError, ValueError)):
        ln.compute(ln.node(leak, name="leak").options(version="1")(1))


_kept: dict[str, Any] = {}


class _Smuggler:
    def __init__(self, call: Any) -> None:
        self.call = call


class Stack(list[Any]): ...


class Mapped(dict[str, Any]): ...


class Bag(set[Any]): ...


@pytest.mark.parametrize(
    "wrap", [lambda c: Stack([c]), lambda c: Mapped(a=c), lambda c: Bag({c}), lambda c: [Stack([c])]]
)
def test_a_call_in_a_subclass_of_a_container_is_refused_loudly(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(WiringError, match=r"text.*parameter `x: Any` can't be given this.*call"):
        text(wrap(one(1)))


class Plain:
    def __init__(self, x: int) -> None:
        self.x = x


# Failed once: the walk asked values with a `__dict__` for no rule, its own markers among them.
def test_an_instance_of_a_plain_class_is_an_argument(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def held(x: Plain) -> int:
        return x.x

    for x in (1, 1, 2):
        assert ln.compute(held(Plain(x))) == x
    assert log.names() == ["executed held", "hit held", "executed held"]


def test_two_calls_of_one_value_are_one_item_of_a_set(session: ln.Session) -> None:
    @ln.dynamic
    def both(x: int) -> set[int]:
        return {one(x), same(x)}

    assert ln.compute(text({one(1), same(1)})) == "{1}"
    assert ln.compute(both(1)) == {1}


# Fails in lineage/content/tree.py: a filled set keeps equal items apart in its digest.
def test_a_set_of_calls_has_the_digest_of_the_set_of_their_values(session: ln.Session, log: EventLog) -> None:
    ln.compute(text({1}))
    ln.compute(text({one(1), same(1)}))
    assert log.names()[-1] == "cutoff text"


# -- results: each field a dataset of its own


@ln.node
def pair(x: int, y: int) -> tuple[int, str]:
    return x, str(y)


@ln.node
def named(x: int, y: int) -> Pair:
    return Pair(x, y)


@ln.node
def configured(x: int, y: int) -> Config:
    return {"alpha": x, "beta": str(y)}


@ln.node
def point(x: int, y: int) -> Point:
    return Point(x, y)


@ln.node
def row(x: int, y: int) -> Row:
    return Row(x, y)


@ln.node
def boxed(x: int, y: int) -> Box[tuple[int, int]]:
    return Box[tuple[int, int]]((x, y))


@ln.node
def items(x: int, y: int) -> list[int]:
    return [x, y]


@ln.node
def keyed(x: int, y: int) -> dict[str, int]:
    return {"x": x, "y": y}


FIELDS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "tuple": (pair, lambda r: r[0]),
    "tuple from the end": (pair, lambda r: r[-2]),
    "tuple unpacked": (pair, lambda r: next(iter(r))),
    "named tuple by name": (named, lambda r: r.left),
    "named tuple by position": (named, lambda r: r[0]),
    "typed dict": (configured, lambda r: r["alpha"]),
    "attrs": (point, lambda r: r.x),
    "dataclass": (row, lambda r: r.x),
    "field of a generic": (boxed, lambda r: r.item[0]),
    "list": (items, lambda r: r[0]),
    "dict": (keyed, lambda r: r["x"]),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_of_a_result_is_lazy_and_has_a_cutoff_of_its_own(kind: str, session: ln.Session, log: EventLog) -> None:
    made, take = FIELDS[kind]
    assert ln.compute(one(take(made(1, 2)))) == 1
    assert ln.compute(one(take(made(1, 3)))) == 1
    assert ln.compute(one(take(made(5, 3)))) == 5
    assert log.names() == [
        *(f"executed {made.name}", "executed one"),
        *(f"executed {made.name}", "cutoff one"),
        *(f"executed {made.name}", "executed one"),
    ]


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_of_a_result_is_a_dataset(kind: str, session: ln.Session) -> None:
    made, take = FIELDS[kind]
    handle = ln.materialize(take(made(1, 2)))
    assert handle.value == 1
    assert handle.digest == ln.materialize(one(1)).digest


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_has_its_declared_type_when_it_is_wired(kind: str) -> None:
    made, take = FIELDS[kind]

    @ln.node
    def wants(x: list[str]) -> int:
        return len(x)

    with pytest.raises(WiringError, match=rf"`{made.name}\(x=1, y=2\).*` -> int: int is not list\[str\]"):
        wants(take(made(1, 2)))


def test_a_field_that_the_type_lacks_is_refused() -> None:
    with pytest.raises(LazyValueError, match="no lazy field `z`"):
        point(1, 2).z  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(LazyValueError, match="no lazy item 2"):
        pair(1, 2)[2]  # type: ignore[misc]
    with pytest.raises(LazyValueError, match="no lazy item 'gamma'"):
        configured(1, 2)["gamma"]  # type: ignore[misc]


def test_an_item_that_the_value_lacks_fails_with_what_is_there(session: ln.Session) -> None:
    with pytest.raises(LookupError, match=r"no item 7.*list of 2"):
        ln.compute(items(1, 2)[7])
    with pytest.raises(LookupError, match=r"no item 'z'.*dict"):
        ln.compute(keyed(1, 2)["z"])


def test_a_slice_is_refused_with_advice() -> None:
    with pytest.raises(LazyValueError, match="Slice in a node"):
        items(1, 2)[:1]


def test_an_undeclared_result_has_items_by_key(session: ln.Session) -> None:
    assert ln.compute(same({"a": [1, 2]})["a"][1]) == 2


def test_the_same_values_from_two_producers_are_one_input(session: ln.Session, log: EventLog) -> None:
    ln.compute(text([one(1), same(2)]))
    ln.compute(text([same(1), one(2)]))
    assert log.names()[-1] == "cutoff text"


def test_an_argument_changed_after_the_call_was_made_changes_nothing(session: ln.Session) -> None:
    mutable = [one(1), 2]
    made = text(mutable)
    mutable.append(3)
    assert ln.compute(made) == "[1, 2]"


def test_a_chain_of_a_hundred_thousand_calls_is_built_and_shown() -> None:
    made: Any = one(0)
    for _ in range(100_000):
        made = one(made)
    assert repr(made) == "<one(x=one(…)) -> int, not computed>"
