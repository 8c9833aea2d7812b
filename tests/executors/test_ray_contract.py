"""The Ray executor keeps the contract of executors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lineage.executors.ray import Ray
from lineage.testing.executors import ExecutorContract

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Ray]:
    executor = Ray(cpus=2)
    yield executor
    executor.close()


class _Kept:
    """An executor that outlives the sessions that use it."""

    def __init__(self, executor: Ray) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def close(self) -> None:
        self._executor.cancel()


class TestRay(ExecutorContract):
    @pytest.fixture
    def executor(self, cluster: Ray) -> _Kept:
        return _Kept(cluster)
