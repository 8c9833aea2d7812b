"""What bytecode says about a value before it runs: the words in which `scan` reports and `resolve`
answers.

A symbol is where a value comes from: a global, a closure's cell, an import, an attribute of one of
those, a literal, the result of a call. A `Value` is the set of symbols that a place may hold;
UNKNOWN among them means "or data".
"""

from __future__ import annotations

import attrs

__all__ = [
    "UNKNOWN",
    "Attribute",
    "Call",
    "Cell",
    "Const",
    "Event",
    "Global",
    "GlobalStore",
    "Import",
    "Imported",
    "Item",
    "Local",
    "Operation",
    "Result",
    "Scan",
    "Stored",
    "Subscript",
    "Symbol",
    "Unknown",
    "Use",
    "Value",
]


@attrs.frozen
class Unknown:
    """Data: a parameter, an item of a loop, what an unknown call returned."""


@attrs.frozen
class Global:
    """A name looked up in the module, then among the builtins."""

    name: str


@attrs.frozen
class Cell:
    """A variable of the function around the one that is scanned."""

    name: str


@attrs.frozen
class Local:
    """A variable of the code numbered `scope`; replaced by what is ever assigned to it before a
    scan is handed out.
    """

    scope: int
    name: str


@attrs.frozen
class Const:
    """A literal. `kind` keeps apart what Python calls equal, such as 1 and True."""

    value: object
    kind: str


@attrs.frozen
class Import:
    """A module that is imported in the body: the whole dotted name (`from a.b import c`), or its
    top (`import a.b`).
    """

    name: str
    level: int
    whole: bool


@attrs.frozen
class Attribute:
    base: Symbol
    name: str


@attrs.frozen
class Item:
    base: Symbol
    key: Symbol


@attrs.frozen
class Result:
    """What a call of `function` returned."""

    function: Symbol
    arguments: tuple[Symbol, ...]


@attrs.frozen
class Operation:
    operator: str
    left: Symbol
    right: Symbol


Symbol = Unknown | Global | Cell | Local | Const | Import | Attribute | Item | Result | Operation
Value = frozenset[Symbol]
UNKNOWN: Symbol = Unknown()


@attrs.frozen(eq=False)
class Use:
    """A value was used as a value: passed, returned, compared, iterated."""

    value: Value
    line: int


@attrs.frozen(eq=False)
class Call:
    """A call. `arguments` is None where they were spread from a tuple (`f(*args)`)."""

    function: Value
    arguments: tuple[Value, ...] | None
    keywords: tuple[tuple[str, Value], ...]
    line: int


@attrs.frozen(eq=False)
class Subscript:
    """`base[key]` was read, or `key in base` asked."""

    base: Value
    key: Value
    line: int


@attrs.frozen(eq=False)
class Stored:
    """`base[key]` was assigned or deleted."""

    value: Value
    line: int


@attrs.frozen(eq=False)
class Imported:
    """An import statement ran."""

    module: Import
    line: int


@attrs.frozen(eq=False)
class GlobalStore:
    """`global name` was assigned or deleted."""

    name: str
    line: int


Event = Use | Call | Subscript | Stored | Imported | GlobalStore


@attrs.frozen(eq=False)
class Scan:
    """All that the bytecode of one function and the code nested in it does with names, in order.

    `reads_globals` where it may look into the globals of a function or a frame as a whole, be it from a format string.
    """

    events: tuple[Event, ...]
    reads_globals: bool = False
