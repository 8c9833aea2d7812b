"""The executors of this machine keep the contract of executors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lineage import Processes, Serial
from lineage.testing.executors import ExecutorContract


class TestSerial(ExecutorContract):
    isolates = False

    @pytest.fixture
    def executor(self) -> Serial:
        return Serial()


class TestProcesses(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Iterator[Processes]:
        executor = Processes(2)
        yield executor
        executor.close()
