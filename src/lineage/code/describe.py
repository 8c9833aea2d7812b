"""The leaf of each kind of thing: what it is itself, and the labels that its parts lead to."""

from __future__ import annotations

import re
from types import FunctionType, ModuleType
from typing import Any

from lineage.code.body import Body
from lineage.code.bytecode import signature
from lineage.code.classes import class_items, is_enum
from lineage.code.effects import effects_of
from lineage.code.facts import own
from lineage.code.guards import MISSING
from lineage.code.origin import Origin, file_of_module, module_named, origin_of_module_name
from lineage.code.parts import parts_of
from lineage.code.resolve import Resolver
from lineage.code.scan import scan
from lineage.code.source import class_definition, definition_of, file_of_code, stamp_of
from lineage.code.walk import Describe, Walk
from lineage.content.tree import Hole
from lineage.digest import Digest, digest_of

__all__ = ["DESCRIBE", "resolve_names"]

_NAMES = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_SHELL_NAMES = frozenset(["In", "Out", "exit", "quit", "get_ipython", "open"])


def _function(walk: Walk, label: str, fn: FunctionType) -> Digest:
    walk.guards.function(fn)
    file = file_of_code(fn)
    if stamp_of(file) is not None:
        walk.guards.source(file)
    definition = definition_of(fn)
    if definition is not None:
        walk.sources[label] = definition.text
    own = definition.digest if definition is not None else signature(fn.__code__)
    if walk.claims is not None:
        walk.claims.code(label, fn.__code__.co_filename, signature(fn.__code__))
    # a node's own name is not what it does; any other's may be read (`f.__name__`) by what holds it
    name = b"" if label == walk.root else fn.__name__.encode("utf-8", "surrogatepass")
    module = module_named(fn.__globals__.get("__name__"))
    if module is not None and vars(module) is fn.__globals__:
        walk.visit_module(module, label)
    body = Body(walk, label, Resolver.of(fn, walk.guards), file)
    bindings = list(body.follow(scan(fn.__code__)))
    wrapped = fn.__dict__.get("__wrapped__")
    if wrapped is not None:  # a decorator may keep what it wraps where no name leads to it
        bindings += [b"__wrapped__", walk.item(wrapped, label, "__wrapped__", tolerant=True)]
    walk.guards.members(vars(fn))
    for key, value in sorted(vars(fn).items()):
        if key != "__wrapped__":  # what holds the function may read its attributes
            bindings += [key.encode(), walk.item(value, label, key, tolerant=True)]
    defaults = _defaults(walk, label, fn)
    return digest_of("function", own, name, *bindings, b"defaults", *defaults)


def _defaults(walk: Walk, label: str, fn: FunctionType) -> list[bytes]:
    code = fn.__code__
    values = fn.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(values) : code.co_argcount]
    pairs = [*zip(names, values, strict=True), *sorted((fn.__kwdefaults__ or {}).items())]
    found: list[bytes] = []
    for name, value in pairs:
        if isinstance(value, Hole) and walk.binds(label):
            target = "a call"  # bound and hashed as an argument, like any other
        elif walk.is_thing(value):
            target = walk.reach(value, label)
        else:
            shown = f"{fn.__name__}.{name}"
            target = walk.constant(("default", id(fn), name), shown, value, label, "default")
        found += [name.encode("utf-8", "surrogatepass"), target.encode("utf-8", "surrogatepass")]
    return found


def _class(walk: Walk, label: str, cls: type) -> Digest:
    walk.guards.class_(cls)
    if is_enum(cls):
        members: Any = cls
        for member in members:
            walk.guards.members(vars(member))
    module = module_named(cls.__module__)
    if module is not None:
        walk.visit_module(module, label)
    # the metaclass of a package fills a class with its own machinery: what of that has no identity
    # counts by its type,
    # and the text of the class is taken in besides
    origins = [origin_of_module_name(base.__module__) for base in (type(cls), *cls.__bases__)]
    made_elsewhere = origin_of_module_name(cls.__module__) is not Origin.PROJECT
    tolerant = Origin.PACKAGE in origins or made_elsewhere
    parts: list[bytes] = []
    for name, value in class_items(cls):
        parts += [name.encode("utf-8", "surrogatepass"), walk.item(value, label, name, tolerant)]
        if name.startswith("annotation ") and isinstance(value, str) and module is not None:
            parts += resolve_names(walk, label, module, value)
    definition = class_definition(cls)
    if definition is not None:
        walk.sources[label] = definition.text
        if tolerant:
            parts += [b"body", definition.digest]
    return digest_of("class", *parts)


def resolve_names(walk: Walk, label: str, module: ModuleType, text: str) -> list[bytes]:
    """Reach the types that an annotation kept as text names; return what they lead to."""
    resolver = Resolver.of_module(module, walk.guards)
    found: list[bytes] = []
    for dotted in _NAMES.findall(text):
        first, *rest = dotted.split(".")
        if first not in vars(module):
            continue
        reached = resolver.name(first)
        for name in rest:
            reached = resolver.attribute(reached, name)
        if reached.path is not None:
            found.append(walk.foreign(reached.path).encode())
        elif reached.value is not MISSING and walk.is_thing(reached.value):
            found.append(walk.reach(reached.value, label).encode("utf-8", "surrogatepass"))
    return found


def _parts(walk: Walk, label: str, thing: object) -> Digest:
    parts = parts_of(thing)
    assert parts is not None
    found = [
        parts.kind.encode(),
        str(getattr(thing, "__name__", "")).encode("utf-8", "surrogatepass"),
    ]
    if label == walk.root or parts.kind == "node":
        found[1] = b""
    for name, value in parts.items:
        found += [name.encode(), walk.item(value, label, name, parts.tolerant)]
    if parts.registry is not None:
        walk.guards.members(parts.registry)
    if isinstance(thing, FunctionType):
        walk.guards.function(thing)
        for cell in thing.__closure__ or ():
            walk.guards.cell(cell)
    return digest_of("parts", *found)


def _instance(walk: Walk, label: str, thing: object) -> Digest:
    """Describe a callable instance that was met inside a value: its class and its state."""
    slots = {
        name: getattr(thing, name) for base in type(thing).__mro__ for name in _slots(base) if hasattr(thing, name)
    }
    state = own(thing)
    theirs = origin_of_module_name(type(thing).__module__) is not Origin.PROJECT
    tolerant = label in walk.tolerated
    unseen = not slots and not state and (theirs or not hasattr(thing, "__dict__"))
    if unseen and not (tolerant or walk.lenient):
        walk.refuse_value(thing, label)
    walk.guards.check(lambda: [id(getattr(thing, name, None)) for name in slots])
    parts = [walk.item(type(thing), label, "type"), walk.item(state, label, "state", tolerant)]
    for name in sorted(slots):
        parts += [name.encode(), walk.item(slots[name], label, name, tolerant)]
    return digest_of("instance", *parts)


def _slots(cls: type) -> tuple[str, ...]:
    slots = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def _module(walk: Walk, label: str, module: ModuleType) -> Digest:
    """Describe a module that is used as a value: anything in it may be what is meant."""
    walk.visit_module(module, label)
    members = vars(module)
    walk.guards.members(members)
    shell = module.__name__ == "__main__" and file_of_module(module) is None
    parts: list[bytes] = []
    for name in sorted(name for name in members if not name.startswith("__")):
        if shell and (name.startswith("_") or name in _SHELL_NAMES):
            continue
        parts += [
            name.encode("utf-8", "surrogatepass"),
            walk.item(members[name], label, name, True),
        ]
    return digest_of("module", *parts)


def _effects(walk: Walk, _: str, module: ModuleType) -> Digest:
    """Describe what importing a module does; the leaf is there only if it does something."""
    nothing = digest_of("no effects")
    effects = effects_of(module)
    if module.__name__ == "__main__" and file_of_module(module) is None:
        walk.guards.check(lambda: effects_of(module).digest)
    else:
        members = vars(module)
        walk.guards.name(members, "__spec__", members.get("__spec__", MISSING))
    for name in effects.imports:
        imported = module_named(name)
        if imported is not None:
            walk.visit_module(imported, "")
    if effects.digest is None or effects.code is None:
        return nothing
    short = module.__name__.rpartition(".")[2]
    label = walk.label(("effects", module.__name__), f"module effects: {short}", "")
    walk.sources[label] = effects.text
    resolver = Resolver.of_module(module, walk.guards)
    bindings = Body(walk, label, resolver, file_of_module(module)).follow(scan(effects.code))
    walk.leaves[label] = digest_of("effects", effects.digest, *bindings)
    return nothing


DESCRIBE: dict[str, Describe] = {
    "function": _function,
    "class": _class,
    "parts": _parts,
    "instance": _instance,
    "module": _module,
    "effects": _effects,
}
