"""What the body of a function leads to: each name in its bytecode, bound to the label of what it
stands for now.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from lineage.code.ambient import seeds, unseeded_call
from lineage.code.frames import frame_read, frames_in, script
from lineage.code.guards import MISSING
from lineage.code.literals import literal, literal_path, path_read, reads_file
from lineage.code.origin import Origin, module_named, origin_of_module
from lineage.code.parts import address_of
from lineage.code.resolve import Found, Resolver, is_project
from lineage.code.symbols import (
    UNKNOWN,
    Attribute,
    Call,
    Cell,
    Const,
    Event,
    Global,
    GlobalStore,
    Imported,
    Result,
    Scan,
    Stored,
    Subscript,
    Symbol,
    Use,
    Value,
)
from lineage.code.walk import Walk
from lineage.errors import UnstableIdentityError

__all__ = ["Body"]

_IMPORTERS = (importlib.import_module, builtins.__import__)
_EVALUATORS = (eval, exec, globals)
_WIDENERS = (*_IMPORTERS, *_EVALUATORS)
_FINDERS = frozenset(
    [
        "importlib.metadata.entry_points",
        "importlib.util.spec_from_file_location",
        "importlib.util.module_from_spec",
        "importlib.reload",
        "runpy.run_path",
        "runpy.run_module",
        "pkgutil.iter_modules",
        "pkgutil.walk_packages",
        "pkgutil.resolve_name",
        "pkgutil.get_loader",
        "inspect.getmodule",
        *("inspect.currentframe", "inspect.stack", "sys._current_frames", "gc.get_objects", "gc.get_referrers"),
        "sys._getframe",
        *("pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.load", "_pickle.loads", "_pickle.Unpickler"),
        *("cloudpickle.load", "cloudpickle.loads", "dill.load", "dill.loads", "shelve.open"),
        *("joblib.load", "joblib.numpy_pickle.load", "pandas.read_pickle", "pandas.io.pickle.read_pickle"),
    ]
)
"""What may reach any module of the project, or any class of it, by a name that no code shows."""
_ENVIRONMENT_READS = (
    "os.environ.get",
    "os.environ.pop",
    "os.environ.setdefault",
    "os.environ.__getitem__",
)


class Body:
    """The names of one body and what they lead to."""

    def __init__(self, walk: Walk, label: str, resolver: Resolver, file: str | None) -> None:
        self.walk = walk
        self.label = label
        self.resolver = resolver
        self.source = file
        self.bindings: dict[tuple[str, str], None] = {}
        self.seeded: tuple[str, ...] = ()

    def follow(self, scanned: Scan) -> tuple[bytes, ...]:
        """Reach everything that a body's events lead to; return its bindings."""
        self.seeded = self._seeded(scanned)
        for event in scanned.events:
            self.event(event)
        if scanned.reads_globals:
            self.bindings["__globals__", self.widen(globals)] = None
        for extra in self.resolver.extras:
            self.bind(extra, None)
        return tuple(f"{text}\0{target}".encode("utf-8", "surrogatepass") for text, target in self.bindings)

    def event(self, event: Event) -> None:
        if isinstance(event, Use):
            self.use(event.value, event.line)
        elif isinstance(event, Call):
            self.call(event)
        elif isinstance(event, Subscript):
            self.subscript(event)
        elif isinstance(event, Stored):
            for symbol in _ordered(event.value):
                found = self.resolver.resolve(symbol)
                if found is not None and found.value is not os.environ:
                    self.bind(found, event.line)
        elif isinstance(event, Imported):
            self.imported(event)
        elif isinstance(event, GlobalStore):
            self.store(event)

    def use(self, value: Value, line: int) -> None:
        for symbol in _ordered(value):
            self.subclasses(symbol)
            found = self.resolver.resolve(symbol)
            if found is not None:
                self.bind(found, line)

    def bind(self, found: Found, line: int | None) -> None:
        """Note what a name leads to, and have that looked into."""
        target = self.target(found, line)
        if target:
            self.bindings[found.text, target] = None
            if self.walk.claims is not None:
                self.walk.claims.bound(self.label, found, target, self.resolver.namespace)

    def target(self, found: Found, line: int | None) -> str:
        walk, value = self.walk, found.value
        if self.reads_environment(found):
            self.refuse_environment(line)
            return ""
        if _is_any(value, _WIDENERS) or value is sys.modules or _finds(found):
            return self.widen(value)
        walk.refuse_ambient(value, found.path, self.label, line, self.seeded)
        if found.path is not None:
            if isinstance(value, type):
                walk.named(value, self.label)
            return walk.foreign(found.path)
        if value is MISSING:
            return walk.unbound(found.text)
        if walk.is_thing(value):
            return walk.reach(value, self.label)
        return self.constant(found)

    def constant(self, found: Found) -> str:
        kind = "closure" if found.text in self.resolver.cells else "constant"
        name = found.text.rpartition(".")[2]
        return self.walk.constant(found.place, name, found.value, self.label, kind)

    # calls

    def call(self, call: Call) -> None:
        taken: set[int] = set()
        for symbol in _ordered(call.function):
            path = path_read(symbol, self.resolver)
            if path is not None and not self.writes(call, 0):
                self.bindings["file", self.walk.file(path, self.source)] = None
            self.subclasses(symbol)
            found = self.resolver.resolve(symbol)
            self.frames(symbol, found, call)
            if any(Const("__subclasses__", "str") in argument for argument in call.arguments or ()):
                self.bindings["__subclasses__", self.walk.subclasses_of_any(self.source)] = None
            if found is not None:
                taken |= self.special(found, call)
        for index, argument in enumerate(call.arguments or ()):
            if index not in taken:
                self.use(argument, call.line)
        for _, argument in call.keywords:
            self.use(argument, call.line)

    def special(self, found: Found, call: Call) -> set[int]:
        """Follow the call of what was found; return which arguments need no further look."""
        value, path = found.value, found.path or ""
        if value is getattr or value is hasattr:
            self.bind(found, call.line)
            return self.attribute_by_name(call)
        if _is_any(value, _IMPORTERS):
            return self.import_by_name(found, call)
        if path in _ENVIRONMENT_READS or value is os.getenv:
            return self.environment(self.first(call), call.line)
        if reads_file(found):
            self.file(call)
        unseeded = unseeded_call(value, found.path, self.first_literal(call))
        if unseeded and not (self.walk.lenient or self.walk.allow_ambient):
            advice = "take a seed as an argument, or set version="
            raise self.walk.undeclared(self.label, call.line, f"calls {unseeded} without a seed", advice)
        self.bind(found, call.line)
        return set()

    def first(self, call: Call) -> Value | None:
        if call.arguments:
            return call.arguments[0]
        return next((value for _, value in call.keywords), None)

    def first_literal(self, call: Call) -> Any:
        if call.arguments is None:
            return UNKNOWN
        first = self.first(call)
        if first is None:
            return MISSING
        known = literal(first, self.resolver)
        return UNKNOWN if known is MISSING else known

    def attribute_by_name(self, call: Call) -> set[int]:
        arguments = call.arguments
        if arguments is None or len(arguments) < 2:
            self.bindings["getattr", self.widen(getattr)] = None
            return set()
        if isinstance(literal(arguments[1], self.resolver), str):
            bases = [self.resolver.resolve(symbol) for symbol in _ordered(arguments[0])]
            if all(base is None or _is_namespace(base) for base in bases):
                for symbol in _ordered(arguments[0]):
                    name = str(literal(arguments[1], self.resolver))
                    base = self.resolver.resolve(symbol)
                    if base is not None:
                        self.bind(self.resolver.attribute(base, name), call.line)
                return {0, 1}
            return {1}
        for symbol in _ordered(arguments[0]):
            base = self.resolver.resolve(symbol)
            may_be_module = base is None and isinstance(symbol, Result) and self.imports(symbol)
            if may_be_module or (base is not None and _is_project_module(base)):
                self.bindings["getattr", self.widen(getattr)] = None
        return set()

    def imports(self, symbol: Result) -> bool:
        function = self.resolver.resolve(symbol.function)
        return function is not None and _is_any(function.value, _IMPORTERS)

    def import_by_name(self, found: Found, call: Call) -> set[int]:
        name = self.first_literal(call)
        if not isinstance(name, str) or name.startswith("."):
            self.bindings[found.text, self.widen(found.value)] = None
            return set()
        whole = found.value is importlib.import_module or len(call.arguments or ()) > 1
        module = self.resolver.module(name, 0, whole)
        if whole and len(call.arguments or ()) > 1:
            self.bind(module, call.line)
        self.module_ran(module, name)
        return {0}

    # registries and variables that no name leads to

    def subclasses(self, symbol: Symbol) -> None:
        """Follow `C.__subclasses__` to what it returns."""
        if not isinstance(symbol, Attribute) or symbol.name != "__subclasses__":
            return
        base = self.owner(symbol.base)
        if base is None:
            self.bindings["__subclasses__", self.walk.subclasses_of_any(self.source)] = None
        else:
            label = self.walk.subclasses(base.value, self.label)
            self.bindings[f"{base.text}.__subclasses__", label] = None

    def owner(self, symbol: Symbol) -> Found | None:
        """Return the class that a symbol stands for; None where that is not certain."""
        if isinstance(symbol, Attribute):
            around = self.resolver.resolve(symbol.base)
            if around is None or not isinstance(around.value, ModuleType):
                return None
        elif not isinstance(symbol, Global | Cell):
            return None
        found = self.resolver.resolve(symbol)
        known = found is not None and isinstance(found.value, type) and found.value is not type
        return found if known else None

    def frames(self, symbol: Symbol, found: Found | None, call: Call) -> None:
        """Follow the names that a call looks up in the variables around it."""
        path = "" if found is None else _path(found)
        read = frame_read(symbol, path, call, self.resolver)
        if read is None:
            return
        namespace = script() if read.main else self.resolver.namespace
        names = read.names
        if names is None and read.main:
            names = tuple(frames_in(namespace))
            self.walk.guards.check(lambda: list(frames_in(namespace)))
        if names is None:
            module = module_named(namespace.get("__name__"))
            if module is not None and origin_of_module(module) is Origin.PROJECT:
                self.bindings["names around", self.walk.reach(module, self.label)] = None
        resolver = Resolver(namespace, builtins, {}, self.walk.guards)
        for name in names or ():
            if name in namespace:
                self.bind(resolver.name(name), call.line)
            else:
                self.walk.guards.name(namespace, name, MISSING)

    # the world outside

    def reads_environment(self, found: Found) -> bool:
        path = found.path or ""
        whole = found.value is os.environ or found.value is os.environb
        return whole or found.value is os.getenv or path.startswith("os.environ")

    def environment(self, name: Value | None, line: int) -> set[int]:
        known = MISSING if name is None else literal(name, self.resolver)
        if isinstance(known, bytes):
            known = os.fsdecode(known)
        if isinstance(known, str):
            label = self.walk.environment(known, self.label)
            self.bindings[f"environment {known}", label] = None
            return {0}
        self.refuse_environment(line)
        return set()

    def refuse_environment(self, line: int | None) -> None:
        if not (self.walk.lenient or self.walk.allow_ambient):
            what = "reads environment variables whose names are not written out"
            advice = "pass their values as arguments, name them literally, or set version="
            raise self.walk.undeclared(self.label, line, what, advice)

    def file(self, call: Call) -> None:
        first = self.first(call)
        path = literal_path(first, self.resolver) if first is not None else None
        if path is not None and not self.writes(call, 1):
            self.bindings["file", self.walk.file(path, self.source)] = None

    def writes(self, call: Call, position: int) -> bool:
        """Say whether the mode of an `open` is one that does not read."""
        arguments = call.arguments or ()
        mode = arguments[position] if len(arguments) > position else dict(call.keywords).get("mode")
        known = literal(mode, self.resolver) if mode is not None else "r"
        return isinstance(known, str) and bool(set(known) & set("wax")) and "+" not in known

    def subscript(self, event: Subscript) -> None:
        self.use(event.key, event.line)
        for symbol in _ordered(event.base):
            base = self.resolver.resolve(symbol)
            if base is None:
                continue
            if base.value is os.environ or base.value is os.environb:
                self.environment(event.key, event.line)
            elif base.value is sys.modules and isinstance(literal(event.key, self.resolver), str):
                continue  # the module is an Item, followed where it is used
            else:
                self.bind(base, event.line)

    def widen(self, value: object) -> str:
        target = self.walk.widen(self.source)
        if _is_any(value, _EVALUATORS):  # these see live names, which no source shows
            name = self.resolver.namespace.get("__name__")
            module = module_named(name)
            if module is not None and origin_of_module(module) is Origin.PROJECT:
                return f"{target}, {self.walk.reach(module, self.label)}"
        return target

    def imported(self, event: Imported) -> None:
        name, level = event.module.name, event.module.level
        found = self.resolver.module(name, level, True)
        self.module_ran(found, name)
        if found.value is MISSING or found.path is not None:
            self.bind(found, event.line)

    def module_ran(self, found: Found, name: str) -> None:
        value = found.value
        if isinstance(value, ModuleType) and found.path is None:
            self.walk.visit_module(value, self.label)
            self.bindings[f"import {name}", "module"] = None

    def store(self, event: GlobalStore) -> None:
        if self.walk.lenient:
            return
        chain = self.walk.chain(self.label)
        raise UnstableIdentityError(
            f"{chain}, line {event.line}: assigns the global `{event.name}`, so what it does "
            f"depends on what ran "
            "before; return the value instead, keep it in an object that you pass on, or set "
            "version=",
            chain=chain,
            name=event.name,
            line=event.line,
        )

    def _seeded(self, scanned: Scan) -> tuple[str, ...]:
        found = []
        for event in scanned.events:
            if isinstance(event, Call) and event.arguments:
                for symbol in event.function:
                    function = self.resolver.resolve(symbol)
                    seeded = seeds(function.value, function.path) if function is not None else None
                    if seeded:
                        found.append(seeded)
        return tuple(found)


def _ordered(value: Value) -> list[Symbol]:
    return list(value) if len(value) < 2 else sorted(value, key=repr)


def _is_any(value: object, among: tuple[object, ...]) -> bool:
    return any(value is one for one in among)  # by identity: a value's own `==` is never asked


def _path(found: Found) -> str:
    """Return where what was found is known in code of others: by how it was reached, or by what it says of itself."""
    if found.path is not None:
        return found.path
    plain = isinstance(found.value, FunctionType | BuiltinFunctionType | MethodType | type)
    return (address_of(found.value) or "") if plain and not is_project(found.value) else ""


def _finds(found: Found) -> bool:
    return _path(found) in _FINDERS


def _is_namespace(found: Found) -> bool:
    return found.path is not None or isinstance(found.value, ModuleType | FunctionType)


def _is_project_module(found: Found) -> bool:
    return isinstance(found.value, ModuleType) and found.path is None
