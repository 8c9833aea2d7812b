"""What a walk has written down: labels, leaves, guards, and what it saw of the world outside."""

from __future__ import annotations

import os
from types import ModuleType

from lineage.code.distributions import Distribution, bytes_digest
from lineage.code.files import FileState, file_state
from lineage.code.guards import Guards
from lineage.code.origin import (
    Origin,
    distributions_of,
    file_of_module,
    module_named,
    origin_of_module_name,
)
from lineage.code.widen import project_imports, project_root, project_source
from lineage.digest import Digest, digest_of
from lineage.errors import UndeclaredReadError

__all__ = ["Ledger"]


class Ledger:
    """Leaves in the order in which they were discovered, and how each was reached."""

    def __init__(self) -> None:
        self.guards = Guards()
        self.leaves: dict[str, Digest] = {}
        self.sources: dict[str, str] = {}
        self.distributions: dict[str, Distribution] = {}
        self.files: dict[str, FileState] = {}
        self._labels: dict[object, str] = {}  # id or place -> label or reference
        self._counts: dict[str, int] = {}
        self._parents: dict[str, str] = {}
        self._held: list[object] = []  # so that no id is used twice

    def chain(self, label: str) -> str:
        """Say how `label` was reached, for people."""
        names: list[str] = []
        while label:
            kind, _, name = label.partition(" ")
            names.append(name if kind in ("function", "class") else f"{kind} `{name}`")
            label = self._parents.get(label, "")
        return " -> ".join(reversed(names))

    def label(self, key: object, text: str, parent: str) -> str:
        """Return a new label for `key`: `text`, numbered where that is taken."""
        count = self._counts[text] = self._counts.get(text, 0) + 1
        label = text if count == 1 else f"{text}#{count}"
        self._labels[key] = label
        self._parents[label] = parent
        self.leaves[label] = digest_of("unfinished")  # holds its place in the order of discovery
        return label

    def foreign(self, path: str) -> str:
        """Return the reference to something outside of the project, and count the package that it
        is in.
        """
        top = path.partition(".")[0]
        if path.startswith("module "):
            return path
        module = module_named(top)
        if top == "lineage":
            return f"lineage {path}"
        if origin_of_module_name(top) is Origin.STDLIB:
            return f"stdlib {path}"
        found = distributions_of(top)
        for distribution in found:
            self.distributions[distribution.name] = distribution
        if not found:
            self._without_distribution(top, module)
        return f"package {path}"

    def _without_distribution(self, top: str, module: ModuleType | None) -> None:
        file = file_of_module(module) if module is not None else None
        if file is None or f"package {top}" in self.leaves:
            return
        whole = os.path.dirname(file) if os.path.basename(file).startswith("__init__.") else file
        self.leaves[f"package {top}"] = bytes_digest((whole,))

    def environment(self, name: str, parent: str) -> str:
        label = f"environment variable {name}"
        if label not in self.leaves:
            value = os.environ.get(name)
            text = b"" if value is None else os.fsencode(value)
            self.leaves[label] = digest_of("environment", b"set" if value is not None else b"unset", text)
            self.guards.check(lambda: os.environ.get(name))
        return label

    def file(self, path: str, source: str | None) -> str:
        """Return the label of a file that is read; by its place beside the source, if it is named
        from there.
        """
        known = self._labels.get(("file", path))
        if known is not None:
            return known
        folder = os.path.dirname(source or "") + os.sep
        shown = path.removeprefix(folder) if folder != os.sep else path
        label = self.label(("file", path), f"file {shown}", "")
        state = self.files[path] = file_state(path)
        self.leaves[label] = state.digest
        self.guards.file(path, state)
        return label

    def unbound(self, name: str) -> str:
        label = f"unbound {name}"
        self.leaves[label] = digest_of("unbound", name.encode())
        return label

    def widen(self, file: str | None) -> str:
        """Take all source of the project that `file` is in, and the packages that any of it
        imports.
        """
        label = "all project source"
        if label not in self.leaves:
            root = project_root(file)
            self.leaves[label] = project_source(root)
            self.guards.check(lambda: project_source(root))
            for top in project_imports(root):
                if distributions_of(top):
                    self.foreign(top)
        return label

    def undeclared(self, parent: str, line: int | None, what: str, advice: str) -> UndeclaredReadError:
        where = "" if line is None else f", line {line}"
        chain = self.chain(parent)
        return UndeclaredReadError(
            f"{chain}{where}: {what}, so its result is not determined by its arguments; {advice}",
            function=chain,
            line=line,
        )
