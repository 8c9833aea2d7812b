"""Where code comes from: the project, an installed distribution, the standard library, or `lineage`
itself.

Project code is what is left when the others are taken away, so editable installs, scripts and
notebook cells are.
"""

from __future__ import annotations

import enum
import os
import sys
from types import CodeType, FunctionType, ModuleType

from lineage.code.distributions import Distribution, installed

__all__ = [
    "Origin",
    "distributions_of",
    "file_of_module",
    "module_named",
    "origin_of_code",
    "origin_of_file",
    "origin_of_module",
    "origin_of_module_name",
]

_LINEAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STDLIB = tuple(
    {
        os.path.dirname(os.path.abspath(os.__file__)) + os.sep,
        os.path.dirname(os.path.realpath(os.__file__)) + os.sep,
    }
)
_SITE = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Origin(enum.Enum):
    """Who answers for a piece of code."""

    PROJECT = "project"
    PACKAGE = "package"
    STDLIB = "standard library"
    LINEAGE = "lineage"


_files: dict[str, Origin] = {}
_files_folders: tuple[str, ...] = ()


def origin_of_file(file: str) -> Origin:
    """Say whose the code in `file` is."""
    global _files_folders
    folders = installed().folders
    if folders is not _files_folders:
        _files.clear()
        _files_folders = folders
    origin = _files.get(file)
    if origin is None:
        origin = _files[file] = _origin_of_file(os.path.abspath(file), folders)
    return origin


def _origin_of_file(file: str, folders: tuple[str, ...]) -> Origin:
    if file.startswith(_LINEAGE):
        return Origin.LINEAGE
    if any(part in file for part in _SITE) or any(file.startswith(f + os.sep) for f in folders):
        return Origin.PACKAGE
    if file.startswith(_STDLIB):
        return Origin.STDLIB
    return Origin.PROJECT


def file_of_module(module: ModuleType) -> str | None:
    """Return the file of `module`, or the folder of a namespace package; None where it has
    neither.
    """
    file = module.__dict__.get("__file__")
    if isinstance(file, str):
        return file
    folders = module.__dict__.get("__path__")
    return next(iter(folders), None) if folders is not None else None


def origin_of_module(module: ModuleType) -> Origin:
    """Say whose `module` is."""
    file = file_of_module(module)
    if file is not None:
        return origin_of_file(file)
    top = module.__name__.partition(".")[0]
    if top in sys.stdlib_module_names and module.__name__ != "__main__":
        return Origin.STDLIB
    parent = module_named(top)
    if parent is not None and parent is not module and file_of_module(parent):
        return origin_of_module(parent)  # made by a compiled package, such as `polars._plr`
    return Origin.PROJECT


def origin_of_module_name(name: str | None) -> Origin:
    """Say whose the loaded module called `name` is; the project's when there is none of that
    name.
    """
    module = module_named(name)
    if module is not None:
        return origin_of_module(module)
    top = name.partition(".")[0] if isinstance(name, str) else ""  # compiled classes may hide theirs
    if top in sys.stdlib_module_names:
        return Origin.STDLIB
    parent = module_named(top)
    return origin_of_module(parent) if parent is not None else Origin.PROJECT


def module_named(name: object) -> ModuleType | None:
    """Return the loaded module called `name`."""
    module = sys.modules.get(name) if isinstance(name, str) else None
    return module if isinstance(module, ModuleType) else None


def origin_of_code(fn: FunctionType, code: CodeType | None = None) -> Origin:
    """Say whose a function is: by the file of its code, as decorators copy `__module__` from what
    they wrap.
    """
    file = (code or fn.__code__).co_filename
    if file.startswith("<frozen "):
        return Origin.STDLIB
    if file.startswith("<@beartype"):
        return Origin.PACKAGE  # a wrapper that it generates in the name of what it wraps
    if file.startswith("<"):
        return origin_of_module_name(fn.__globals__.get("__name__"))
    return origin_of_file(file)


def distributions_of(module_name: str) -> tuple[Distribution, ...]:
    """Return the distributions that install the top-level name of a module: several for a namespace
    package.
    """
    return installed().by_top.get(module_name.partition(".")[0], ())
