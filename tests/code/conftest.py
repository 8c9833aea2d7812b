from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from code.project import Project, project_in


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    yield from project_in(tmp_path)
