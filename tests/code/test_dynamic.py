"""Where reach can't be seen it is widened, never ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from code_project import Project, look


@pytest.mark.parametrize(
    "body",
    [
        "getattr(helpers, x)()",
        "getattr(importlib.import_module('PKG.helpers'), x)",
        "importlib.import_module(x)",
        "__import__(x)",
        "eval(x)",
        "exec(x)",
        "globals()[x]",
        "sys.modules[x]",
        "list(map(importlib.import_module, x))",
        "importlib.metadata.entry_points()",
    ],
)
def test_a_computed_name_widens_to_all_source_of_the_project(project: Project, body: str) -> None:
    module = project.load(
        f"import importlib, sys\nimport importlib.metadata\nfrom PKG import helpers\ndef node(x):\n    return {body}",
        helpers="def f(): return 1",
        unseen="A = 1",
    )
    found = look(module.node)
    assert "all project source" in found.leaves
    assert found.is_current()
    file = Path(str(module.__file__)).with_name("unseen.py")
    file.write_text("A = 2  # edited")
    assert not found.is_current()
    assert look(module.node).digest != found.digest


@pytest.mark.parametrize(
    "body", ["getattr(x, name)", "getattr(np, name)", "getattr(T(), name)", "getattr(helpers, 'f')"]
)
def test_a_computed_attribute_of_data_does_not_widen(project: Project, body: str) -> None:
    module = project.load(
        f"import numpy as np\nfrom PKG import helpers\nclass T: pass\ndef node(x, name):\n    return {body}",
        helpers="def f(): return 1",
    )
    assert "all project source" not in look(module.node).leaves


def test_widening_stops_at_the_project_and_skips_hidden_folders(project: Project, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    for folder in (".hidden", "env", "src"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").touch()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    module = project.load("def node(x): return eval(x)")
    found = look(module.node)
    (tmp_path / ".hidden" / "a.py").write_text("A = 1")
    (tmp_path / "env" / "a.py").write_text("A = 1")
    assert found.is_current()
    (tmp_path / "src" / "a.py").write_text("A = 1")
    assert not found.is_current()


def test_eval_sees_live_values_too(project: Project) -> None:
    module = project.load("K = 1\ndef node(x): return eval(x)")
    found = look(module.node)
    module.K = 2
    assert not found.is_current()
    assert look(module.node).digest != found.digest
