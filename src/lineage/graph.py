"""The graph: calls and what is made of them, lazy and immutable. Knows nothing of stores or datasets.

A call is typed as its result, so it owns no public attribute: every name is a field of the result. What the library
needs to know of one is read with the functions of this module. Wherever Python lets us, using a call as if it were
its value raises with advice.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from pathlib import PurePath
from types import GenericAlias
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from lineage.content.tree import SCALARS, Branch, Hole, Leaf, Tree, holes
from lineage.displays import html_of
from lineage.errors import CompositionError, LazyValueError
from lineage.outcomes import Failed, Ok
from lineage.signatures import field_hint, is_mapping, item_hint, known_length, split_annotated, type_text

if TYPE_CHECKING:
    from lineage.node import Node

__all__ = [
    "LATE",
    "Attempt",
    "Call",
    "Item",
    "LatestOf",
    "Lazy",
    "Pinned",
    "View",
    "brief_tree",
    "inputs_of",
    "latest",
    "make_call",
    "result_hint",
    "shown",
    "type_name",
]


LATE = "code:late"
"""The kind of a function among the arguments of a call whose node has it in its code already."""


class Lazy(Hole):
    """Anything whose value is not there yet."""

    __slots__ = ()


class Call(Lazy):
    """One application of a node to arguments."""

    __slots__ = ("__weakref__", "_lineage_arguments", "_lineage_inputs", "_lineage_node")

    _lineage_arguments: tuple[Tree, ...]
    _lineage_inputs: tuple[Hole, ...]
    _lineage_node: Any  # a Node; type checkers would take one in an attribute for a method

    def __init__(self) -> None:
        raise CompositionError("calls are made by calling a node")


class Item(Lazy):
    """One field or item of another lazy's value: `pair[0]`, `config["alpha"]`, `split.train`."""

    __slots__ = ("_lineage_hint", "_lineage_key", "_lineage_parent")

    _lineage_parent: Lazy
    _lineage_key: int | str
    _lineage_hint: Any

    def __init__(self, parent: Lazy, key: int | str, hint: Any) -> None:
        _set(self, "_lineage_parent", parent)
        _set(self, "_lineage_key", key)
        _set(self, "_lineage_hint", hint)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Item):
            return _compare(self, other)
        return self._lineage_key == other._lineage_key and self._lineage_parent == other._lineage_parent

    def __hash__(self) -> int:
        return hash((self._lineage_key, self._lineage_parent))


class View(Lazy):
    """A table, or several parts of one, seen as another type; or several lists as one. Nothing is executed for it."""

    __slots__ = ("_lineage_kind", "_lineage_tree")

    _lineage_tree: Tree
    _lineage_kind: str

    def __init__(self, tree: Tree, kind: str) -> None:
        _set(self, "_lineage_tree", tree)
        _set(self, "_lineage_kind", kind)


class Attempt(Lazy):
    """The outcome of a call: `Ok` or `Failed`."""

    __slots__ = ("_lineage_parent",)

    _lineage_parent: Lazy

    def __init__(self, parent: Lazy) -> None:
        _set(self, "_lineage_parent", parent)


class LatestOf(NamedTuple):
    """The latest successful result of a node, in the runs of a namespace (one's own where None is said)."""

    node: Any
    namespace: str | None = None


class Pinned(Lazy):
    """A recorded dataset as an input: by name, by node or by handle. Resolved once, when the graph is planned.

    Its record is a name, a `LatestOf` or the record itself; its name is what people see.
    """

    __slots__ = ("_lineage_hint", "_lineage_name", "_lineage_record")

    _lineage_name: str
    _lineage_record: Any
    _lineage_hint: Any

    def __init__(self, name: str, record: Any, hint: Any) -> None:
        _set(self, "_lineage_name", name)
        _set(self, "_lineage_record", record)
        _set(self, "_lineage_hint", hint)


_set = object.__setattr__
_new = object.__new__
_set_node = Call.__dict__["_lineage_node"].__set__
_set_arguments = Call.__dict__["_lineage_arguments"].__set__
_set_inputs = Call.__dict__["_lineage_inputs"].__set__
_NO_INPUTS: tuple[Hole, ...] = ()


class _Latest:
    """The node that was called last in this process, for the reminder at exit. Costs an attribute per call."""

    __slots__ = ("node",)

    def __init__(self) -> None:
        self.node: Node[..., Any] | None = None


latest = _Latest()


def make_call(node: Node[..., Any], arguments: tuple[Tree, ...], inputs: tuple[Hole, ...] | None = None) -> Call:
    """Return the call of `node` with frozen arguments, in the order of its parameters.

    `inputs` are the holes in them, if they are known already.
    """
    if inputs is None:
        inputs = tuple(hole for argument in arguments if type(argument) not in SCALARS for hole in holes(argument))
    call: Call = _new(Call)
    _set_node(call, node)
    _set_arguments(call, arguments)
    _set_inputs(call, inputs)
    latest.node = node
    return call


def _remind() -> None:
    """Say at exit that calls were built and nothing was asked of them, unless the script ended in an error."""
    session = sys.modules.get("lineage.session")  # above this layer, so looked up and not imported
    asked = session is not None and session.state["asked"]
    if latest.node is None or asked or hasattr(sys, "ps1") or hasattr(sys, "last_type"):
        return
    print(
        f"lineage: calls were built, the last of them of `{latest.node.name}`, and none was computed: nothing has run. "
        "Use lineage.compute(...), lineage.materialize(...) or lineage.plan(...)",
        file=sys.stderr,
    )


atexit.register(_remind)


def inputs_of(hole: Hole) -> tuple[Hole, ...]:
    """Return what `hole` is made from, one step up."""
    if isinstance(hole, Call):
        return hole._lineage_inputs
    if isinstance(hole, (Item, Attempt)):
        return (hole._lineage_parent,)
    if isinstance(hole, View):
        return tuple(holes(hole._lineage_tree))
    return _NO_INPUTS


# -- how a lazy shows itself


def type_name(hint: Any) -> str:
    """Return the short name of a type.

    >>> type_name(list[int]), type_name(dict)
    ('list[int]', 'dict')
    """
    return type_text(split_annotated(hint)[0])


def result_hint(lazy: Hole) -> Any:
    """Return the declared type of what `lazy` will be; Any where it is not declared."""
    if isinstance(lazy, Call):
        return lazy._lineage_node.signature.returns
    if isinstance(lazy, (Item, Pinned)):
        return lazy._lineage_hint
    if isinstance(lazy, Attempt):
        ok: Any = Ok
        return ok[result_hint(lazy._lineage_parent)] | Failed
    if isinstance(lazy, View):
        family, _, kind = lazy._lineage_kind.partition(":")
        package, _, name = kind.partition(".")
        found: Any = getattr(sys.modules.get(package), name, Any)
        return GenericAlias(list, (found,)) if family == "list" else found
    return type(lazy)


def shown(lazy: Hole) -> str:
    """Return one line that says which call this is."""
    if isinstance(lazy, Call):
        node = lazy._lineage_node
        if hasattr(node, "shown"):
            return str(node.shown(lazy._lineage_arguments))
        parts = [
            f"{name}={brief_tree(argument)}"
            for name, argument in zip(node.signature.names, lazy._lineage_arguments, strict=True)
        ]
        return f"{node.name}({', '.join(parts)})"
    if isinstance(lazy, (Item, Attempt)):
        return _shown_part(lazy)
    if isinstance(lazy, Pinned):
        return f"ref({lazy._lineage_name!r})"
    if isinstance(lazy, View):
        return f"view as {lazy._lineage_kind.partition(':')[2]}"
    return repr(lazy)


def _shown_part(lazy: Item | Attempt) -> str:
    parts: list[Item | Attempt] = []
    whole: Hole = lazy
    while isinstance(whole, (Item, Attempt)):
        parts.append(whole)
        whole = whole._lineage_parent
    text = shown(whole)
    for part in reversed(parts):
        text = f"{text}{_item_text(part)}" if isinstance(part, Item) else f"attempt({text})"
    return text


def brief_tree(argument: Tree) -> str:
    """Return an argument as a short text."""
    if isinstance(argument, Branch):
        text = _brief_branch(argument)
    elif isinstance(argument, Leaf) and argument.family == "code":
        text = getattr(argument.value, "name", argument.kind.rpartition(":")[2].rpartition(".")[2])
    else:
        text = _brief_lazy(argument) if isinstance(argument, Lazy) else getattr(argument, "brief", repr(argument))
    return text if len(text) <= 40 else text[:39] + "…"


def _brief_lazy(lazy: Hole) -> str:
    """Return the name of a lazy without its arguments: a chain of calls may be long."""
    tail = ""
    while isinstance(lazy, (Item, Attempt)):
        tail = (_item_text(lazy) if isinstance(lazy, Item) else "?") + tail
        lazy = lazy._lineage_parent
    return (f"{lazy._lineage_node.name}(…)" if isinstance(lazy, Call) else shown(lazy)) + tail


def _item_text(item: Item) -> str:
    key = item._lineage_key
    is_field = isinstance(key, str) and not is_mapping(result_hint(item._lineage_parent))
    return f".{key}" if is_field else f"[{key!r}]"


def _brief_branch(branch: Branch) -> str:
    """Return the first items of a container: it may hold very many."""
    shown_items = [brief_tree(item) for item in branch.items[:3]]
    dots = ["…"] if len(branch.items) > 3 else []
    return f"{branch.text.rpartition(':')[2] or branch.kind}({', '.join(shown_items + dots)})"


def _described(lazy: Lazy) -> str:
    if isinstance(lazy, Call):
        return f"a call of `{lazy._lineage_node.name}` -> {type_name(result_hint(lazy))}"
    return f"`{shown(lazy)}` -> {type_name(result_hint(lazy))}"


def _repr(self: Lazy) -> str:
    return f"<{shown(self)} -> {type_name(result_hint(self))}, not computed>"


# -- fields and items


def _get_attribute(self: Lazy, name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    found, hint = field_hint(result_hint(self), name)
    if found:
        return Item(self, name, hint)
    raise _LazyAttributeError(
        f"this is {_described(self)}; nothing has run, and {type_name(result_hint(self))} has no lazy field `{name}`. "
        f"Use lineage.compute(...).{name}, or put it in a node"
    )


class _LazyAttributeError(LazyValueError, AttributeError):
    """An attribute that a value may have and its call has not. Also an AttributeError, for `hasattr`."""


def _get_item(self: Lazy, key: Any) -> Any:
    if isinstance(key, slice):
        raise LazyValueError(
            f"a call was sliced: this is {_described(self)}; nothing has run, so how many items there are "
            "is not known. Slice in a node, or take items one by one"
        )
    if isinstance(key, bool) or not isinstance(key, (int, str)):
        raise LazyValueError(
            f"this is {_described(self)}; nothing has run, so only fields known by an index or a name can be taken "
            f"from it, not {key!r}. Take it in a node"
        )
    found, hint = item_hint(result_hint(self), key)
    if not found:
        raise LazyValueError(
            f"this is {_described(self)}; nothing has run, and it has no lazy item {key!r}: only the items "
            "of tuples, lists, dicts and TypedDicts are. Take it in a node, or from lineage.compute(...)"
        )
    return Item(self, key, hint)


# -- everything that needs a value


def _refusal(what: str, advice: str) -> Any:
    def refuse(self: Lazy, *args: Any, **kwargs: Any) -> NoReturn:
        raise LazyValueError(f"{what}: this is {_described(self)}; nothing has run. {advice}")

    return refuse


def _length(self: Lazy) -> int:
    """Return how many items the value has, where its type says so: those of tuples and named tuples."""
    length = known_length(result_hint(self))
    if length is None:
        raise LazyValueError(f"a call was iterated or measured: this is {_described(self)}; nothing has run. {_MAP}")
    return length


def _iterate(self: Lazy) -> Iterator[Any]:
    return iter([_get_item(self, position) for position in range(_length(self))])


def _reverse(self: Lazy) -> Iterator[Any]:
    return iter(list(_iterate(self))[::-1])


def _in_expression(self: Lazy, other: object = None, *_: object) -> NoReturn:
    if isinstance(other, (str, bytes)):
        what, advice = "a call was joined to text", _COMPUTE
    elif isinstance(other, PurePath):
        what, advice = "a call was used as a path", _IN_NODE
    else:
        what, advice = "a call was used as a number", _IN_NODE
    raise LazyValueError(f"{what}: this is {_described(self)}; nothing has run. {advice}")


def _compare(self: Lazy, other: object) -> bool:
    if isinstance(other, Lazy):
        return self is other
    raise LazyValueError(
        f"a call was compared with a value: this is {_described(self)}; nothing has run. "
        "Compare in a node, or use lineage.compute(...)"
    )


def _differ(self: Lazy, other: object) -> bool:
    return not (self == other)  # noqa: SIM201 (`!=` would ask this function again)


_COMPUTE = "Use lineage.compute(...), or put the expression in a node"
_IN_NODE = "Do it in a node, or with the value of lineage.compute(...)"
_MAP = (
    "Its length is known only when it has run. Use lineage.map(f, items) in place of [f(item) for item in items], "
    "or lineage.compute(...)"
)
_BRANCH = "Branch in a node, or in a function declared with @lineage.dynamic, which receives values"

_REFUSED = {
    "a call was used as a condition": (_BRANCH, ["__bool__"]),
    "a call was searched with `in`": (_IN_NODE, ["__contains__"]),
    "a call was formatted as text": (_COMPUTE, ["__format__", "__bytes__"]),
    "a call was used as a number": (
        _IN_NODE,
        [
            *("__int__", "__float__", "__complex__", "__index__", "__round__", "__trunc__", "__floor__", "__ceil__"),
            *("__neg__", "__pos__", "__abs__", "__invert__"),
        ],
    ),
    "a call was compared with a value": (_IN_NODE, ["__lt__", "__le__", "__gt__", "__ge__"]),
    "a call was turned into an array": (
        _IN_NODE,
        [
            "__array__",
            "__array_ufunc__",
            "__array_function__",
            "__dataframe__",
            "__arrow_c_stream__",
            "__arrow_array__",
        ],
    ),
    "a call was used as a path": (_IN_NODE, ["__fspath__"]),
    "a call was called": ("Call a function with it in a node", ["__call__"]),
    "a call was changed": (
        "Results are immutable: return a changed copy from a node",
        ["__setitem__", "__delitem__", "__setattr__", "__delattr__"],
    ),
    "a call was used in a with statement": (_IN_NODE, ["__enter__", "__exit__", "__aenter__", "__aexit__"]),
    "a call was awaited": (
        "Nodes are plain functions: use lineage.compute(...)",
        ["__await__", "__aiter__", "__anext__"],
    ),
    "a call was copied or pickled": (
        "A call is immutable and needs no copy. To keep its result, materialise it",
        ["__copy__", "__deepcopy__", "__reduce__", "__reduce_ex__"],
    ),
}

for _what, (_advice, _names) in _REFUSED.items():
    for _name in _names:
        setattr(Lazy, _name, _refusal(_what, _advice))

_OPERATORS = (
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow"),
    *("lshift", "rshift", "and", "or", "xor"),
)
for _name in _OPERATORS:
    for _prefix in ("", "r") if _name == "divmod" else ("", "r", "i"):
        setattr(Lazy, f"__{_prefix}{_name}__", _in_expression)

_METHODS: dict[str, Any] = {
    "__eq__": _compare,
    "__ne__": _differ,
    "__hash__": object.__hash__,
    "__repr__": _repr,
    "_repr_html_": html_of,
    "__str__": _repr,
    "__getattr__": _get_attribute,
    "__getitem__": _get_item,
    "__iter__": _iterate,
    "__len__": _length,
    "__reversed__": _reverse,
}
for _name, _method in _METHODS.items():
    setattr(Lazy, _name, _method)
