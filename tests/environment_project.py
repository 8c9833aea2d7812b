"""Made-up locks, and projects that have some, for the tests of environments."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from lineage.environments.lock import Artifact, Lock, Package, Request, write_lock
from lineage.environments.resolving import own_python, worker_needs

__all__ = ["EnvironmentProject", "small_lock", "wheel"]


def wheel(name: str, version: str, tag: str = "py3-none-any", letter: str = "a") -> Artifact:
    return Artifact(f"{name.replace('-', '_')}-{version}-{tag}.whl", letter * 64)


def small_lock(*packages: str, asks: tuple[str, ...] = (), python: str | None = None) -> Lock:
    """A lock of made-up packages, `name==version`, and of what the worker needs."""
    needs = [f"{need.partition('>')[0]}==99" for need in worker_needs(asks)]
    found = []
    for package in (*packages, *needs):
        name, _, version = package.partition("==")
        found.append(Package(name, version, (wheel(name, version),)))
    return Lock(python or own_python(), Request(python, asks, worker=worker_needs(asks)), found)


class EnvironmentProject:
    """A folder with a pyproject.toml, in which locks and modules are written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        (folder / "pyproject.toml").write_text("[project]\nname = 'made-up'\nversion = '1'\n")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def lock(self, name: str, *packages: str, asks: tuple[str, ...] = ()) -> Path:
        path = self.folder / name
        write_lock(path, small_lock(*packages, asks=asks))
        return path

    def extras(self, offered: dict[str, list[str]], own: tuple[str, ...] = ()) -> None:
        lines = ["[project]", "name = 'made-up'", "version = '1'", f"dependencies = {json.dumps(list(own))}"]
        lines += [
            "[project.optional-dependencies]",
            *(f"{name} = {json.dumps(found)}" for name, found in offered.items()),
        ]
        self.write("pyproject.toml", "\n".join(lines))
