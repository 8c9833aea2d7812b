from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import lineage as ln
from lineage.testing import EventLog


@pytest.fixture
def log() -> EventLog:
    """What the session of this test did."""
    return EventLog()


@pytest.fixture
def session(tmp_path: Path, log: EventLog) -> Iterator[ln.Session]:
    """A session with a new store, the default one while the test runs."""
    with ln.Session(tmp_path / "store", on_event=log) as session:
        yield session
