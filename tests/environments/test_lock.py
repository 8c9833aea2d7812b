"""Locks: how they are written and read, and what of them is part of a key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from attrs import evolve
from packaging.tags import platform_tags

from environment_project import small_lock, wheel
from lineage.environments import resolved as resolved_module
from lineage.environments.lock import Artifact, Lock, Package, Request, dump_lock, read_lock, write_lock
from lineage.environments.resolved import resolved
from lineage.environments.resolving import own_python, resolve, worker_needs
from lineage.errors import EnvError, LockError


def lock_of(*packages: Package, python: str | None = None) -> Lock:
    return Lock(python or own_python(), Request(), packages)


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    lock = small_lock("numpy==2.1", asks=("numpy", 'tricky ; platform_machine != "x"'), python="3.11")
    write_lock(tmp_path / "envs" / "a.lock", lock)
    assert read_lock(tmp_path / "envs" / "a.lock") == lock
    assert tomllib.loads(dump_lock(lock))["request"]["python"] == "3.11"
    assert [path.name for path in (tmp_path / "envs").iterdir()] == ["a.lock"]


@pytest.mark.parametrize(
    "text",
    [
        "format = 2\npython = '3.11'",
        "format = 1",
        "format = 1\npython = '3.11'\n[[package]]\nname = 'a'\nversion = '1'\nfiles = ['a.whl sha256:12']",
        "format = 1\npython = '3.11'\n[[package]]\nname = 'a'\nversion = '1'\nfiles = ['http://x/a.whl sha256:"
        + "a" * 64
        + "']",
        "<<<<<<< ours",
    ],
)
def test_a_damaged_lock_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.lock"
    path.write_text(text)
    with pytest.raises(LockError, match=r"bad\.lock is damaged"):
        read_lock(path)


def test_comments_order_and_line_ends_of_a_lock_do_not_count(tmp_path: Path) -> None:
    lock = small_lock("b==1", "a==1")
    text = dump_lock(lock)
    head, *packages = text.split("[[package]]")
    shuffled = "# mine\n" + head + "[[package]]" + "[[package]]".join(f"{part}\n" for part in reversed(packages))
    path = tmp_path / "a.lock"
    path.write_bytes(shuffled.replace("\n", "\r\n").encode())
    assert resolved(read_lock(path)).digest == resolved(lock).digest


def test_a_version_and_a_hash_count() -> None:
    base = resolved(lock_of(Package("a", "1", (wheel("a", "1"),)))).digest
    assert resolved(lock_of(Package("a", "2", (wheel("a", "1"),)))).digest != base
    assert resolved(lock_of(Package("a", "1", (wheel("a", "1", letter="b"),)))).digest != base
    assert resolved(lock_of()).digest != base


def test_the_version_of_python_counts() -> None:
    package = Package("a", "1", (wheel("a", "1"),))
    assert resolved(lock_of(package, python="3.11")).digest != resolved(lock_of(package, python="3.12")).digest


def test_that_undeclared_imports_are_allowed_counts() -> None:
    lock = small_lock("a==1")
    assert resolved(lock).digest != resolved(lock, allow_undeclared=True).digest
    assert resolved(lock).place == resolved(lock, allow_undeclared=True).place


def test_files_for_other_platforms_and_interpreters_do_not_count() -> None:
    cp = f"cp{own_python().replace('.', '')}"
    mine = wheel("a", "1", f"{cp}-{cp}-{next(platform_tags())}")
    others = [
        wheel("a", "1", f"{cp}-{cp}-win_arm64", "b"),
        wheel("a", "1", "cp310-cp310-any", "c"),
        Artifact("a-1.tar.gz", "d" * 64),
    ]
    assert resolved(lock_of(Package("a", "1", (*others, mine)))) == resolved(lock_of(Package("a", "1", (mine,))))


def test_of_several_wheels_that_fit_the_most_special_one_is_installed() -> None:
    cp = f"cp{own_python().replace('.', '')}"
    special = wheel("a", "1", f"{cp}-{cp}-{next(platform_tags())}", "b")
    (pin,) = resolved(lock_of(Package("a", "1", (wheel("a", "1"), special)))).pins
    assert pin.sha256 == special.sha256


def test_where_wheels_differ_another_platform_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    cp = f"cp{own_python().replace('.', '')}"
    two = Package(
        "a", "1", (wheel("a", "1", f"{cp}-{cp}-{next(platform_tags())}"), wheel("a", "1", f"{cp}-{cp}-win_arm64", "b"))
    )
    pure = Package("p", "1", (wheel("p", "1"),))
    here, pure_here = resolved(lock_of(two)), resolved(lock_of(pure))
    monkeypatch.setattr("packaging.tags.platform_tags", lambda: iter(["win_arm64"]))
    resolved_module._order.cache_clear()
    try:
        assert resolved(lock_of(two)).digest != here.digest
        assert resolved(lock_of(pure)).digest == pure_here.digest
    finally:
        resolved_module._order.cache_clear()


def test_what_is_built_from_source_depends_on_where() -> None:
    (pin,) = resolved(lock_of(Package("a", "1", (Artifact("a-1.tar.gz", "d" * 64),)))).pins
    assert next(platform_tags()) in pin.platform


def test_a_package_without_a_file_for_this_platform_is_an_error() -> None:
    with pytest.raises(EnvError, match=r"a 1 has no wheel for Python .* on this platform"):
        resolved(lock_of(Package("a", "1", (wheel("a", "1", "cp311-cp311-win_arm64"),))))


def test_markers_decide_what_is_installed() -> None:
    here = Package("a", "1", (wheel("a", "1"),), "sys_platform != 'win32'")
    there = Package("b", "1", (wheel("b", "1"),), "sys_platform == 'win32'")
    assert [pin.name for pin in resolved(lock_of(here, there)).pins] == ["a"]


@pytest.mark.usefixtures("index")
def test_a_resolution_has_names_versions_and_hashes_and_no_address(tmp_path: Path) -> None:
    request = Request(packages=("iniconfig==2.0.0",), worker=worker_needs(()))
    lock = resolve(request)
    (found,) = [package for package in lock.packages if package.name == "iniconfig"]
    assert (found.version, found.marker) == ("2.0.0", "")
    assert {"attrs", "blake3"} <= {package.name for package in lock.packages}
    assert "://" not in dump_lock(lock)
    assert resolve(request) == lock


@pytest.mark.usefixtures("index")
def test_what_the_worker_needs_gives_way_to_what_is_asked_for() -> None:
    asked = ("attrs==25.1.0",)
    lock = resolve(Request(packages=asked, worker=worker_needs(asked)))
    assert [package.version for package in lock.packages if package.name == "attrs"] == ["25.1.0"]


@pytest.mark.usefixtures("index")
def test_a_failed_resolution_says_why_and_names_no_address() -> None:
    with pytest.raises(EnvError, match=r"there is no version of iniconfig==99") as caught:
        resolve(Request(packages=("iniconfig==99",)))
    assert "://" not in str(caught.value)


def test_an_extra_hint_of_another_request_is_told() -> None:
    request = Request(packages=("a",))
    assert request.difference(evolve(request, worker=("x",), replaced=("y",))) is None
    assert request.difference(evolve(request, python="3.12")) == "python was not given and is 3.12"
