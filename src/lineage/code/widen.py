"""All source of a project: what code depends on whose reach can't be seen.

`eval`, `globals()`, a module looked up by a computed name: any file of the project may be what they
reach.
"""

from __future__ import annotations

import ast
import os
import sys

from lineage.code.files import FileState, file_state
from lineage.code.source import source_file
from lineage.digest import Digest, digest_of

__all__ = ["project_imports", "project_root", "project_source", "source_files"]

_MARKS = ("pyproject.toml", "setup.py", ".git")
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})

_states: dict[str, FileState] = {}


def project_root(file: str | None) -> str:
    """Return the nearest folder above `file` that marks a project; else its own folder, else the
    working folder.
    """
    start = os.path.dirname(os.path.abspath(file)) if file and os.path.exists(file) else os.getcwd()
    folder = start
    while True:
        if any(os.path.exists(os.path.join(folder, mark)) for mark in _MARKS):
            return folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return start
        folder = parent


def source_files(root: str) -> list[str]:
    """Return the Python files below `root`, in order; hidden folders and virtual environments
    aside.
    """
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED
            and not os.path.exists(os.path.join(folder, name, "pyvenv.cfg"))
        )
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    return found


def project_source(root: str) -> Digest:
    """Digest all source below `root` by the bytes of its files."""
    parts: list[bytes] = []
    for file in source_files(root):
        state = _states[file] = file_state(file, _states.get(file))
        parts += [os.path.relpath(file, root).encode("utf-8", "surrogatepass"), state.digest]
    return digest_of("project source", *parts)


def project_imports(root: str) -> list[str]:
    """Return the top-level names that any source below `root` imports."""
    names: set[str] = set()
    for file in source_files(root):
        source = source_file(file)
        for node in ast.walk(source.tree) if source is not None else ():
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.partition(".")[0])
    return sorted(names - sys.stdlib_module_names)
