"""Sheets of figures, as tables for people and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Sheet", "duration", "markdown", "rich_table", "size", "times"]


@frozen
class Sheet:
    """A table: a title, the names of its columns, rows of text (the first column names the row),
    and remarks.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def rich_table(sheet: Sheet) -> Table:
    """Return `sheet` for a terminal."""
    from rich.table import Table

    caption = "\n".join(sheet.notes) or None
    table = Table(title=sheet.title, title_justify="left", caption=caption, caption_justify="left")
    for position, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if position else "left")
    for row in sheet.rows:
        table.add_row(*row)
    return table


def markdown(sheet: Sheet) -> str:
    """Return `sheet` as Markdown.

    >>> print(markdown(Sheet("Speed", ["tool", "s"], [["lineage", "1"]], ["once"])))
    **Speed**
    <BLANKLINE>
    | tool | s |
    | :-- | --: |
    | lineage | 1 |
    <BLANKLINE>
    once
    """
    rule = [":--", *("--:" for _ in sheet.columns[1:])]
    lines = ["| " + " | ".join(row) + " |" for row in (sheet.columns, rule, *sheet.rows)]
    notes = ["", *sheet.notes] if sheet.notes else []
    return "\n".join([f"**{sheet.title}**", "", *lines, *notes])


def duration(seconds: float | None) -> str:
    """Return a time with three digits and a unit that suits it.

    >>> duration(0.0000123), duration(0.0456), duration(78.9), duration(None)
    ('12.3 µs', '45.6 ms', '78.9 s', '–')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds is not None and (seconds * factor >= 1 or unit == "µs"):
            return f"{_digits(seconds * factor)} {unit}"
    return "–"


def size(amount: float | None) -> str:
    """Return a number of bytes in a unit that suits it.

    >>> size(250), size(1_234_567), size(None)
    ('250 B', '1.18 MiB', '–')
    """
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1)):
        if amount is not None and (amount >= factor or unit == "B"):
            return f"{_digits(amount / factor)} {unit}"
    return "–"


def times(value: float | None, base: float | None) -> str:
    """Return how many times `base` goes into `value`.

    >>> times(30.0, 2.0), times(None, 1.0)
    ('15 x', '–')
    """
    if value is None or not base:
        return "–"
    return f"{_digits(value / base)} x"


def _digits(value: float) -> str:
    if value >= 100 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
