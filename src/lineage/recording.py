"""What a run writes into the index of what came of a call: an execution each, also of an attempt that failed."""

from __future__ import annotations

from typing import Any

from lineage.approx import deviation
from lineage.arguments import described, with_made_of
from lineage.codecs.text import load_tree
from lineage.codecs.thaw import Thawer
from lineage.content.tree import Tree
from lineage.digest import Digest
from lineage.executors.base import Failure, Work
from lineage.graph import Call
from lineage.identity import identify
from lineage.options import Approx
from lineage.planning import Graph, Step
from lineage.records import Execution, SideData
from lineage.storage.store import Store

__all__ = ["Recorder"]


class Recorder:
    """Makes the records of one run."""

    def __init__(self, store: Store, graph: Graph, run: int) -> None:
        self.store = store
        self.index = store.index
        self.graph = graph
        self.run = run
        self._arguments: dict[int, str] = {}
        self._noted: set[Digest] = set()

    def describe(self, step: Step, digests: list[Digest]) -> None:
        """Keep what is to be recorded of a call's arguments until it is done with (`forget`)."""
        assert isinstance(step.hole, Call)
        self._arguments[id(step)] = described(self.graph, step.hole, digests)

    def describe_made(self, step: Step, executions: list[int | None], *, each: bool) -> None:
        """Add the executions behind what a call composed to what is recorded of its arguments."""
        self._arguments[id(step)] = with_made_of(self._arguments[id(step)], executions, each=each)

    def arguments(self, step: Step) -> str:
        """Return what is to be recorded of a call's arguments, as JSON."""
        return self._arguments.get(id(step), "{}")

    def forget(self, step: Step) -> None:
        self._arguments.pop(id(step), None)

    def failed(self, step: Step, work: Work, failure: Failure) -> None:
        """Record an attempt that failed."""
        error = f"{type(failure.error).__name__}: {failure.error}\n{failure.traceback}"
        self.index.failed(self.execution(step, work, failure.side, error=error), self.run)

    def execution(
        self,
        step: Step,
        work: Work,
        side: SideData,
        result: Digest | None = None,
        value: str | None = None,
        *,
        error: str | None = None,
        relies_on: tuple[tuple[str, str], ...] = (),
        note: str | None = None,
    ) -> Execution:
        if work.code not in self._noted:
            self._noted.add(work.code)
            self.index.note_code(work.code, step.node.leaves())
        node, arguments = step.node, self.arguments(step)
        return Execution(
            work.key, node.name, work.code, arguments, side, result, value, error, relies_on, note, node.reference
        )

    def anchored(
        self, tolerance: Any, place: Digest, text: str, digest: Digest, tree: Tree
    ) -> tuple[str, Digest, Tree, str | None]:
        """Hand the anchor on in place of a result that is within the tolerance of it."""
        assert isinstance(tolerance, Approx)
        anchor = self.index.anchor(place)
        if anchor is None or anchor.result == digest:
            return text, digest, tree, None
        thawer = Thawer(self.store.read, identify)
        anchor_tree = load_tree(self.store.unspill(anchor.value))
        off = deviation(thawer.thaw(tree), thawer.thaw(anchor_tree), tolerance)
        if off is None or off > 1:
            return text, digest, tree, "beyond the tolerance of its anchor"
        note = f"within the tolerance of execution {anchor.execution}: {off:.3g} of what is allowed"
        return anchor.value, anchor.result, anchor_tree, note
