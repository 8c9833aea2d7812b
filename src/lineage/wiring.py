"""Checks of types: when a graph is composed, and at the doors of a node.

Producers are compared with parameters by beartype's `is_subhint`, values with types by typeguard's `check_type`, every
item of a container. Where neither library can judge a type, the wiring is let through: a checker that cries wolf is
turned off.
"""

from __future__ import annotations

import inspect
import typing
from typing import Any

from lineage.graph import type_name
from lineage.schema import Schema, check_table, clash
from lineage.signatures import split_annotated

__all__ = ["check_value", "misfit"]


def misfit(producer: Any, parameter: Any) -> str | None:
    """Return why results of type `producer` don't fit `parameter`, or None if they do.

    >>> misfit(str, int)
    'str is not int'
    """
    made, made_marks = split_annotated(producer)
    needed, needed_marks = split_annotated(parameter)
    if not _fits(made, needed):
        return f"{type_name(made)} is not {type_name(needed)}{_advice(made, needed)}"
    ours, theirs = _schema(made_marks), _schema(needed_marks)
    if ours is not None and theirs is not None:
        return clash(ours, theirs)
    return None


def _schema(marks: tuple[Any, ...]) -> Schema | None:
    return next((mark for mark in marks if isinstance(mark, Schema)), None)


def _advice(made: Any, needed: Any) -> str:
    names = (type_name(made), type_name(needed))
    if names[1] == "LazyFrame":
        return "; lineage.scan(...) makes a LazyFrame of a table or of a list of tables"
    if names[0] in ("DataFrame", "LazyFrame", "Table") and names[1] in ("DataFrame", "LazyFrame", "Table"):
        return f"; lineage.view(..., {names[1]}) reads it as one"
    if type(None) in typing.get_args(made):
        return "; it may be None, which a node must deal with"
    return ""


def _fits(made: Any, needed: Any) -> bool:
    if needed in (Any, object, inspect.Parameter.empty) or made is Any or _is_open(made):
        return True
    if made is None:
        made = type(None)
    if needed is None:
        needed = type(None)
    if needed is float and made in (int, bool):  # the numeric tower of PEP 484
        return True
    origin = typing.get_origin(needed) or needed
    if isinstance(made, type) and isinstance(origin, type) and typing.get_args(needed) and not typing.get_args(made):
        return _is_subclass(made, origin)  # `list` where `list[int]` is wanted: unknown items are let through
    return _is_subhint(made, _towered(needed))


def _is_open(hint: Any) -> bool:
    return isinstance(hint, typing.TypeVar) or any(_is_open(arg) for arg in typing.get_args(hint))


def _towered(hint: Any) -> Any:
    """Let every `float` inside `hint` accept an int, as type checkers do."""
    if hint is float:
        return float | int
    args = typing.get_args(hint)
    if not args or typing.get_origin(hint) is typing.Literal:
        return hint
    try:
        return hint.copy_with(tuple(_towered(arg) for arg in args))
    except AttributeError:
        pass
    origin = typing.get_origin(hint)
    try:
        if origin is not None and float in args and isinstance(origin, type):
            return origin[tuple(_towered(arg) for arg in args)]  # type: ignore[index]
    except TypeError:
        pass
    return hint


def _is_subclass(made: type, needed: type) -> bool:
    try:
        return issubclass(made, needed)
    except TypeError:
        return True


def _is_subhint(made: Any, needed: Any) -> bool:
    from beartype.door import is_subhint

    if getattr(needed, "_is_protocol", False) and isinstance(made, type):
        return _has_members(made, needed)
    try:
        return bool(is_subhint(made, needed))
    except Exception:  # a type that beartype can't judge
        return True


def _has_members(made: type, protocol: type) -> bool:
    from typing_extensions import get_protocol_members

    annotated = {name for cls in made.__mro__ for name in getattr(cls, "__annotations__", {})}
    return all(hasattr(made, name) or name in annotated for name in get_protocol_members(protocol))


def check_value(value: Any, hint: Any, where: str) -> str | None:
    """Return why `value` is not of type `hint`, or None if it is. Tables are checked against their schema.

    Raises:
        SchemaError: the data of a table disagree with the schema in `hint`.
    """
    plain, marks = split_annotated(hint)
    if plain is Any or isinstance(plain, typing.TypeVar):
        return None
    if not (isinstance(plain, type) and type(value) is plain):
        reason = _mismatch(value, plain)
        if reason is not None:
            return reason
    schema = _schema(marks)
    if schema is not None:
        check_table(value, schema, where)
    return None


def _mismatch(value: Any, hint: Any) -> str | None:
    import warnings

    from typeguard import CollectionCheckStrategy, ForwardRefPolicy, TypeCheckError, check_type

    if isinstance(hint, type) and not typing.get_args(hint) and not getattr(hint, "_is_protocol", False):
        if isinstance(value, hint):
            return None
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
