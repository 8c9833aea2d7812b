"""Frozen records: what the index keeps for a key, and how a dataset came to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from attrs import field, frozen

from lineage.digest import Digest

__all__ = ["Execution", "Outcome", "Record", "Run", "SideData", "Tag", "Verdict"]


class Record(NamedTuple):
    """A dataset as the index knows it.

    `value` is the text of its tree and `result` the tree's digest; `call_key` says which code and which inputs made it,
    `execution` which execution. `relies_on` lists nodes (name, fingerprint) whose code must still be current for the
    record to hold, where a graph's shape was decided at run time.
    """

    execution: int
    call_key: Digest
    result: Digest
    value: str
    relies_on: tuple[tuple[str, str], ...] = ()


class SideData(NamedTuple):
    """What is known of an execution besides its result: recorded beside it, never hashed into it.

    Times are Unix seconds (UTC), durations seconds, memory and sizes bytes. `spans` are timed blocks: name, start within
    the call, seconds. `bytes_in` and `bytes_out` are what stored arguments and the result take in the store, `rows_in` and
    `rows_out` the rows of the tables among them (None where there is none).
    """

    started: float = 0.0
    wall: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    attempt: int = 1
    executor: str = "serial"
    host: str = ""
    process: int = 0
    log: str = ""
    bytes_out: int = 0
    spans: tuple[tuple[str, float, float], ...] = ()
    bytes_in: int = 0
    rows_in: int | None = None
    rows_out: int | None = None


class Execution(NamedTuple):
    """One execution of a call: how a dataset came to be, or failed to.

    `node` is the name that people see and `reference` says which node of that name it is. `arguments` is JSON: per
    parameter its digest, and where it came from (executions, files, the text of a literal).
    """

    call_key: Digest
    node: str
    code: Digest
    arguments: str
    side: SideData
    result: Digest | None = None
    value: str | None = None
    error: str | None = None
    relies_on: tuple[tuple[str, str], ...] = ()
    note: str | None = None
    reference: str = ""


class Tag(NamedTuple):
    """One move of a name: what it leads to since `at` (Unix seconds), who moved it, and which node and run made that."""

    name: str
    record: Record
    user: str
    at: float
    node: str
    run: int


Outcome = Literal["deterministic", "differs", "cannot be run"]
"""What is found of a call that is carried out once more."""


class Verdict(NamedTuple):
    """What was found when an execution was carried out once more: why it can't be, or where it differs first.

    `circumstances` say what was made different; `at` is Unix seconds, set when it is recorded.
    """

    execution: int
    outcome: Outcome
    reason: str
    difference: str | None
    circumstances: Mapping[str, Any]
    user: str
    at: float = 0.0


@frozen
class Run:
    """One materialisation request: who asked for what, and what happened."""

    id: int
    name: str
    started: float
    finished: float | None
    status: str
    user: str
    host: str
    roots: str
    counts: Mapping[str, int] = field(factory=dict)
    facts: Mapping[str, Any] = field(factory=dict)
