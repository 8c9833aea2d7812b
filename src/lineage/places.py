"""Places in a graph: which call this is, whatever its code and its data are today."""

from __future__ import annotations

from collections.abc import Mapping

from lineage.content.tree import Hole, digest_tree
from lineage.digest import Digest, digest_of
from lineage.graph import Call, Item, inputs_of, shown

__all__ = ["place_key"]


def place_key(hole: Hole, contract: str) -> Digest:
    """Return the key of a call's place in its graph: node names and literal arguments, no code and no content."""
    known: dict[int, Digest] = {}
    stack = [hole]
    while stack:
        found = stack[-1]
        missing = [made_from for made_from in inputs_of(found) if id(made_from) not in known]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        known[id(found)] = _place(found, known)
    return digest_of("place", contract.encode(), known[id(hole)])


def _place(hole: Hole, known: Mapping[int, Digest]) -> Digest:
    if isinstance(hole, Call):
        parts = [digest_tree(argument, lambda part: known[id(part)]) for argument in hole._lineage_arguments]
        return digest_of("place call", hole._lineage_node.reference.encode(), *parts)
    if isinstance(hole, Item):
        return digest_of("place item", known[id(hole._lineage_parent)], repr(hole._lineage_key).encode())
    return digest_of("place other", *(known[id(part)] for part in inputs_of(hole)), shown(hole).encode())
