"""Files and folders that a node writes in its own scratch folder and returns as a `Path`."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from blake3 import blake3

from lineage.digest import Digest, digest_of
from lineage.errors import CodecError, CorruptObjectError

__all__ = ["PathCodec", "digest_file", "digest_path", "link_into", "remove_tree"]


def digest_file(path: Path) -> Digest:
    """Return the BLAKE3 digest of the bytes of the file at `path`."""
    return Digest(blake3(max_threads=blake3.AUTO).update_mmap(path).digest())


def digest_path(path: Path) -> tuple[Digest, int]:
    """Return the digest of a file's name and bytes, or of a folder's, and the number of bytes.

    Raises:
        CodecError: there is something else than plain files and folders.
    """
    _refuse_special(path)
    if path.is_file():
        return digest_of("file", os.fsencode(path.name), digest_file(path)), path.stat().st_size
    parts, size = [os.fsencode(path.name)], 0
    for name, member in _members(path):
        is_file = member.is_file()
        parts += [os.fsencode(name), digest_file(member) if is_file else b"folder"]
        size += member.stat().st_size if is_file else 0
    return digest_of("folder", *parts), size


def _members(folder: Path) -> Iterator[tuple[str, Path]]:
    found = sorted(folder.rglob("*"), key=lambda member: os.fsencode(member.relative_to(folder).as_posix()))
    for member in found:
        _refuse_special(member)
        yield member.relative_to(folder).as_posix(), member


def _refuse_special(path: Path) -> None:
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        raise CodecError(f"{path} is a link or a special file, and would not survive; return plain files and folders")


class PathCodec:
    """`pathlib.Path` results. Readers get a read-only copy under the same name."""

    family = "path"

    def identify(self, value: Any, kind: str) -> tuple[Digest, dict[str, Any]]:
        content, size = digest_path(value)
        return content, {"name": value.name, "nbytes": size, "folder": value.is_dir()}

    def lossless(self, value: Any) -> bool:
        return True

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        if value.is_file():
            shutil.copyfile(value, folder / "0")
            return {"name": value.name, "files": None}
        names: dict[str, int | None] = {}
        for position, (name, member) in enumerate(_members(value)):
            names[name] = position if member.is_file() else None
            if member.is_file():
                shutil.copyfile(member, folder / str(position))
        return {"name": value.name, "files": names}

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        """Return the path of a view: hard links to the stored objects under the names that the node gave."""
        sources: dict[str, Path | None]
        if notes["files"] is None:
            sources = {"": files["0"]}
        else:
            sources = {n: None if p is None else files[str(p)] for n, p in notes["files"].items()}
        return link_into(files["view"], notes["name"], sources)


def link_into(view: Path, name: str, sources: Mapping[str, Path | None]) -> Path:
    """Return `view/name`, where the stored files `sources` stand under their names (None for a folder).

    A single file has the name `""`. What is there already is used if nobody has touched it.
    """
    target = _inside(view, name)
    if _is_faithful(target, sources):
        return target
    building = view.parent.parent / "tmp" / f"{os.getpid()}-view-{os.urandom(6).hex()}"
    building.mkdir(parents=True)
    try:
        _build(_inside(building, name), sources)
        view.parent.mkdir(parents=True, exist_ok=True)
        _put_in_place(building, view)
    finally:
        remove_tree(building)
    if not _is_faithful(target, sources):
        raise CorruptObjectError(f"{target} is not what was stored; is something writing to it?")
    return target


def _build(target: Path, sources: Mapping[str, Path | None]) -> None:
    folders = [target.parent]
    if "" not in sources:
        target.mkdir()
        folders.append(target)
    for name, source in sources.items():
        place = _inside(target, name) if name else target
        if source is None:
            place.mkdir(parents=True)
            folders.append(place)
        else:
            _link(source, place)
    for folder in reversed(folders[1:]):
        folder.chmod(0o555)


def _put_in_place(building: Path, view: Path) -> None:
    try:
        building.rename(view)
    except OSError:
        if not view.exists():
            raise
        # Another process made it first, or somebody has touched it: this one is right in both cases.
        aside = building.with_name(building.name + "-old")
        try:
            view.rename(aside)
            building.rename(view)
        except OSError:
            pass
        finally:
            remove_tree(aside)


def _is_faithful(target: Path, sources: Mapping[str, Path | None]) -> bool:
    """Say whether exactly `sources` stand in `target`, and nobody has put other files in their places."""
    try:
        if "" in sources:
            source = sources[""]
            assert source is not None
            return _is_linked(target, source)
        found = {member.relative_to(target).as_posix(): member for member in target.rglob("*")}
        if not target.is_dir() or found.keys() != sources.keys():
            return False
        return all(
            member.is_dir() if source is None else _is_linked(member, source)
            for member, source in ((found[name], source) for name, source in sources.items())
        )
    except OSError:
        return False


def _is_linked(place: Path, source: Path) -> bool:
    if place.is_symlink() or not place.is_file():
        return False
    return place.samefile(source) or digest_file(place) == digest_file(source)


def remove_tree(folder: Path) -> None:
    """Remove a folder and what is in it, read-only folders too."""
    if folder.is_dir():
        for place, _, _ in os.walk(folder):
            with contextlib.suppress(OSError):
                os.chmod(place, 0o755)
        shutil.rmtree(folder, ignore_errors=True)


def _inside(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if ".." in parts or PurePosixPath(name).is_absolute():
        raise CorruptObjectError(f"a stored name leaves its folder: {name!r}")
    return folder.joinpath(*parts)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o444)
