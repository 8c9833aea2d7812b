"""Where a node reads its declared files and folders: where they lie, as copies of what lies elsewhere, or as snapshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from lineage.codecs.base import Blob, Manifest
from lineage.codecs.paths import link_into
from lineage.content.tree import Leaf
from lineage.digest import Digest, digest_of
from lineage.errors import CorruptObjectError, InputChangedError, ObjectMissingError
from lineage.files import Options, is_url, member_of
from lineage.fingerprints import bring, declared, holds
from lineage.storage.downloads import Downloads
from lineage.storage.objects import LocalObjects, explained

__all__ = ["Keeper", "place_of"]

_NAMELESS = "content"
"""What a file is called whose name is no part of its identity."""


class Keeper(Protocol):
    """What a store is to its inputs."""

    root: Path
    index: Any
    objects: LocalObjects

    @property
    def downloads(self) -> Downloads: ...

    def views(self) -> Path: ...


def place_of(leaf: Leaf, store: Keeper) -> Path:
    """Return the local file or folder that holds what a leaf says of a declared input.

    Raises:
        InputChangedError: it is not what it was when its digest was taken.
        ObjectMissingError: it is gone.
    """
    info = leaf.info or {}
    if info["snapshot"]:
        return _snapshot(leaf, info, store)
    if not info.get("live"):  # from a record: it may have changed since
        _verify(info, store)
    place = info["path"]
    if is_url(place):
        return store.downloads.view(leaf.digest, _name(leaf, info), _sources(info, _fetched(info, store)))
    if info.get("content_only"):
        return _link(store.downloads.opened / digest_of("link", leaf.digest, os.fsencode(place)).hex(), place)
    return Path(place)


def _verify(info: Mapping[str, Any], store: Keeper) -> None:
    try:
        same = holds(info, store.downloads)
    except FileNotFoundError as error:
        raise ObjectMissingError(
            f"{info['path']} is gone, and no snapshot was taken of it (snapshot=True keeps one)"
        ) from error
    if not same:
        raise InputChangedError(f"{info['path']} has changed since it was recorded")


def _name(leaf: Leaf, info: Mapping[str, Any]) -> str:
    if leaf.kind == "file:Directory":
        return "folder"
    return _NAMELESS if info.get("content_only") else declared(info, leaf.kind).name


def _link(folder: Path, place: str) -> Path:
    """Return a link to `place` whose name says nothing."""
    link = folder / _NAMELESS
    if not (link.is_symlink() and os.readlink(link) == place):
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"{os.getpid()}-{os.urandom(6).hex()}"
        new.symlink_to(place)
        os.replace(new, link)
    return link


# -- what an input is made of


_Find = Callable[[str, Digest], Path]


def _members(info: Mapping[str, Any]) -> list[tuple[str, str, Digest]]:
    """Return name, place and content of each file of an input; a single file has the name `""`."""
    place = info["path"]
    if "files" not in info:
        return [("", place, Digest(bytes.fromhex(info["content"])))]
    return [(name, member_of(place, name), Digest(bytes.fromhex(one[0]))) for name, one in info["files"].items()]


def _sources(info: Mapping[str, Any], find: _Find) -> dict[str, Path | None]:
    """Return where the bytes of an input lie on this machine, by name; None for its folders, which come first."""
    members = _members(info)
    folders = {folder for name, _, _ in members for folder in _above(name)}
    for name in info.get("folders", ()):
        folders |= {name, *_above(name)}
    found: dict[str, Path | None] = dict.fromkeys(sorted(folders))
    found.update((name, find(place, content)) for name, place, content in members)
    return found


def _above(name: str) -> Iterable[str]:
    parts = name.split("/")
    return ("/".join(parts[:length]) for length in range(1, len(parts)))


def _fetched(info: Mapping[str, Any], store: Keeper) -> _Find:
    live = info.get("live")
    options = live if isinstance(live, Options) else Options()

    def find(url: str, content: Digest) -> Path:
        try:
            return store.downloads.path(content)
        except (ObjectMissingError, CorruptObjectError):
            pass
        try:
            brought = bring(url, options, store.downloads)
        except FileNotFoundError as error:
            raise ObjectMissingError(f"{url} is gone, and so is the copy of it") from error
        if brought != content:
            raise InputChangedError(f"{url} changed before a call read it; run again")
        return store.downloads.path(content)

    return find


# -- snapshots


def _snapshot(leaf: Leaf, info: Mapping[str, Any], store: Keeper) -> Path:
    taken: list[Digest] = []
    fetched = _fetched(info, store)

    def find(place: str, content: Digest) -> Path:
        try:
            return store.objects.path(content)
        except (ObjectMissingError, CorruptObjectError):
            taken.append(content)
            return _take(place, content, fetched, store)

    sources = _sources(info, find)
    if taken:
        blobs = {content: path.stat().st_size for path, (_, _, content) in _with_paths(sources, info)}
        manifest = Manifest("file", tuple(Blob(d.hex(), d, size) for d, size in blobs.items()), {})
        store.index.add_manifest(leaf.content, manifest, {})
    return link_into(store.views() / leaf.digest.hex(), _name(leaf, info), sources)


def _with_paths(
    sources: Mapping[str, Path | None], info: Mapping[str, Any]
) -> Iterable[tuple[Path, tuple[str, str, Digest]]]:
    for member in _members(info):
        path = sources[member[0]]
        assert path is not None
        yield path, member


def _take(place: str, content: Digest, fetched: _Find, store: Keeper) -> Path:
    try:
        source = fetched(place, content) if is_url(place) else place
        copy = store.objects.temporary()
        shutil.copyfile(source, copy)
        found = store.objects.put_file(copy)
    except (FileNotFoundError, ObjectMissingError) as error:
        raise ObjectMissingError(f"{place} is gone, and so is its snapshot") from error
    except OSError as error:
        raise explained(error, store.root) from error
    if found != content:
        raise InputChangedError(f"{place} changed before a snapshot was taken of it; run again")
    return store.objects.path(content)
