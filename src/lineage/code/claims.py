"""What is said of a function's code to a process that has other packages, for it to check that it has the same code.

Two versions of a package give its things other addresses, two of Python compile the same source otherwise. So here it is
said in terms that hold in both: the text of what is reached, the digests of constants, files and variables of the
environment, and where each name leads to: to something of the project's by its label, to something of a package's by the
import that bound it, if that is what it is bound to.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from lineage.code.resolve import Found
from lineage.code.source import source_file
from lineage.digest import Digest, digest_of

__all__ = ["Claims"]

_VALUES = ("constant ", "closure ", "default ", "file ", "environment variable ", "all project source")
_GENERATED = ("<attrs generated", "<string>")
"""Names of files of code that attrs and dataclasses make of the fields of a class, whose text is compared."""


class Claims:
    """Gathers what is said, while a function is walked over."""

    def __init__(self) -> None:
        self._imports: set[str] = set()  # where names lead to, by the imports that bound them
        self._addresses: set[str] = set()  # the same, by what the things say of themselves
        self._compiled: dict[str, str] = {}

    def bound(self, label: str, found: Found, target: str, namespace: Mapping[str, Any]) -> None:
        """In the body behind `label`, a name leads to `target`."""
        path = None
        if target.startswith(("package ", "stdlib ")) and found.path is None and "." not in found.text:
            built_in = found.text not in namespace and vars(builtins).get(found.text) is found.value
            path = f"built-in {found.text}" if built_in else _imported_as(namespace, found.text, found.value)
        self._imports.add(f"{_plain(label)}: {found.text} is {path or _plain(target)}")
        self._addresses.add(f"{_plain(label)}: {found.text} is {_plain(target)}")

    def code(self, label: str, file: str, compiled: bytes) -> None:
        """The function behind `label` is compiled to this, which speaks for it where there is no source."""
        if not file.startswith(_GENERATED):
            self._compiled[label] = f"{_plain(label)}: compiled {digest_of('compiled', compiled).hex()}"

    def of_values(self, leaves: Mapping[str, Digest]) -> tuple[str, ...]:
        """Return what is said of a function that travels as it is compiled, without its module or its source: to the same
        Python, so that what was compiled can be compared.
        """
        return tuple(sorted(self._addresses | set(self._compiled.values()) | _values(leaves)))

    def said(self, leaves: Mapping[str, Digest], sources: Mapping[str, str]) -> tuple[str, ...]:
        """Return all of it, in one order."""
        texts = {
            f"{_plain(label)}: source {digest_of('source', text.encode('utf-8', 'surrogatepass')).hex()}"
            for label, text in sources.items()
        }
        without = {claim for label, claim in self._compiled.items() if label not in sources}
        return tuple(sorted(self._imports | texts | without | _values(leaves)))


def _values(leaves: Mapping[str, Digest]) -> set[str]:
    return {f"{_plain(label)}: value {digest.hex()}" for label, digest in leaves.items() if label.startswith(_VALUES)}


def _plain(label: str) -> str:
    """Return a label without its number, which depends on the order of discovery."""
    name, _, number = label.rpartition("#")
    return name if number.isdigit() else label


def _imported_as(namespace: Mapping[str, Any], name: str, value: object) -> str | None:
    """Return the path by which a module imports `name`, if what is there is what the name is bound to."""
    file = namespace.get("__file__")
    source = source_file(file, dict(namespace)) if isinstance(file, str) and file.endswith(".py") else None
    for node in _imports(source.tree) if source is not None else ():
        for alias in node.names:
            if (alias.asname or alias.name) not in (name, "*") or node.level:
                continue
            wanted = name if alias.name == "*" else alias.name
            module = sys.modules.get(node.module or "")
            if isinstance(module, ModuleType) and vars(module).get(wanted) is value:
                return f"import {node.module}.{wanted}"
    return None


def _imports(tree: ast.Module) -> list[ast.ImportFrom]:
    """Return the statements of a module that import from others when it is loaded."""
    found: list[ast.ImportFrom] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.ImportFrom):
            found.append(node)
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            waiting.extend(ast.iter_child_nodes(node))
    return found
