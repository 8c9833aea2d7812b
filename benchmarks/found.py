"""What a measurement gives, and how much of each thing is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import asdict, field, frozen

from harness import Samples, WrongAnswerError, same_answer
from report import Sheet

__all__ = ["FULL", "NAMES", "PEERS", "QUICK", "Found", "Sizes", "Target", "check_agreement", "record", "target", "why"]


@frozen
class Sizes:
    """How much of each thing. `QUICK` shows that the harness works; its figures mean nothing."""

    chain: int = 1_000
    map: int = 10_000
    index: int = 1_000_000
    build: int = 1_000_000
    driver: int = 100_000
    rows: int = 20_000_000
    imports: int = 15
    shards: int = 200
    shard_rows: int = 55_000
    many_shards: int = 10_000
    rides: int = 13
    ride_rows: int = 1_000_000
    questions: int = 5
    few_large: int = 50
    large_rows: int = 220_000


FULL = Sizes()
QUICK = Sizes(
    chain=50, map=100, index=20_000, build=20_000, driver=500, rows=200_000, imports=3, shards=20, shard_rows=2_000,
    many_shards=100, rides=3, ride_rows=20_000, questions=2, few_large=3, large_rows=2_000,
)  # fmt: skip


@frozen
class Target:
    """A promise of the design, and what came of it."""

    name: str
    promised: str
    measured: str
    kept: bool


@frozen
class Found:
    """What a measurement gave: figures for the record, sheets to show, promises to check."""

    figures: Any
    sheets: Sequence[Sheet] = ()
    targets: Sequence[Target] = field(factory=list)


NAMES = {
    "lineage": "lineage",
    "redun": "redun",
    "joblib": "joblib.Memory",
    "hamilton": "Hamilton",
    "parquet": "by hand, parquet",
    "arrow": "by hand, Arrow file",
    "none": "no cache",
}
PEERS = ("joblib", "redun", "hamilton")


def target(name: str, limit: float, value: float | None, show: Callable[[float | None], str]) -> list[Target]:
    if value is None:
        return []
    return [Target(name, f"< {show(limit)}", show(value), value < limit)]


def record(found: Mapping[str, Samples]) -> dict[str, Any]:
    return {tool: asdict(samples) for tool, samples in found.items()}


def why(found: Mapping[str, Samples]) -> list[str]:
    return [f"{NAMES.get(tool, tool)}: {samples.skipped}." for tool, samples in found.items() if samples.skipped]


def check_agreement(named: Mapping[str, Samples], phases: Sequence[str]) -> None:
    """Compare the answers of all tools, phase by phase.

    Raises:
        WrongAnswerError: two differ.
    """
    for phase in phases:
        answers = [(tool, row["answer"]) for tool, samples in named.items() for row in samples.phases.get(phase, ())]
        for tool, answer in answers[1:]:
            if not same_answer(answer, answers[0][1]):
                raise WrongAnswerError(f"{tool}, {phase}: {answer}; {answers[0][0]} has {answers[0][1]}")
