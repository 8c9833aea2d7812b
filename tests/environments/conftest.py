from __future__ import annotations

from pathlib import Path

import pytest

from environment_project import EnvironmentProject
from lineage.environments.uv import run_uv
from lineage.errors import EnvError


@pytest.fixture
def environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place for environments."""
    folder = tmp_path / "environments"
    monkeypatch.setenv("LINEAGE_ENVIRONMENTS", str(folder))
    return folder


@pytest.fixture(scope="session")
def index() -> None:
    """Skip where packages can't be had: these tests resolve and install small ones."""
    try:
        run_uv(["pip", "compile", "-", "--quiet", "--no-header"], given="iniconfig")
    except EnvError as error:
        pytest.skip(f"packages can't be had here: {error}")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnvironmentProject:
    made = EnvironmentProject(tmp_path / "project")
    monkeypatch.syspath_prepend(str(made.folder))
    return made
