"""Nodes and functions that a worker can't import: those of the script that runs, of notebooks, closures and lambdas.

They travel as what they are, with what they reach in `__main__`. So that a worker finds the same fingerprint for them, it gets their
source too: the text of a notebook's cells, or the script as a file of the code package, under which the code then says it was defined.
The script itself is never run there.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import linecache
import os
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import cloudpickle

from lineage.code.effects import cells
from lineage.codecs.plain import find_by_name
from lineage.content.tree import SCALARS
from lineage.environments.current import here
from lineage.errors import NotFoundError
from lineage.executors.packages import main_script
from lineage.fold import Fold
from lineage.node import Node

__all__ = ["closed", "is_by_value", "opened"]


def is_by_value(node: Node[..., Any]) -> bool:
    """Say whether a worker can't find `node` by importing its module from the code package."""
    module = node.fn.__module__
    if module == "__main__" or "<locals>" in node.reference or "<lambda>" in node.reference:
        return True
    if module == "lineage" or module.startswith("lineage."):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(file, str):
        return True
    try:
        found = find_by_name(node.reference)
    except NotFoundError:
        return True
    return (found.fn if isinstance(found, Node) else found) is not node.fn


def closed(thing: Any) -> bytes:
    """Return a node or function by value."""
    image = _main_image()
    script = main_script()
    stream = io.BytesIO()
    pickler = _Pickler(stream, script)
    pickler.dump((script and os.path.basename(script), image, thing))
    texts = {name: linecache.getlines(name) for name in dict.fromkeys([*cells(), *pickler.fileless])}
    return pickle.dumps((texts, stream.getvalue()), protocol=5)


def opened(data: bytes, folder: str | None) -> Any:
    """Return what travelled as `data`; the code package lies unpacked in `folder`."""
    _blanks.clear()
    _place[0] = folder or ""
    texts, body = pickle.loads(data)
    for name, lines in texts.items():
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    script, image, thing = _Unpickler(io.BytesIO(body)).load()
    main = sys.modules["__main__"]
    if script is not None:
        main.__file__ = os.path.join(_place[0], script)
    vars(main).update(image)
    for node, made in sorted(_blanks, key=lambda blank: isinstance(blank[0], Fold)):
        node.__init__(*made)
    _blanks.clear()
    return thing


class _Unpickler(pickle.Unpickler):
    """In a pinned environment, lets names in `__main__` stand for nothing whose packages are not there: the node may not use them."""

    def find_class(self, module: str, name: str) -> Any:
        if here() is None:
            return super().find_class(module, name)
        if (module, name) == ("cloudpickle.cloudpickle", "subimport"):
            return _imported
        try:
            return super().find_class(module, name)
        except ModuleNotFoundError as error:
            return _Absent(str(error.name))


class _Absent(types.ModuleType):
    """Stands for what is not there, and says so when it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._missing()

    def __call__(self, *_: object, **__: object) -> Any:
        raise self._missing()

    def _missing(self) -> ModuleNotFoundError:
        return ModuleNotFoundError(f"No module named {self.__name__!r}", name=self.__name__)


def _imported(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        return _Absent(str(error.name))


def _main_image() -> dict[str, Any]:
    """Return what names mean in `__main__`: modules, functions, classes and plain values, as far as they can travel."""
    found: dict[str, Any] = {}
    for name, value in list(vars(sys.modules["__main__"]).items()):
        if name.startswith("__") or not (
            callable(value) or isinstance(value, types.ModuleType) or type(value) in SCALARS
        ):
            continue
        try:
            _Pickler(io.BytesIO(), main_script()).dump(value)
        except Exception:
            continue  # nothing that a node reaches, or its own pickling says so
        found[name] = value
    return found


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Takes nodes apart, and lets the script's code say that it is defined in the package."""

    def __init__(self, stream: io.BytesIO, script: str | None) -> None:
        super().__init__(stream, protocol=5)
        self._script = script
        self.fileless: set[str] = set()
        """Names under which the source of code is kept that is in no file."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is Fold:
            return _blank, (Fold,), (value.merge,), None, None, _fill
        if type(value) is Node:
            if not is_by_value(value):
                return find_by_name, (value.reference,)
            return _blank, (Node,), (value.fn, value.given, value.kind, value.name), None, None, _fill
        for name in _SENTINELS:
            if value is getattr(dataclasses, name):  # one of its kind, which pickle does not know
                return getattr, (dataclasses, name)
        if isinstance(value, types.CodeType) and value.co_filename in linecache.cache and value.co_filename[:1] == "<":
            self.fileless.add(value.co_filename)
        if isinstance(value, types.CodeType) and self._script is not None and _is_of(value, self._script):
            made, facts = _code_reduced(value)
            return _code_here, (os.path.basename(self._script), made, facts)
        reduced = super().reducer_override(value)
        if isinstance(value, types.FunctionType) and isinstance(reduced, tuple):
            return _at_home(value, reduced)
        return reduced


def _at_home(function: types.FunctionType, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Let a function by value have the globals of its module where it arrives, as it has where it comes from."""
    name = function.__module__
    module = sys.modules.get(name)
    if module is None or function.__globals__ is not vars(module):
        return reduced
    make, (code, _, *others), (own, facts), *rest = reduced
    if name != "__main__" and isinstance(module.__dict__.get("__file__"), str):
        facts = {**facts, "__globals__": {}}  # they are there, as the module makes them
    return make, (code, _Namespace(name), *others), (own, facts), *rest


class _Namespace:
    """Stands for the globals of a module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, ...]:
        return _namespace, (self.name,)


def _namespace(name: str) -> dict[str, Any]:
    if name not in sys.modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:  # somebody made it by hand, and all that is needed of it comes along
            sys.modules[name] = types.ModuleType(name)
    return vars(sys.modules[name])


def _is_of(code: types.CodeType, script: str) -> bool:
    return code.co_filename == script or os.path.abspath(code.co_filename) == script


def _code_reduced(code: types.CodeType) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    reduced = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    return reduced[0], reduced[1]


_SENTINELS = ("MISSING", "_HAS_DEFAULT_FACTORY")

_blanks: list[tuple[Any, tuple[Any, ...]]] = []
"""Nodes that are being read, and what they are made of: known only when all is read, since functions and nodes refer to each other."""

_place = [""]
"""Where the code package lies that is being read from."""


def _blank(cls: Any) -> Any:
    return cls.__new__(cls)


def _fill(node: Any, made: tuple[Any, ...]) -> None:
    _blanks.append((node, made))


def _code_here(script: str, make: Callable[..., Any], facts: tuple[Any, ...]) -> types.CodeType:
    code: types.CodeType = make(*facts)
    return code.replace(co_filename=os.path.join(_place[0], script))
