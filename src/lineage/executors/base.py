"""What an executor is, and the work that it is handed.

Mechanism only: an executor carries out attempts. Whether a failed one is tried again is for the engine to decide.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

from lineage.codecs.base import Manifest
from lineage.content.tree import Tree
from lineage.digest import Digest
from lineage.options import Resources
from lineage.records import SideData

__all__ = ["Cause", "Executor", "Failure", "Kept", "Outcome", "Success", "Work"]

Cause = Literal["user", "platform", "inputs"]
"""Whose fault a failure is: the node's own code; that of what carries it out (a worker that died, that ran out of memory,
that has other code than was planned); or that of its inputs, damaged or gone, for want of which it never ran."""


class Work(NamedTuple):
    """One attempt of a call: a node, the trees of its arguments (in the store already), the digest of the node's code as
    it was planned, and the key of the call. `seeded` asks for global generators seeded from the key; `ticket` is the driver's own.
    `timeout` and `resources` are what holds in this run: the node's, or the run's where the node says nothing.
    """

    node: Any
    arguments: tuple[Tree, ...]
    code: Digest
    key: Digest
    run: int
    seeded: bool = False
    ticket: Any = None
    attempt: int = 1
    timeout: float | None = None
    resources: Resources | None = None


class Success(NamedTuple):
    """A result, frozen and stored: its tree, the text and digest of it."""

    tree: Tree
    text: str
    digest: Digest
    side: SideData
    note: str | None = None


class Failure(NamedTuple):
    """An error, with its traceback as text, and whose fault it is."""

    error: Exception
    traceback: str
    side: SideData
    cause: Cause = "user"


class Kept(NamedTuple):
    """A leaf that a worker put into the store's objects, for the driver to note in the index: content, manifest, facts."""

    content: Digest
    manifest: Manifest
    info: dict[str, Any]


class Outcome(NamedTuple):
    """What became of a piece of work. `kept` lists what a worker without an index stored for it."""

    work: Work
    result: Success | Failure
    kept: tuple[Kept, ...] = ()


class Executor(Protocol):
    """Carries out work.

    Promises: every piece of work submitted comes back once from `wait`, as a success or a failure, unless it is cancelled; the objects of
    results are durable, or become so at the store's next flush, before they come back; an executor changes neither keys nor digests.

    It may have more. `resources` (a `Resources`) is what it has: the engine then hands it only what fits beside what runs, and refuses
    what never can. `check(node, resources)` is asked once for each node before anything runs, and raises an ExecutorError where
    calls of that name that need that can never be carried out. `workers` is how many calls it runs at a time, for people to see.
    """

    name: str

    @property
    def capacity(self) -> int:
        """How many pieces of work it likes to hold at once."""

    def attach(self, store: Any) -> None:
        """Say which store values are read from and written to, before any work comes. Forgets what an interrupted run left.

        Raises:
            ExecutorError: its workers can't reach the store.
        """

    def submit(self, work: Work) -> None:
        """Take a piece of work. Never blocks for long.

        Raises:
            ExecutorError: it can never be carried out here: more is asked for than there is.
        """

    def wait(self, timeout: float | None = None) -> list[Outcome]:
        """Return what is done, as soon as anything is; nothing if `timeout` seconds pass first. Called only while work is in flight."""

    def cancel(self) -> None:
        """Give up all that was submitted: nothing of it comes back any more, and what runs is ended."""

    def close(self) -> None:
        """End all workers. What is submitted later starts anew."""
