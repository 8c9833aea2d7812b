"""A package counts by its version and by what it installed, where it is reached and nowhere
else.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from code_project import Project, in_process, look

SCRIPT = """
import sys
sys.path.insert(0, "site")
from code_project import look
import fake_a

def reaches(x): return fake_a.f(x)
def indirectly(x): return reaches(x)
def in_body(x):
    import fake_a
    return fake_a.f(x)
def plain(x): return x
for fn in (reaches, indirectly, in_body, plain):
    found = look(fn)
    print(found.digest.hex(), *sorted(found.packages.items()))
"""


def install(site: Path, name: str, version: str, requires: str = "", sha: str = "x", by: str = "pip") -> None:
    for old in site.glob(f"{name}-*.dist-info"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    (site / name).mkdir(parents=True, exist_ok=True)
    (site / name / "__init__.py").write_text("def f(x): return x\n")
    info = site / f"{name}-{version}.dist-info"
    info.mkdir()
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n{needs}\nAbout it.\n")
    (info / "RECORD").write_text(
        f"{name}/__init__.py,sha256={sha},1\n{info.name}/INSTALLER,sha256={by},3\n"
        f"{info.name}/RECORD,,\n../../bin/tool,sha256={sha},1\n"
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    install(site, "fake_a", "1.0", requires='fake-b>=1; python_version > "3"')
    install(site, "fake_b", "1.0", requires='fake-c; extra == "all"')
    install(site, "fake_c", "1.0")
    return site


def run(tmp_path: Path) -> list[str]:
    return in_process(SCRIPT, tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache")).splitlines()


def test_an_upgrade_changes_only_functions_that_reach_the_package(site: Path, tmp_path: Path) -> None:
    before = run(tmp_path)
    assert "('fake-a', '1.0') ('fake-b', '1.0')" in before[0]
    install(site, "fake_a", "1.1", requires="fake-b>=1")
    after = run(tmp_path)
    assert [one == other for one, other in zip(before, after, strict=True)] == [
        False,
        False,
        False,
        True,
    ]


def test_what_a_package_requires_belongs_to_it_without_its_extras(site: Path, tmp_path: Path) -> None:
    before = run(tmp_path)
    install(site, "fake_b", "1.1", requires='fake-c; extra == "all"')
    assert run(tmp_path)[0] != before[0]
    before = run(tmp_path)
    install(site, "fake_c", "1.1")
    assert run(tmp_path) == before


def test_the_same_version_with_other_content_is_another_package(site: Path, tmp_path: Path) -> None:
    before = run(tmp_path)
    install(site, "fake_a", "1.0", requires="fake-b>=1", sha="yy")
    assert run(tmp_path)[0] != before[0]


def test_which_tool_installed_a_package_makes_no_difference(site: Path, tmp_path: Path) -> None:
    before = run(tmp_path)
    install(site, "fake_a", "1.0", requires="fake-b>=1", by="uv")
    assert run(tmp_path) == before


def test_a_package_without_record_goes_by_its_bytes(site: Path, tmp_path: Path) -> None:
    (site / "fake_a-1.0.dist-info" / "RECORD").unlink()
    (site / "fake_a-1.0.dist-info" / "top_level.txt").write_text("fake_a\n")
    before = run(tmp_path)
    assert run(tmp_path) == before
    (site / "fake_a" / "__init__.py").write_text("def f(x): return -x\n")
    assert run(tmp_path)[0] != before[0]


def test_a_module_that_no_distribution_owns_goes_by_its_bytes(site: Path, tmp_path: Path) -> None:
    for file in (site / "fake_a-1.0.dist-info").iterdir():
        file.unlink()
    (site / "fake_a-1.0.dist-info").rmdir()
    before = run(tmp_path)
    (site / "fake_a" / "__init__.py").write_text("def f(x): return -x\n")
    after = run(tmp_path)
    assert after[0] != before[0]
    assert after[3] == before[3]


def test_a_damaged_cache_is_made_anew(site: Path, tmp_path: Path) -> None:
    before = run(tmp_path)
    kept = list((tmp_path / "cache" / "lineage").iterdir())
    assert kept
    for file in kept:
        file.write_text('{"format": 1, "distributions": [[')
    assert run(tmp_path) == before
    assert all(json.loads(file.read_text()) for file in kept)


def test_a_cache_that_can_not_be_written_is_done_without(site: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in the way")
    assert run(tmp_path)


def test_polars_brings_its_engine_and_its_runtime(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    module = project.load("import polars as pl\ndef node(x): return pl.col(x)\ndef other(): pass")
    monkeypatch.delenv("POLARS_ENGINE_AFFINITY", raising=False)
    found = look(module.node)
    assert {"polars", "polars-runtime-32"} <= set(found.packages)
    assert "polars engine" in found.leaves
    assert look(module.node, polars_engine="in-memory").digest == found.digest
    assert look(module.node, polars_engine="streaming").digest != found.digest
    monkeypatch.setenv("POLARS_ENGINE_AFFINITY", "streaming")
    assert not found.is_current()
    assert look(module.node).digest != found.digest
    assert "polars engine" not in look(module.other).leaves


def test_whether_a_package_is_loaded_makes_no_difference(tmp_path: Path) -> None:
    source = """
    from code_project import look
    LOADED
    def node(x):
        import numpy as np
        import numpy.random
        return np.linalg.norm(x), np.random.default_rng(3)
    print(look(node).digest.hex())
    """
    answers = {
        in_process(source.replace("LOADED", line), tmp_path)
        for line in ("pass", "import numpy", "import numpy.linalg, numpy.random")
    }
    assert len(answers) == 1


def test_types_for_the_checker_only_bring_their_packages(project: Project) -> None:
    module = project.load(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import attrs\n    from packaging.version import Version as V\n"
        "def node(x: list[V], y: attrs.Attribute): return x"
    )
    assert {"packaging", "attrs"} <= set(look(module.node).packages)


def test_the_types_of_parameters_are_reached(project: Project) -> None:
    import packaging.version

    module = project.load("class T:\n    k = 1\ndef node(x): return x")
    found = look(module.node, extra_types=[module.T, list[packaging.version.Version], int])
    assert "class T" in found.leaves
    assert "packaging" in found.packages


def test_lineage_itself_is_neither_project_nor_package(project: Project) -> None:
    module = project.load(
        "from lineage.digest import short\nfrom lineage import digest\ndef node(x): return short(x), digest.short(x)"
    )
    assert [label.split()[0] for label in look(module.node).leaves] == ["function", "python"]


def test_a_node_is_followed_to_its_function(project: Project) -> None:
    module = project.load(
        "class Node:\n    def __init__(self, fn): self.__lineage_function__ = fn\n"
        "    def __getattr__(self, name): raise RuntimeError(name)\n"
        "@Node\ndef a(x): return x\ndef node(x): return a(x)\ndef plain(x): return x"
    )
    assert list(look(module.node).leaves)[:2] == ["function node", "function a"]
    assert look(module.a).digest == look(module.plain).digest
