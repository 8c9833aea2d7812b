"""Partition values: what folders such as `month=11` say of the files in them.

The values of one list of files are typed together, name by name: whole numbers where every one of them is written as Python
would write it (`11`, not `011`), dates where every one is an ISO date, text otherwise.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Union
from urllib.parse import unquote

__all__ = ["Value", "pairs_of", "plain", "read", "typed"]

Value = Union[None, int, datetime.date, str]  # noqa: UP007 (used at run time)

_NULL = "__HIVE_DEFAULT_PARTITION__"


def pairs_of(folders: Sequence[str]) -> dict[str, str]:
    """Return the names and texts in `folders`, outermost first; of two folders with one name, the inner one counts.

    >>> pairs_of(["data", "year=2013", "city=New%20York"])
    {'year': '2013', 'city': 'New York'}
    """
    found: dict[str, str] = {}
    for folder in folders:
        name, equals, text = folder.partition("=")
        if equals and name:
            found[unquote(name)] = unquote(text)
    return found


def typed(rows: Sequence[dict[str, str]]) -> list[dict[str, Value]]:
    """Return the values of the files of one list, typed together.

    >>> typed([{"month": "1"}, {"month": "12"}])
    [{'month': 1}, {'month': 12}]
    >>> typed([{"month": "1"}, {"month": "december"}])
    [{'month': '1'}, {'month': 'december'}]
    """
    texts: dict[str, set[str]] = {}
    for row in rows:
        for name, text in row.items():
            texts.setdefault(name, set()).add(text)
    readers = {name: _reader(found - {_NULL}) for name, found in texts.items()}
    return [{name: None if text == _NULL else readers[name](text) for name, text in row.items()} for row in rows]


def _reader(texts: set[str]) -> Callable[[str], Value]:
    if texts and all(map(_is_integer, texts)):
        return int
    if texts and all(map(_is_date, texts)):
        return datetime.date.fromisoformat
    return str


def _is_integer(text: str) -> bool:
    try:
        return str(int(text)) == text
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def plain(values: dict[str, Value]) -> list[list[str]]:
    """Return values as names, types and texts: what is hashed and recorded.

    >>> plain({"month": 11, "day": datetime.date(2013, 11, 1)})
    [['day', 'date', '2013-11-01'], ['month', 'int', '11']]
    """
    return [[name, type(value).__name__, str(value)] for name, value in sorted(values.items())]


def read(rows: Sequence[Sequence[str]]) -> dict[str, Value]:
    """Return the values that `plain` wrote."""
    return {name: _READERS[kind](text) for name, kind, text in rows}


_READERS: dict[str, Callable[[str], Value]] = {
    "int": int,
    "date": datetime.date.fromisoformat,
    "str": str,
    "NoneType": lambda _: None,
}
