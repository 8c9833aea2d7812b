"""From a request to a lock. The one place that asks an index, and only when a lock is made."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from lineage.environments.lock import Artifact, Lock, Package, Request
from lineage.environments.request import name_of
from lineage.environments.uv import run_uv
from lineage.errors import EnvError

__all__ = ["own_python", "resolve", "worker_needs"]

_WORKER = {
    "attrs": "attrs>=24.2",
    "beartype": "beartype>=0.22",
    "blake3": "blake3>=1.0",
    "cloudpickle": "cloudpickle>=3.0",
    "threadpoolctl": "threadpoolctl>=3.5",
    "typeguard": "typeguard>=4.3",
    "typing-extensions": "typing-extensions>=4.12",
}
"""What the worker imports. Its own code comes from where the driver's `lineage` is, and none of it is installed."""

_TABLES = {"numpy": "numpy>=1.26", "pyarrow": "pyarrow>=21.0"}
"""What it needs besides where tables cross."""

_TABLE_LIBRARIES = frozenset({"pandas", "polars", "pyarrow"})


def own_python() -> str:
    """Return the version of the interpreter that asks, without its last part."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def worker_needs(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return what a worker needs besides `requirements`, at the least."""
    names = {name_of(requirement) for requirement in requirements}
    needs = {**_WORKER, **(_TABLES if names & _TABLE_LIBRARIES else {})}
    if names & _TABLE_LIBRARIES and "polars" not in names:
        needs["polars"] = "polars>=1.30"
    return tuple(needs[name] for name in sorted(needs) if name not in names)


def resolve(request: Request, *, kept: Lock | None = None, folder: Path | None = None) -> Lock:
    """Ask uv, and through it the index, for what `request` comes to. Takes seconds.

    The versions in `kept` stay where they all fit still. What the worker needs is taken at the driver's versions where that
    fits, so that instances of classes made with it cross.

    Raises:
        EnvError: there is no answer. Field: `reason`, uv's own words.
    """
    python = request.python or own_python()
    wanted = _wanted(request)
    as_here = [*wanted, *map(_as_here, request.worker)]
    pins = [f"{package.name}=={package.version}" for package in kept.packages] if kept is not None else []
    for constraints in (pins, []) if pins else ([],):
        with contextlib.suppress(EnvError):
            return _lock(request, python, _compiled(as_here, python, folder, constraints))
    return _lock(request, python, _compiled_or_why([*wanted, *request.worker], python, folder))


def _lock(request: Request, python: str, found: Iterable[Mapping[str, Any]]) -> Lock:
    return Lock(python, request, [_package(package, python) for package in found])


def _wanted(request: Request) -> list[str]:
    """Return all requirements; what is asked for by name goes before what an extra of the project says of it."""
    named = {name_of(requirement) for requirement in request.packages}
    return [*request.packages, *(one for one in request.project if name_of(one) not in named)]


def _as_here(requirement: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    name = name_of(requirement)
    try:
        return f"{name}=={version(name)}"
    except PackageNotFoundError:
        return requirement


def _compiled_or_why(requirements: list[str], python: str, folder: Path | None) -> list[Mapping[str, Any]]:
    """Raise without the condition on Python that was added to every requirement, and that uv repeats at each."""
    try:
        return _compiled(requirements, python, folder)
    except EnvError as error:
        reason = " ".join(str(error.facts.get("reason", error)).split())
        reason = re.sub(r" ?\{python_full_version < '[\d.]+'\}", "", reason)
        raise EnvError(f"no versions can be found for Python {python}: {reason}", reason=reason) from error


def _compiled(
    requirements: list[str], python: str, folder: Path | None, constraints: Iterable[str] = ()
) -> list[Mapping[str, Any]]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints))
        file.flush()
        return _asked_of_uv(requirements, python, folder, file.name)


def _asked_of_uv(
    requirements: list[str], python: str, folder: Path | None, constraints: str
) -> list[Mapping[str, Any]]:
    major, minor = python.split(".")[:2]
    only = f"python_version < '{major}.{int(minor) + 1}'"
    text = run_uv(
        ["pip", "compile", "-", "--universal", "--python-version", python, "--format", "pylock.toml", "--no-header",
         "--no-annotate", "--quiet", "--python", sys.executable, "--constraints", constraints],
        given="\n".join(_for_python(requirement, only) for requirement in requirements),
        folder=folder,
    )  # fmt: skip
    found: list[Mapping[str, Any]] = tomllib.loads(text).get("packages", [])
    return found


def _for_python(requirement: str, only: str) -> str:
    plain, _, marker = requirement.partition(";")
    return f"{plain.strip()} ; ({marker.strip()}) and {only}" if marker.strip() else f"{plain.strip()} ; {only}"


def _package(found: Mapping[str, Any], python: str) -> Package:
    archives = [found["sdist"]] if "sdist" in found else []
    files = [_artifact(file) for file in (*archives, *found.get("wheels", ()))]
    kept = tuple(sorted(file for file in files if file is not None and _suits(file, python)))
    if not kept or "version" not in found:
        raise EnvError(
            f"{found['name']}: the index has no file of {found.get('version', 'it')} with a SHA-256 for Python {python}; "
            "ask for another version",
            reason="no file with a hash",
        )
    return Package(found["name"], found["version"], kept, _marker(found.get("marker", ""), python))


def _artifact(file: Mapping[str, Any]) -> Artifact | None:
    name = file.get("name") or PurePosixPath(urlsplit(file.get("url") or file.get("path", "")).path).name
    digest = file.get("hashes", {}).get("sha256")
    return Artifact(unquote(name), digest) if digest else None


def _suits(file: Artifact, python: str) -> bool:
    """Say whether a file is for `python`, on whatever platform."""
    if not file.is_wheel:
        return True
    from packaging.tags import compatible_tags, cpython_tags
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    major, minor = python.split(".")[:2]
    version, interpreter = (int(major), int(minor)), f"cp{major}{minor}"
    try:
        tags = parse_wheel_filename(file.name)[3]
    except InvalidWheelFilename:
        return False
    for platform in {tag.platform for tag in tags}:
        fitting = {
            *cpython_tags(version, [interpreter], [platform]),
            *compatible_tags(version, interpreter, [platform]),
        }
        if not fitting.isdisjoint(tags):
            return True
    return False


def _marker(text: str, python: str) -> str:
    """Leave out of a marker what holds for the lock's Python anyway."""
    if "(" in text or " or " in text:
        return text
    return " and ".join(clause for clause in text.split(" and ") if clause and not _always(clause, python))


def _always(clause: str, python: str) -> bool:
    from packaging.markers import Marker

    minor = ".".join(python.split(".")[:2])
    if not clause.startswith(("python_version ", "python_full_version ")):
        return False
    versions = [python] if python != minor else [f"{minor}.0", f"{minor}.99"]
    return all(Marker(clause).evaluate({"python_version": minor, "python_full_version": full}) for full in versions)
