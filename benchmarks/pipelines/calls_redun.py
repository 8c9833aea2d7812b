"""Trivial calls in redun, with its SQLite backend on disk and its default executor (threads).

redun writes and hashes expressions by recursion, so that a chain of more than about 200 calls fails
at Python's default limit; it is raised here, which its documentation does not mention.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import sys
from pathlib import Path

from redun import Scheduler, task
from redun.config import Config

LIBRARY = "redun"

redun_namespace = "benchmarks"


@task()
def add(x: int, y: int) -> int:
    return x + y


def scheduler(store: Path) -> Scheduler:
    """Open redun's database; large values are files beside it, as its documentation advises."""
    store.mkdir(exist_ok=True)
    logging.getLogger("redun").setLevel(logging.WARNING)  # a line per job otherwise
    backend = {"db_uri": f"sqlite:///{store}/redun.db", "value_store_path": str(store / "values")}
    opened = Scheduler(config=Config({"backend": backend}))
    opened.load()
    return opened


def chain(store: Path, size: int) -> int:
    sys.setrecursionlimit(100 * size + 1000)
    x = 0
    for _ in range(size):
        x = add(x, 1)
    return int(scheduler(store).run(x))


def fan(store: Path, size: int) -> int:
    return sum(scheduler(store).run([add(i, 7) for i in range(size)]))


def build(size: int) -> list[int]:
    return [add(i, 7) for i in range(size)]


def executed(store: Path) -> int:
    with contextlib.closing(sqlite3.connect(store / "redun.db")) as db:
        tasks = "SELECT count(*) FROM job j JOIN call_node c USING (call_hash) WHERE j.cached = 0 "
        return int(db.execute(tasks + "AND c.task_name LIKE 'benchmarks.%'").fetchone()[0])
