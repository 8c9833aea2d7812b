"""`lineage env`: the operations on environments as a sub-command.

A target is a file or a module with nodes (`flows/train.py`, `flows.train`), or one node of it (`flows/train.py:fit`). Where a
dataset is meant, it is a tag, or a node as target, for its latest dataset.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from lineage.environments import operations
from lineage.environments.frozen import freeze, recorded
from lineage.environments.lock import dump_lock, read_lock, write_lock
from lineage.environments.made import environments_folder, remove_unused
from lineage.errors import NotFoundError

__all__ = ["env_app", "nodes_at"]

_DAY = 24 * 3600.0


def env_app() -> Any:
    """Return the parser of `lineage env`, for the whole command to take in."""
    from cyclopts import App

    app = App(name="env", help="Lock, make and check the environments that nodes run in.", help_format="plaintext")
    for command in (_lock, _show, _create, _export, _check, _freeze, _clean):
        app.command(command, name=command.__name__.strip("_"))
    return app


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _lock(*targets: str, upgrade: bool = False) -> None:
    """Resolve what the nodes of targets ask for, and write their locks; versions that are locked stay unless upgraded."""
    nodes = [node for target in targets for node in nodes_at(target)]
    for path in operations.lock(nodes, upgrade=upgrade, tell=_say):
        print(path)


def _show(target: str) -> None:
    """Show what is locked: versions, and who asked for each."""
    for path in _locks(target):
        print(f"{path}:\n{operations.show(read_lock(path))}")


def _create(target: str, *, offline: bool = False) -> None:
    """Make the environment of a lock file, of the nodes of a target, or of what made a dataset; print its interpreter."""
    if _is_code(target) or target.endswith(".lock"):
        for path in _locks(target):
            print(operations.create(read_lock(path), who=target, offline=offline, tell=_say).python)
    else:
        dataset = _dataset(target)
        print(operations.create(recorded(dataset) or freeze(dataset), who=target, offline=offline, tell=_say).python)


def _export(target: str) -> None:
    """Print what this machine would install of a lock, as a requirements.txt with hashes."""
    for path in _locks(target):
        print(operations.export(read_lock(path)), end="")


def _check(*targets: str) -> int:
    """Say what is wrong with the environments of the nodes of targets; exit with 1 if anything is."""
    problems = operations.check(node for target in targets for node in nodes_at(target))
    for problem in problems:
        print(f"{problem.node}: {problem.what}")
    return 1 if problems else 0


def _freeze(dataset: str, *, output: Path | None = None) -> None:
    """Write the environment that made a dataset as a lock: to a file, or to the screen."""
    found = freeze(_dataset(dataset))
    if output is None:
        print(dump_lock(found), end="")
    else:
        write_lock(output, found)


def _clean(*, days: float = 60.0) -> None:
    """Remove the environments on this machine that nobody used for so many days, and nobody runs in."""
    for folder in remove_unused(days * _DAY):
        print(folder.relative_to(environments_folder()))


def _locks(target: str) -> list[Path]:
    if target.endswith(".lock"):
        return [Path(target)]
    found = dict.fromkeys(path for node in nodes_at(target) if (path := operations.lock_file(node)) is not None)
    if not found:
        raise NotFoundError(f"no node of {target} asks for an environment; give one env=lineage.Env(...)")
    return list(found)


def _is_code(target: str) -> bool:
    return ":" in target or target.endswith(".py")


def _dataset(name: str) -> Any:
    from lineage.session import current_session

    if _is_code(name):
        (node,) = nodes_at(name)
        return current_session().dataset(node)
    return current_session().dataset(name)


def nodes_at(target: str) -> list[Any]:
    """Return the nodes of a module or a file, or the one that is named after a colon.

    Raises:
        NotFoundError: there is no such module, or no such node in it.
    """
    from lineage.node import Node

    place, _, name = target.partition(":")
    module = _module(place)
    found = [
        value for value in vars(module).values() if isinstance(value, Node) and value.fn.__module__ == module.__name__
    ]
    if not name:
        return found
    named = [node for node in found if node.fn.__qualname__ == name]
    if not named:
        raise NotFoundError(f"{place} has no node {name!r}; it has {', '.join(node.name for node in found) or 'none'}")
    return named


def _module(place: str) -> Any:
    path = Path(place)
    if place.endswith(".py"):
        if not path.exists():
            raise NotFoundError(f"there is no file {place}")
        sys.path.insert(0, str(path.absolute().parent))
        place = path.stem
    elif "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name != place:
            raise
        raise NotFoundError(f"there is no module {place}") from error
