"""Large collections of results, remembered as a whole: one look-up answers for ten thousand calls."""

from __future__ import annotations

from typing import Any

from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import ClassChangedError, Thawer
from lineage.content.tree import Tree, digest_tree, holes, leaves
from lineage.digest import Digest, digest_of
from lineage.errors import CorruptObjectError, ObjectMissingError
from lineage.identity import identify
from lineage.planning import Graph, merged
from lineage.storage.store import Store

__all__ = ["collection_key", "note_collection", "recalled"]

_LARGE = 100
"""Collections of at least so many calls are remembered."""


def collection_key(graph: Graph, tree: Tree) -> Digest | None:
    """Return the key of a collection of many results that only calls make; None for any other."""
    steps = [graph.step(hole) for hole in holes(tree)]
    if len(steps) < _LARGE or any(step.tainted or not step.is_call for step in steps):
        return None
    if any(leaf.value is not None for leaf in leaves(tree)):
        return None
    return digest_of("collection", digest_tree(tree, lambda hole: graph.step(hole).key))


def recalled(store: Store, key: Digest, graph: Graph) -> list[Any]:
    """Return the value of a collection, as the one item of a list, if it was answered before and still stands."""
    found = store.index.collection(key)
    if found is None or not graph.is_current(found[1]):
        return []
    try:
        return [Thawer(store.read, identify).thaw(load_tree(store.unspill(found[0])))]
    except (ObjectMissingError, CorruptObjectError, ClassChangedError):
        return []  # the long way finds out which part, and mends it


def note_collection(store: Store, key: Digest, graph: Graph, tree: Tree, filled: Tree) -> None:
    """Remember what the calls in `tree` gave, all of which are done: `filled`."""
    steps = [graph.step(hole) for hole in holes(tree)]
    if store.index.writable and not any(step.tainted for step in steps):
        relies_on = merged(step.relies_on for step in steps)
        store.index.note_collection(key, store.spill(dump_tree(filled)), relies_on)
