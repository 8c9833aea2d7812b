"""From a dataset back to the environment that made it, by its record alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lineage.environments.lock import Artifact, Lock, Package, Request
from lineage.environments.resolved import Resolved, load_resolved
from lineage.environments.resolving import resolve, worker_needs
from lineage.errors import EnvError, NotFoundError

__all__ = ["freeze", "recorded"]

_PACKAGE = re.compile(r"package (\S+) (\S+)")
_PYTHON = re.compile(r"python (3\.\d+(?:\.\d+)?)")


def freeze(dataset: Any) -> Lock:
    """Return the environment that made a dataset, as a lock.

    What a node with an `Env` made says it exactly: versions, files and hashes, those of the platform that it ran on. Of
    other nodes the versions of what their code reached are recorded; an index is asked for the files of those versions.

    Raises:
        NotFoundError: no execution of it is recorded.
        EnvError: an index has those versions no more.
    """
    known = _known(dataset)
    if "environment" in known:
        return _as_lock(load_resolved(known["environment"]))
    python, packages = _reached(known["leaves"])
    return resolve(Request(python, packages, worker=worker_needs(packages)))


def recorded(dataset: Any) -> Resolved | None:
    """Return the pinned environment that made a dataset, as it was recorded; None where it was made among the driver's."""
    known = _known(dataset)
    return load_resolved(known["environment"]) if "environment" in known else None


def _known(dataset: Any) -> dict[str, Any]:
    """Return what the record of a dataset's execution says of code and environment."""
    number = dataset._execution
    execution = dataset._store.index.execution(number) if number is not None else None
    text = dataset._store.index.code(execution["code_digest"]) if execution else None
    if text is None:
        raise NotFoundError(
            f"{dataset!r:.80} has no recorded execution of its own; take one of its parts, or the dataset of a call"
        )
    found: dict[str, Any] = json.loads(text)
    return found


def _as_lock(found: Resolved) -> Lock:
    packages = [Package(pin.name, pin.version, (Artifact(pin.file, pin.sha256),)) for pin in found.pins]
    asked = tuple(f"{pin.name}=={pin.version}" for pin in found.pins)
    return Lock(found.python, Request(found.python, asked, worker=worker_needs(asked)), packages)


def _reached(leaves: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    packages = [f"{match[1]}=={match[2]}" for match in map(_PACKAGE.fullmatch, leaves) if match]
    python = next((match[1] for match in map(_PYTHON.fullmatch, leaves) if match), None)
    if python is None:
        raise EnvError(
            "the record says no versions: the node has a version= of its own, in place of its code's identity"
        )
    return python, tuple(sorted(packages))
