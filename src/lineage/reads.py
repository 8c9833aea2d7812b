"""Files that a call opened although nobody declared them as inputs.

The fingerprint sees paths that are written where they are read; a path that comes from elsewhere is seen only when it is opened.
Python's audit events tell of it (libraries that read natively, such as polars, are not heard), and the user is warned.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable
from typing import Any

from lineage.running import inside

__all__ = ["listen", "undeclared"]

_CODE = (".py", ".pyc", ".so", ".pth", ".pyi")
_installed = False


def listen() -> None:
    """Begin to hear of opened files. Once per process: audit hooks stay."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open":
        return
    current = inside.get()
    if current is None:
        return
    path, mode, flags = arguments
    reads = "r" in mode if isinstance(mode, str) else not (flags or 0) & (os.O_WRONLY | os.O_RDWR)
    if reads and isinstance(path, (str, os.PathLike)):
        current.reads.add(os.path.abspath(path))


@functools.cache
def _quiet() -> tuple[str, ...]:
    """Return the folders of the system and of what is installed, whose files are code or its settings."""
    import sysconfig

    installed = (*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix)
    return (*(os.path.abspath(place) + os.sep for place in installed), "/proc/", "/sys/", "/dev/", "/etc/", "/usr/")


def undeclared(reads: Iterable[str], declared: Iterable[str], folders: Iterable[str]) -> list[str]:
    """Return those of `reads` that are neither declared inputs, nor in `folders`, nor code, nor the system's."""
    known = {os.path.abspath(path) for path in declared}
    quiet = (*(folder + os.sep for folder in folders), *_quiet())
    return sorted(
        path for path in reads if path not in known and not path.startswith(quiet) and not path.endswith(_CODE)
    )
