"""What the store of `lineage` says was executed. It reads the index itself, so that asking costs the run nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

__all__ = ["executed"]


def executed(store: Path) -> dict[str, int]:
    """How often each node was executed, by its name."""
    with contextlib.closing(sqlite3.connect(store / "index.sqlite")) as db:
        found = db.execute("SELECT n.name, count(*) FROM executions e JOIN nodes n ON n.id = e.node GROUP BY 1")
        return {name.rpartition(".")[2]: count for name, count in found}
