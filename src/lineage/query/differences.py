"""What differs between two things, as records that print and that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from lineage.query.columns import Columns, frame

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DIFF", "Diff", "Difference"]

DIFF: Columns = {
    "what": (
        "String",
        "`schema`, `rows`, `column`, `statistic` of tables; `parameter`, `attribute` of models; `value`; `fact`, `call` of runs, or what `why` says",
    ),
    "name": ("String", "which of these; a path into a value"),
    "a": ("String", "its text in the first; null where it is not there"),
    "b": ("String", "its text in the second; null where it is not there"),
    "detail": ("String", "what the two texts don't say"),
}

_LINES = 60
"""Differences that are printed; the rest is counted."""

_TEXT = 80
"""Characters of a value that are printed."""


@frozen
class Difference:
    """One thing that differs. `a` and `b` are texts, None where it is not there."""

    what: str
    name: str
    a: str | None = None
    b: str | None = None
    detail: str = ""

    def __str__(self) -> str:
        head = f"{self.what} {self.name}".rstrip()
        if self.a is None and self.b is None:
            return f"{head}: {self.detail}"
        sides = "only in b: " + _short(self.b) if self.a is None else "only in a: " + _short(self.a)
        if self.a is not None and self.b is not None:
            sides = f"{_short(self.a)} → {_short(self.b)}"
        return f"{head}: {sides}" + (f" ({self.detail})" if self.detail else "")


def _short(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= _TEXT else line[: _TEXT - 1] + "…"


class Diff:
    """What differs between `a` and `b`. False where nothing does. Iterate over it, print it, or take records or a frame.

    Of tables, `added`, `removed` and `changed` are frames of rows: with a key those whose key is new, gone, or the same with
    other values (a row for each value: key, `column`, `a`, `b`); without one, rows that stand in one of them more often.
    """

    def __init__(
        self,
        differences: Iterable[Difference],
        *,
        title: str = "",
        added: pl.DataFrame | None = None,
        removed: pl.DataFrame | None = None,
        changed: pl.DataFrame | None = None,
    ) -> None:
        self.differences = list(differences)
        self.title = title
        self.added = added
        self.removed = removed
        self.changed = changed

    def __bool__(self) -> bool:
        return bool(self.differences)

    def __iter__(self) -> Iterator[Difference]:
        return iter(self.differences)

    def __len__(self) -> int:
        return len(self.differences)

    def records(self) -> list[dict[str, Any]]:
        """Return the differences as dicts of texts."""
        return [asdict(difference) for difference in self.differences]

    def frame(self) -> pl.DataFrame:
        """Return a frame of the differences; its columns are `DIFF`."""
        return frame(DIFF, [[one.what, one.name, one.a, one.b, one.detail] for one in self.differences])

    def __repr__(self) -> str:
        lines = [self.title or "Diff"]
        lines += [f"  {difference}" for difference in self.differences[:_LINES]] or ["  no difference"]
        if len(self.differences) > _LINES:
            lines.append(f"  … and {len(self.differences) - _LINES} more")
        return "\n".join(lines)
