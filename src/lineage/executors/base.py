"""What an executor is, and the work that it is handed."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from lineage.content.tree import Tree
from lineage.digest import Digest
from lineage.records import SideData

__all__ = ["Executor", "Failure", "Outcome", "Success", "Work"]


class Work(NamedTuple):
    """One call to carry out: a node, the trees of its arguments (in the store already), the digest of the node's code as
    it was planned, and the key of the call. `seeded` asks for global generators seeded from the key; `ticket` is the driver's own.
    """

    node: Any
    arguments: tuple[Tree, ...]
    code: Digest
    key: Digest
    run: int
    seeded: bool = False
    ticket: Any = None


class Success(NamedTuple):
    """A result, frozen and stored: its tree, the text and digest of it."""

    tree: Tree
    text: str
    digest: Digest
    side: SideData
    note: str | None = None


class Failure(NamedTuple):
    """An error, with its traceback as text. `inputs_damaged` says that the call never ran, for want of its inputs."""

    error: Exception
    traceback: str
    side: SideData
    inputs_damaged: bool = False


class Outcome(NamedTuple):
    """What became of a piece of work; earlier attempts that failed come along."""

    work: Work
    result: Success | Failure
    earlier: tuple[Failure, ...] = ()


class Executor(Protocol):
    """Carries out work.

    Promises: every piece of work submitted comes back once from `wait`, as a success or a failure; results are stored before they come
    back; an executor changes neither keys nor digests.
    """

    name: str

    @property
    def capacity(self) -> int:
        """How many pieces of work it likes to hold at once."""

    def attach(self, store: Any) -> None:
        """Say which store values are read from and written to, before any work comes."""

    def submit(self, work: Work) -> None: ...

    def wait(self) -> Outcome:
        """Return the next outcome; called only while work is in flight."""

    def close(self) -> None: ...
