"""Checks of types: when a graph is composed, and at the doors of a node.

Producers are compared with parameters by beartype's `is_subhint`, values with types by typeguard's `check_type`, every
item of a container. Where neither library can judge a type, the wiring is let through: a checker that cries wolf is
turned off.
"""

from __future__ import annotations

import functools
import inspect
import os
import types
import typing
from collections import abc
from collections.abc import Iterator
from typing import Any

import attrs

from lineage.files import Directory, Input
from lineage.graph import Lazy, result_hint, shown, type_name
from lineage.schema import Schema, check_table, clash
from lineage.signatures import (
    fields_of,
    is_mapping,
    item_hint,
    known_length,
    required_keys,
    split_annotated,
)

__all__ = ["brief", "check_value", "misfit", "misfit_inside"]


def brief(value: Any) -> str:
    """Return a value as one short line, with its type.

    >>> brief([1, 2])
    '[1, 2] (list)'
    """
    text = repr(value).replace("\n", " ")
    return f"{text[:60]}{'…' if len(text) > 60 else ''} ({type(value).__qualname__})"


# -- calls: what one is declared to give, against what another needs


def misfit(producer: Any, parameter: Any) -> str | None:
    """Return why results of type `producer` don't fit `parameter`, or None if they do.

    >>> misfit(str, int)
    'str is not int'
    """
    made, needed = split_annotated(producer)[0], split_annotated(parameter)[0]
    if not _fits(made, needed):
        return f"{type_name(made)} is not {type_name(needed)}{_advice(made, needed)}"
    return _clash(producer, parameter)


def _schema(marks: tuple[Any, ...]) -> Schema | None:
    return next((mark for mark in marks if isinstance(mark, Schema)), None)


def _clash(producer: Any, parameter: Any) -> str | None:
    """Return why the schemas of two types can't agree: those of tables, and of tables in lists and unions."""
    made, ours = split_annotated(producer)
    needed, theirs = split_annotated(parameter)
    mine, yours = _schema(ours), _schema(theirs)
    if mine is not None and yours is not None:
        return clash(mine, yours)
    made_args, needed_args = typing.get_args(made), typing.get_args(needed)
    if _is_union(made):
        return next(filter(None, (_clash(arg, parameter) for arg in made_args)), None)
    if _is_union(needed):
        fitting = [arg for arg in needed_args if _fits(made, split_annotated(arg)[0])]
        reasons = [_clash(producer, arg) for arg in fitting]
        return None if None in reasons else next(iter(reasons), None)
    if len(made_args) != len(needed_args):
        return None
    return next(filter(None, map(_clash, made_args, needed_args)), None)


def _advice(made: Any, needed: Any) -> str:
    names = (type_name(made), type_name(needed))
    if names[1] == "LazyFrame":
        return "; lineage.scan(...) makes a LazyFrame of a table or of a list of tables"
    if names[0] in _TABLES and names[1] in _TABLES:
        return f"; lineage.view(..., {names[1]}) reads it as one"
    if type(None) in typing.get_args(made):
        return "; it may be None, which a node must deal with"
    return ""


_TABLES = ("DataFrame", "LazyFrame", "Table")


def _fits(made: Any, needed: Any) -> bool:
    if _is_open(made) or _is_open(needed):
        return True
    made = type(None) if made is None else made
    needed = type(None) if needed is None else needed
    if made in _TOWER and needed in _TOWER:  # the numeric tower of PEP 484
        return _TOWER.index(made) <= _TOWER.index(needed)
    if _is_union(made):
        return all(_fits(split_annotated(arg)[0], needed) for arg in typing.get_args(made))
    if _is_union(needed):
        return any(_fits(made, split_annotated(arg)[0]) for arg in typing.get_args(needed))
    if _is_protocol(needed):
        return _has_members(made, typing.get_origin(needed) or needed)
    if type(made) is type and type(needed) is type:  # plain classes need no library to be judged
        return issubclass(made, needed)
    verdict = _by_arguments(made, needed)
    return _is_subhint(_bare(made), _bare(needed)) if verdict is None else verdict


_TOWER: list[Any] = [bool, int, float, complex]


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _is_open(hint: Any) -> bool:
    """Say whether a type says nothing that could be checked."""
    if hint is None or (isinstance(hint, (type, types.UnionType)) and hint is not Any):
        return hint is object
    is_open = hint is Any or hint is inspect.Parameter.empty
    return is_open or isinstance(hint, (typing.TypeVar, str, typing.ForwardRef))


def _is_protocol(hint: Any) -> bool:
    return bool(getattr(typing.get_origin(hint) or hint, "_is_protocol", False))


def _by_arguments(made: Any, needed: Any) -> bool | None:
    """Compare two generic types argument by argument, where they have arguments of the same meaning; else None."""
    ours: Any = typing.get_origin(made) or made
    theirs: Any = typing.get_origin(needed) or needed
    if theirs is abc.Callable and ours is abc.Callable and not typing.get_args(made):
        return True
    if typing.is_typeddict(theirs) and isinstance(ours, type):
        return _fits_typed_dict(ours, theirs)
    if not isinstance(ours, type) or not isinstance(theirs, type) or theirs is abc.Callable:
        return None
    made_args = _ITEMS.get(ours) or typing.get_args(made)
    needed_args = typing.get_args(needed)
    if not needed_args and typing.get_origin(needed) is not tuple:
        return None if not made_args else _is_subclass(ours, theirs)
    if not made_args and typing.get_origin(made) is not tuple:
        # `list` where `list[int]` is wanted: unknown items are let through
        return _is_subclass(ours, theirs) if not hasattr(ours, "_fields") else None
    if issubclass(ours, tuple) or issubclass(theirs, tuple):
        return _fits_tuple(ours, made_args, theirs, needed_args)
    if len(made_args) != len(needed_args) or ours not in _PLAIN_GENERICS:
        return None
    pairs = zip(made_args, needed_args, strict=True)
    return _is_subclass(ours, theirs) and all(
        _fits(split_annotated(one)[0], split_annotated(other)[0]) for one, other in pairs
    )


_PLAIN_GENERICS = (
    *(list, set, frozenset, dict, str, bytes, range),
    *(abc.Sequence, abc.Iterable, abc.Mapping, abc.Set, abc.Collection),
)
_ITEMS: dict[type, tuple[type, ...]] = {str: (str,), bytes: (int,), range: (int,)}


def _fits_typed_dict(ours: type, theirs: Any) -> bool:
    if not typing.is_typeddict(ours):
        return issubclass(ours, dict)
    for key in theirs.__annotations__:
        found, made = item_hint(ours, key)
        if (not found and key in required_keys(theirs)) or (found and not _fits(made, item_hint(theirs, key)[1])):
            return False
    return True


def _fits_tuple(ours: type, made: tuple[Any, ...], theirs: type, needed: tuple[Any, ...]) -> bool | None:
    if not _is_subclass(ours, theirs):
        return False
    items = [split_annotated(arg)[0] for arg in made if arg is not Ellipsis]
    if theirs is not tuple:
        return all(_fits(item, split_annotated(needed[0])[0]) for item in items) if len(needed) == 1 else None
    wanted = [split_annotated(arg)[0] for arg in needed if arg is not Ellipsis]
    if Ellipsis in needed:
        return all(_fits(item, wanted[0]) for item in items)
    if Ellipsis in made:
        return all(_fits(items[0], want) for want in wanted)
    return len(items) == len(wanted) and all(map(_fits, items, wanted))


def _bare(hint: Any) -> Any:
    """Return a type without the marks of `Annotated`, which beartype would compare, and with `float` taking ints."""
    hint, _ = split_annotated(hint)
    if hint is float:
        return float | int
    args = typing.get_args(hint)
    origin: Any = typing.get_origin(hint)
    if not args or origin in (typing.Literal, abc.Callable, tuple):
        return hint
    bare = tuple(_bare(arg) for arg in args)
    if bare == args:
        return hint
    try:
        return functools.reduce(lambda a, b: a | b, bare) if _is_union(hint) else origin[bare]
    except TypeError:
        return hint


def _is_subclass(made: type, needed: type) -> bool:
    try:
        return issubclass(made, needed)
    except TypeError:
        return True


def _is_subhint(made: Any, needed: Any) -> bool:
    from beartype.door import is_subhint

    try:
        return bool(is_subhint(made, needed))
    except Exception:  # a type that beartype can't judge
        return True


def _has_members(made: Any, protocol: type) -> bool:
    from typing_extensions import get_protocol_members

    cls = typing.get_origin(made) or made
    if not isinstance(cls, type):
        return True
    annotated = {name for base in cls.__mro__ for name in getattr(base, "__annotations__", {})}
    return all(hasattr(cls, name) or name in annotated for name in get_protocol_members(protocol))


# -- containers that hold calls: item by item


def misfit_inside(value: Any, hint: Any) -> str | None:
    """Return why a call, or a container that holds calls, doesn't fit `hint`, or None if it does."""
    if hint is typing.Never:
        return f"{brief(value)}, for which there is no place"
    if isinstance(value, Lazy):
        made = result_hint(value)
        reason = misfit(made, hint)
        return None if reason is None else f"`{shown(value)}` -> {type_name(made)}: {reason}"
    plain, _ = split_annotated(hint)
    if _is_open(plain):
        return None
    if _is_union(plain):
        reasons = [misfit_inside(value, arg) for arg in typing.get_args(plain)]
        return None if None in reasons else f"{brief(value)}, which fits none of {type_name(plain)}: {reasons[0]}"
    parts = list(_parts(value, hint))
    if not parts:
        reason = check_value(value, hint, "")
        return None if reason is None else f"{brief(value)}: {reason}"
    cls = typing.get_origin(plain) or plain
    if isinstance(cls, type) and not _is_protocol(cls) and not typing.is_typeddict(cls) and not isinstance(value, cls):
        return f"{brief(value)}: {type(value).__qualname__} is not {type_name(plain)}"
    lacking = _lacking(value, plain)
    if lacking:
        return f"{brief(value)}: {lacking}"
    for place, part, wanted in parts:
        reason = misfit_inside(part, wanted)
        if reason is not None:
            return f"{reason} (at {place})"
    return None


def _lacking(value: Any, hint: Any) -> str | None:
    """Return which items a container has too few of."""
    if typing.is_typeddict(hint):
        missing = sorted(required_keys(hint) - set(value)) if isinstance(value, dict) else []
        return f"it has no {', '.join(map(repr, missing))}" if missing else None
    wanted = known_length(hint)
    if wanted is not None and len(value) < wanted:
        return f"it has {len(value)} items of {wanted}"
    return None


def _parts(value: Any, hint: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts of a container, where each stands and which type it needs."""
    plain, _ = split_annotated(hint)
    args = typing.get_args(plain)
    fields = fields_of(type(value))
    if fields:
        declared = fields_of(plain) or fields
        for name in fields:
            if hasattr(value, name):
                yield f".{name}", getattr(value, name), declared.get(name, Any)
    elif isinstance(value, abc.Mapping):
        for key, part in value.items():
            found, wanted = item_hint(plain, key) if isinstance(key, (str, int)) or is_mapping(plain) else (False, Any)
            yield f"key {key!r}", key, args[0] if len(args) == 2 else Any
            if typing.is_typeddict(plain) and not found:
                wanted = typing.Never
            yield f"[{key!r}]", part, wanted
    elif isinstance(value, (list, tuple, abc.Set)) or type(value).__name__ == "deque":
        fixed = typing.get_origin(plain) is tuple and Ellipsis not in args
        for position, part in enumerate(value):
            found, wanted = item_hint(plain, position)
            if fixed and position >= len(args):
                wanted = typing.Never
            elif not found and len(args) == 1:
                wanted = args[0]
            yield f"[{position}]", part, wanted


# -- values


def check_value(value: Any, hint: Any, where: str) -> str | None:
    """Return why `value` is not of type `hint`, or None if it is. Tables, also those in lists, tuples and dicts, are
    checked against their schemas.

    Raises:
        SchemaError: the data of a table disagree with the schema in `hint`.
    """
    plain, _ = split_annotated(hint)
    if _is_open(plain):
        return None
    if not (isinstance(plain, type) and type(value) is plain and plain not in (list, dict, tuple, set)):
        reason = _mismatch(value, plain)
        if reason is not None:
            return reason + _how_to_declare(value, reason)
    if _has_schema(hint):
        _check_tables(value, hint, where)
    return None


def _how_to_declare(value: Any, reason: str) -> str:
    """Return what to write where an input was to be declared and something else was given."""
    if isinstance(value, Input):
        is_folder = isinstance(value, Directory)
        return (
            "; lineage.files(...) gives the files of a folder" if is_folder else "; lineage.Directory(...) is a folder"
        )
    for name in ("File", "Directory"):
        if f"lineage.files.{name}" in reason:
            given = repr(str(value)) if isinstance(value, (str, os.PathLike)) else "path or URL"
            return f"; write lineage.{name}({given}), so that what it holds counts"
    return ""


@functools.lru_cache(maxsize=1024)
def _has_schema_cached(hint: Any) -> bool:
    plain, marks = split_annotated(hint)
    return _schema(marks) is not None or any(_has_schema(arg) for arg in typing.get_args(plain))


def _has_schema(hint: Any) -> bool:
    try:
        return _has_schema_cached(hint)
    except TypeError:  # it has marks that can't be hashed
        return _has_schema_cached.__wrapped__(hint)


def _check_tables(value: Any, hint: Any, where: str) -> None:
    plain, marks = split_annotated(hint)
    schema = _schema(marks)
    if schema is not None and value is not None:
        check_table(value, schema, where)
    elif _is_union(plain):
        for arg in typing.get_args(plain):
            if _has_schema(arg) and _mismatch(value, split_annotated(arg)[0]) is None:
                _check_tables(value, arg, where)
    elif isinstance(value, (list, tuple, dict)) or attrs.has(type(value)):
        for place, part, wanted in _parts(value, hint):
            if _has_schema(wanted):
                _check_tables(part, wanted, f"{where}{place}")


def _mismatch(value: Any, hint: Any) -> str | None:
    if _plainly_fits(value, hint):
        return None

    import warnings

    from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError, check_type

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check_type(
                value,
                hint,
                forward_ref_policy=ForwardRefPolicy.IGNORE,
                collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS,
            )
    except TypeCheckError as error:
        return str(error)
    except Exception:  # a type that typeguard can't judge
        return None
    return None


def _plainly_fits(value: Any, hint: Any) -> bool:
    """Say whether plain data in built-in containers fits for certain. Where not, typeguard decides, whose import takes longer
    than many a call.
    """
    if hint is Any:
        return True
    if _is_plain_class(hint):
        return isinstance(value, hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if type(value) is not origin:
        return False
    if origin in (list, set, frozenset):
        return all(_plainly_fits(item, args[0]) for item in value)
    if origin is dict:
        return all(_plainly_fits(key, args[0]) and _plainly_fits(item, args[1]) for key, item in value.items())
    if origin is tuple and Ellipsis not in args:
        return len(value) == len(args) and all(map(_plainly_fits, value, args))
    return False


def _is_plain_class(hint: Any) -> bool:
    is_class = isinstance(hint, type) and not typing.get_args(hint)
    return is_class and not _is_protocol(hint) and not typing.is_typeddict(hint)
