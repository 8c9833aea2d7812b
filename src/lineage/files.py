"""Files and folders as inputs, declared: where they lie and what of them counts. Nothing is read here.

What a file holds counts, not when it was touched nor where it lies. `lineage.fingerprints` finds out what that is when a
graph is planned, and nodes get the same kind of object back with a `path` on this machine.
"""

from __future__ import annotations

import copy
import glob
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from lineage.content.tree import Hole
from lineage.errors import CompositionError
from lineage.partitions import Value, pairs_of, typed

Opened = TypeVar("Opened", bound="Input")

__all__ = ["Directory", "File", "Input", "Options", "files", "folder_place", "is_url", "member_of", "opened"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(::.*)?://")
_BROKEN_URL = re.compile(r"[a-z][a-z0-9+.\-]+:/[^/]")


def is_url(place: str) -> bool:
    """Say whether a place is for fsspec to find.

    >>> is_url("s3://bucket/key"), is_url("zip://a.csv::s3://bucket/a.zip"), is_url("/data/a.csv")
    (True, True, False)
    """
    return ":" in place and _URL.match(place) is not None


class Options(dict[str, Any]):
    """What fsspec needs to reach a place. Never shown, hashed, written or pickled: there may be secrets in it."""

    def __repr__(self) -> str:
        return f"<{len(self)} storage options>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Options, ()


_NO_OPTIONS = Options()


class Input(Hole):
    """A place whose content is an input: what files and folders have in common."""

    __slots__ = ("_local", "options", "place", "snapshot")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        snapshot: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        place = path if type(path) is str else os.fspath(path)
        if not isinstance(place, str):
            raise CompositionError(f"a {type(self).__name__} is declared by a str, a Path or a URL, not {path!r}")
        self.place = place if ":" not in place else _checked(place, path)
        self.snapshot = snapshot
        self.options = Options(storage_options) if storage_options else _NO_OPTIONS
        self._local: str | None = None

    @property
    def path(self) -> Path:
        """Where it lies on this machine. What lies elsewhere has a path inside a node only."""
        if self._local is None and is_url(self.place):
            raise CompositionError(
                f"{self.place} has no path here: it is fetched when a node needs it. Read `path` inside the node"
            )
        return Path(self.place if self._local is None else self._local)

    @property
    def url(self) -> str:
        """Where it was declared to lie, as a URL."""
        return self.place if is_url(self.place) else Path(self.place).absolute().as_uri()

    @property
    def brief(self) -> str:
        """How plans and errors show it: by the last part of its name, since folders are long."""
        return f"{type(self).__name__}({_last(self.place)!r})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Input) or type(other) is not type(self):
            return False
        return self._same() == other._same()

    def __hash__(self) -> int:
        return hash((type(self), self._same()[0]))

    def _same(self) -> tuple[Any, ...]:
        place = self.place if is_url(self.place) else str(Path(self.place))
        return (place, self.snapshot, dict(self.options))


class File(Input):
    """A file as a typed input of a node: a path, or any URL that fsspec can read (`s3://…`, `https://…`).

    Its name, its partition values (`month=11` among its folders) and its bytes are its identity; the folder it lies in and its
    times are not. With `content_only` its bytes alone are, and a node sees no name. `path` is always a local path, absolute
    inside a node. With `snapshot`, the store keeps a copy of the bytes, which is read from then on. `storage_options` go to fsspec
    (which also reads its configuration files and `FSSPEC_…` variables); they are no part of the identity and are never recorded.

    >>> File("data/month=11/flights.parquet").partitions
    {'month': 11}
    """

    __slots__ = ("_partitions", "content_only")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        snapshot: bool = False,
        content_only: bool = False,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path, snapshot=snapshot, storage_options=storage_options)
        if ":" in self.place and is_url(self.place) and not _last(self.place):
            raise CompositionError(f"{self.place} names no file: the last part of its path is what a File is called")
        self.content_only = content_only
        self._partitions: dict[str, Value] | None = None

    @property
    def name(self) -> str:
        return self.path.name if self._local is not None else _last(self.place)

    @property
    def url(self) -> str:
        """Where it was declared to lie, as a URL; to a node that sees no name, where it reads it."""
        return Path(self._local).as_uri() if self._local is not None and self.content_only else super().url

    @property
    def partitions(self) -> dict[str, Value]:
        """What its folders say: ints, dates or text. `files` types the values of a whole list together."""
        if self._partitions is None:
            self._partitions = {} if self.content_only else typed([pairs_of(_folders(self.place))])[0]
        return self._partitions

    def _same(self) -> tuple[Any, ...]:
        return (*super()._same(), self.content_only, tuple(sorted(self.partitions.items())))


class Directory(Input):
    """A folder as one typed input: a path, or any URL that fsspec can list.

    The names of what is in it, relative to it, and the bytes are its identity; its own name, the order and times are not. Links are
    followed; one that leads nowhere, or back, is refused. Inside a node `path` is always a local folder.

    >>> Directory("data/images")
    Directory('data/images')
    """

    __slots__ = ()


def opened(declared: Opened, local: str) -> Opened:
    """Return `declared` as a node gets it: lying at `local`."""
    declared._local = local
    return declared


def files(
    pattern: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | File],
    *,
    snapshot: bool = False,
    content_only: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> list[File]:
    """Return the files that match a glob pattern (`data/**/*.parquet`, `s3://bucket/*.parquet`), sorted by their whole paths,
    or those of a list of paths and URLs, in its order.

    The options are those of `File`. Partition values are typed over the whole list: `month=1` and `month=12` give the ints 1 and 12,
    `month=1` and `month=rest` give text.

    Raises:
        CompositionError: nothing matches the pattern, or a list names one file twice.
    """
    options = Options(storage_options or {})
    if isinstance(pattern, (str, os.PathLike)):
        given: list[Any] = _matching(_checked(os.fspath(pattern), pattern), options)
    else:
        given = list(pattern)
    made = [
        copy.copy(one)  # its partition values may be typed otherwise in this list
        if isinstance(one, File)
        else File(one, snapshot=snapshot, content_only=content_only, storage_options=options)
        for one in given
    ]
    _refuse_repeats(made)
    _type_partitions(made)
    return made


def _matching(pattern: str, options: Options) -> list[str]:
    if is_url(pattern):
        from lineage.remote import matching

        found, where = matching(pattern, options), ""
    else:
        found = sorted({name for name in glob.glob(pattern, recursive=True) if os.path.isfile(name)})
        where = f" (from {os.getcwd()})"
    if not found:
        advice = ""
        if pattern and glob.escape(pattern) == pattern and (where == "" or os.path.isdir(pattern)):
            advice = f"; {pattern.rstrip('/')}/* matches the files of a folder, and lineage.Directory is a folder as one input"
        raise CompositionError(f"no file matches {pattern!r}{where}{advice}")
    return found


def _refuse_repeats(made: list[File]) -> None:
    seen: dict[str, File] = {}
    for file in made:
        first = seen.setdefault(file.place, file)
        if first is not file and first == file:
            raise CompositionError(
                f"{file.place!r} stands twice in the list, and would count twice; give each file once, or write "
                "[lineage.File(path), ...] if that is meant"
            )


def _type_partitions(made: list[File]) -> None:
    if not any("=" in file.place for file in made) and "=" not in os.getcwd():
        return
    rows = typed([pairs_of(_folders(file.place)) for file in made])
    for file, row in zip(made, rows, strict=True):
        file._partitions = {} if file.content_only else row


# -- places


def member_of(place: str, name: str) -> str:
    """Return the place of what is called `name` in the folder at `place`.

    >>> member_of("s3://bucket/data", "a.txt"), member_of("zip://::s3://bucket/a.zip", "a.txt")
    ('s3://bucket/data/a.txt', 'zip://a.txt::s3://bucket/a.zip')
    """
    first, *others = place.split("::") if is_url(place) else (place,)
    return "::".join([first + ("" if first.endswith("/") else "/") + name, *others])


def folder_place(folder: Input) -> str:
    """Return where a folder lies, written in one way."""
    if not is_url(folder.place):
        return os.path.abspath(folder.place)
    first, *others = folder.place.split("::")
    bare = first.rstrip("/")
    return "::".join([bare if "://" in bare else first, *others])


def _checked(place: str, given: object) -> str:
    """Return a place, a local one also where it came as a `file://` URL.

    Raises:
        CompositionError: it is a URL that can't be meant.
    """
    if place.startswith(("file://", "local://")):
        return unquote(place.partition("://")[2])
    if is_url(place):
        if re.match(r"[^/@]*://[^/@]*:[^/@]*@", place):
            raise CompositionError(
                "a URL with a password in it would be recorded; give the password in storage_options="
            )
        return place
    if isinstance(given, os.PathLike) and _BROKEN_URL.match(place):
        raise CompositionError(f"a Path can't hold a URL: {place!r} has lost a slash. Give it as a str")
    return place


def _parts(place: str) -> list[str]:
    """Return the folders of a place and its name."""
    if not is_url(place):
        return os.path.abspath(place).split("/")
    link = next(link for link in place.split("::") if "://" in link)
    protocol, _, path = link.partition("://")
    if protocol in ("http", "https"):
        path = unquote(urlsplit(link).path)
    else:
        path = path.partition("?versionId=")[0]
    return path.rstrip("/").split("/")


def _folders(place: str) -> list[str]:
    return _parts(place)[:-1] if "=" in place or not is_url(place) else []


def _last(place: str) -> str:
    return _parts(place)[-1] if is_url(place) else os.path.basename(place.rstrip("/")) or os.path.basename(os.getcwd())
