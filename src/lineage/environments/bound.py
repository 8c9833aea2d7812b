"""From what a node asks for to what its lock says that is.

A lock that is there decides; nothing is resolved then. A lock that is not there is made, once, and written beside the code.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from lineage.digest import digest_of
from lineage.environments.lock import Lock, Request, read_lock, write_lock
from lineage.environments.request import Env, name_of, normalised
from lineage.environments.resolved import Resolved, resolved
from lineage.environments.resolving import resolve, worker_needs
from lineage.errors import EnvError, LockError

__all__ = ["bound", "lock_path", "make_lock", "project_folder", "request_of"]

Tell = Callable[[str], None]

_known: dict[tuple[Env, str], tuple[object, Resolved]] = {}


def bound(env: Env, file: str, who: str) -> Resolved:
    """Return the environment that code in `file` asks for, as its lock has it; `who` asks.

    Raises:
        LockError: the lock is damaged, or of something else than is asked for.
        EnvError: there is no lock, and none could be made.
    """
    root = project_folder(file)
    path = lock_path(env, root)
    stamp = (_stamp(str(path)), _stamp(os.path.join(root, "pyproject.toml")) if env.extras else None)
    known = _known.get((env, root))
    if known is not None and known[0] == stamp and stamp[0] is not None:
        return known[1]
    lock = _lock(env, root, path, who)
    found = resolved(lock, allow_undeclared=env.allow_undeclared)
    _known[env, root] = ((_stamp(str(path)), stamp[1]), found)
    return found


def _lock(env: Env, root: str, path: Path, who: str) -> Lock:
    if not path.exists():
        return make_lock(env, root, who, tell=_tell)
    lock = read_lock(path)
    asked = request_of(env, root)
    reason = lock.request.difference(asked)
    if reason is None:
        missing = {name_of(need) for need in asked.worker} - {package.name for package in lock.packages}
        reason = f"the worker needs {', '.join(sorted(missing))} besides" if missing else None
    if reason is not None:
        raise LockError(
            f"the lock {path} is not of what {who} asks for: {reason}. Make it anew: lineage env lock {who}",
            path=str(path),
            node=who,
        )
    return lock


def make_lock(env: Env, root: str, who: str, *, upgrade: bool = False, tell: Tell = lambda _: None) -> Lock:
    """Resolve what `env` asks for, write the lock and return it. Without `upgrade`, versions that are locked already stay.

    Raises:
        EnvError: there is no answer: uv's reason, and `who` asked.
    """
    path = lock_path(env, root)
    tell(f"resolving the environment of {who} into {path}")
    try:
        lock = resolve(request_of(env, root), kept=None if upgrade else _before(path), folder=Path(root))
    except EnvError as error:
        reason = getattr(error, "reason", str(error))
        raise EnvError(f"the environment of {who} can't be resolved: {reason}", reason=reason, node=who) from error
    write_lock(path, lock)
    return lock


def _before(path: Path) -> Lock | None:
    try:
        return read_lock(path)
    except LockError:
        return None


def lock_path(env: Env, root: str) -> Path:
    """Return the file of an environment's lock, for a project in the folder `root`."""
    if env.lock is not None:
        return Path(root, env.lock)
    asked = "\n".join((env.python or "", *env.packages, "", *env.extras))
    return Path(root, "envs", f"{digest_of('request', asked.encode()).hex()[:12]}.lock")


def request_of(env: Env, root: str) -> Request:
    """Return what a lock of `env` is made for, the project's requirements included where its extras are asked for."""
    project = _extras(env.extras, root) if env.extras else ()
    return Request(
        env.python,
        env.packages,
        env.extras,
        project,
        worker_needs([*env.packages, *project]),
        env.replaced,
    )


def _extras(names: tuple[str, ...], root: str) -> tuple[str, ...]:
    """Return the requirements of a project with some of its extras, each as it is written."""
    file = Path(root, "pyproject.toml")
    try:
        project = tomllib.loads(file.read_text("utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise EnvError(f"extras {', '.join(names)} are asked for, and {file} has no [project]: {error!r}") from error
    own = normalised(str(project.get("name", "")))
    offered = {normalised(name): found for name, found in project.get("optional-dependencies", {}).items()}
    found: dict[str, None] = dict.fromkeys(project.get("dependencies", ()))
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name not in offered:
            raise EnvError(f"{file} has no extra {name!r}; it has {', '.join(sorted(offered)) or 'none'}")
        for requirement in offered[name]:
            if name_of(requirement) == own:  # an extra made of others: "project[one,two]"
                waiting += [normalised(part.strip()) for part in requirement.partition("[")[2].rstrip("]").split(",")]
            else:
                found[requirement] = None
    return tuple(sorted(found))


def project_folder(file: str) -> str:
    """Return the folder of the project that `file` is of: the nearest above it with a pyproject.toml, else its own."""
    start = os.path.dirname(os.path.abspath(file)) if os.path.exists(file) else os.getcwd()
    folder = start
    while not os.path.exists(os.path.join(folder, "pyproject.toml")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return start
        folder = parent
    return folder


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
