"""What is installed in an environment, as one digest: a version is not its content, so RECORDs are read.

Whoever makes an environment notes it, and every worker of it compares: somebody may have installed something there by hand.
"""

from __future__ import annotations

import os
from pathlib import Path

from lineage.digest import Digest, digest_of

__all__ = ["inventory", "site_packages"]


def inventory(site: Path) -> Digest:
    """Return the digest of what the distributions in `site` say that they installed.

    Lines without a hash say nothing of content (caches of bytecode, the RECORD itself), and are left out.
    """
    parts: list[bytes] = []
    for name in sorted(name for name in os.listdir(site) if name.endswith((".dist-info", ".egg-info"))):
        record = site / name / "RECORD"
        lines = record.read_bytes().splitlines() if record.exists() else []
        parts += [name.encode(), *sorted(line for line in lines if b",sha256=" in line)]
    return digest_of("inventory", *parts)


def site_packages(folder: Path) -> Path:
    """Return where an environment keeps its packages."""
    return next(iter(sorted((folder / "lib").glob("python3*/site-packages"))), folder / "Lib" / "site-packages")
