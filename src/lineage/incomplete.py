"""What could be had of a collection of which some parts failed (`materialize(..., on_failure="continue")`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lineage.datasets import Dataset
from lineage.errors import NodeError
from lineage.outcomes import Failed
from lineage.storage.store import Store

__all__ = ["Incomplete"]

T = TypeVar("T", covariant=True)


class Incomplete(Dataset[T]):
    """A collection of handles, some of which are `Failed`: `len(parts)`, `parts[3]`, `for part in parts`, `parts.failed`.

    It is no dataset as a whole: it has no value and no digest, and asking for them raises the `NodeError` that says why.
    """

    def __init__(self, store: Store, parts: Mapping[int | str, Dataset[Any] | Failed]) -> None:
        self._store = store
        self._execution = None
        self._found = parts

    @property
    def failed(self) -> dict[int | str, Failed]:
        """What failed, by position or key; parts of parts are not gone through."""
        return {key: part for key, part in self._found.items() if isinstance(part, Failed)}

    @property
    def _tree(self) -> Any:  # type: ignore[override]
        failed = list(self.failed.values())
        first = f", the first by {failed[0].error}" if failed else " inside of its parts"
        raise NodeError(
            f"{len(failed)} of {len(self._found)} parts failed{first}: there is no value of the whole. "
            "Take the parts one by one; those that failed are lineage.Failed"
        )

    def _keys(self) -> Sequence[Any]:
        keys = list(self._found)
        return range(len(keys)) if keys == list(range(len(keys))) else keys

    def _part(self, key: int | str) -> Any:
        return self._found[key]

    def __iter__(self) -> Iterator[Any]:
        """Yield the parts, handles and failures alike."""
        return iter(self._found.values())

    def __repr__(self) -> str:
        return f"<Incomplete: {len(self._found) - len(self.failed)} of {len(self._found)} parts, {len(self.failed)} failed>"
