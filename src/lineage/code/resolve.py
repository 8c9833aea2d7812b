"""From the symbols in a function's bytecode to the live objects that they stand for now.

Modules of the project are followed to what is in them; a path into a package or the standard
library stays a path ("numpy.linalg.norm"), the same whether or not that module is loaded yet,
unless the project put something of its own there. Every look-up leaves a guard.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from importlib.machinery import PathFinder
from types import CellType, FunctionType, ModuleType
from typing import Any

import attrs

from lineage.code.facts import fact
from lineage.code.guards import MISSING, Guards, cell_contents
from lineage.code.origin import (
    Origin,
    distributions_of,
    module_named,
    origin_of_code,
    origin_of_file,
    origin_of_module,
    origin_of_module_name,
)
from lineage.code.symbols import (
    Attribute,
    Cell,
    Const,
    Global,
    Import,
    Item,
    Result,
    Symbol,
)

__all__ = ["Found", "Resolver", "is_project"]

_MODULE_FACTS = frozenset(
    [
        "__file__",
        "__name__",
        "__spec__",
        "__loader__",
        "__package__",
        "__path__",
        "__builtins__",
        "__cached__",
        "__annotations__",
    ]
)


@attrs.frozen(eq=False)
class Found:
    """What a name leads to. `path` is set for what is not the project's; `value` may then be
    MISSING.
    """

    text: str
    value: Any
    path: str | None = None
    place: tuple[int, str] = (0, "")


def is_project(value: object) -> bool:
    """Say whether `value` is a function, class or module of the project's."""
    if isinstance(value, FunctionType):
        return origin_of_code(value) is Origin.PROJECT
    if isinstance(value, ModuleType):
        return origin_of_module(value) is Origin.PROJECT
    if isinstance(value, type):
        return origin_of_module_name(value.__module__) is Origin.PROJECT
    return False


class Resolver:
    """Looks names up as one function would."""

    def __init__(self, namespace: dict[str, Any], built_in: Any, cells: dict[str, CellType], guards: Guards) -> None:
        self.namespace = namespace
        self.builtins: dict[str, Any] = vars(built_in) if isinstance(built_in, ModuleType) else built_in
        self.cells = cells
        self.guards = guards
        self.extras: list[Found] = []  # a module's `__getattr__`, where that was asked

    @classmethod
    def of(cls, fn: FunctionType, guards: Guards) -> Resolver:
        cells = dict(zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True))
        return cls(fn.__globals__, fact(fn, "__builtins__"), cells, guards)

    @classmethod
    def of_module(cls, module: ModuleType, guards: Guards) -> Resolver:
        return cls(vars(module), builtins, {}, guards)

    def resolve(self, symbol: Symbol) -> Found | None:
        """Return what `symbol` stands for; None where that is data."""
        if isinstance(symbol, Global):
            return self.name(symbol.name)
        if isinstance(symbol, Cell):
            return self.cell(symbol.name)
        if isinstance(symbol, Import):
            return self.module(symbol.name, symbol.level, symbol.whole)
        if isinstance(symbol, Attribute):
            base = self.resolve(symbol.base)
            submodules = isinstance(symbol.base, Import) and symbol.base.whole
            return self.attribute(base, symbol.name, submodules) if base is not None else None
        if isinstance(symbol, Result):
            return self.result(symbol)
        if isinstance(symbol, Item):
            return self.item(symbol)
        return None

    def name(self, name: str) -> Found:
        for namespace in (self.namespace, self.builtins):
            value = namespace.get(name, MISSING)
            self.guards.name(namespace, name, value)
            if value is not MISSING:
                if name in _MODULE_FACTS and namespace is self.namespace:
                    return Found(name, value, f"module {name}")
                return _outside(Found(name, value, None, (id(namespace), name)))
        return Found(name, MISSING)

    def cell(self, name: str) -> Found:
        cell = self.cells.get(name)
        if cell is None:
            return Found(name, MISSING)
        self.guards.cell(cell)
        return _outside(Found(name, cell_contents(cell), None, (id(cell), name)))

    def module(self, name: str, level: int, whole: bool) -> Found:
        if level:
            package = self.namespace.get("__package__") or self.namespace.get("__name__") or ""
            parent = package.rsplit(".", level - 1)[0] if level > 1 else package
            name = f"{parent}.{name}" if name else parent
        module = load(name)
        if not whole and module is not None:
            name = name.partition(".")[0]
            module = module_named(name) or module
        if module is None and (_is_foreign_name(name) or _is_nowhere(name)):
            return Found(name, MISSING, name if whole else name.partition(".")[0])
        if module is None:
            return Found(f"import {name}", MISSING)
        self.guards.name(sys.modules, name, module)
        return _outside(Found(name, module))

    def attribute(self, base: Found, name: str, submodules: bool = False) -> Found:
        text = f"{base.text}.{name}"
        value = base.value
        if value is os.environ or value is os.environb:
            return Found(text, MISSING, f"os.environ.{name}")
        if base.path is not None:
            return self.foreign_attribute(base, name, text)
        if isinstance(value, ModuleType):
            return self.module_attribute(base, value, name, text, submodules)
        if name == "__doc__" and isinstance(value, FunctionType | type):
            return Found(text, value.__doc__, None, (id(value), name))  # text that is read is data
        if isinstance(value, FunctionType) and name in vars(value):
            members = vars(value)
            self.guards.name(members, name, members[name])
            return _outside(Found(text, members[name], None, (id(members), name)))
        return base

    def module_attribute(self, base: Found, module: ModuleType, name: str, text: str, submodules: bool) -> Found:
        members = vars(module)
        if name == "__dict__":
            return base
        value = members.get(name, MISSING)
        if value is MISSING:
            full = f"{module.__name__}.{name}"
            value = (load(full) if submodules else module_named(full)) or MISSING
        if value is MISSING and "__getattr__" in members:
            self.extras.append(Found(f"{base.text}.__getattr__", members["__getattr__"]))
            return _outside(Found(text, getattr(module, name, MISSING), None, (id(members), name)))
        self.guards.name(members, name, members.get(name, MISSING))
        if name in _MODULE_FACTS:
            return Found(text, value, f"module {name}")
        return _outside(Found(text, value, None, (id(members), name)))

    def foreign_attribute(self, base: Found, name: str, text: str) -> Found:
        path = f"{base.path}.{name}"
        value: Any = MISSING
        if isinstance(base.value, ModuleType):
            members = vars(base.value)
            value = members.get(name, MISSING)
            if value is not MISSING:
                self.guards.name(members, name, value)
            else:
                value = module_named(f"{base.value.__name__}.{name}") or MISSING
        elif isinstance(base.value, type):
            for owner in base.value.__mro__:
                if name in vars(owner):
                    plain = vars(owner)[name]
                    self.guards.name(vars(owner), name, plain)
                    value = plain if is_project(plain) else getattr(base.value, name, MISSING)
                    break
        if is_project(value):
            return Found(text, value)  # the project's own, put there at run time
        return Found(text, value, path)

    def result(self, symbol: Result) -> Found | None:
        function = self.resolve(symbol.function)
        if function is None:
            return None
        literals = [a.value if isinstance(a, Const) else MISSING for a in symbol.arguments]
        if function.value is getattr and len(literals) > 1 and isinstance(literals[1], str):
            base = self.resolve(symbol.arguments[0])
            return self.attribute(base, literals[1]) if base is not None else None
        if function.value in _IMPORTERS and literals and isinstance(literals[0], str):
            whole = function.value is importlib.import_module
            return self.module(literals[0], 0, whole) if len(literals) == 1 else None
        return None

    def item(self, symbol: Item) -> Found | None:
        base = self.resolve(symbol.base)
        if base is None or base.value is not sys.modules:
            return None
        if isinstance(symbol.key, Const):
            return self.module(str(symbol.key.value), 0, True)
        key = self.resolve(symbol.key)
        known = key is not None and isinstance(key.value, str)
        return self.module(key.value, 0, True) if key is not None and known else None


_IMPORTERS = (importlib.import_module, builtins.__import__)


def _outside(found: Found) -> Found:
    """Give modules that are not the project's their path."""
    value = found.value
    if value is NotImplemented or value is ...:
        return Found(found.text, value, f"builtins.{value!r}")
    if value is os.environ:
        return Found(found.text, value, "os.environ")
    if value is sys.modules:
        return Found(found.text, value, "sys.modules")
    if isinstance(value, ModuleType) and origin_of_module(value) is not Origin.PROJECT:
        return Found(found.text, value, value.__name__, found.place)
    return found


def load(name: str) -> ModuleType | None:
    """Return the module `name`, imported now if it is the project's and is not yet; None where it
    can't be.

    Packages are not imported for their fingerprint: their name is enough.
    """
    module = module_named(name)
    if module is not None or _is_foreign_name(name):
        return module
    try:
        return importlib.import_module(name)
    except Exception:  # whatever its body raises is what the import statement will raise when it runs
        return None


def _is_nowhere(name: str) -> bool:
    """Say whether nothing here answers to a name: where the code runs, a package may."""
    top = name.partition(".")[0]
    try:
        return bool(top) and module_named(top) is None and PathFinder.find_spec(top) is None
    except (ImportError, ValueError):
        return False


def _is_foreign_name(name: str) -> bool:
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    loaded = module_named(top)
    if loaded is not None:
        return origin_of_module(loaded) is not Origin.PROJECT
    try:
        spec = PathFinder.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return bool(distributions_of(top))
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return bool(places) and origin_of_file(places[0]) is not Origin.PROJECT
