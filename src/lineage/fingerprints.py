"""What declared files and folders hold: fingerprints by content, taken as seldom as soundness allows.

A local file is remembered by what the filesystem says of it (size, times to the nanosecond, inode, device), a remote one by what
`lineage.remote` is told, so that an unchanged file is not read again. A stamp younger than two seconds is not trusted, since a second
change may hide in it. All files of a graph are looked up together. After a call has read a file, the file is looked at once more.

The bytes of a remote file come here to be fingerprinted. They are kept, by content, and nodes read that copy.
"""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from blake3 import blake3

from lineage import partitions, remote
from lineage.content.tree import Leaf
from lineage.digest import Digest, digest_of
from lineage.errors import InputChangedError
from lineage.files import Directory, File, Input, Options, folder_place, is_url, member_of

__all__ = ["Copies", "Fingerprints", "bring", "declared", "digest_file", "holds", "unread"]

YOUNG = 2.0
"""Seconds after a change during which a file's stamp is not trusted."""

_BUFFER = 1 << 22
_AT_ONCE = 8
"""So many remote files are looked at, or fetched, at once."""

T = TypeVar("T")
K = TypeVar("K")


class Copies(Protocol):
    """Where the bytes of remote files are kept: `lineage.storage.downloads.Downloads`."""

    def temporary(self) -> Path: ...

    def put_file(self, path: Path) -> Digest: ...


def digest_file(path: str) -> Digest:
    """Return the BLAKE3 digest of the bytes of a user's file.

    It is read and not mapped: a mapped file that somebody shortens ends the process.
    """
    with open(path, "rb", buffering=0) as file:
        first = file.read(1 << 16)
        if len(first) < 1 << 16:
            rest = file.read()
            if not rest:
                return Digest(blake3(first).digest())
            first += rest
        hasher = blake3(first, max_threads=blake3.AUTO)
        buffer = memoryview(bytearray(_BUFFER))
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
        return Digest(hasher.digest())


class _Seen(NamedTuple):
    """What a file was: its stamp, the digest of its bytes, whether an equal stamp means equal bytes, and whether it shows changes."""

    stamp: str
    content: Digest
    trusted: bool
    dated: bool = True


_Note = tuple[str, str, Digest]
_Listing = tuple[list[str], list[str]]


class _Far(NamedTuple):
    """A remote file to be fingerprinted, what it belongs to, and what a listing told of it."""

    url: str
    one: Input
    told: remote.Told | None


def _key(place: str, options: Mapping[str, Any]) -> str:
    """Return what a place is known by in one run: with other options, a URL may mean another place."""
    if not options or not is_url(place):
        return place
    return f"{place} {blake3(repr(sorted(options.items(), key=str)).encode()).hexdigest()}"


def _noted(place: str, options: Mapping[str, Any]) -> str:
    """Return what a place is noted under in the index: as text, which names on disk need not be, and by the server that options name."""
    text = place if place.isascii() else place.encode("utf-8", "backslashreplace").decode()
    if options and is_url(place):
        given = {**options, **(options.get("client_kwargs") or {})}
        where = [f"{name}={given[name]}" for name in _WHERE if name in given]
        if where:
            text += " " + blake3("\n".join(where).encode()).hexdigest()
    return text


_WHERE = ("endpoint_url", "host", "port", "account_name", "account_host", "base_url")


def _look(path: str) -> tuple[str, bool]:
    """Return what the filesystem says of a local file, and whether it is old enough to be believed."""
    now = time.time()
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(
                f"{path} is no file (an input declared with lineage.File); lineage.Directory is a folder as an input"
            )
        raise OSError(f"{path} is no plain file (an input declared with lineage)")
    text = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino} {found.st_dev}"
    return text, now - max(found.st_mtime, found.st_ctime) > YOUNG


# -- folders


def _inside(folder: str) -> _Listing:
    """Return the names, relative to a local folder, of the files in it and of the empty folders in it.

    Raises:
        OSError: it is no folder, or holds something that is neither file nor folder, or a link that leads nowhere or in a circle.
    """
    files: list[str] = []
    empty: list[str] = []
    stack: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
    while stack:
        relative, above = stack.pop()
        place = os.path.join(folder, relative) if relative else folder
        own = os.stat(place)
        if (own.st_dev, own.st_ino) in above:
            raise OSError(f"{place} is a link to a folder that it lies in, so that {folder} has no end")
        here = (*above, (own.st_dev, own.st_ino))
        is_empty = True
        with os.scandir(place) as entries:
            for entry in entries:
                is_empty = False
                name = f"{relative}/{entry.name}" if relative else entry.name
                if entry.is_dir():
                    stack.append((name, here))
                elif entry.is_file():
                    files.append(name)
                else:
                    what = "a link that leads nowhere" if entry.is_symlink() else "neither a file nor a folder"
                    raise OSError(f"{entry.path} is {what}, so that {folder} can't be an input")
        if is_empty and relative:
            empty.append(relative)
    return sorted(files), sorted(empty)


def _listed(folder: str) -> _Listing:
    try:
        return _inside(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.isdir(folder):
            raise
        what = f"{folder} is no folder" if os.path.exists(folder) else f"no such folder: {folder}"
        raise type(error)(f"{what} (an input declared with lineage.Directory)") from error


def unread(index: Any, inputs: Iterable[Input]) -> int | None:
    """Return how many bytes of local `inputs` would have to be read to fingerprint them; None where one is remote.

    Raises:
        OSError: one is not there, or can't be looked at.
    """
    paths: list[str] = []
    for one in inputs:
        if is_url(one.place):
            return None
        place = folder_place(one) if isinstance(one, Directory) else os.path.abspath(one.place)
        if one.snapshot and not os.path.exists(place):
            continue
        paths += [member_of(place, name) for name in _listed(place)[0]] if isinstance(one, Directory) else [place]
    known = index.stamps([_noted(path, {}) for path in paths])
    total = 0
    for path in paths:
        before = known.get(_noted(path, {}))
        stamp, trusted = _look(path)
        if not trusted or before is None or before[0] != stamp:
            total += int(stamp.partition(" ")[0])
    return total


class Fingerprints:
    """Content digests of files and folders, remembered in `index` by stamp, and fixed for the length of one run."""

    def __init__(self, index: Any, copies: Copies) -> None:
        self.index = index
        self.copies = copies
        self._seen: dict[str, _Seen] = {}
        self._folders: dict[str, tuple[list[str], list[str]]] = {}
        self._leaves: dict[int, tuple[Input, Leaf]] = {}

    def prime(self, inputs: Sequence[Input]) -> None:
        """Fingerprint `inputs` together: look-ups and notes in the index are few, remote files are read side by side.

        Raises:
            FileNotFoundError: there is no such file or folder, and no snapshot of it.
            OSError: it can't be read.
            InputChangedError: it changed while it was read.
        """
        near: dict[str, bool] = {}
        far: dict[str, _Far] = {}
        notes: list[_Note] = []
        for one in inputs:
            if isinstance(one, Directory):
                self._open_folder(one, near, far, notes)
            elif is_url(one.place):
                key = _key(one.place, one.options)
                if key not in self._seen:
                    far[key] = _Far(one.place, one, None)
            else:
                path = os.path.abspath(one.place)
                if path not in self._seen:
                    near[path] = one.snapshot or near.get(path, False)
        try:
            if near:
                self._read_near(near, self.index.stamps([_noted(path, {}) for path in near]), notes)
            if far:
                self._read_far(
                    far, self.index.stamps([_noted(url, one.options) for url, one, _ in far.values()]), notes
                )
        finally:
            if notes:
                self.index.note_stamps(notes)

    def leaf(self, one: Input) -> Leaf:
        """Return the tree of a file or a folder. Raises as `prime` does."""
        found = self._leaves.get(id(one))
        if found is None:
            leaf = self._file_leaf(one) if isinstance(one, File) else self._folder_leaf(one)
            found = self._leaves[id(one)] = (one, leaf)
        return found[1]

    # -- what was seen, as a leaf

    def _file_leaf(self, file: File) -> Leaf:
        place = file.place if is_url(file.place) else os.path.abspath(file.place)
        key = _key(place, file.options)
        if key not in self._seen:
            self.prime([file])
        seen = self._seen[key]
        values = partitions.plain(file.partitions) if "=" in place or file._partitions else []
        if file.content_only:
            named, values = digest_of("file content", seen.content), []
        else:
            parts = [part.encode("utf-8", "surrogateescape") for row in values for part in row]
            named = digest_of("file", os.fsencode(file.name), seen.content, *parts)
        info: dict[str, Any] = {
            "path": place,
            "content": seen.content.hex(),
            "stamp": seen.stamp,
            "trusted": seen.trusted,
            "snapshot": file.snapshot,
            "partitions": values,
            "live": file.options or True,
        }
        if file.content_only:
            info["content_only"] = True
        return Leaf("file:File", named, info=info)

    def _folder_leaf(self, folder: Input) -> Leaf:
        place = folder_place(folder)
        if _key(place, folder.options) not in self._folders:
            self.prime([folder])
        names, empty = self._folders[_key(place, folder.options)]
        members = {name: self._seen[_key(member_of(place, name), folder.options)] for name in names}
        parts: list[bytes] = []
        for name, seen in members.items():
            parts += [os.fsencode(name), seen.content]
        parts += [part for name in empty for part in (os.fsencode(name), b"folder")]
        info: dict[str, Any] = {
            "path": place,
            "files": {name: [seen.content.hex(), seen.stamp, seen.trusted] for name, seen in members.items()},
            "folders": empty,
            "snapshot": folder.snapshot,
            "live": folder.options or True,
        }
        return Leaf("file:Directory", digest_of("directory", *parts), info=info)

    # -- fingerprints

    def _open_folder(self, folder: Directory, near: dict[str, bool], far: dict[str, _Far], notes: list[_Note]) -> None:
        place = folder_place(folder)
        if _key(place, folder.options) in self._folders:
            return
        name_of_listing = _noted(f"{place}/", folder.options)
        told: dict[str, remote.Told] = {}
        try:
            if is_url(place):
                told = remote.listed(place, folder.options)
                listing: _Listing = (list(told), [])
            else:
                listing = _listed(place)
            if folder.snapshot:
                notes.append((name_of_listing, json.dumps(listing), Digest(b"")))
        except FileNotFoundError:
            noted = self.index.stamps([name_of_listing]).get(name_of_listing) if folder.snapshot else None
            if noted is None:
                raise
            names, empty = json.loads(noted[0])
            listing = (names, empty)
        self._folders[_key(place, folder.options)] = listing
        for name in listing[0]:
            path = member_of(place, name)
            key = _key(path, folder.options)
            if key in self._seen:
                continue
            if is_url(place):
                far[key] = _Far(path, folder, told.get(name))
            else:
                near[path] = folder.snapshot or near.get(path, False)

    def _read_near(self, near: Mapping[str, bool], known: Mapping[str, tuple[str, Digest]], notes: list[_Note]) -> None:
        for path, snapshot in near.items():
            before = known.get(_noted(path, {}))
            try:
                stamp, trusted = _look(path)
                if trusted and before is not None and before[0] == stamp:
                    self._seen[path] = _Seen(stamp, before[1], True)
                    continue
                digest = digest_file(path)
                after, _ = _look(path)
            except FileNotFoundError:
                if not (snapshot and before is not None):
                    raise FileNotFoundError(f"no such file: {path} (an input declared with lineage.File)") from None
                self._seen[path] = _Seen("gone", before[1], True)
                continue
            except PermissionError as error:
                raise PermissionError(f"{path} can't be read: {error} (an input declared with lineage)") from error
            if after != stamp:
                raise InputChangedError(f"{path} changed while it was read; run again when it is at rest")
            self._seen[path] = _Seen(stamp, digest, trusted)
            if trusted or snapshot:
                notes.append((_noted(path, {}), stamp if trusted else f"young {stamp}", digest))

    def _read_far(self, far: Mapping[str, _Far], known: Mapping[str, tuple[str, Digest]], notes: list[_Note]) -> None:
        def read(key: str) -> _Seen:
            url, one, told = far[key]
            before = known.get(_noted(url, one.options))
            try:
                told = told or remote.look(url, one.options)
            except FileNotFoundError:
                if one.snapshot and before is not None:
                    return _Seen("gone", before[1], True)
                raise
            if told.trusted and before is not None and before[0] == told.stamp:
                return _Seen(told.stamp, before[1], True, told.dated)
            return _Seen(told.stamp, bring(url, one.options, self.copies, told), told.trusted, told.dated)

        for key, seen in _side_by_side(read, far):
            self._seen[key] = seen
            name = _noted(far[key].url, far[key].one.options)
            noted = seen.stamp if seen.trusted else f"young {seen.stamp}"
            if seen.stamp != "gone" and known.get(name) != (noted, seen.content):
                notes.append((name, noted, seen.content))

    # -- afterwards

    def check(self, leaf: Leaf) -> None:
        """Raise unless the file or folder of `leaf` is still what it was when the run began.

        Raises:
            InputChangedError: it has changed, or is gone.
        """
        info = leaf.info or {}
        if info["snapshot"]:
            return  # what was read is the copy in the store
        try:
            same = holds(info, self.copies, seen=self._seen)
        except OSError as error:
            if is_url(info["path"]) and not isinstance(error, FileNotFoundError):
                raise InputChangedError(f"after a call had read it: {error}. Run again") from error
            same = False
        if not same:
            raise InputChangedError(
                f"{info['path']} changed while a call read it; what was computed from it is discarded. Run again"
            )


def _side_by_side(do: Callable[[K], T], keys: Iterable[K]) -> Iterable[tuple[K, T]]:
    """Return what `do` gives for each key, several at a time. The first error in the order of the keys is raised at the end."""
    keys = list(keys)
    if len(keys) <= 1:
        return [(key, do(key)) for key in keys]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE, "lineage-fetch") as pool:
        futures = [pool.submit(do, key) for key in keys]
    return zip(keys, [future.result() for future in futures], strict=True)


# -- what a leaf says of files


def declared(info: Mapping[str, Any], kind: str) -> Any:
    """Return the declaration of the file or folder that a leaf describes."""
    options = info.get("live")
    options = options if isinstance(options, Options) else None
    if kind == "file:Directory":
        return Directory(info["path"], snapshot=info["snapshot"], storage_options=options)
    file = File(
        info["path"],
        snapshot=info["snapshot"],
        content_only=info.get("content_only", False),
        storage_options=options,
    )
    file._partitions = partitions.read(info["partitions"])
    return file


def bring(url: str, options: Mapping[str, Any], copies: Copies, told: remote.Told | None = None) -> Digest:
    """Fetch the object at `url` into `copies` and return the digest of its bytes.

    Raises:
        InputChangedError: it changed while it was read, or since `told` was told.
        OSError: it can't be read.
    """
    target = copies.temporary()
    try:
        remote.fetch(url, options, told or remote.look(url, options), str(target))
        return copies.put_file(target)
    finally:
        target.unlink(missing_ok=True)


def holds(info: Mapping[str, Any], copies: Copies, *, seen: Mapping[str, _Seen] | None = None) -> bool:
    """Say whether the file or folder that `info` (of a leaf) describes still holds what it held.

    `seen` has what is known of it in this run; without it, it is known from a record.

    Raises:
        OSError: it is gone, or can't be read.
    """
    place = info["path"]
    options = info["live"] if isinstance(info.get("live"), Options) else {}
    if "files" not in info:
        told = remote.look(place, options) if is_url(place) else None
        return _holds_file(place, _recorded(info), options, told, copies, seen)
    files = {name: _Seen(one[1], Digest(bytes.fromhex(one[0])), one[2]) for name, one in info["files"].items()}
    if is_url(place):
        found = remote.listed(place, options)
        if list(found) != list(files):
            return False
        return all(
            _holds_file(member_of(place, name), one, options, found[name], copies, seen) for name, one in files.items()
        )
    if _listed(place) != (list(files), info["folders"]):
        return False
    return all(_holds_file(member_of(place, name), one, options, None, copies, seen) for name, one in files.items())


def _recorded(info: Mapping[str, Any]) -> _Seen:
    return _Seen(info["stamp"], Digest(bytes.fromhex(info["content"])), info["trusted"])


def _holds_file(
    place: str,
    recorded: _Seen,
    options: Mapping[str, Any],
    told: remote.Told | None,
    copies: Copies,
    seen: Mapping[str, _Seen] | None,
) -> bool:
    before = seen.get(_key(place, options)) if seen is not None else None
    if before is not None and before.content != recorded.content:
        before = None  # what is asked for came out of a record
    stamp = told.stamp if told is not None else _look(place)[0]
    if before is not None:
        if stamp != before.stamp:
            return False
        if before.trusted or (told is not None and before.dated):  # what was read of a remote file is a copy of ours
            return True
        recorded = before
    elif recorded.trusted and stamp == recorded.stamp:
        return True
    content = digest_file(place) if told is None else bring(place, options, copies, told)
    return content == recorded.content
