"""What a class of the project's is: bases, metaclass, fields, and every method and attribute that
someone wrote.

Generated methods follow from the fields and are left out, as is what changes without the class
changing.
"""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import inspect
import types
from typing import Any

from lineage.code.facts import fact
from lineage.code.guards import MISSING
from lineage.code.origin import Origin, origin_of_module_name

__all__ = ["class_items", "hides_state", "is_enum", "type_text"]

_VOLATILE = frozenset(
    [
        "__module__",
        "__dict__",
        "__weakref__",
        "__slotnames__",  # what pickle remembers of a class
        "__doc__",
        "__qualname__",
        "__firstlineno__",
        "__static_attributes__",
        "__abstractmethods__",
        "_abc_impl",
        "__parameters__",
        "__orig_bases__",
        "__dataclass_params__",
        "__dataclass_fields__",
        "__attrs_attrs__",
        "__attrs_own_setattr__",
        "__attrs_props__",
        "__attrs_base_of_slotted__",
        "__annotations__",
        "__annotations_cache__",
        "__annotate__",
        "__annotate_func__",
        "__conditional_annotations__",
        "__protocol_attrs__",
        "_is_protocol",
        "_is_runtime_protocol",
        "__non_callable_proto_members__",
        "__classcell__",
        "__attrs_post_init_called__",
    ]
)
_ENUM_MADE = frozenset(
    [
        "_member_names_",
        "_member_map_",
        "_value2member_map_",
        "_member_type_",
        "_new_member_",
        "_use_args_",
        "_value_repr_",
        "_unhashable_values_",
        "_unhashable_values_map_",
        "_hashable_values_",
        "_sort_order_",
        "_generate_next_value_",
        "__new__",
        "_flag_mask_",
        "_singles_mask_",
        "_all_bits_",
        "_boundary_",
        "_inverted_",
        "__new_member__",
    ]
)
_MEMBER_MADE = frozenset(["_value_", "_name_", "__objclass__", "_sort_order_"])
_ATTRS_MADE = frozenset(
    [
        *("__init__", "__attrs_init__", "__repr__", "__eq__", "__ne__", "__lt__", "__le__"),
        *("__gt__", "__ge__", "__hash__", "__setattr__", "__delattr__", "__replace__"),
        *("__getstate__", "__setstate__", "__getattr__"),
    ]
)
_TUPLE_MADE = frozenset(
    [
        "__new__",
        "_make",
        "_replace",
        "__replace__",
        "__repr__",
        "_asdict",
        "__getnewargs__",
        "_fields",
        "_field_defaults",
    ]
)
_DATACLASS_MADE = frozenset(
    [
        "__init__",
        "__repr__",
        "__eq__",
        "__lt__",
        "__le__",
        "__gt__",
        "__ge__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        "__replace__",
        "__getstate__",
        "__setstate__",
        "_dataclass_getstate",
        "_dataclass_setstate",
    ]
)
_DATACLASS_OPTIONS = [
    "name",
    "default",
    "default_factory",
    "init",
    "repr",
    "hash",
    "compare",
    "metadata",
    "kw_only",
]
_ATTRS_OPTIONS = [
    "name",
    "default",
    "validator",
    "repr",
    "eq",
    "eq_key",
    "order",
    "order_key",
    "hash",
    "init",
    "metadata",
    "converter",
    "kw_only",
    "inherited",
    "on_setattr",
    "alias",
]


def class_items(cls: type) -> list[tuple[str, object]]:
    """Return the named items that make up `cls`, in an order that moving them about does not
    change.
    """
    items: list[tuple[str, object]] = [("qualname", cls.__qualname__), ("metaclass", type(cls))]
    items += [(f"base {index}", base) for index, base in enumerate(cls.__bases__)]
    bases = vars(cls).get("__orig_bases__", ())
    items += [(f"generic base {index}", base) for index, base in enumerate(bases)]
    items += _annotations(cls)
    items += _fields(cls)
    if type(cls).__name__ == "JitClassType":
        items += _compiled_class(cls)
    if is_enum(cls):
        members: Any = cls
        for name, member in members.__members__.items():
            state = {key: kept for key, kept in vars(member).items() if key not in _MEMBER_MADE}
            items += [(f"member {name}", member._value_), (f"state {name}", state)]
    items += [
        (f"attribute {name}", member) for name, member in sorted(vars(cls).items()) if not _is_made(cls, name, member)
    ]
    return items


def hides_state(cls: type) -> bool:
    """Say whether the project decides what a pickle of an instance holds, so that it may leave out what code sees."""
    decides = ("__getstate__", "__reduce__", "__reduce_ex__")
    ours = (base for base in cls.__mro__ if origin_of_module_name(base.__module__) is Origin.PROJECT)
    return cls in copyreg.dispatch_table or any(name in vars(base) for base in ours for name in decides)


def is_enum(cls: type) -> bool:
    return isinstance(cls, enum.EnumMeta)


def type_text(annotation: object) -> str:
    """Return an annotation as text that names no module of the project's."""
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation.__qualname__
    return repr(annotation).replace("__main__.", "")


def _annotations(cls: type) -> list[tuple[str, object]]:
    """Return the annotated names in order, each with its type's text, and the types themselves to
    be followed.
    """
    try:
        annotations = inspect.get_annotations(cls)
    except Exception:  # an annotation that can't be evaluated has no type to follow
        annotations = {}
    items: list[tuple[str, object]] = []
    for name, annotation in annotations.items():
        items.append((f"annotation {name}", _plain_text(annotation)))
        if not isinstance(annotation, str):
            items.append((f"type {name}", annotation))
    return items


def _plain_text(annotation: object) -> str:
    # followed as live objects too, so the text of anything but a string or a class adds nothing
    return annotation if isinstance(annotation, str) else getattr(annotation, "__qualname__", "")


def _fields(cls: type) -> list[tuple[str, object]]:
    items: list[tuple[str, object]] = []
    getter: Any = vars(cls).get("__getattr__")
    if _file_of(getter).startswith("<attrs generated"):  # holds the cached properties of slotted classes
        items += sorted(getter.__globals__.get("cached_properties", {}).items())
        items.append(("__getattr__", getter.__globals__.get("original_getattr")))
    attributes = vars(cls).get("__attrs_attrs__")
    for index, field in enumerate(attributes or ()):
        for option in _ATTRS_OPTIONS:
            value: Any = getattr(field, option, None)
            if option == "default" and type(value).__name__ == "Factory":
                items.append((f"field {index} factory", value.factory))
                value = value.takes_self
            elif option == "default" and type(value).__module__.startswith("attr"):
                value = "nothing"
            items.append((f"field {index} {option}", dict(value) if option == "metadata" else value))
    if "__dataclass_params__" in vars(cls):
        items.append(("dataclass", repr(vars(cls)["__dataclass_params__"])))
        for index, made in enumerate(vars(cls)["__dataclass_fields__"].values()):
            items += [
                (f"field {index} {option}", _dataclass_option(getattr(made, option))) for option in _DATACLASS_OPTIONS
            ]
    if _is_named_tuple(cls):
        items.append(("fields", vars(cls)["_fields"]))
        items += [(f"default {key}", v) for key, v in vars(cls)["_field_defaults"].items()]
    return items


def _compiled_class(cls: type) -> list[tuple[str, object]]:
    """Return what a class compiled by numba was made from."""
    compiled: Any = vars(cls)["class_type"]
    items: list[tuple[str, object]] = [("struct", repr(list(compiled.struct.items())))]
    for methods in (compiled.methods, compiled.static_methods):
        items += [(f"method {name}", method) for name, method in sorted(methods.items())]
    for name, accessors in sorted(compiled.jit_props.items()):
        items += [(f"property {name} {key}", part) for key, part in sorted(accessors.items())]
    return items


def _dataclass_option(value: object) -> object:
    if value is dataclasses.MISSING:
        return "nothing"
    return dict(value) if isinstance(value, types.MappingProxyType) else value


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and "_fields" in vars(cls) and "_field_defaults" in vars(cls)


def _is_made(cls: type, name: str, member: object) -> bool:
    """Say whether the attribute was made by Python or a library, not written."""
    if type(cls).__name__ == "JitClassType" and name in ("class_type", "_ctor", "_ctor_sig"):
        return True
    if name in _VOLATILE or isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType):
        return True
    if name.startswith("__pydantic_") and name != "__pydantic_fields__":
        return True
    file = _file_of(member)
    if file.startswith("<attrs generated"):
        return True
    if "__dataclass_params__" in vars(cls) and name in _DATACLASS_MADE:
        return file == "<string>" or member is None or _is_standard(member)
    if is_enum(cls):
        members: Any = cls
        if name in members.__members__ or isinstance(member, enum.property):
            return not isinstance(member, enum.property) or name in members.__members__
        return name in _ENUM_MADE and _is_standard_or_data(member)
    if _is_named_tuple(cls) and name in _TUPLE_MADE | set(vars(cls)["_fields"]):
        return name != "__repr__" or _is_standard(member)
    # attrs puts None or its own functions in the places of methods that a class does not get
    made = name in _ATTRS_MADE and (member is None or _is_standard(member))
    return made and "__attrs_attrs__" in vars(cls)


def _file_of(member: Any) -> str:
    code = fact(member, "__code__") or fact(fact(member, "__wrapped__"), "__code__")
    return str(fact(code, "co_filename") or "")


def _is_standard(member: object) -> bool:
    owner = getattr(member, "__module__", None)
    spoken_for = getattr(member, "__globals__", {}).get("__name__", owner)
    return spoken_for is not MISSING and (
        isinstance(spoken_for, str) and origin_of_module_name(spoken_for) is not Origin.PROJECT
    )


def _is_standard_or_data(member: object) -> bool:
    return not isinstance(member, types.FunctionType) or _is_standard(member)
