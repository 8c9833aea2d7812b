"""Locks: what was resolved, as a file beside the code. Names, versions and hashes, and no address of an index.

A lock holds for every platform: it lists all files of each version that its Python can use. What of it is part of a key is
what one machine would install: see `lineage.environments.resolved`.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from lineage.errors import LockError

__all__ = ["Artifact", "Lock", "Package", "Request", "dump_lock", "read_lock", "write_lock"]

FORMAT = 1
_HEADER = (
    "# The environment of nodes, pinned. Made by `lineage env lock`; commit it, and change it with that command only.\n"
)


@frozen(order=True)
class Artifact:
    """A file that an index offers: its name, and the SHA-256 of its bytes as hex."""

    name: str
    sha256: str

    @property
    def is_wheel(self) -> bool:
        return self.name.endswith(".whl")


@frozen
class Package:
    """One distribution at one version, where `marker` holds (everywhere, if it is empty)."""

    name: str
    version: str
    files: tuple[Artifact, ...]
    marker: str = ""


@frozen
class Request:
    """What a lock was made for. `worker` is what the worker itself needs; `replaced` is for people."""

    python: str | None = None
    packages: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()

    def difference(self, asked: Request) -> str | None:
        """Say what is asked for now and was not then, or the other way round; None where it is the same."""
        for what in ("python", "packages", "extras", "project"):
            before, now = getattr(self, what), getattr(asked, what)
            if before != now:
                return f"{what} was {_shown(before)} and is {_shown(now)}"
        return None


def _in_order(packages: Iterable[Package]) -> tuple[Package, ...]:
    return tuple(sorted(packages, key=lambda package: (package.name, package.version, package.marker)))


@frozen
class Lock:
    """What was resolved for one Python: packages in the order of their names."""

    python: str
    request: Request
    packages: tuple[Package, ...] = field(converter=_in_order)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "nothing"
    return "not given" if value is None else str(value)


def read_lock(path: Path) -> Lock:
    """Return the lock in a file.

    Raises:
        LockError: there is none, or what is there can't be read.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise LockError(f"there is no lock {path.name} in {path.parent}", path=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"the lock {path} can't be read: {error}", path=str(path)) from error
    try:
        return _lock(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LockError(
            f"the lock {path} is damaged ({type(error).__name__}: {error}); take it from version control, or make it anew",
            path=str(path),
        ) from error


def _lock(data: Mapping[str, Any]) -> Lock:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']} is not known, only {FORMAT}")
    asked = data.get("request", {})
    request = Request(
        python=asked.get("python"),
        **{name: tuple(asked.get(name, ())) for name in ("packages", "extras", "project", "worker", "replaced")},
    )
    packages = [_package(found) for found in data.get("package", ())]
    return Lock(str(data["python"]), request, packages)


def _package(found: Mapping[str, Any]) -> Package:
    files = tuple(sorted(_artifact(line) for line in found["files"]))
    return Package(str(found["name"]), str(found["version"]), files, str(found.get("marker", "")))


def _artifact(line: str) -> Artifact:
    name, _, digest = line.partition(" sha256:")
    if len(digest) != 64 or "/" in name or not set(digest) <= set("0123456789abcdef"):
        raise ValueError(f"{line!r} is not a file's name and SHA-256")
    return Artifact(name, digest)


def dump_lock(lock: Lock) -> str:
    """Return the text of a lock. Equal locks have equal texts."""
    request = lock.request
    lines = [_HEADER, f"format = {FORMAT}", f"python = {_text(lock.python)}", "", "[request]"]
    if request.python is not None:
        lines.append(f"python = {_text(request.python)}")
    for name in ("packages", "extras", "project", "worker", "replaced"):
        values = getattr(request, name)
        if values:
            lines += _array(name, values)
    for package in lock.packages:
        lines += ["", "[[package]]", f"name = {_text(package.name)}", f"version = {_text(package.version)}"]
        if package.marker:
            lines.append(f"marker = {_text(package.marker)}")
        lines += _array("files", [f"{file.name} sha256:{file.sha256}" for file in sorted(package.files)])
    return "\n".join(lines) + "\n"


def _array(name: str, values: Iterable[str]) -> list[str]:
    return [f"{name} = [", *(f"    {_text(value)}," for value in values), "]"]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock, so that readers see the whole of it or what was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_text(dump_lock(lock), "utf-8")
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise LockError(f"the lock {path} can't be written: {error}", path=str(path)) from error
