"""What people do with environments: lock, show, create, export, check. Plain functions, for commands and notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from attrs import frozen

from lineage.environments.bound import lock_path, make_lock, project_folder, request_of
from lineage.environments.current import file_of, merged_env
from lineage.environments.inventory import inventory, site_packages
from lineage.environments.lock import Lock, read_lock
from lineage.environments.made import Made, made, make
from lineage.environments.request import Env, name_of
from lineage.environments.resolved import Resolved, resolved
from lineage.errors import EnvError, LineageError, LockError

__all__ = ["Problem", "check", "create", "export", "lock", "lock_file", "show"]

Tell = Callable[[str], None]


@frozen
class Problem:
    """Something of a node's environment that is not as it should be, and what to do about it."""

    node: str
    what: str


def lock(nodes: Iterable[Any], *, upgrade: bool = False, tell: Tell = lambda _: None) -> list[Path]:
    """Resolve what nodes ask for, write their locks and return the files. Nodes that ask for nothing are passed over.

    Versions that are locked already stay, if they still fit; with `upgrade` the newest are taken.

    Raises:
        EnvError: there is no answer: uv's reason, and which node asked.
    """
    written: dict[Path, None] = {}
    for node in nodes:
        env = merged_env(node.given.env)
        path = lock_file(node)
        if env is not None and path is not None and path not in written:
            make_lock(env, _project(node), node.reference, upgrade=upgrade, tell=tell)
            written[path] = None
    return list(written)


def lock_file(node: Any) -> Path | None:
    """Return where the lock of a node is; None where it asks for no environment."""
    env: Env | None = merged_env(node.given.env)
    return None if env is None else lock_path(env, _project(node))


def _project(node: Any) -> str:
    return project_folder(file_of(node.fn))


def show(found: Lock) -> str:
    """Return a lock as people read it: packages and versions, who asked for each, and what gave way to what."""
    here = {(pin.name, pin.version) for pin in resolved(found).pins}
    lines = [f"Python {found.python}"]
    for package in found.packages:
        elsewhere = "" if (package.name, package.version) in here else "   (not on this platform)"
        title = f"{package.name} {package.version}"
        lines.append(f"  {title:<32}{_why(package.name, found)}{elsewhere}".rstrip())
    return "\n".join([*lines, *found.request.replaced])


def _why(name: str, found: Lock) -> str:
    asked = found.request
    for requirements, who in (
        (asked.packages, "asked for"),
        (asked.project, "of the project"),
        (asked.worker, "of the worker"),
    ):
        for requirement in requirements:
            if name_of(requirement) == name:
                return f"{who}: {requirement}"
    return ""


def create(found: Lock | Resolved, *, who: str = "", offline: bool = False, tell: Tell = lambda _: None) -> Made:
    """Make an environment on this machine, if it is not there, and return where it is: for a server, or a notebook's kernel.

    Raises:
        EnvError: there is no such interpreter, or a file can't be had.
    """
    return make(resolved(found) if isinstance(found, Lock) else found, who=who, offline=offline, tell=tell)


def export(found: Lock) -> str:
    """Return what this machine would install, as a `requirements.txt` with hashes, for any installer."""
    lines = [f"# Python {found.python}"]
    lines += [f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}" for pin in resolved(found).pins]
    return "\n".join(lines) + "\n"


def check(nodes: Iterable[Any]) -> list[Problem]:
    """Return what is wrong with the environments of nodes; nothing is resolved and nothing made.

    Looked at: is there a lock, is it of what is asked for; where the environment is made on this machine, is it what was made,
    and does it have what the node's code imports.
    """
    return [Problem(node.reference, what) for node in nodes if lock_file(node) for what in _wrong(node)]


def _wrong(node: Any) -> list[str]:
    env, path = merged_env(node.given.env), lock_file(node)
    assert env is not None
    assert path is not None
    try:
        reason = read_lock(path).request.difference(request_of(env, _project(node)))
        if reason is not None:
            return [f"the lock {path.name} is not of what is asked for: {reason}. lineage env lock {node.reference}"]
        environment: Resolved = node.environment()
        place = made(environment)
        return [] if place is None else [*_changed(place), *_undeclared(node, place)]
    except LockError as error:
        return [f"{error}. lineage env lock {node.reference}"]
    except (EnvError, LineageError) as error:
        return [str(error)]


def _changed(place: Made) -> list[str]:
    if inventory(site_packages(place.folder)).hex() == place.noted:
        return []
    return [f"{place.folder} is not what it was when it was made; remove it, and it is made anew"]


def _undeclared(node: Any, place: Made) -> list[str]:
    site = site_packages(place.folder)
    if node.given.version is not None or node.environment().allow_undeclared:
        return []
    tops = {
        claim.partition(" is package ")[2].partition(".")[0] for claim in node.code().claims if " is package " in claim
    }
    missing = sorted(top for top in tops if not _is_in(site, top))
    return [f"imports {top}, which its environment lacks: add it to packages" for top in missing]


def _is_in(site: Path, top: str) -> bool:
    return (site / top).exists() or any(site.glob(f"{top}.*"))
