"""Environments on this machine: made once, whole, shared, checked, and removed by age."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from attrs import astuple

from lineage.environments.inventory import inventory, site_packages
from lineage.environments.lock import Request
from lineage.environments.made import hold, made, make, remove_unused
from lineage.environments.resolved import Pin, Resolved, resolved
from lineage.environments.resolving import own_python, resolve
from lineage.errors import EnvError

pytestmark = pytest.mark.usefixtures("environments")


@pytest.fixture(scope="module")
def small(index: None) -> Resolved:
    return resolved(resolve(Request(packages=("iniconfig==2.0.0",))))


def test_an_environment_has_what_was_resolved_and_nothing_else(small: Resolved) -> None:
    python = make(small).python
    code = "from importlib.metadata import distributions; print(sorted(d.name + d.version for d in distributions()))"
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['iniconfig2.0.0']"


def test_an_environment_is_made_once(small: Resolved) -> None:
    said: list[str] = []
    first = make(small, who="train", tell=said.append)
    inode = os.stat(first.folder).st_ino
    assert make(small, who="train", tell=said.append) == first == made(small)
    assert os.stat(first.folder).st_ino == inode
    assert [line.split(" of train")[0] for line in said] == ["making the environment", "made the environment"]


def test_it_is_made_without_a_network_where_the_cache_of_uv_has_everything(small: Resolved) -> None:
    first = make(small)
    remove_unused(0)
    assert made(small) is None
    assert make(small, offline=True) == first


def test_what_the_cache_lacks_is_an_error_without_a_network_that_says_who_asked() -> None:
    lacking = Resolved(own_python(), [Pin("lineage-has-no-such-package", "1", "x-1-py3-none-any.whl", "a" * 64)])
    with pytest.raises(EnvError, match=r"environment of train can't be made: (?s:.)*the network was not to be used"):
        make(lacking, who="train", offline=True)
    assert made(lacking) is None


def test_a_failed_making_leaves_nothing(environments: Path) -> None:
    lacking = Resolved(own_python(), [Pin("lineage-has-no-such-package", "1", "x-1-py3-none-any.whl", "a" * 64)])
    with pytest.raises(EnvError):
        make(lacking, offline=True)
    assert not [path for path in environments.iterdir() if path.is_dir()]


def test_a_file_with_another_hash_than_the_lock_has_is_refused(small: Resolved) -> None:
    (pin,) = small.pins
    changed = Resolved(small.python, [Pin(pin.name, pin.version, pin.file, "a" * 64)])
    with pytest.raises(EnvError, match=r"can't be made"):
        make(changed)


def test_processes_that_ask_at_once_share_one(small: Resolved, tmp_path: Path) -> None:
    script = tmp_path / "ask.py"
    script.write_text(
        textwrap.dedent(f"""
        import os
        from lineage.environments.made import make
        from lineage.environments.resolved import Pin, Resolved
        said = []
        found = make(Resolved({small.python!r}, [Pin(*{astuple(small.pins[0])!r})]), tell=said.append)
        print(os.stat(found.folder).st_ino, sum(line.startswith("made") for line in said))
        """)
    )
    asking = [subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [process.communicate()[0].split() for process in asking]
    assert len({inode for inode, _ in answers}) == 1
    assert sum(int(count) for _, count in answers) == 1


def test_what_a_killed_process_left_is_swept_up(small: Resolved, environments: Path) -> None:
    place = made(small) or make(small)
    remove_unused(0)
    left = environments / f".{place.folder.name}.99999.tmp"
    left.mkdir()
    half = place.folder
    (half / "lib").mkdir(parents=True)
    make(small)
    assert not left.exists()
    assert made(small) is not None


def test_an_environment_that_somebody_runs_in_is_not_removed(small: Resolved) -> None:
    found = make(small)
    with hold(found):
        assert remove_unused(0) == []
        assert made(small) is not None
    assert remove_unused(0) == [found.folder]
    assert made(small) is None


def test_an_environment_that_was_used_lately_is_not_removed(small: Resolved) -> None:
    found = make(small)
    old = found.folder / "lineage-environment.json"
    os.utime(old, (1, 1))
    make(small)  # uses it
    assert remove_unused(3600) == []
    os.utime(old, (1, 1))
    assert remove_unused(3600) == [found.folder]


def test_what_is_installed_by_hand_shows_in_the_inventory(small: Resolved) -> None:
    found = make(small)
    site = site_packages(found.folder)
    assert inventory(site).hex() == found.noted
    (site / "__pycache__").mkdir(exist_ok=True)
    (site / "__pycache__" / "iniconfig.cpython.pyc").write_bytes(b"")
    assert inventory(site).hex() == found.noted  # a cache is not content
    record = next(site.glob("iniconfig-*.dist-info/RECORD"))
    text = record.read_text()
    record.unlink()  # it is linked to uv's cache
    record.write_text(text.replace("sha256=", "sha256=x", 1))
    assert inventory(site).hex() != found.noted


def test_an_interpreter_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EnvError, match=r"(?s)can't be made: .*3\.99"):
        make(Resolved("3.99", []), offline=True)
