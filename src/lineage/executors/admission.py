"""Which calls may run beside each other: what they ask for together never exceeds what an executor has.

Cores are a soft limit: a call that asks for more than there are gets all of them. Memory, GPUs and custom resources are hard:
what can never be met is refused, with the numbers. A call that asks for nothing takes nothing.
"""

from __future__ import annotations

import functools
import glob
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from lineage.errors import ExecutorError
from lineage.options import Resources

__all__ = ["Admission", "Line", "of_this_machine"]

T = TypeVar("T")

_WINDOW = 64
"""How many of those who wait are looked at for one that fits."""

_PATIENCE = 16
"""How often the first in line lets others pass before all wait for it."""


class Admission:
    """What an executor has, and what is taken of it.

    >>> budget = Admission(Resources(cpus=2, memory=8 << 30), "processes")
    >>> big = Resources(memory=5 << 30)
    >>> budget.fits(big)
    True
    >>> budget.take(big)
    >>> budget.fits(big)
    False
    """

    def __init__(self, total: Resources, executor: str) -> None:
        self.total = total
        self.executor = executor
        self._free = _amounts(total)

    def check(self, asked: Resources | None, node: str) -> None:
        """Refuse what can never be met.

        Raises:
            ExecutorError: more is asked for than there is.
        """
        if asked is None:
            return
        have = _amounts(self.total)
        for name, amount in _amounts(asked).items():
            if name != "cpus" and amount > have.get(name, 0.0):
                raise ExecutorError(
                    f"{node} asks for {_shown(name, amount)}, and {self.executor} has {_shown(name, have.get(name, 0.0))}: "
                    "it can never run there. Ask for less (resources=), or give it another executor: "
                    f"executor= on the node or on the request. If there is more, say so: resources= of {self.executor}",
                    node=node,
                    asked=asked,
                    total=self.total,
                )

    def fits(self, asked: Resources | None) -> bool:
        """Say whether it can be taken now."""
        return asked is None or all(amount <= self._free[name] + 1e-9 for name, amount in self._bounded(asked).items())

    def take(self, asked: Resources | None) -> None:
        if asked is not None:
            for name, amount in self._bounded(asked).items():
                self._free[name] -= amount

    def release(self, asked: Resources | None) -> None:
        if asked is not None:
            for name, amount in self._bounded(asked).items():
                self._free[name] += amount

    def _bounded(self, asked: Resources) -> dict[str, float]:
        amounts = _amounts(asked)
        amounts["cpus"] = min(amounts["cpus"], self.total.cpus)
        return amounts


class Line(Generic[T]):
    """Those who wait, in the order in which they came. Who fits may pass who does not, but not for ever."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._passed = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def first(self) -> T:
        return self._items[0]

    def append(self, item: T) -> None:
        self._items.append(item)

    def next(self, fits: Callable[[T], bool]) -> T | None:
        """Take the first that fits; None if nobody may go now."""
        items = self._items
        if items and fits(items[0]):
            return self.popleft()
        if self._passed >= _PATIENCE:
            return None
        for position in range(1, min(len(items), _WINDOW)):
            if fits(items[position]):
                self._passed += 1
                item = items[position]
                del items[position]
                return item
        return None

    def popleft(self) -> T:
        """Take the first, whether it fits or not."""
        self._passed = 0
        return self._items.popleft()

    def clear(self) -> None:
        self._items.clear()


@functools.cache
def of_this_machine() -> Resources:
    """Return what this process may use: cores and memory within the limits of its control group, and GPUs."""
    return Resources(cpus=float(_cores()), memory=_memory(), gpus=float(_gpus()))


def _cores() -> int:
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        allowed = os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        allowed = min(allowed, max(1, round(int(quota) / int(period))))
    return allowed


def _memory() -> int:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    return min([physical, *(int(limit) for limit in limits if limit.isdigit())])


def _gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = len(glob.glob("/dev/nvidia[0-9]*"))
    if visible is None:
        return found
    return min(found, len([name for name in visible.split(",") if name.strip() not in ("", "-1")]))


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _amounts(resources: Resources) -> dict[str, float]:
    found: dict[str, Any] = {"cpus": resources.cpus, "memory": resources.memory or 0, "gpus": resources.gpus}
    return {**found, **resources.custom}


def _shown(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / (1 << 30):.3g} GiB of memory"
    return f"{amount:g} {name}" if amount else f"no {name}"
