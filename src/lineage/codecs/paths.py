"""Files and folders that a node writes in its own scratch folder and returns as a `Path`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from blake3 import blake3

from lineage.digest import Digest, digest_of

__all__ = ["PathCodec", "digest_file", "digest_path"]


def digest_file(path: Path) -> Digest:
    """Return the BLAKE3 digest of the bytes of the file at `path`."""
    return Digest(blake3(max_threads=blake3.AUTO).update_mmap(path).digest())


def digest_path(path: Path) -> tuple[Digest, int]:
    """Return the digest of a file's name and bytes, or of a folder's, and the number of bytes."""
    if path.is_file():
        return digest_of("file", path.name.encode(), digest_file(path)), path.stat().st_size
    parts, size = [path.name.encode()], 0
    for name, member in _members(path):
        parts += [name.encode(), digest_file(member) if member.is_file() else b"folder"]
        size += member.stat().st_size if member.is_file() else 0
    return digest_of("folder", *parts), size


def _members(folder: Path) -> Iterator[tuple[str, Path]]:
    found = sorted(folder.rglob("*"), key=lambda member: member.relative_to(folder).as_posix())
    for member in found:
        yield member.relative_to(folder).as_posix(), member


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
        root = files["view"]
        target = root / PurePosixPath(notes["name"]).name
        if target.exists():
            return target
        building = root.with_name(f"{root.name}.{os.getpid()}.tmp")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        if notes["files"] is None:
            _link(files["0"], building / target.name)
        else:
            (building / target.name).mkdir()
            for name, position in notes["files"].items():
                place = _inside(building / target.name, name)
                if position is None:
                    place.mkdir(parents=True, exist_ok=True)
                else:
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _link(files[str(position)], place)
        try:
            building.rename(root)
        except OSError:  # another process made the same view first
            shutil.rmtree(building, ignore_errors=True)
        return target


def _inside(folder: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if ".." in parts or PurePosixPath(name).is_absolute():
        raise ValueError(f"a stored name leaves its folder: {name!r}")
    return folder.joinpath(*parts)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o444)
