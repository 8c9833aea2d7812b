"""Paths that can be read off the code: literals, constants of the module, and the usual ways to
join them.
"""

from __future__ import annotations

import os
import pathlib
from types import ModuleType
from typing import Any

from lineage.code.facts import fact
from lineage.code.guards import MISSING
from lineage.code.origin import file_of_module, module_named
from lineage.code.resolve import Found, Resolver
from lineage.code.symbols import Attribute, Const, Operation, Result, Symbol, Value

__all__ = ["literal", "literal_path", "path_read", "reads_file"]

_JOINERS = {os.path.join, os.path.dirname, os.path.abspath, os.path.realpath, os.path.expanduser}
_PATHS = {pathlib.Path, pathlib.PurePath, pathlib.PosixPath, os.fspath, str}
_METHODS = frozenset(["resolve", "absolute", "joinpath", "with_name", "with_suffix", "with_stem", "expanduser"])
_PARTS = frozenset(["parent", "name", "stem", "suffix"])
_READ_METHODS = frozenset(["read_text", "read_bytes", "open"])
_READERS = {
    "polars": ("read_", "scan_"),
    "pandas": ("read_",),
    "numpy": ("load", "genfromtxt", "fromfile", "memmap", "fromregex"),
    "ctypes": ("CDLL",),
    "pyarrow": ("read_", "memory_map", "input_stream"),
}
_NOT_FILES = ("read_sql", "read_database", "read_clipboard", "read_gbq")


def literal(value: Value, resolver: Resolver) -> Any:
    """Return what `value` is known to be: text, a path or another plain literal; MISSING where it
    is not known.
    """
    return _evaluate(next(iter(value)), resolver) if len(value) == 1 else MISSING


def literal_path(value: Value, resolver: Resolver) -> str | None:
    """Return the path that `value` is known to be; None where it is not, or is an address."""
    known = literal(value, resolver)
    if isinstance(known, bytes):
        known = os.fsdecode(known)
    if isinstance(known, os.PathLike):
        known = os.fspath(known)
    return known if isinstance(known, str) and "://" not in known else None


def path_read(function: Symbol, resolver: Resolver) -> str | None:
    """Return the path that is read by calling `function`, where it is `Path(literal).read_text` or
    the like.
    """
    if isinstance(function, Attribute) and function.name in _READ_METHODS:
        base = _evaluate(function.base, resolver)
        if isinstance(base, pathlib.PurePath):
            return str(base)
    return None


def reads_file(found: Found) -> bool:
    """Say whether calling `found` reads the file that its first argument names."""
    if found.value is open:
        return True
    dotted = found.path
    if dotted is None:
        dotted = f"{fact(found.value, '__module__')}.{fact(found.value, '__name__')}"
    top, _, rest = dotted.partition(".")
    name = rest.rpartition(".")[2]
    return name.startswith(_READERS.get(top, ("\0",))) and not name.startswith(_NOT_FILES)


def _evaluate(symbol: Symbol, resolver: Resolver) -> Any:
    if isinstance(symbol, Const):
        return symbol.value
    if isinstance(symbol, Operation):
        left, right = _evaluate(symbol.left, resolver), _evaluate(symbol.right, resolver)
        return _operate(symbol.operator, left, right)
    if isinstance(symbol, Result):
        return _call(symbol, resolver)
    if isinstance(symbol, Attribute):
        base = _evaluate(symbol.base, resolver)
        if isinstance(base, pathlib.PurePath):
            return getattr(base, symbol.name) if symbol.name in _PARTS else MISSING
    found = resolver.resolve(symbol)
    if found is not None and isinstance(found.value, str | bytes | pathlib.PurePath):
        return found.value
    return MISSING


def _is_resources(function: object) -> bool:
    owner = str(fact(function, "__module__"))
    return fact(function, "__name__") == "files" and owner.startswith("importlib")


def _resources(package: object) -> Any:
    module = module_named(package) or package
    file = file_of_module(module) if isinstance(module, ModuleType) else None
    return pathlib.Path(file).parent if file is not None else MISSING


def _operate(operator: str, left: Any, right: Any) -> Any:
    if operator == "/" and isinstance(left, pathlib.PurePath) and isinstance(right, str):
        return left / right
    if operator == "/" and isinstance(right, pathlib.PurePath) and isinstance(left, str):
        return left / right
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    return MISSING


def _call(symbol: Result, resolver: Resolver) -> Any:
    arguments = [_evaluate(argument, resolver) for argument in symbol.arguments]
    if MISSING in arguments:
        return MISSING
    function: Any = MISSING
    if isinstance(symbol.function, Attribute) and symbol.function.name in _METHODS:
        base = _evaluate(symbol.function.base, resolver)
        if isinstance(base, pathlib.PurePath):
            function = getattr(base, symbol.function.name)
    if function is MISSING:
        found = resolver.resolve(symbol.function)
        function = found.value if found is not None else MISSING
        if _is_resources(function):
            return _resources(arguments[0])
        known = _JOINERS | _PATHS
        if not callable(function) or not any(function is one for one in known):
            return MISSING
    try:
        return function(*arguments)
    except (TypeError, ValueError, OSError, RuntimeError):
        return MISSING
