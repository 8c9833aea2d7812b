"""What a node's signature says: names, types, how a call's arguments are bound, which fields its result has."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

__all__ = [
    "Signature",
    "Unhashed",
    "field_hint",
    "fields_of",
    "is_mapping",
    "item_hint",
    "known_length",
    "required_keys",
    "split_annotated",
    "type_text",
]


class Unhashed:
    """Marks a parameter whose value is recorded but is no part of a call's identity: `Annotated[int, ln.Unhashed]`.

    For what can't change the result, such as a number of threads or a verbosity.
    """


class Signature:
    """The parameters of a function, as a node needs them. Types are resolved at first use, when all names exist."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self._locals = _enclosing_locals(fn)
        self.parameters = inspect.signature(fn).parameters
        self.names = tuple(self.parameters)
        self._is_positional = all(
            parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            for parameter in self.parameters.values()
        )
        self.bind = _binder(self.parameters)

    @functools.cached_property
    def hints(self) -> tuple[Any, ...]:
        """The type of each parameter, in order. `*args: int` is `tuple[int, ...]`, `**kw: int` is `dict[str, int]`."""
        hints = self._resolved
        result = []
        for name, parameter in self.parameters.items():
            hint: Any = hints.get(name, Any)
            if parameter.kind is parameter.VAR_POSITIONAL:
                hint = types.GenericAlias(tuple, (hint, ...))
            elif parameter.kind is parameter.VAR_KEYWORD:
                hint = types.GenericAlias(dict, (str, hint))
            result.append(hint)
        return tuple(result)

    @functools.cached_property
    def returns(self) -> Any:
        """The type of the result; Any where it is not declared."""
        return self._resolved.get("return", Any)

    @functools.cached_property
    def annotated(self) -> tuple[int, ...]:
        """The positions of parameters whose annotation carries marks, such as a schema: its own, or inside it."""
        return tuple(position for position, hint in enumerate(self.hints) if _has_marks(hint))

    @functools.cached_property
    def unhashed(self) -> frozenset[int]:
        """The positions of parameters marked `Unhashed`."""
        hints = self._resolved
        return frozenset(position for position, name in enumerate(self.names) if _is_unhashed(hints.get(name)))

    @functools.cached_property
    def door(self) -> str:
        """What the node's door adds to its code: which parameters are not hashed, the type that its results are checked
        against, and the schemas of its arguments. A result that passed another door was never checked at this one.
        """
        needed = [f"{name}: {type_text(hint)}" for name, hint in zip(self.names, self.hints, strict=True)]
        checked = [text for text in needed if "Schema(" in text]
        return f"{sorted(self.unhashed)} {checked} -> {type_text(self.returns)}"

    @functools.cached_property
    def _resolved(self) -> dict[str, Any]:
        return _resolve(self._fn, self._locals)

    def spread(self, values: Sequence[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the positional and keyword arguments that call the function with one value per parameter."""
        if self._is_positional:
            return values, {}
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for parameter, value in zip(self.parameters.values(), values, strict=True):
            if parameter.kind is parameter.VAR_POSITIONAL:
                args.extend(value)
            elif parameter.kind is parameter.VAR_KEYWORD:
                kwargs.update(value)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        return args, kwargs


def _has_marks(hint: Any) -> bool:
    plain, marks = split_annotated(hint)
    return bool(marks) or any(_has_marks(arg) for arg in typing.get_args(plain))


def _is_unhashed(hint: Any) -> bool:
    return any(mark is Unhashed or isinstance(mark, Unhashed) for mark in split_annotated(hint)[1])


def _binder(parameters: Mapping[str, inspect.Parameter]) -> Callable[..., tuple[Any, ...]]:
    """Return a function with these parameters that returns their values as a tuple, keyword order taken away.

    Compiled once per node: an ordinary call binds in a tenth of the time of `inspect.Signature.bind`.
    """
    namespace: dict[str, Any] = {}
    written: list[str] = []
    values: list[str] = []
    previous = None
    for position, parameter in enumerate(parameters.values()):
        name, kind = parameter.name, parameter.kind
        if previous is inspect.Parameter.POSITIONAL_ONLY and kind is not previous:
            written.append("/")
        if kind is parameter.KEYWORD_ONLY and previous not in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL):
            written.append("*")
        star = "*" * ((kind is parameter.VAR_POSITIONAL) + 2 * (kind is parameter.VAR_KEYWORD))
        default = ""
        if parameter.default is not parameter.empty:
            namespace[f"__default_{position}"] = parameter.default
            default = f"=__default_{position}"
        written.append(f"{star}{name}{default}")
        values.append(f"__dict(__sorted({name}.items()))" if star == "**" else name)
        previous = kind
    if previous is inspect.Parameter.POSITIONAL_ONLY:
        written.append("/")
    result = ", ".join(values) + ("," if values else "")
    namespace |= {"__builtins__": {}, "__dict": dict, "__sorted": sorted}
    exec(f"def bind({', '.join(written)}): return ({result})", namespace)
    return typing.cast(Callable[..., tuple[Any, ...]], namespace["bind"])


def _enclosing_locals(fn: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the names around a local function whose annotations are text, so that they can be resolved later."""
    annotations = getattr(fn, "__annotations__", {})
    if "<locals>" not in fn.__qualname__ or not any(isinstance(a, str) for a in annotations.values()):
        return {}
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "lineage":
        frame = frame.f_back
    return dict(frame.f_locals) if frame is not None else {}


def _resolve(fn: Callable[..., Any], around: Mapping[str, Any]) -> dict[str, Any]:
    """Return the annotations of `fn` as types. A name that nobody can resolve counts as Any."""
    plain: Any = inspect.unwrap(fn)
    cells = getattr(plain, "__closure__", None) or ()
    free = plain.__code__.co_freevars if cells else ()
    names = {**around, **{name: _cell(cell) for name, cell in zip(free, cells, strict=True)}}
    try:
        return typing.get_type_hints(plain, localns=names, include_extras=True)
    except Exception:  # names under TYPE_CHECKING, and whatever an annotation does when it is evaluated
        return {name: _one_hint(plain, hint, names) for name, hint in plain.__annotations__.items()}


def _one_hint(fn: Callable[..., Any], hint: Any, names: Mapping[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"hint": hint})
    try:
        return typing.get_type_hints(holder, fn.__globals__, dict(names), include_extras=True)["hint"]
    except Exception:
        return Any


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def split_annotated(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type of `Annotated[type, ...]` and its marks."""
    if typing.get_origin(hint) is typing.Annotated:
        return hint.__origin__, hint.__metadata__
    return hint, ()


def type_text(hint: Any) -> str:
    """Return a type as text that is the same in every process and module: names, arguments and schemas.

    >>> type_text(dict[str, list[int] | None])
    'dict[str, list[int] | None]'
    """
    plain, marks = split_annotated(hint)
    schemas = [repr(mark) for mark in marks if type(mark).__name__ == "Schema"]
    args, origin = typing.get_args(plain), typing.get_origin(plain)
    if schemas:
        return f"Annotated[{type_text(plain)}, {', '.join(schemas)}]"
    if plain is Ellipsis:
        return "..."
    if plain is type(None):
        return "None"
    if isinstance(plain, list):
        return f"[{', '.join(map(type_text, plain))}]"
    if origin is typing.Literal:
        return f"Literal{list(args)!r}"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(type_text, args))
    name = getattr(origin or plain, "__qualname__", None) or getattr(plain, "__name__", None) or repr(plain)
    return f"{name}[{', '.join(map(type_text, args)) or '()'}]" if origin and (args or origin is tuple) else str(name)


# -- fields and items of results


def field_hint(hint: Any, name: str) -> tuple[bool, Any]:
    """Say whether results of type `hint` have a lazy field `name`, and its type."""
    fields = fields_of(hint)
    return name in fields, fields.get(name, Any)


def fields_of(hint: Any) -> dict[str, Any]:
    """Return the fields of an attrs class, a dataclass or a named tuple and their types; none for other types.

    >>> from lineage.outcomes import Ok
    >>> fields_of(Ok[int])
    {'value': <class 'int'>}
    """
    hint, _ = split_annotated(hint)
    cls = typing.get_origin(hint) or hint
    if not isinstance(cls, type) or cls is Any:
        return {}
    names: Sequence[str] = ()
    if attrs.has(cls):
        names = [field.name for field in attrs.fields(cls)]
    elif hasattr(cls, "__dataclass_fields__"):
        names = list(cls.__dataclass_fields__)
    elif issubclass(cls, tuple):
        names = getattr(cls, "_fields", ())
    if not names:
        return {}
    hints = _class_hints(cls)
    given = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(hint), strict=False))
    return {name: _substituted(hints.get(name, Any), given) for name in names}


def _substituted(hint: Any, given: Mapping[Any, Any]) -> Any:
    """Return `hint` with the arguments of a generic class in the places of its type variables."""
    parameters = getattr(hint, "__parameters__", ())
    if isinstance(hint, typing.TypeVar):
        return given.get(hint, hint)
    if not given or not parameters or isinstance(hint, type):
        return hint
    try:
        return hint[tuple(given.get(parameter, parameter) for parameter in parameters)]
    except TypeError:
        return hint


def item_hint(hint: Any, key: int | str) -> tuple[bool, Any]:
    """Say whether results of type `hint` have a lazy item `key`, and its type."""
    hint, _ = split_annotated(hint)
    if hint is Any:
        return True, Any
    origin, args = typing.get_origin(hint) or hint, typing.get_args(hint)
    if not isinstance(origin, type):
        return False, Any
    if typing.is_typeddict(origin):
        hints = _class_hints(origin)
        found = hints.get(str(key), Any)
        if typing.get_origin(found) in (typing.Required, typing.NotRequired):
            found = typing.get_args(found)[0]
        return key in hints, found
    if is_mapping(hint):
        return True, args[1] if len(args) == 2 else Any
    if not isinstance(key, int):
        return False, Any
    if issubclass(origin, tuple):
        return _tuple_item(hint, key)
    if issubclass(origin, list) or origin in _SEQUENCES:
        return True, args[0] if args else Any
    return False, Any


_SEQUENCES = (abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)


def is_mapping(hint: Any) -> bool:
    """Say whether the items of results of type `hint` are known by their keys."""
    origin = typing.get_origin(hint) or hint
    return hint is not Any and isinstance(origin, type) and issubclass(origin, abc.Mapping)


def required_keys(cls: Any) -> frozenset[str]:
    """Return the keys that a TypedDict must have. Python itself misses `NotRequired` in annotations kept as text."""
    hints = _class_hints(cls)
    optional = {name for name, hint in hints.items() if typing.get_origin(hint) is typing.NotRequired}
    required = {name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required}
    return frozenset((cls.__required_keys__ - optional) | required)


def _tuple_item(hint: Any, key: int) -> tuple[bool, Any]:
    length = known_length(hint)
    args = typing.get_args(hint)
    if length is None:
        return True, args[0] if args else Any
    if not -length <= key < length:
        return False, Any
    fields = fields_of(hint)
    return True, list(fields.values())[key] if fields else args[key]


def known_length(hint: Any) -> int | None:
    """Return how many items results of type `hint` have: those of named tuples and of tuples of fixed length.

    >>> known_length(tuple[int, str]), known_length(tuple[()]), known_length(tuple[int, ...])
    (2, 0, None)
    """
    hint, _ = split_annotated(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    cls = origin or hint
    if not isinstance(cls, type) or not issubclass(cls, tuple):
        return None
    if hasattr(cls, "_fields"):
        return len(cls._fields)
    if origin is None or Ellipsis in args:
        return None
    return len(args)


@functools.lru_cache(maxsize=1024)
def _class_hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:
        return {}
