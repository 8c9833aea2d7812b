"""uv: it resolves and it installs. Where its index is, the machine's configuration says, and nothing of ours."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lineage.errors import EnvError

__all__ = ["run_uv"]

_ADDRESS = re.compile(r"\b(?:https?|file|ftp|s3|git\+\w+)://\S+")


def run_uv(arguments: Sequence[str], *, given: str = "", folder: Path | None = None) -> str:
    """Run uv and return what it prints. Addresses in what it says of a failure are left out.

    Raises:
        EnvError: uv is not installed, or says no. Field: `reason`, uv's own words.
    """
    try:
        done = subprocess.run(
            [_binary(), *arguments],
            input=given,
            capture_output=True,
            text=True,
            cwd=folder,
        )
    except OSError as error:
        raise EnvError(f"uv can't be run: {error}. Install it: pip install uv", reason=str(error)) from error
    if done.returncode:
        reason = _ADDRESS.sub("(an address)", done.stderr.strip()) or f"it ended with {done.returncode}"
        raise EnvError(f"uv {' '.join(arguments[:2])} failed: {reason}", reason=reason)
    return done.stdout


def _binary() -> str:
    try:
        from uv import find_uv_bin
    except ImportError:
        return "uv"
    try:
        return str(find_uv_bin())
    except FileNotFoundError:
        return "uv"
