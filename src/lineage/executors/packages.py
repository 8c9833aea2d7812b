"""The project's code as workers get it: the files of its modules in one object of the store, named by what is in it.

An edit on disk during a run so reaches no worker, and a worker on another machine needs no checkout. What is packed are the
project's modules that this process has loaded, those that they import when they run, and the data files that code names
beside them. A worker unpacks a package once and puts it before everything else that it imports from.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from lineage.code.origin import Origin, origin_of_file, origin_of_module
from lineage.codecs.paths import remove_tree

__all__ = ["Members", "packed", "project_members", "unpacked"]

Members = dict[str, str]
"""Place in a package (`pkg/module.py`) to the file that stands there."""


def project_members(data: Iterable[str] = ()) -> Members:
    """Return what a package of the project holds as it is loaded now; `data` are files that code names."""
    members: Members = {}
    roots: set[str] = set()
    waiting = [module for name, module in list(sys.modules.items()) if _is_ours(name, module)]
    seen = {module.__name__ for module in waiting}
    while waiting:
        module = waiting.pop()
        file = str(module.__file__)
        members[_place(module.__name__, file)] = file
        roots.add(_root(module.__name__, file))
        for name in _imported(file, module.__name__):
            if name not in seen:
                seen.add(name)
                waiting += _found(name)
    for path in data:
        for root in sorted(roots, key=len, reverse=True):
            if path.startswith(root + os.sep):
                members.update(_files(path, root))
                break
    return members


def _is_ours(name: str, module: object) -> bool:
    if name == "__main__" or not isinstance(module, ModuleType) or not isinstance(module.__dict__.get("__file__"), str):
        return False
    return (
        module.__name__ == name and origin_of_module(module) is Origin.PROJECT and os.path.isfile(str(module.__file__))
    )


def _place(name: str, file: str) -> str:
    path = name.replace(".", "/")
    stem, suffix = os.path.basename(file).partition(".")[::2]
    return f"{path}/__init__.{suffix}" if stem == "__init__" else f"{path}.{suffix}"


def _root(name: str, file: str) -> str:
    """Return the folder from which a module is imported."""
    place = _place(name, file)
    return (
        file.removesuffix(place.replace("/", os.sep)).rstrip(os.sep) if file.endswith(place) else os.path.dirname(file)
    )


_imports: dict[tuple[str, int, int], tuple[str, ...]] = {}


def _imported(file: str, name: str) -> Iterable[str]:
    """Return the modules that a file imports, at its top or within functions."""
    if not file.endswith(".py"):
        return ()
    stat = os.stat(file)
    key = (file, stat.st_mtime_ns, stat.st_size)
    if key not in _imports:
        try:
            tree = ast.parse(Path(file).read_bytes())
        except (SyntaxError, ValueError):
            return ()
        package = name if os.path.basename(file).startswith("__init__.") else name.rpartition(".")[0]
        _imports[key] = tuple(dict.fromkeys(_named(tree, package)))
    return _imports[key]


def _named(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _found(name: str) -> list[ModuleType]:
    """Return a stand-in for a module of the project that is not loaded yet: its name and file are all that is asked."""
    top = name.partition(".")[0]
    if not name or top in sys.stdlib_module_names or top == "lineage":
        return []
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return []
    if (
        spec is None
        or spec.origin is None
        or not spec.has_location
        or origin_of_file(spec.origin) is not Origin.PROJECT
    ):
        return []
    found = ModuleType(name)
    found.__file__ = spec.origin
    return [found]


def _files(path: str, root: str) -> Members:
    if os.path.isdir(path):
        inside = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    else:
        inside = [path] if os.path.isfile(path) else []
    return {os.path.relpath(file, root).replace(os.sep, "/"): file for file in inside}


def packed(members: Members) -> bytes:
    """Return the bytes of a package: the same for the same files, whoever makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for place in sorted(members):
            data = Path(members[place]).read_bytes()
            entry = tarfile.TarInfo(place)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def unpacked(package: Path, folder: Path) -> Path:
    """Return `folder` with the files of a package in it. Whoever comes first puts them there; it never changes after."""
    if folder.is_dir():
        return folder
    aside = folder.with_name(f"{folder.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with tarfile.open(package) as archive:
            archive.extractall(aside, filter="data")
        os.rename(aside, folder)
    except OSError:
        if not folder.is_dir():  # nobody else was first: it is a real error
            raise
    finally:
        if aside.is_dir():
            remove_tree(aside)
    return folder
