"""The arguments of a call as what carries it out gets them: small values, and names of what is in the store."""

from __future__ import annotations

from lineage.content.tree import SCALARS, Leaf, Tree, fill, leaves
from lineage.errors import MutationError
from lineage.graph import Call
from lineage.identity import freezer
from lineage.planning import Graph
from lineage.storage.store import Store

__all__ = ["payload"]


def payload(call: Call, graph: Graph, store: Store) -> tuple[Tree, ...]:
    """Return the arguments of a call whose inputs are resolved: these in place, heavy values that were given kept in the store.

    Raises:
        MutationError: a heavy value was changed since the call was built.
    """
    return tuple([_filled(argument, graph, store) for argument in call._lineage_arguments])


def _filled(argument: Tree, graph: Graph, store: Store) -> Tree:
    if type(argument) in SCALARS:
        return argument
    filled = fill(argument, lambda hole: graph.tree(graph.step(hole)))
    for leaf in leaves(filled):
        if leaf.value is not None and not leaf.is_inline:
            _keep(leaf, store)
    return filled


def _keep(leaf: Leaf, store: Store) -> None:
    if store.index.manifest(leaf.content) is None:
        now = freezer.freeze(leaf.value)
        if not isinstance(now, Leaf) or now.content != leaf.content:
            raise MutationError(
                f"a {leaf.kind.partition(':')[2]} given to a call changed after its call was built; pass a copy"
            )
    store.keep(leaf)
