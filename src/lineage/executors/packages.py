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
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

from lineage.code.origin import Origin, origin_of_file, origin_of_module
from lineage.codecs.paths import remove_tree

__all__ = ["Members", "Project", "main_script", "unpacked"]

Members = dict[str, str]
"""Place in a package (`pkg/module.py`) to the file that stands there."""


class Project:
    """The project's code as this process has loaded it, packed when it is asked for.

    A module's file is read once for as long as the module is not loaded again: what is written to it later is not what runs here.
    """

    def __init__(self) -> None:
        self._data: set[str] = set()
        self._loaded = 0
        self._code: Members = {}
        self._roots: set[str] = set()
        self._texts: dict[str, tuple[object, bytes]] = {}

    def packed(self, data: Iterable[str]) -> bytes:
        """Return the bytes of a package of the project; `data` are files that code names. Empty if the project has no files."""
        self._data |= set(data)
        if self._loaded != len(sys.modules):
            self._loaded = len(sys.modules)
            self._code, self._roots = _loaded_code()
        members = {**_data_members(self._data, self._roots), **self._code}
        return _archive({place: self._text(place, file) for place, file in members.items()}) if members else b""

    def file(self, place: str) -> str | None:
        """Return the project's file that stands at `place` in its packages."""
        return self._code.get(place)

    def _text(self, place: str, file: str) -> bytes:
        module = sys.modules.get(place.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
        spec = getattr(module, "__spec__", None)
        known = self._texts.get(file)
        if known is not None and spec is not None and known[0] is spec:
            return known[1]
        text = Path(file).read_bytes()
        self._texts[file] = spec, text
        return text


def _loaded_code() -> tuple[Members, set[str]]:
    """Return the files of the project's modules that are loaded, and of those that these import; and the folders that they are
    imported from.
    """
    members: Members = {}
    roots: set[str] = set()
    waiting = [module for name, module in list(sys.modules.items()) if _is_ours(name, module)]
    seen = {module.__name__ for module in waiting}
    script = main_script()
    if script is not None:
        members[os.path.basename(script)] = script
        roots.add(os.path.dirname(script))
    while waiting:
        module = waiting.pop()
        file = str(module.__file__)
        members[_place(module.__name__, file)] = file
        roots.add(_root(module.__name__, file))
        for name in _imported(file, module.__name__):
            if name not in seen:
                seen.add(name)
                waiting += _found(name)
    return members, roots


def _data_members(data: Iterable[str], roots: Iterable[str]) -> Members:
    members: Members = {}
    by_depth = sorted(roots, key=len, reverse=True)
    for path in sorted(data):
        root = next((root for root in by_depth if path.startswith(root + os.sep)), None)
        if root is not None:
            members.update(_files(path, root))
    return members


def main_script() -> str | None:
    """Return the file of the script that runs, if one does."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py") or not os.path.isfile(file):
        return None
    return os.path.abspath(file) if origin_of_file(file) is Origin.PROJECT else None


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


def _archive(texts: Mapping[str, bytes]) -> bytes:
    """Return files as the bytes of an archive: the same for the same files, whoever makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for place in sorted(texts):
            entry = tarfile.TarInfo(place)
            entry.size = len(texts[place])
            archive.addfile(entry, io.BytesIO(texts[place]))
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
