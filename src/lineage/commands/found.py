"""What a command line names: a composing function of a module or a file, the nodes of a graph."""

from __future__ import annotations

import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lineage.content.tree import holes
from lineage.errors import NotFoundError
from lineage.graph import Call, inputs_of
from lineage.identity import freezer
from lineage.node import Node

__all__ = ["flow_at", "nodes_behind"]


def flow_at(target: str) -> Callable[..., Any]:
    """Return the function at `module:function`, `path/to/file.py:function`, or the only one of a module or file.

    Raises:
        NotFoundError: there is no such module, file or function.
    """
    place, _, name = target.partition(":")
    module = _module(place)
    if not name:
        return _only(module, place)
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise NotFoundError(f"{place} has no function {name!r}{_near(name, _functions(module))}")
    if not callable(found):
        raise NotFoundError(f"{target} is {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def _module(place: str) -> ModuleType:
    if place.endswith(".py") or os.sep in place:
        return _module_of_file(Path(place))
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is not None and (place == error.name or place.startswith(error.name + ".")):
            raise NotFoundError(
                f"no module {place!r} can be imported from {os.getcwd()}; name a module, or a file as path/to/file.py"
            ) from None
        raise


def _module_of_file(path: Path) -> ModuleType:
    """Import a file under the name that its own project would import it by."""
    path = path.resolve()
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    folder, parts = path.parent, [path.stem]
    while (folder / "__init__.py").exists():
        parts.insert(0, folder.name)
        folder = folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = importlib.import_module(".".join(parts))
    if Path(module.__file__ or "").resolve() != path:
        raise NotFoundError(
            f"{path} can't be imported as {module.__name__}: {module.__file__} has that name too; rename the file"
        )
    return module


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the public functions that a module defines itself and that are no nodes."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }


def _only(module: ModuleType, place: str) -> Callable[..., Any]:
    found = _functions(module)
    if len(found) == 1:
        return next(iter(found.values()))
    if "main" in found:
        return found["main"]
    listed = ", ".join(sorted(found)) or "none"
    raise NotFoundError(f"which function of {place}? Write {place}:function; it has {listed}")


def nodes_behind(made: Any, flow: Callable[..., Any], names: Sequence[str]) -> list[Node[..., Any]]:
    """Return the nodes behind `made`, or in the module of `flow`, that are called one of `names`.

    Raises:
        NotFoundError: one of them is the name of none.
    """
    found = {node.name: node for node in vars(sys.modules[flow.__module__]).values() if isinstance(node, Node)}
    stack, seen = list(holes(freezer.freeze(made))), set[int]()
    while stack:
        hole = stack.pop()
        if id(hole) not in seen:
            seen.add(id(hole))
            if isinstance(hole, Call):
                node = hole._lineage_node.declared
                found[node.name] = node
            stack += inputs_of(hole)
    missing = [name for name in names if name not in found]
    if missing:
        raise NotFoundError(
            f"no node is called {missing[0]!r} here{_near(missing[0], found)}; there are {', '.join(sorted(found))}"
        )
    return [found[name] for name in names]


def _near(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
