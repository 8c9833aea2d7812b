"""What is running now: the call that this thread executes, as the code inside a node may ask."""

from __future__ import annotations

import bisect
import contextlib
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from attrs import define, field

from lineage.errors import LineageError

__all__ = ["Current", "current", "inside", "scratch", "span"]


@define
class Current:
    """The running call: the run's number, the node's name, the call's key in hexadecimal, which attempt this is.

    `spans` are the timed blocks so far: name, start (seconds since the call began) and seconds.
    """

    run: int
    node: str
    key: str
    attempt: int
    scratch_root: str = field(repr=False)
    composes: bool = field(default=False, repr=False)
    scratch_folder: Path | None = field(default=None, repr=False)
    keeps_scratch: bool = field(default=False, repr=False)
    spans: list[tuple[str, float, float]] = field(factory=list, repr=False)
    open_spans: list[str] = field(factory=list, repr=False)
    reads: set[str] = field(factory=set, repr=False)
    began: float = field(factory=time.perf_counter, repr=False)


inside: ContextVar[Current | None] = ContextVar("lineage_inside", default=None)


def current() -> Current:
    """Return what is known of the running call. Only inside a node.

    Raises:
        LineageError: no node is running here.
    """
    found = inside.get()
    if found is None:
        raise LineageError("lineage.current() is for code inside a node that is being materialised; no node runs here")
    return found


def scratch(*, keep: bool = False) -> Path:
    """Return the running call's own empty folder. Files returned from it as `Path` become datasets.

    It is removed when the call ends, unless `keep` (to look at what a call wrote).
    """
    found = current()
    if found.scratch_folder is None:
        name = f"{found.key[:24]}-{os.getpid()}-{found.attempt}"
        found.scratch_folder = Path(found.scratch_root, "scratch", name)
        found.scratch_folder.mkdir(parents=True, exist_ok=True)
    if keep:
        found.keeps_scratch = True
        found.scratch_folder.with_name(found.scratch_folder.name + ".keep").touch()  # the sweep leaves it alone
    return found.scratch_folder


@contextlib.contextmanager
def span(name: str) -> Iterator[None]:
    """Time a block inside a node. Name, start and seconds are kept with the call's record, also where the block or the call
    fails: `Dataset.origin.spans`, in the order in which the blocks began. A block in a block is named after both, `fit/load`.

    Raises:
        LineageError: no node is running here.
    """
    found = current()
    found.open_spans.append(name)
    path = "/".join(found.open_spans)
    start = time.perf_counter()
    try:
        yield
    finally:
        entry = (path, start - found.began, time.perf_counter() - start)
        found.open_spans.pop()
        bisect.insort(found.spans, entry, key=lambda span: span[1])
