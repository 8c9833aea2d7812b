"""Things made of a function and something more: what they are made of, by name.

`functools.partial`, bound methods, properties, caches, dispatchers of numba and `singledispatch`:
each is its kind and its parts, and parts are followed like anything else.
"""

from __future__ import annotations

import functools
import operator
import types
import typing
from collections.abc import Callable
from typing import Any

import attrs

from lineage.code.bytecode import signature
from lineage.code.facts import fact, own, static
from lineage.code.guards import MISSING, cell_contents
from lineage.code.origin import Origin, module_named, origin_of_code, origin_of_module_name

__all__ = ["Parts", "address_of", "is_dispatcher", "lineage_function", "lineage_manner", "parts_of"]


@attrs.frozen(eq=False)
class Parts:
    """`kind` and `name` for people, `items` in order. Where `tolerant`, an item without identity
    counts by its type.
    """

    kind: str
    name: str
    items: tuple[tuple[str, object], ...]
    tolerant: bool = False
    registry: Any = None


def parts_of(value: object) -> Parts | None:
    """Return what `value` is made of; None where it is not made of parts."""
    plain = lineage_function(value)
    if plain is not MISSING and lineage_manner(value):
        return Parts("node", _named(plain), (("manner", lineage_manner(value)), ("function", plain)))
    for kinds, describe in _KINDS:
        if isinstance(value, kinds):
            return describe(value)
    if isinstance(value, types.FunctionType):
        return _function_parts(value)
    if is_dispatcher(value):
        dispatcher: Any = value
        options = sorted(dispatcher.targetoptions.items())
        return Parts("compiled", _named(value), (("py_func", dispatcher.py_func), ("options", options)))
    wrapped = static(value, "__wrapped__")
    if wrapped is not MISSING and callable(value) and not isinstance(value, type):
        return Parts("wrapper", _named(wrapped), (("type", type(value)), ("wrapped", wrapped)))
    return None


def lineage_function(value: object) -> object:
    """Return the plain function behind one of our nodes; MISSING for anything else."""
    if hasattr(type(value), "__lineage_function__") or "__lineage_function__" in own(value):
        return value.__lineage_function__  # type: ignore[attr-defined]
    return MISSING


def lineage_manner(value: object) -> str:
    """Return in what way one of our nodes is more than its function: its contract, version or kind."""
    return str(value.__lineage_manner__) if hasattr(type(value), "__lineage_manner__") else ""  # type: ignore[attr-defined]


def is_dispatcher(value: object) -> bool:
    """Say whether `value` is a function compiled by numba."""
    kind = type(value)
    if not any(base.__module__.startswith("numba.") for base in kind.__mro__):
        return False
    return hasattr(value, "py_func") and hasattr(value, "targetoptions")


def address_of(value: object) -> str | None:
    """Return where `value` is found in code that is not the project's, such as "numpy.linalg.norm";
    None elsewhere.
    """
    name = fact(value, "__qualname__") or fact(value, "__name__")
    owner = fact(value, "__module__") or type(value).__module__
    if isinstance(name, str) and isinstance(owner, str):
        found: Any = module_named(owner)
        if found is None or origin_of_module_name(owner) is Origin.PROJECT:
            return None
        for part in name.split("."):
            found = own(found).get(part, MISSING)
        return f"{owner}.{name}" if found is value else None
    return _address_of_instance(value)


def _address_of_instance(value: object) -> str | None:
    """Find a package's own instance, such as `polars.col`, in the package."""
    owner = type(value).__module__
    if origin_of_module_name(owner) is not Origin.PACKAGE:
        return None
    for name in (owner.partition(".")[0], owner):
        module = module_named(name)
        for key, member in vars(module).items() if module is not None else ():
            if member is value:
                return f"{name}.{key}"
    return None


def _named(value: object) -> str:
    name = fact(value, "__qualname__") or fact(value, "__name__")
    return str(name or type(value).__name__).rpartition("<locals>.")[2]


def _function_parts(fn: types.FunctionType) -> Parts | None:
    """Take apart a function of a package or the standard library that the project made by calling
    one of theirs.

    What a decorator of theirs returned is their code around cells of ours; a function found at its
    own address is not taken apart.
    """
    if origin_of_code(fn) is Origin.PROJECT:
        return None
    registry = getattr(fn, "registry", None)
    if fn.__code__.co_filename == functools.__file__ and isinstance(registry, types.MappingProxyType):
        return _single_dispatch(fn, registry)
    if address_of(fn) is not None:
        return None
    if not (fn.__closure__ or fn.__dict__ or fn.__defaults__ or fn.__kwdefaults__):
        return None
    items: list[tuple[str, object]] = [("code", signature(fn.__code__))]
    if "__wrapped__" in fn.__dict__:
        items.append(("wrapped", fn.__dict__["__wrapped__"]))
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        items.append((f"cell {name}", cell_contents(cell)))
    items += [(f"default {index}", value) for index, value in enumerate(fn.__defaults__ or ())]
    items += [(f"default {name}", value) for name, value in (fn.__kwdefaults__ or {}).items()]
    return Parts("wrapper", _named(fn), tuple(items), tolerant=True)


def _single_dispatch(fn: types.FunctionType, registry: Any) -> Parts:
    items: list[tuple[str, object]] = []
    for kind, handler in sorted(registry.items(), key=lambda item: str(item[0].__qualname__)):
        items += [("type", kind), ("handler", handler)]
    return Parts("dispatch", _named(fn), tuple(items), registry=registry)


def _partial(value: Any) -> Parts:
    keywords = tuple((f"keyword {name}", item) for name, item in sorted(value.keywords.items()))
    positional = tuple((f"argument {index}", item) for index, item in enumerate(value.args))
    return Parts("partial", _named(value.func), (("function", value.func), *positional, *keywords))


def _method(value: types.MethodType) -> Parts:
    return Parts("method", _named(value), (("function", value.__func__), ("self", value.__self__)))


def _wrapping(attribute: str) -> Callable[[Any], Parts]:
    def describe(value: Any) -> Parts:
        inner = getattr(value, attribute)
        return Parts(type(value).__name__, _named(inner), (("function", inner),))

    return describe


def _property(value: property) -> Parts:
    items = (("get", value.fget), ("set", value.fset), ("delete", value.fdel))
    name = _named(value.fget) if value.fget is not None else "property"
    return Parts("property", name, items)


def _cache(value: Any) -> Parts:
    options = sorted(value.cache_parameters().items())
    return Parts("cache", _named(value), (("function", value.__wrapped__), ("options", options)))


def _dispatch_method(value: Any) -> Parts:
    return Parts("dispatch", _named(value.func), (("dispatcher", value.dispatcher),))


def _getter(value: Any) -> Parts:
    kind, arguments = value.__reduce__()[:2]
    items = tuple((f"argument {index}", item) for index, item in enumerate(arguments))
    return Parts(type(value).__name__, type(value).__name__, (("type", kind), *items))


def _bound_builtin(value: types.BuiltinMethodType) -> Parts | None:
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType | type):
        return None
    return Parts("method", value.__name__, (("name", value.__name__), ("self", owner)))


def _generic(value: Any) -> Parts:
    origin = typing.get_origin(value)
    items = tuple((f"argument {index}", item) for index, item in enumerate(typing.get_args(value)))
    return Parts("type", "generic", (("origin", origin), *items), tolerant=True)


def _type_variable(value: Any) -> Parts:
    items: tuple[tuple[str, object], ...] = (("name", value.__name__),)
    for attribute in ("__supertype__", "__value__"):
        if hasattr(value, attribute):
            items = (*items, ("of", getattr(value, attribute)))
    return Parts("type", value.__name__, items)


_CACHE = type(functools.lru_cache(lambda: None))
_GENERICS = (
    types.GenericAlias,
    *(base for base in type(typing.Annotated[int, 0]).__mro__ if base.__module__ == "typing"),
    types.UnionType,
)
_KINDS: tuple[tuple[Any, Callable[[Any], Parts | None]], ...] = (
    (functools.partial, _partial),
    (functools.partialmethod, _partial),
    (types.MethodType, _method),
    ((staticmethod, classmethod), _wrapping("__func__")),
    (property, _property),
    (functools.cached_property, _wrapping("func")),
    (_CACHE, _cache),
    (functools.singledispatchmethod, _dispatch_method),
    ((operator.itemgetter, operator.attrgetter, operator.methodcaller), _getter),
    (types.BuiltinMethodType, _bound_builtin),
    (_GENERICS, _generic),
    ((typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple, typing.NewType), _type_variable),
    (getattr(typing, "TypeAliasType", ()), _type_variable),  # from Python 3.12
)
