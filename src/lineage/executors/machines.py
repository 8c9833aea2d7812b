"""What the machines of a cluster have, what calls ask of them, and how many workers fit.

Pure: amounts by name in, numbers and reasons out. Names are Ray's (`CPU`, `GPU`, `memory` in bytes), and those of custom resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from lineage.errors import ExecutorError
from lineage.options import Resources

__all__ = ["Amounts", "asked", "check_possible", "how_many_fit", "left_over", "within_cores"]

Amounts: TypeAlias = Mapping[str, float]
"""How much of what there is or is needed, by name."""

_MOST = 100_000


def asked(resources: Resources | None) -> dict[str, float]:
    """Return what a call needs, by name, leaving out what it needs nothing of.

    >>> asked(Resources(cpus=2, memory=1 << 30))
    {'CPU': 2, 'memory': 1073741824}
    """
    wanted = resources or Resources()
    amounts = {"CPU": wanted.cpus, "memory": wanted.memory or 0, "GPU": wanted.gpus, **wanted.custom}
    return {name: amount for name, amount in amounts.items() if amount}


def how_many_fit(wanted: Amounts, machines: Iterable[Amounts]) -> int:
    """Return how many workers that need `wanted` fit on `machines` together.

    >>> how_many_fit({"CPU": 2}, [{"CPU": 5}, {"CPU": 1}, {"CPU": 2}])
    3
    """
    return sum(_fit(wanted, machine) for machine in machines)


def _fit(wanted: Amounts, machine: Amounts) -> int:
    return min((int(machine.get(name, 0.0) / amount + 1e-9) for name, amount in wanted.items()), default=_MOST)


def within_cores(wanted: Amounts, machines: Iterable[Amounts]) -> dict[str, float]:
    """Return `wanted` with no more cores than the largest machine has.

    >>> within_cores({"CPU": 16, "GPU": 1}, [{"CPU": 2}, {"CPU": 4}])
    {'CPU': 4, 'GPU': 1}
    """
    most = max((machine.get("CPU", 0.0) for machine in machines), default=0.0)
    return {name: min(amount, most) if name == "CPU" else amount for name, amount in wanted.items()}


def left_over(
    machines: Mapping[str, Amounts], used: Iterable[tuple[str | None, Amounts]]
) -> dict[str, dict[str, float]]:
    """Return what is left on each machine. What is used on a machine that isn't known is taken from the first with room.

    >>> left_over({"a": {"CPU": 2}, "b": {"CPU": 4}}, [("b", {"CPU": 1}), (None, {"CPU": 2})])
    {'a': {'CPU': 0}, 'b': {'CPU': 3}}
    """
    left = {name: dict(amounts) for name, amounts in machines.items()}
    for name, amounts in sorted(used, key=lambda one: one[0] is None):
        place = name if name is not None else next((one for one in left if _fit(amounts, left[one])), None)
        if place is None or place not in left:
            continue
        for what, amount in amounts.items():
            left[place][what] = left[place].get(what, 0.0) - amount
    return left


def check_possible(
    name: str, wanted: Amounts, machines: Sequence[Amounts], *, may_grow_to: Sequence[Amounts] = ()
) -> None:
    """Check that some machine has, or that one the cluster may add would have, what calls of node `name` need.

    Raises:
        ExecutorError: none ever will, with the numbers.
    """
    if how_many_fit(wanted, machines) or how_many_fit(wanted, may_grow_to):
        return
    every = [*machines, *may_grow_to]
    if not every:
        raise ExecutorError(f"{name} can't run: the cluster has no machine")
    raise ExecutorError(
        f"{name} needs {_told(wanted)} on one machine, and the cluster has none like that; the most that one of its "
        f"{len(every)} has is {_told(_most(wanted, every))}. Ask for less in Resources(...), or add such a machine",
        wanted=dict(wanted),
    )


def _most(wanted: Amounts, machines: Iterable[Amounts]) -> dict[str, float]:
    """Return what the machine that comes nearest has of what is wanted."""
    nearest = max(machines, key=lambda one: sum(min(1.0, one.get(n, 0.0) / amount) for n, amount in wanted.items()))
    return {name: nearest.get(name, 0.0) for name in wanted}


def _told(amounts: Amounts) -> str:
    return ", ".join(_told_one(name, amount) for name, amount in amounts.items())


def _told_one(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / (1 << 30):.4g} GiB of memory"
    return f"{amount:g} {'cores' if name == 'CPU' else 'GPUs' if name == 'GPU' else name}"
