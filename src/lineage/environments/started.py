"""How a worker of a pinned environment is started, and what it checks before it does anything.

What it runs in is the environment and nothing else: no folders of the user's packages, none of `PYTHONPATH`; `lineage` itself
comes from where the driver has it. Where undeclared imports are allowed, the driver's packages stand behind those of the
environment.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

from lineage.environments import bootstrap
from lineage.environments.current import here
from lineage.environments.inventory import inventory, site_packages
from lineage.environments.made import Made
from lineage.environments.resolved import Resolved, load_resolved
from lineage.errors import EnvError, WorkerError

__all__ = ["VARIABLE", "command", "enter", "surroundings"]

VARIABLE = "LINEAGE_WORKER_ENVIRONMENT"
"""In a worker's variables: which environment it is of, and what there was in it when it was made."""

_LEFT_OUT = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS", "VIRTUAL_ENV", "CONDA_PREFIX",
)  # fmt: skip


def command(place: Made, module: str, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command line of a worker: the interpreter of the environment, and `main` of a module of ours."""
    ours = Path(bootstrap.__file__).parent.parent
    return [str(place.python), "-s", bootstrap.__file__, str(ours), module, *arguments]


def surroundings(place: Made, environment: Resolved, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a worker, made of the driver's."""
    kept = {name: value for name, value in variables.items() if name not in _LEFT_OUT}
    said = {"resolved": asdict(environment), "inventory": place.noted, "beside": _packages_here(environment)}
    caches = str(place.folder / "caches")  # of compiled code, ours included, and nowhere else
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONPYCACHEPREFIX": caches, VARIABLE: json.dumps(said)}


def _packages_here(environment: Resolved) -> list[str]:
    """Return the driver's folders of packages, where code may import what only those have.

    Raises:
        EnvError: they are of another Python.
    """
    if not environment.allow_undeclared:
        return []
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if not f"{environment.python}.".startswith(f"{own}."):
        raise EnvError(
            f"undeclared imports are allowed, but this is Python {own} and the environment has {environment.python}: "
            "what is installed here can't be used there"
        )
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def enter() -> Resolved | None:
    """Make this process a worker of the environment that it was started for; None where it was started for none.

    Raises:
        WorkerError: it runs among other packages, or with another Python, than the environment was made of.
    """
    text = os.environ.pop(VARIABLE, None)  # what this process starts is no worker
    if text is None:
        return None
    said: dict[str, Any] = json.loads(text)
    environment = load_resolved(said["resolved"])
    _check(environment, str(said["inventory"]))
    sys.path.extend(said["beside"])
    here(environment)
    return environment


def _check(environment: Resolved, noted: str) -> None:
    own = ".".join(map(str, sys.version_info[:3]))
    if not f"{own}.".startswith(f"{environment.python}."):
        raise WorkerError(f"a worker of an environment of Python {environment.python} runs Python {own}")
    folder = Path(sys.prefix)
    if inventory(site_packages(folder)).hex() != noted:
        raise WorkerError(
            f"the environment in {folder} is not what it was when it was made: something was installed or removed by hand. "
            f"Remove the folder, and it is made anew"
        )
