"""Variables of nested code: what may be in them, once everything that is assigned to them is
known.
"""

from __future__ import annotations

from types import CodeType

from lineage.code.symbols import (
    UNKNOWN,
    Attribute,
    Call,
    Cell,
    Event,
    Item,
    Local,
    Operation,
    Result,
    Stored,
    Subscript,
    Symbol,
    Use,
    Value,
)

__all__ = ["DATA", "TELLING", "Scope", "attribute_of", "expand_event"]

DATA: Value = frozenset((UNKNOWN,))
_DEEPEST = 12

TELLING = frozenset(["__subclasses__", "query", "eval", "execute_global", "register_globals"])
"""Attributes that are told of whatever they are attributes of: they may read registries, or their caller's variables."""


class Scope:
    """The code of one function body, class body or comprehension, and what is assigned to its
    variables.
    """

    def __init__(self, code: CodeType, parent: Scope | None, scopes: list[Scope]) -> None:
        self.code = code
        self.parent = parent
        self.scopes = scopes
        self.number = len(scopes)
        self.events: list[Event] = []
        self.assigned: dict[str, set[Symbol]] = {}
        scopes.append(self)
        count = code.co_argcount + code.co_kwonlyargcount
        count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
        for name in code.co_varnames[:count]:
            self.assigned[name] = {UNKNOWN}

    def assign(self, name: str, value: Value) -> None:
        """Note that `value` may be in the variable `name`, this scope's or (nonlocal) an outer
        one's.
        """
        owner = self
        while name in owner.code.co_freevars and owner.parent is not None:
            owner = owner.parent
        owner.assigned.setdefault(name, set()).update(value)

    def holds(self, name: str) -> Value:
        """Return what may be in the variable `name`; symbols may still name other variables."""
        owner = self
        while name in owner.code.co_freevars:
            if owner.parent is None:
                return frozenset((Cell(name), *owner.assigned.get(name, ())))
            owner = owner.parent
        return frozenset(owner.assigned.get(name, DATA))


def attribute_of(base: Symbol, name: str) -> Symbol:
    """Return the attribute `name` of `base`, or UNKNOWN where following it would lead nowhere."""
    if base == UNKNOWN or deep(base):
        return Attribute(UNKNOWN, name) if name in TELLING else UNKNOWN
    return Attribute(base, name)


def deep(symbol: Symbol, limit: int = _DEEPEST) -> bool:
    """Say whether `symbol` is nested so deeply that it is better taken for data: a long chain of
    method calls.
    """
    while limit > 0:
        limit -= 1
        if isinstance(symbol, Attribute | Item):
            symbol = symbol.base
        elif isinstance(symbol, Result):
            if any(deep(argument, limit) for argument in symbol.arguments):
                return True
            symbol = symbol.function
        elif isinstance(symbol, Operation):
            if deep(symbol.right, limit):
                return True
            symbol = symbol.left
        else:
            return False
    return True


def expand_event(event: Event, scopes: list[Scope]) -> Event:
    """Replace the variables in `event` by what they may hold."""
    if isinstance(event, Use):
        return Use(_expand(event.value, scopes), event.line)
    if isinstance(event, Stored):
        return Stored(_expand(event.value, scopes), event.line)
    if isinstance(event, Call):
        arguments = event.arguments
        if arguments is not None:
            arguments = tuple(_expand(argument, scopes) for argument in arguments)
        keywords = tuple((name, _expand(value, scopes)) for name, value in event.keywords)
        return Call(_expand(event.function, scopes), arguments, keywords, event.line)
    if isinstance(event, Subscript):
        return Subscript(_expand(event.base, scopes), _expand(event.key, scopes), event.line)
    return event


def _expand(value: Value, scopes: list[Scope], seen: frozenset[Symbol] = frozenset()) -> Value:
    found: set[Symbol] = set()
    for symbol in value:
        found |= _expand_symbol(symbol, scopes, seen)
    return frozenset(found)


def _expand_symbol(symbol: Symbol, scopes: list[Scope], seen: frozenset[Symbol]) -> Value:
    if isinstance(symbol, Local):
        if symbol in seen:
            return frozenset()  # `node = node.next`: what it was first is among the alternatives already
        holds = scopes[symbol.scope].holds(symbol.name)
        return _expand(holds, scopes, seen | {symbol})
    if isinstance(symbol, Attribute):
        bases = _expand_symbol(symbol.base, scopes, seen)
        return frozenset(attribute_of(base, symbol.name) for base in bases)
    if isinstance(symbol, Item):
        key = _single(_expand_symbol(symbol.key, scopes, seen))
        return frozenset(
            UNKNOWN if base == UNKNOWN or deep(base) else Item(base, key)
            for base in _expand_symbol(symbol.base, scopes, seen)
        )
    if isinstance(symbol, Result):
        arguments = tuple(_single(_expand_symbol(a, scopes, seen)) for a in symbol.arguments)
        functions = _expand_symbol(symbol.function, scopes, seen)
        return frozenset(
            UNKNOWN if function == UNKNOWN or deep(function) else Result(function, arguments) for function in functions
        )
    if isinstance(symbol, Operation):
        left = _single(_expand_symbol(symbol.left, scopes, seen))
        right = _single(_expand_symbol(symbol.right, scopes, seen))
        return frozenset((Operation(symbol.operator, left, right),))
    return frozenset((symbol,))


def _single(value: Value) -> Symbol:
    return next(iter(value)) if len(value) == 1 else UNKNOWN
