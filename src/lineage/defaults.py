"""What a session takes where nothing is said: the folder of its store, the name of its user."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

__all__ = ["default_namespace", "default_store", "default_user"]


def default_store() -> Path:
    """Return `LINEAGE_STORE`, else `.lineage` beside the nearest `pyproject.toml` above the working folder, else here."""
    named = os.environ.get("LINEAGE_STORE")
    if named:
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / ".lineage"
    return here / ".lineage"


def default_user() -> str:
    """Return `LINEAGE_USER`, else the name under which this process runs."""
    named = os.environ.get("LINEAGE_USER")
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def default_namespace() -> str | None:
    """Return `LINEAGE_NAMESPACE`, whose names are read in place of one's own; None where it is not set."""
    return os.environ.get("LINEAGE_NAMESPACE") or None
