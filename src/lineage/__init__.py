"""Pure typed functions, composed into a graph whose outputs are content-hashed, immutable datasets with lineage.

import lineage as ln

@ln.node
def words(text: str) -> list[str]:
    return text.split()

@ln.node
def count(items: list[str]) -> int:
    return len(items)

ln.compute(count(words("pure functions, cached by what they do")))     # 7
"""

from typing import TYPE_CHECKING, Any

from lineage.api import (
    compute,
    dataset,
    forget,
    main,
    materialize,
    openlineage,
    picture,
    plan,
    register,
    show,
    tag,
    tags,
    verify,
)
from lineage.asking import calls, columns, datasets, diff, downstream, runs, source, upstream, why
from lineage.combinators import attempt, ref
from lineage.datasets import Dataset
from lineage.environments.request import Env
from lineage.errors import LineageError
from lineage.executors.serial import Serial
from lineage.files import Directory, File, files
from lineage.incomplete import Incomplete
from lineage.logs import logs
from lineage.mapping import flatten, map, starmap, zip
from lineage.node import Node, dynamic, node, sink
from lineage.options import Approx, Resources, Retry
from lineage.outcomes import Failed, Ok
from lineage.plans import Plan
from lineage.reduction import reduce
from lineage.running import current, scratch, span
from lineage.schema import Schema
from lineage.session import Session, configure
from lineage.shards import partition, scan, shuffle, view
from lineage.signatures import Unhashed

if TYPE_CHECKING:
    from lineage.executors.processes import Processes
    from lineage.executors.ray import Ray

__all__ = [
    "Approx",
    "Dataset",
    "Directory",
    "Env",
    "Failed",
    "File",
    "Incomplete",
    "LineageError",
    "Node",
    "Ok",
    "Plan",
    "Processes",
    "Ray",
    "Resources",
    "Retry",
    "Schema",
    "Serial",
    "Session",
    "Unhashed",
    "attempt",
    "calls",
    "columns",
    "compute",
    "configure",
    "current",
    "dataset",
    "datasets",
    "diff",
    "downstream",
    "dynamic",
    "files",
    "flatten",
    "forget",
    "logs",
    "main",
    "map",
    "materialize",
    "node",
    "openlineage",
    "partition",
    "picture",
    "plan",
    "reduce",
    "ref",
    "register",
    "runs",
    "scan",
    "scratch",
    "show",
    "shuffle",
    "sink",
    "source",
    "span",
    "starmap",
    "tag",
    "tags",
    "upstream",
    "verify",
    "view",
    "why",
    "zip",
]

_LATER = {"Processes": "lineage.executors.processes", "Ray": "lineage.executors.ray"}
"""Names that most programs don't need: loaded when they are asked for."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'lineage' has no attribute {name!r}")
    import importlib

    found = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return found
