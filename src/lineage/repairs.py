"""What was resolved and turns out to be damaged or gone is opened again, to be made anew."""

from __future__ import annotations

from lineage.codecs.thaw import ClassChangedError, Thawer
from lineage.content.tree import leaves
from lineage.errors import LineageError
from lineage.graph import Attempt, Item, View
from lineage.identity import identify
from lineage.planning import DONE, HIT, Graph, Step
from lineage.storage.store import Store

__all__ = ["Repairs"]


class Repairs:
    """Opens steps of a graph again. `listed` holds the ids of those that wait already, and loses those that must wait anew."""

    def __init__(self, store: Store, graph: Graph, listed: set[int]) -> None:
        self.store = store
        self.graph = graph
        self._listed = listed

    def is_whole(self, step: Step) -> bool:
        """Say whether a step's result can be read, by reading it; its objects only, where it is of another environment."""
        try:
            if step.node is not None and step.node.environment() is not None:
                return bool(self.store.is_whole(self.graph.tree(step)))
            Thawer(self.store.read, identify).thaw(self.graph.tree(step))
        except ClassChangedError:
            step.outdated = True
            return False
        except (LineageError, LookupError, OSError):
            return False
        return True

    def need(self, step: Step) -> None:
        """Let a step wait anew for its inputs."""
        self._listed.discard(id(step))
        self.graph.need(step)

    def reopen(self, step: Step) -> None:
        """Let the call of `step` be executed again, and what is stored of it be forgotten."""
        if not step.is_call:
            self.reopen_path(step)
            return
        for leaf in leaves(self.graph.tree(step)) if step.state in (HIT, DONE) else ():
            if not leaf.is_inline:
                self.store.index.drop_manifest(leaf.content)
        step.tree, step.repaired = None, True
        self.need(step)
        self.graph.demand(step.inputs)
        self.graph.settle()

    def reopen_path(self, step: Step) -> None:
        """Let the fields, views and outcomes that lead to `step` be taken again."""
        stack = [step]
        while stack:
            found = stack.pop()
            if isinstance(found.hole, (Item, View, Attempt)) and found.state in (HIT, DONE):
                found.tree, found.digest = None, None
                self.need(found)
                stack.extend(found.inputs)
