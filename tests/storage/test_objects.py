"""`LocalObjects`: the contract of object stores, and what is its own."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from lineage.digest import Digest
from lineage.errors import CorruptObjectError, ObjectMissingError, StoreError
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
