"""Where a table is cut into shards: at rows that say so themselves, whatever comes before and after.

A shard ends before the row whose key has the smallest hash among those at which it may end: no earlier than a quarter of
the wanted rows from where it begins, no later than one and three quarters. So the mean is what was wanted, and two
tables that have once been cut at the same row are cut alike from there on for as long as they are alike: a row that is
inserted, deleted or changed moves a cut only where it is, or ousts, the smallest of its window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["cut_points"]

_Hashes = np.ndarray[Any, np.dtype[np.uint64]]
_Ints = np.ndarray[Any, np.dtype[np.int64]]


def cut_points(keys: _Hashes, rows: int, rest: Callable[[], _Hashes]) -> list[int]:
    """Return the rows (but row 0) at which shards of about `rows` rows begin.

    `keys` are the hashes of the rows' keys. Rows of equal key that stand together stay together, unless that made a shard
    of more than four times `rows`. `rest` gives hashes of the whole rows, asked for where keys don't decide.
    """
    low = max(1, rows // 4)
    high = max(low, 2 * rows - low)
    begins = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=begins[1:])
    found: list[int] = []
    at = 0
    while len(keys) - at > high:
        window = np.arange(at + low, at + high + 1)
        candidates = window[begins[window]]
        if len(candidates):
            at = _smallest(candidates, keys, rest)
        else:
            at = _end_of_run(begins, at, high, 4 * rows) or _smallest(window, keys, rest)
        if at == len(keys):
            break
        found.append(at)
    return found


def _smallest(candidates: _Ints, keys: _Hashes, rest: Callable[[], _Hashes]) -> int:
    hashes = keys[candidates]
    candidates = candidates[hashes == hashes.min()]
    if len(candidates) > 1:
        candidates = candidates[[rest()[candidates].argmin()]]
    return int(candidates[0])


def _end_of_run(begins: Any, at: int, high: int, most: int) -> int | None:
    """Return where a run of equal keys that covers the whole window ends, if the shard may be as long as that."""
    ahead = begins[at + high + 1 : at + most + 1]
    if ahead.any():
        return at + high + 1 + int(ahead.argmax())
    return len(begins) if len(begins) - at <= most else None
