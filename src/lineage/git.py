"""The commit of the working folder, for the record of a run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

__all__ = ["GitState"]


class GitState:
    """The commit of the working folder and whether it has changes, asked in the background."""

    def __init__(self) -> None:
        import subprocess

        try:
            self._process: subprocess.Popen[str] | None = subprocess.Popen(
                ["git", "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        except OSError:
            self._process = None

    def facts(self) -> dict[str, Any]:
        if self._process is None:
            return {}
        import subprocess

        with contextlib.suppress(subprocess.SubprocessError, OSError):
            out, _ = self._process.communicate(timeout=5)
            lines = out.splitlines()
            commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
            return {"git": commit, "dirty": any(not line.startswith("#") for line in lines)}
        self._process.kill()
        self._process.wait()
        return {}
