from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from code_project import Project, project_in


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield from project_in(tmp_path)
