"""What a machine and a store are fit for, checked one by one."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata, util
from typing import Literal

from attrs import frozen

from lineage.errors import LineageError
from lineage.session import Session

__all__ = ["Finding", "doctor"]

State = Literal["ok", "note", "wrong"]

LITTLE_SPACE = 1 << 30
"""Bytes free under which a store is said to be short of space."""

_CLOCK = 2.0
"""Seconds by which the clock of a store's filesystem may be off before it is said."""


@frozen
class Finding:
    """One thing that was looked at: what, how it is (`ok`, `note` or `wrong`), and what was found, with what to do."""

    subject: str
    state: State
    found: str


def doctor(session: Session) -> list[Finding]:
    """Return what was found of this Python, the store of `session` and what it may need. Changes nothing but a probe file.

    >>> import tempfile
    >>> [finding.subject for finding in doctor(Session(tempfile.mkdtemp()))][:2]
    ['python', 'lineage']
    """
    return [finding for check in _CHECKS for finding in check(session)]


def _python(_: Session) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", "ok" if sys.version_info >= (3, 11) else "wrong", f"{version} in {sys.prefix}")


def _versions(_: Session) -> Iterator[Finding]:
    yield Finding("lineage", "ok", metadata.version("lineage-graph"))
    for name in ("polars", "pyarrow", "numpy"):
        try:
            yield Finding(name, "ok", metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding(name, "wrong", f"not installed: pip install {name}")


def _extras(_: Session) -> Iterator[Finding]:
    uses = {
        "ray": "Ray clusters",
        "s3fs": "stores and files on S3",
        "sklearn": "models",
        "igraph": "pictures of graphs",
    }
    for module, use in uses.items():
        there = util.find_spec(module) is not None
        yield Finding(module, "ok" if there else "note", "installed" if there else f"not installed; needed for {use}")


def _machine(_: Session) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("machine", "ok", f"{cores} cores, {memory / 2**30:.1f} GiB of memory")
    if not os.environ.get("TZ") and time.tzname[0] != "UTC":
        yield Finding("time zone", "note", f"{time.tzname[0]}; nodes that read local time see another one elsewhere")


def _store(session: Session) -> Iterator[Finding]:
    try:
        store = session.store
        runs = list(store.index.runs(1))
    except (LineageError, OSError, sqlite3.Error) as error:
        yield Finding("store", "wrong", str(error))
        return
    last = f"last run {runs[0].id}: {runs[0].status}" if runs else "nothing was run in it yet"
    how = "" if store.index.writable else ", read-only"
    yield Finding("store", "ok", f"{session.root}{how}; {last}")


def _space(session: Session) -> Iterator[Finding]:
    place = str(session.root)
    if "://" in place:
        return
    while not os.path.exists(place):
        place = os.path.dirname(place) or "/"
    free = shutil.disk_usage(place).free
    state: State = "ok" if free > LITTLE_SPACE else "wrong"
    yield Finding("space", state, f"{free / 2**30:.1f} GiB free for the store")


def _clock(session: Session) -> Iterator[Finding]:
    """Compare the clock with that of the filesystem: stamps of files are compared with it."""
    probe = session.root / f"probe-{os.getpid()}" if session.root.is_dir() else None
    if probe is None or not os.access(session.root, os.W_OK):
        return
    try:
        probe.touch()
        off = probe.stat().st_mtime - time.time()
    finally:
        probe.unlink(missing_ok=True)
    if abs(off) > _CLOCK:
        yield Finding("clock", "wrong", f"that of the store's filesystem is {off:+.1f} s off; set both by NTP")
    else:
        yield Finding("clock", "ok", "agrees with that of the store's filesystem")


def _git(_: Session) -> Iterator[Finding]:
    there = shutil.which("git") is not None
    yield Finding("git", "ok" if there else "note", "installed" if there else "not installed; commits are not recorded")


def _settings(_: Session) -> Iterator[Finding]:
    for name in sorted(name for name in os.environ if name.startswith("LINEAGE_")):
        yield Finding(name, "ok", os.environ[name])


_CHECKS: tuple[Callable[[Session], Iterator[Finding]], ...] = (
    _python, _versions, _extras, _machine, _store, _space, _clock, _git, _settings,
)  # fmt: skip
