"""Messages to workers and back: batches of calls as bytes, and what came of them."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Sequence
from typing import Any

from lineage.content.tree import SCALARS, leaves
from lineage.executors.base import Outcome, Work
from lineage.executors.parcels import Box, Packer, Parcel, from_result
from lineage.storage.store import Store

__all__ = ["Post"]

_MOST = 4 << 20
"""Characters of arguments in one message, more or less: what travels is small values."""

_VARIABLE = "environment variable "
"""How the leaf of a fingerprint begins that stands for a variable which the code reads."""

_SLOW = 1e8
"""Bytes that a worker reads in a second at least."""


class Post:
    """Makes messages of work. A worker gets each node once; `known` says which it has."""

    def __init__(self, store: Store) -> None:
        self._packer = Packer(store)

    def package(self, work: Work) -> str | None:
        """Return the code package that a worker must have for this work, and none other."""
        return self._packer.box(work).package

    def message(self, batch: Sequence[Work], known: set[int]) -> tuple[bytes, int]:
        """Return a message for as many calls of the batch as go into one, at least one, and how many those are."""
        parcels: list[Parcel] = []
        weight = 0
        for number, work in enumerate(batch):
            parcels.append(self._packer.parcel(number, work))
            weight += _weight(parcels[-1])
            if weight > _MOST:
                break
        return pickle.dumps((self._new({parcel.box for parcel in parcels}, known), parcels), protocol=5), len(parcels)

    def nodes(self, batch: Sequence[Work], known: set[int]) -> bytes | None:
        """Return those nodes of a batch that a worker does not have yet, if there are such."""
        new = self._new({self._packer.box(work).number for work in batch}, known)
        return pickle.dumps(new, protocol=5) if new else None

    def _new(self, numbers: set[int], known: set[int]) -> list[tuple[Box, dict[str, str | None]]]:
        """Return boxes with the variables of the environment that the code in them reads: they are part of its identity."""
        new = numbers - known
        known |= new
        boxes = [self._packer.boxes[number] for number in new]
        return [(box, {name: os.environ.get(name) for name in _variables(box)}) for box in boxes]

    def seconds_to_read(self, work: Work) -> float:
        """Return how long a worker may take to read what a call is given, from a slow disk."""
        heavy = [leaf.content for tree in work.arguments if type(tree) not in SCALARS for leaf in leaves(tree)]
        found = [self._packer.store.index.manifest(content) for content in heavy]
        return float(sum(manifest.size for manifest in found if manifest is not None)) / _SLOW

    @staticmethod
    def outcomes(answer: bytes, batch: Sequence[Work]) -> list[Outcome]:
        """Return what came of the first calls of a batch."""
        results: list[Any] = pickle.loads(answer)
        return [Outcome(batch[result.number], from_result(result), result.kept) for result in results]


def _weight(parcel: Parcel) -> int:
    return sum(len(argument[0]) if type(argument) is tuple else 8 for argument in parcel.arguments)


def _variables(box: Box) -> list[str]:
    leaves = json.loads(box.leaves)["leaves"]
    return [label.removeprefix(_VARIABLE) for label in leaves if label.startswith(_VARIABLE)]
