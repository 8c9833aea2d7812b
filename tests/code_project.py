"""Small projects on disk, and a stand-in for the digest of plain values, for the tests of
`lineage.code`.
"""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from lineage.code import CodeFingerprint, fingerprint
from lineage.digest import Digest, digest_of
from lineage.errors import UnstableIdentityError

__all__ = ["Project", "digest_plain", "in_process", "look", "project_in"]

_SCALARS = (int, float, complex, str, bytes, bool, type(None), type(...))
PACKAGE = "example_project"
_numbers = itertools.count()


def digest_plain(value: object, identify: Callable[[object], Digest]) -> Digest:
    """Digest scalars, collections, and instances by their `__dict__`."""
    kind = type(value).__qualname__
    if type(value) in _SCALARS:
        return digest_of("scalar", kind.encode(), repr(value).encode())
    if isinstance(value, list | tuple):
        return digest_of(kind, *(digest_plain(item, identify) for item in value))
    if isinstance(value, set | frozenset):
        return digest_of(kind, *sorted(digest_plain(item, identify) for item in value))
    if isinstance(value, dict):
        return digest_of(kind, *(digest_plain(part, identify) for item in value.items() for part in item))
    if isinstance(value, os.PathLike):
        return digest_of("path", os.fsencode(value))
    if callable(value) and (hasattr(value, "__code__") or isinstance(value, type)):
        return identify(value)
    if isinstance(value, ModuleType) or callable(value):
        return identify(value)
    if hasattr(value, "__dict__"):
        return digest_of("instance", identify(type(value)), digest_plain(vars(value), identify))
    raise UnstableIdentityError(f"no digest for {kind}")


def look(target: object, **options: Any) -> CodeFingerprint:
    return fingerprint(target, digest_constant=digest_plain, **options)


class Project:
    """Modules in a folder of their own, imported under fresh names so that tests don't meet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, source: str, **others: str) -> Any:
        """Write `source` as a module, `others` as modules beside it by name, and import the first.

        Every call makes a package in a folder of its own; "PKG" in a source stands for its name.
        """
        self.forget()
        top = self.folder / f"version{next(_numbers)}"
        root = top / PACKAGE
        root.mkdir(parents=True)
        (root / "__init__.py").touch()
        for name, text in {**others, "main": source}.items():
            file = root.joinpath(*name.split("__", 1)).with_suffix(".py")
            if not file.parent.exists():
                file.parent.mkdir()
                (file.parent / "__init__.py").touch()
            file.write_text(textwrap.dedent(text.strip()).replace("PKG", PACKAGE))
        sys.path.insert(0, str(top))
        importlib.invalidate_caches()
        return importlib.import_module(f"{PACKAGE}.main")

    def forget(self) -> None:
        sys.path[:] = [entry for entry in sys.path if not entry.startswith(str(self.folder))]
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]

    def digest(self, source: str, target: str = "node", **others: str) -> Digest:
        return look(getattr(self.load(source, **others), target)).digest

    def same(self, one: str, other: str, **others: str) -> bool:
        """Say whether `node` has one digest in both sources; "===" parts the module from one called
        `helpers`.
        """
        digests = []
        for text in (one, other):
            module, _, helpers = text.partition("===")
            extra = {"helpers": helpers} if helpers else {}
            digests.append(self.digest(module, **{**others, **extra}))
        return digests[0] == digests[1]


def in_process(source: str, cwd: Path, **environment: str) -> str:
    """Run `source` as a script in a fresh process and return what it printed."""
    file = cwd / f"script{next(_numbers)}.py"
    file.write_text(textwrap.dedent(source))
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, str(cwd), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **environment, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, str(file)], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def project_in(folder: Path) -> Iterator[Project]:
    project = Project(folder)
    try:
        yield project
    finally:
        project.forget()
