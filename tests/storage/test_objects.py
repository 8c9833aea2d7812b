"""`LocalObjects`: the contract of object stores, and what is its own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lineage.codecs.paths import digest_file
from lineage.digest import Digest
from lineage.errors import CorruptObjectError, ObjectMissingError, StoreError
from lineage.storage import objects as module
from lineage.storage.objects import LocalObjects
from lineage.testing.stores import ObjectStoreContract


def place(objects: LocalObjects, digest: Digest) -> Path:
    return objects.folder / digest.hex()[:2] / digest.hex()[2:]


class Local(ObjectStoreContract):
    def damage(self, objects: Any, digest: Digest, data: bytes) -> None:
        target = place(objects, digest)
        target.chmod(0o644)
        target.write_bytes(data)

    def remove(self, objects: Any, digest: Digest) -> None:
        place(objects, digest).unlink()


class TestVerifiedAlways(Local):
    @pytest.fixture
    def objects(self, tmp_path: Path) -> LocalObjects:
        return LocalObjects(tmp_path / "store" / "objects", verify="always")


class TestVerifiedFirst(Local):
    """Young files are always looked at, and so are those that were touched: the contract holds in one process."""

    @pytest.fixture
    def objects(self, tmp_path: Path) -> LocalObjects:
        return LocalObjects(tmp_path / "store" / "objects", verify="first")


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path / "store" / "objects")


def test_an_object_that_was_touched_after_its_first_check_is_checked_again(objects: LocalObjects) -> None:
    digest = objects.put(b"good bytes")
    time.sleep(0.03)
    assert objects.get(digest) == b"good bytes"
    place(objects, digest).chmod(0o644)
    place(objects, digest).write_bytes(b"evil bytes")
    with pytest.raises(CorruptObjectError):
        objects.get(digest)


def test_a_young_object_is_checked_again_though_its_stamp_is_the_same(
    objects: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of files ticks every few milliseconds: within one tick, an edit leaves no trace in their stamps."""
    monkeypatch.setattr("lineage.storage.objects._YOUNG", 10**12)
    digest = objects.put(b"good bytes")
    before = place(objects, digest).stat()
    place(objects, digest).chmod(0o644)
    place(objects, digest).write_bytes(b"evil bytes")
    os.utime(place(objects, digest), ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CorruptObjectError):
        objects.get(digest)


def test_a_checked_object_is_not_read_again(objects: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = objects.put(b"good bytes")
    time.sleep(0.03)
    objects.path(digest)
    monkeypatch.setattr("lineage.storage.objects.digest_file", lambda _: pytest.fail("read again"))
    objects.path(digest)


# -- what processes remember for each other


class Remembered:
    """One folder, and the memory that its processes share, as a store keeps it in its index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: dict[Digest, str] = {}

    def process(self) -> LocalObjects:
        return LocalObjects(self.folder / "objects", memory=self.notes.get)

    def end(self, objects: LocalObjects) -> None:
        self.notes.update(objects.to_remember(wait=True))


LARGE = b"good" * 300_000


@pytest.fixture
def remembered(tmp_path: Path) -> Remembered:
    return Remembered(tmp_path)


@pytest.fixture
def read_whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the objects whose bytes are read to check them."""
    found: list[str] = []

    def noted(path: Path) -> Digest:
        found.append(path.name)
        return digest_file(path)

    monkeypatch.setattr(module, "digest_file", noted)
    return found


def test_a_large_object_is_not_read_whole_again_by_the_next_process(
    remembered: Remembered, read_whole: list[str]
) -> None:
    writer = remembered.process()
    digest = writer.put(LARGE)
    remembered.end(writer)
    remembered.process().path(digest)
    assert read_whole == []


def test_one_that_a_process_has_checked_is_remembered_too(remembered: Remembered, read_whole: list[str]) -> None:
    digest = remembered.process().put(LARGE)  # a process that was killed before it could say so
    time.sleep(0.03)
    reader = remembered.process()
    reader.path(digest)
    remembered.end(reader)
    remembered.process().path(digest)
    assert len(read_whole) == 1


def test_a_small_object_is_read_whole_by_every_process(remembered: Remembered, read_whole: list[str]) -> None:
    writer = remembered.process()
    digest = writer.put(b"good bytes")
    remembered.end(writer)
    remembered.process().path(digest)
    assert len(read_whole) == 1


@pytest.mark.parametrize("when", ["before it is remembered", "after it is remembered"])
def test_a_remembered_object_that_was_changed_is_found_out(remembered: Remembered, when: str) -> None:
    """Its size and its time of modification say nothing; that it was changed at all can't be hidden."""
    writer = remembered.process()
    digest = writer.put(LARGE)
    if when == "after it is remembered":
        remembered.end(writer)
    time.sleep(0.03)
    target = place(writer, digest)
    before = target.stat()
    target.chmod(0o644)
    with target.open("r+b") as file:
        file.seek(500_000)
        file.write(b"x")
    target.chmod(0o444)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    if when == "before it is remembered":
        remembered.end(writer)
    with pytest.raises(CorruptObjectError):
        remembered.process().path(digest)


def test_after_the_machine_was_started_anew_everything_is_checked(
    remembered: Remembered, read_whole: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = remembered.process()
    digest = writer.put(LARGE)
    remembered.end(writer)
    monkeypatch.setattr(module, "_boot", lambda: "another boot")
    remembered.process().path(digest)
    assert len(read_whole) == 1


def test_where_boots_cannot_be_told_apart_nothing_is_remembered(
    remembered: Remembered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_boot", lambda: None)
    writer = remembered.process()
    writer.put(LARGE)
    remembered.end(writer)
    assert remembered.notes == {}


def test_verifying_never_trusts_the_disk(tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "objects", verify="never")
    digest = objects.put(b"good bytes")
    place(objects, digest).chmod(0o644)
    place(objects, digest).write_bytes(b"evil bytes")
    assert objects.get(digest) == b"evil bytes"
    place(objects, digest).unlink()
    with pytest.raises(ObjectMissingError):
        objects.get(digest)


def test_a_misspelt_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="verify is"):
        LocalObjects(tmp_path, verify="sometimes")  # type: ignore[arg-type]


def test_a_damaged_object_is_kept_for_a_look(objects: LocalObjects) -> None:
    digest = objects.put(b"good bytes")
    place(objects, digest).chmod(0o644)
    place(objects, digest).write_bytes(b"evil bytes")
    with pytest.raises(CorruptObjectError, match="set aside"):
        objects.get(digest)
    assert (objects.folder.parent / "damaged" / digest.hex()).read_bytes() == b"evil bytes"


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and folders that were made durable."""
    found: list[str] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        found.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    return found


def test_what_was_put_is_durable_after_sync_and_so_is_its_folder(objects: LocalObjects, synced: list[str]) -> None:
    digest = objects.put(b"good bytes")
    assert len(synced) == 1  # the bytes, before they got their name
    assert "/tmp/" in synced[0]
    objects.sync()
    assert {str(place(objects, digest).parent), str(objects.folder), str(objects.folder.parent)} <= set(synced)


def test_an_object_that_another_process_has_just_put_is_made_durable_too(
    objects: LocalObjects, synced: list[str]
) -> None:
    digest = LocalObjects(objects.folder).put(b"good bytes")
    assert objects.put(b"good bytes") == digest
    synced.clear()
    objects.sync()
    assert str(place(objects, digest).parent) in synced


def test_a_sync_that_fails_is_tried_again(
    objects: LocalObjects, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    digest = objects.put(b"good bytes")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(StoreError, match="can't be written"):
            objects.sync()
    synced.clear()
    objects.sync()
    assert set(synced) == {str(place(objects, digest).parent), str(objects.folder), str(objects.folder.parent)}
