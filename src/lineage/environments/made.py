"""Environments on this machine: each made once, from uv's cache, and shared by all who need it.

One is built under another name beside its place and then renamed, so that it is there whole or not at all. Who wants to
make one holds its lock file meanwhile; who runs in one holds another, shared, so that it is not removed under them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from attrs import asdict, frozen

from lineage.environments.inventory import inventory, site_packages
from lineage.environments.resolved import Resolved
from lineage.environments.uv import run_uv
from lineage.errors import EnvError

__all__ = ["Made", "environments_folder", "hold", "made", "make", "remove_unused"]

_NOTE = "lineage-environment.json"
_UNUSED = 60 * 24 * 3600.0
"""Seconds after which an environment that nobody used is removed, when another is made."""

Tell = Callable[[str], None]


@frozen
class Made:
    """An environment that is there: its folder and its interpreter."""

    folder: Path
    python: Path

    @property
    def noted(self) -> str:
        """The inventory that was taken when it was made, as hex."""
        return str(json.loads((self.folder / _NOTE).read_text("utf-8"))["inventory"])


def environments_folder() -> Path:
    """Return where this machine keeps environments: `LINEAGE_ENVIRONMENTS`, else the user's cache.

    It should be on the filesystem of uv's cache, so that packages are linked and not copied.
    """
    found = os.environ.get("LINEAGE_ENVIRONMENTS")
    if found:
        return Path(found).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache, "lineage", "environments").absolute()


def made(wanted: Resolved) -> Made | None:
    """Return the environment if it is there."""
    folder = _folder(wanted)
    if not (folder / _NOTE).exists():
        return None
    return Made(folder, folder / "bin" / "python")


def make(wanted: Resolved, *, who: str = "", offline: bool = False, tell: Tell = lambda _: None) -> Made:
    """Return the environment, making it if it is not there. `who` says what needs it, for errors.

    Nothing is resolved: what is installed are the very files of the lock. With `offline` uv's cache must have them all.

    Raises:
        EnvError: there is no such interpreter, or a file can't be had.
    """
    found = made(wanted)
    if found is not None:
        return _used(found)
    root = environments_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{_name(wanted)}.making", tell):
            found = made(wanted)  # somebody else may have made it while we waited
            if found is None:
                _sweep(root, wanted)
                found = _build(root, wanted, who, offline, tell)
    except OSError as error:
        raise EnvError(f"an environment can't be made in {root}: {error}", reason=str(error)) from error
    remove_unused(_UNUSED)
    return found


def _build(root: Path, wanted: Resolved, who: str, offline: bool, tell: Tell) -> Made:
    needs = f" of {who}" if who else ""
    tell(f"making the environment{needs}: Python {wanted.python}, {len(wanted.pins)} packages")
    began = time.monotonic()
    aside = root / f".{_name(wanted)}.{os.getpid()}.tmp"
    try:
        _install(aside, wanted, offline)
        note = {
            "inventory": inventory(site_packages(aside)).hex(),
            "resolved": asdict(wanted),
            "made": time.time(),
        }
        (aside / _NOTE).write_text(json.dumps(note), "utf-8")
        os.rename(aside, _folder(wanted))
    except EnvError as error:
        raise EnvError(
            f"the environment{needs} can't be made: {error.reason}"  # type: ignore[attr-defined]
            + ("; uv's cache lacks something, and the network was not to be used" if offline else ""),
            reason=error.reason,  # type: ignore[attr-defined]
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    tell(f"made the environment{needs} in {time.monotonic() - began:.1f} s")
    return Made(_folder(wanted), _folder(wanted) / "bin" / "python")


def _install(folder: Path, wanted: Resolved, offline: bool) -> None:
    quiet = ["--quiet", *(["--offline"] if offline else [])]
    run_uv(["venv", str(folder), "--python", _interpreter(wanted.python), "--relocatable", "--no-project", *quiet])
    if not wanted.pins:
        return
    lines = [f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}" for pin in wanted.pins]
    run_uv(
        ["pip", "install", "--python", str(folder / "bin" / "python"), "--no-deps", "--require-hashes", *quiet,
         "--requirements", "-"],
        given="\n".join(lines),
    )  # fmt: skip


def _interpreter(version: str) -> str:
    """Return what uv makes an environment of: the interpreter that runs this, where it is of that version; one of pyenv's,
    which uv finds only where it is switched on; else whatever uv finds or gets.
    """
    own = ".".join(map(str, sys.version_info[:3]))
    if f"{own}.".startswith(f"{version}."):
        return os.path.realpath(sys.executable)
    root = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv"), "versions")
    found = [place for place in root.glob(f"{version}*/bin/python") if f"{place.parts[-3]}.".startswith(f"{version}.")]
    return str(max(found, key=lambda place: [int(part) for part in place.parts[-3].split(".")], default=version))


def _name(wanted: Resolved) -> str:
    return wanted.place.hex()[:32]


def _folder(wanted: Resolved) -> Path:
    return environments_folder() / _name(wanted)


@contextlib.contextmanager
def _locked(path: Path, tell: Tell) -> Iterator[None]:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting for another process, which is making the same environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(root: Path, wanted: Resolved) -> None:
    """Remove what is left of this environment where a process, or part of it, was killed; the caller holds its lock."""
    shutil.rmtree(_folder(wanted), ignore_errors=True)
    for left in root.glob(f".{_name(wanted)}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)


# -- use, and removal


def _used(found: Made) -> Made:
    with contextlib.suppress(OSError):
        os.utime(found.folder / _NOTE)
    return found


def hold(found: Made) -> IO[str]:
    """Return an open file that keeps an environment from being removed for as long as it is open."""
    file = (found.folder.parent / f"{found.folder.name}.used").open("a")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def remove_unused(older_than: float) -> list[Path]:
    """Remove environments that nobody used for `older_than` seconds and nobody runs in; return their folders."""
    removed = []
    root = environments_folder()
    for note in sorted(root.glob(f"*/{_NOTE}")):
        with contextlib.suppress(OSError):
            if time.time() - note.stat().st_mtime >= older_than and _remove(note.parent):
                removed.append(note.parent)
    return removed


def _remove(folder: Path) -> bool:
    with (folder.parent / f"{folder.name}.used").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        os.rename(folder, aside)  # whole or not at all
        shutil.rmtree(aside, ignore_errors=True)
    return True
