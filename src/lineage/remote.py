"""What lies elsewhere, through fsspec: what is told of an object, how its bytes get here, and what matches a pattern.

fsspec is imported when the first URL is met. Listings are never cached: s3fs otherwise hides what others wrote.

What a filesystem tells is trusted as far as it goes. The ETag of an object store changes with the bytes. That of a web server may be
made of a time in seconds, and times of other machines are compared with a clock that may differ: they are trusted once they are a
minute old. Where nothing is told that changes with the bytes, they are read every time.
"""

from __future__ import annotations

import datetime
import errno
import os
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from lineage.errors import CompositionError, InputChangedError, LineageError

__all__ = ["Told", "fetch", "listed", "look", "matching"]

YOUNG = 60.0
"""Seconds after a change during which a time that another machine tells is not trusted."""

_PART = 1 << 23
"""An object of S3 that is larger is read in ranges of so many bytes, several at a time."""
_AT_ONCE = 4
_ATTEMPTS = 4

_TAGS = ("ETag", "etag", "e_tag", "Content-MD5", "md5Hash", "generation", "Digest", "checksum", "sha")
_TIMES = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "modified", "timeModified")
_BY_BYTES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss"})
"""Protocols whose tags change whenever the bytes do."""
_WHO = frozenset({"anon", "key", "secret", "token", "username", "password", "profile", "use_listings_cache"})
"""Options that don't change what a URL means."""


class Told(NamedTuple):
    """What is told of an object: `stamp` as text; whether an equal stamp means equal bytes; whether any change shows in it at all."""

    stamp: str
    trusted: bool
    dated: bool
    size: int | None
    tag: str | None
    version: str | None


def look(url: str, options: Mapping[str, Any]) -> Told:
    """Return what is told of the object at `url` now.

    Raises:
        FileNotFoundError: there is none.
        IsADirectoryError: there is a folder.
        OSError: it can't be reached.
    """
    fs, path = _found(url, options)
    with _explained(url):
        return _told(url, fs, path, _info(fs, path))


def _info(fs: Any, path: str) -> dict[str, Any]:
    found: dict[str, Any] = fs.info(path)
    if found.get("type") == "directory":
        raise IsADirectoryError(path)
    return found


def _told(url: str, fs: Any, path: str, info: Mapping[str, Any]) -> Told:
    tag = next((str(info[name]) for name in _TAGS if info.get(name)), None)
    if tag is not None and tag.startswith("W/"):
        tag = None
    when = next((info[name] for name in _TIMES if info.get(name)), None)
    protocol = url.partition("://")[0]
    if tag is None and when is None:
        try:
            when = fs.modified(path)
        except (NotImplementedError, KeyError, TypeError, AttributeError):
            pass
    moment = _moment(when)
    stamp = f"{info.get('size')} {tag} {_shown(moment, when, tag)}"
    # What is in memory is another thing in every process, and behind a chain of URLs stands what a cache may hold.
    settled = protocol != "memory" and "::" not in url
    is_old = moment is not None and time.time() - moment > YOUNG
    by_bytes = tag is not None and protocol in _BY_BYTES
    by_time = (is_old or (tag is not None and when is None)) and _is_plain(fs, url)
    version = info.get("VersionId")
    return Told(
        stamp,
        settled and (by_bytes or by_time),
        (tag is not None or moment is not None) and settled,
        info.get("size"),
        tag,
        version if version not in (None, "null") else None,
    )


def _is_plain(fs: Any, url: str) -> bool:
    """Say whether no option, given or configured, makes this URL mean another place or thing than it says."""
    return not (fs.storage_options.keys() - _WHO - fs._get_kwargs_from_urls(url).keys())


def _moment(when: Any) -> float | None:
    """Return a time that a filesystem tells as Unix seconds, or None where it can't be read."""
    try:
        if isinstance(when, datetime.datetime):
            return when.timestamp() if when.tzinfo else when.replace(tzinfo=datetime.UTC).timestamp()
        if isinstance(when, (int, float)):
            return float(when)
        if isinstance(when, str):
            from email.utils import parsedate_to_datetime

            try:
                return parsedate_to_datetime(when).timestamp()
            except ValueError:
                return _moment(datetime.datetime.fromisoformat(when))
    except (ValueError, OverflowError):
        pass
    return None


def _shown(moment: float | None, when: Any, tag: str | None) -> str:
    """Return a time for a stamp. Beside a tag, in whole seconds: listings and look-ups tell it with different precision."""
    if moment is None:
        return str(when)
    return str(int(moment)) if tag is not None else repr(moment)


# -- bytes


def fetch(url: str, options: Mapping[str, Any], told: Told, into: str) -> None:
    """Write the bytes of the object at `url` to the new file `into`: those that it held when `told` was told.

    Raises:
        InputChangedError: it changed before or while it was read.
        OSError: it can't be read.
    """
    fs, path = _found(url, options)
    with _explained(url):
        if told.tag is not None and _is_s3(fs):
            _fetch_s3(url, fs, path, told, into)
        else:
            fs.get_file(path, into)
            now = _told(url, fs, path, _info(fs, path))
            if now.stamp != told.stamp:
                raise _changed(url)
    if told.size is not None and os.path.getsize(into) != told.size:
        raise _changed(url)


def _changed(url: str) -> InputChangedError:
    return InputChangedError(f"{url} changed while it was read; run again when it is at rest")


def _is_s3(fs: Any) -> bool:
    return type(fs).__module__.partition(".")[0] == "s3fs" and hasattr(fs, "_call_s3")


def _fetch_s3(url: str, fs: Any, path: str, told: Told, into: str) -> None:
    from fsspec.asyn import sync

    with open(into, "xb") as file:
        try:
            sync(fs.loop, _read_s3, fs, path, told, file)
        except OSError as error:
            if isinstance(error, FileNotFoundError) or "PreconditionFailed" in repr(error.__cause__):
                raise _changed(url) from error
            raise


async def _read_s3(fs: Any, path: str, told: Told, file: Any) -> None:
    """Read an object in ranges, each only if the object still is what it was."""
    import asyncio

    bucket, key, version = fs.split_path(path)
    pinned = {"Bucket": bucket, "Key": key, "IfMatch": told.tag, **fs.req_kw}
    if version or told.version:
        pinned["VersionId"] = version or told.version
    turn = asyncio.Semaphore(_AT_ONCE)

    async def part(start: int, end: int) -> None:
        async with turn:
            data = await _range(fs, pinned, start, end, told.size)
            file.seek(start)
            file.write(data)

    size = told.size or 0
    failed: BaseException | None = None
    try:
        async with asyncio.TaskGroup() as group:  # nothing goes on once one part has failed
            for start in range(0, max(size, 1), _PART):
                group.create_task(part(start, min(start + _PART, size)))
    except BaseExceptionGroup as errors:
        failed = errors.exceptions[0]
    if failed is not None:
        raise failed


async def _range(fs: Any, pinned: dict[str, Any], start: int, end: int, size: int | None) -> bytes:
    import asyncio

    from s3fs.core import S3_RETRYABLE_ERRORS

    whole = size is None or end - start >= size
    ranged = pinned if whole else {**pinned, "Range": f"bytes={start}-{end - 1}"}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            answer = await fs._call_s3("get_object", **ranged)
            try:
                data: bytes = await answer["Body"].read()
            finally:
                answer["Body"].close()
            if answer.get("ETag") not in (None, pinned["IfMatch"]) or len(data) != (size if whole else end - start):
                raise FileNotFoundError("another object lies there now")
            return data
        except S3_RETRYABLE_ERRORS:
            if attempt == _ATTEMPTS:
                raise
            await asyncio.sleep(0.1 * 2**attempt)
    raise AssertionError("unreachable")


# -- many


def listed(url: str, options: Mapping[str, Any]) -> dict[str, Told]:
    """Return the objects below the folder at `url` by their names relative to it, and what is told of each.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: it can't be listed, or has names that no local folder can have.
    """
    fs, path = _found(url, options)
    with _explained(url):
        if not fs.isdir(path):
            raise NotADirectoryError(path) if fs.exists(path) else FileNotFoundError(path)
        found: dict[str, Told] = {}
        agrees = _is_s3(fs) or url.startswith("memory:")  # elsewhere a listing may tell other things than a look
        root = path.rstrip("/") + "/"
        for name, info in sorted(fs.find(path, detail=True).items()):
            if name.endswith("/") or name.rstrip("/") == path.rstrip("/"):
                continue  # the mark that some tools leave for a folder
            inside = name.removeprefix(root)
            found[inside] = _told(url, fs, name, info if agrees else fs.info(name))
    _check_names(url, found)
    return found


def _check_names(url: str, found: Mapping[str, Told]) -> None:
    for name in found:
        parts = name.split("/")
        folders = ("/".join(parts[:length]) for length in range(1, len(parts)))
        if "" in parts or "." in parts or ".." in parts or "\0" in name or any(folder in found for folder in folders):
            raise OSError(f"{url} holds {name!r}, which no local folder can hold beside the rest of it")


def matching(pattern: str, options: Mapping[str, Any]) -> list[str]:
    """Return the URLs of the files that match `pattern`, sorted. As on a local disk, `*` matches no hidden name."""
    fs, path = _found(pattern, options)
    with _explained(pattern):
        found = [name for name, info in fs.glob(path, detail=True).items() if info.get("type") != "directory"]
    first, *others = pattern.split("::")
    protocol = first.partition("://")[0]
    hidden = re.compile(r"(^|/)\.")
    known = len(re.sub(r"[*?\[].*", "", path))
    urls = []
    for name in sorted(found):
        if hidden.search(pattern) or not hidden.search(name[name[:known].rfind("/") + 1 :]):
            here = name if "://" in name else f"{protocol}://{name.lstrip('/') if protocol == 'memory' else name}"
            urls.append("::".join([here, *others]))
    return urls


# -- filesystems


def _found(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the filesystem of `url`, which caches no listings, and the name of the object in it."""
    from fsspec.core import url_to_fs

    try:
        fresh: dict[str, Any] = {"use_listings_cache": False}
        if "::" in url:  # options of a chain go by protocol
            protocol = url.rpartition("::")[2].partition("://")[0]
            fresh = {protocol: {**fresh, **options.get(protocol, {})}}
        fs, path = url_to_fs(url, **{**options, **fresh})
        return fs, path
    except ImportError as error:
        extra = "; `pip install 'lineage-graph[s3]'`" if url.startswith(("s3:", "s3a:")) else ""
        raise LineageError(f"{url} can't be read: {error}{extra}") from error
    except ValueError as error:
        raise CompositionError(f"{url} can't be read: {error}") from error


class _explained:  # noqa: N801 (reads as a statement)
    """Turns what a filesystem raises into errors of the operating system that name the URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> None: ...

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if error is None or isinstance(error, LineageError) or not isinstance(error, Exception):
            return
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return  # that is about here
        declared = "(an input declared with lineage)"
        if isinstance(error, FileNotFoundError) and _is_not_there(error):
            raise FileNotFoundError(f"no such file: {self.url} {declared}") from error
        if isinstance(error, (IsADirectoryError, NotADirectoryError)):
            what = "is no file" if isinstance(error, IsADirectoryError) else "is no folder"
            raise type(error)(f"{self.url} {what} {declared}") from error
        kind = PermissionError if isinstance(error, PermissionError) else OSError
        cause = error.__cause__ if isinstance(error, FileNotFoundError) else error
        raise kind(f"{self.url} can't be read: {type(cause).__name__}: {cause} {declared}") from error


def _is_not_there(error: FileNotFoundError) -> bool:
    """Say whether a file is missing indeed: fsspec says the same where a web server refuses or does not answer."""
    cause = error.__cause__
    is_web = cause is not None and type(cause).__module__.startswith("aiohttp")
    return not is_web or getattr(cause, "status", None) in (404, 410)
