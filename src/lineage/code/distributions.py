"""The distributions that are installed, and a digest of what each of them installed.

`importlib.metadata` takes 40 ms to import and its map of names to distributions hundreds to build,
so the `*.dist-info` folders are read here directly: once per process, when first asked for, and
kept between processes in a small file under the user's cache folder that holds only as long as no
dist-info changes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from lineage.digest import Digest, digest_of

__all__ = ["Distribution", "Installed", "bytes_digest", "closure", "installed", "package_digest"]

_FORMAT = 1
_INSTALLER_FILES = re.compile(
    r"\.dist-info/(INSTALLER|RECORD|REQUESTED|direct_url\.json|uv_.*\.json)$|\.pyc$|^\.\./|^/"
)
_MODULE_SUFFIX = re.compile(r"(\.[A-Za-z0-9_.-]+)?\.(py|so|pyd)$")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@attrs.frozen
class Distribution:
    """One installed distribution. `record` is a digest of what it installed; None where it has no
    RECORD.
    """

    name: str
    version: str
    record: str | None
    folder: str
    tops: tuple[str, ...]
    requires: tuple[str, ...]


@attrs.frozen(eq=False)
class Installed:
    """What is installed in the folders of `sys.path`."""

    folders: tuple[str, ...]
    by_name: Mapping[str, Distribution]
    by_top: Mapping[str, tuple[Distribution, ...]]


_current: tuple[tuple[str, ...], Installed] | None = None


def installed() -> Installed:
    """Return what is installed, read once per process and again only when `sys.path` changes."""
    global _current
    path = tuple(sys.path)
    if _current is None or _current[0] != path:
        _current = (path, _read(path))
    return _current[1]


def closure(distributions: Iterable[Distribution]) -> list[Distribution]:
    """Return `distributions` and all installed ones that they require (extras aside), by name."""
    by_name = installed().by_name
    found: dict[str, Distribution] = {}
    waiting = list(distributions)
    while waiting:
        distribution = waiting.pop()
        if distribution.name not in found:
            found[distribution.name] = distribution
            waiting.extend(by_name[name] for name in distribution.requires if name in by_name)
    return [found[name] for name in sorted(found)]


def package_digest(distribution: Distribution) -> Digest:
    """Digest a distribution by name, version and what its RECORD says that it installed.

    A version is not its content (the same version can be built twice), hence RECORD; where there is
    none, the bytes of its modules stand in.
    """
    content = (
        distribution.record
        or bytes_digest(tuple(os.path.join(distribution.folder, top) for top in distribution.tops)).hex()
    )
    return digest_of("package", distribution.name.encode(), distribution.version.encode(), content.encode())


_bytes: dict[tuple[str, ...], Digest] = {}


def bytes_digest(paths: tuple[str, ...]) -> Digest:
    """Digest modules by the bytes of their files: each path a file, a folder, or a module's path
    without suffix.

    Remembered for the life of the process, because what is loaded does not change with the disk.
    """
    if paths not in _bytes:
        parts: list[bytes] = []
        for path in paths:
            base = os.path.dirname(path)
            for file in _files_of(path):
                parts += [os.path.relpath(file, base).encode(), Path(file).read_bytes()]
        _bytes[paths] = digest_of("module bytes", *parts)
    return _bytes[paths]


def _files_of(path: str) -> list[str]:
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        return sorted(
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if not name.endswith(".pyc")
        )
    folder, stem = os.path.split(path)
    if not os.path.isdir(folder):
        return []
    return sorted(
        os.path.join(folder, name)
        for name in os.listdir(folder)
        if name.startswith(stem + ".") and _MODULE_SUFFIX.search(name)
    )


def _read(path: tuple[str, ...]) -> Installed:
    folders, infos = _dist_infos(path)
    key = digest_of("dist-infos", *(part for info in infos for part in info[1])).hex()
    file = _cache_file(folders)
    found = _remembered(file, key)
    if found is None:
        found = [_describe(folder) for folder, _ in infos]
        _remember(file, key, found)
    return _index(folders, found)


def _index(folders: tuple[str, ...], found: list[Distribution]) -> Installed:
    by_name: dict[str, Distribution] = {}
    by_top: dict[str, tuple[Distribution, ...]] = {}
    for distribution in found:
        if distribution.name in by_name:
            continue  # the first on the path is the one that is imported
        by_name[distribution.name] = distribution
        for top in distribution.tops:
            by_top[top] = (*by_top.get(top, ()), distribution)
    return Installed(folders, by_name, by_top)


def _dist_infos(path: tuple[str, ...]) -> tuple[tuple[str, ...], list[tuple[str, list[bytes]]]]:
    folders: list[str] = []
    infos: list[tuple[str, list[bytes]]] = []
    for folder in dict.fromkeys(path):
        try:
            names = sorted(name for name in os.listdir(folder or ".") if name.endswith(".dist-info"))
        except OSError:
            continue
        if names or os.path.basename(folder) in ("site-packages", "dist-packages"):
            folders.append(os.path.abspath(folder))
        for name in names:
            info = os.path.join(os.path.abspath(folder), name)
            infos.append((info, [info.encode(), *_stamp(os.path.join(info, "RECORD"))]))
    return tuple(folders), infos


def _stamp(file: str) -> list[bytes]:
    try:
        stat = os.stat(file)
    except OSError:
        return [b"missing"]
    return [str(stat.st_mtime_ns).encode(), str(stat.st_size).encode()]


def _describe(info: str) -> Distribution:
    folder = os.path.dirname(info)
    metadata = _text(os.path.join(info, "METADATA")).split("\n\n", 1)[0]
    record = _text(os.path.join(info, "RECORD"))
    fields = [line.partition(":") for line in metadata.splitlines()]
    named, _, versioned = os.path.basename(info).removesuffix(".dist-info").partition("-")
    values = {key.lower(): value.strip() for key, _, value in reversed(fields)}
    lines = [line for line in record.splitlines() if line]
    tops = _tops(lines) or _text(os.path.join(info, "top_level.txt")).split()
    content = [line for line in lines if not _INSTALLER_FILES.search(line.rsplit(",", 2)[0])]
    return Distribution(
        name=_normalised(values.get("name", named)),
        version=values.get("version", versioned),
        record=digest_of("RECORD", *(line.encode() for line in sorted(content))).hex() if lines else None,
        folder=folder,
        tops=tuple(sorted(tops)),
        requires=_requirements(value for key, _, value in fields if key == "Requires-Dist"),
    )


def _tops(record: list[str]) -> set[str]:
    tops = set()
    for line in record:
        first, slash, _ = line.rsplit(",", 2)[0].strip('"').partition("/")
        if slash:
            top = first
        else:
            top = _MODULE_SUFFIX.sub("", first)
            if top == first:
                continue
        if top.isidentifier() or not slash:
            tops.add(top)
    return tops


def _requirements(lines: Iterable[str]) -> tuple[str, ...]:
    names = set()
    for line in lines:
        requirement, _, marker = line.partition(";")
        match = _REQUIREMENT.match(requirement)
        if match and "extra" not in marker:
            names.add(_normalised(match[1]))
    return tuple(sorted(names))


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", "replace")
    except OSError:
        return ""


def _cache_file(folders: tuple[str, ...]) -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    name = digest_of("site folders", *(folder.encode() for folder in folders)).hex()[:16]
    return Path(root, "lineage", f"distributions-{name}.json")


def _remembered(file: Path, key: str) -> list[Distribution] | None:
    """Return what was kept under `key`; None where there is nothing, or it is damaged."""
    try:
        kept: dict[str, Any] = json.loads(file.read_bytes())
        if kept["format"] != _FORMAT or kept["key"] != key:
            return None
        return [
            Distribution(str(name), str(version), record, str(folder), tuple(tops), tuple(requires))
            for name, version, record, folder, tops, requires in kept["distributions"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(file: Path, key: str, found: list[Distribution]) -> None:
    content = {
        "format": _FORMAT,
        "key": key,
        "distributions": [attrs.astuple(distribution) for distribution in found],
    }
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with contextlib.suppress(OSError):  # only a cache: a read-only home is no reason to fail
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_text(json.dumps(content))
            os.replace(temporary, file)
        except OSError:
            temporary.unlink(missing_ok=True)
