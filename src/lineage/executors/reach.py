"""Whether workers on other machines reach a store: each looks for a file that the driver has just written there."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lineage.errors import ExecutorError

__all__ = ["Marker", "check_found", "look_around", "marked"]


class Marker(NamedTuple):
    """A file in the folder of a store, and what it says."""

    path: str
    token: str


@contextlib.contextmanager
def marked(store: Any) -> Iterator[Marker | None]:
    """Leave a marker in the folder of `store` while the block runs; none where the store is a URL, which says the same everywhere."""
    if "://" in store.place:
        yield None
        return
    path = Path(store.objects.temporary())
    marker = Marker(str(path), secrets.token_hex(16))
    path.write_text(marker.token)
    try:
        yield marker
    finally:
        path.unlink(missing_ok=True)


def look_around(marker: Marker | None) -> dict[str, Any]:
    """Return what a worker finds where it runs: whether the marker is there, beside which it can write, and its Python."""
    if marker is None:
        return {"sees": True, "writes": True, "python": platform.python_version()}
    path, token = Path(marker.path), marker.token
    try:
        sees = path.read_text() == token
    except OSError:
        sees = False
    return {"sees": sees, "writes": sees and os.access(path.parent, os.W_OK), "python": platform.python_version()}


def check_found(found: Mapping[str, Any], where: str, store: Any) -> None:
    """Check what `look_around` found on the machine named `where`.

    Raises:
        ExecutorError: it does not reach the store, or has another Python.
    """
    if not found["sees"]:
        raise ExecutorError(
            f"{where} does not see the store in {store.place}: that is a folder of this machine alone. "
            "Put the store on a filesystem that all machines of the cluster share, under the same path, or give it by URL",
            store=store.place,
        )
    if not found["writes"]:
        raise ExecutorError(f"{where} sees the store in {store.place} but can't write there", store=store.place)
    here = platform.python_version_tuple()[:2]
    if tuple(found["python"].split(".")[:2]) != here:
        raise ExecutorError(
            f"{where} runs Python {found['python']} and this process {platform.python_version()}; they must be of one "
            "version. Name the interpreter of the workers: Ray(..., python=...)"
        )
