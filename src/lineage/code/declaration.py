"""What can't be a node, whatever it reaches."""

from __future__ import annotations

from types import CodeType, FunctionType

from lineage.code.facts import fact
from lineage.code.guards import MISSING
from lineage.code.parts import lineage_function
from lineage.code.scan import scan
from lineage.code.symbols import GlobalStore
from lineage.errors import DeclarationError

__all__ = ["check_declaration"]

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def check_declaration(fn: object) -> None:
    """Refuse a function that can't be a node.

    Raises:
        DeclarationError: it is a coroutine or generator function, or it assigns a global.
    """
    plain = lineage_function(fn)
    fn = fn if plain is MISSING else plain
    seen: set[int] = set()
    while isinstance(fn, FunctionType) and id(fn) not in seen:
        seen.add(id(fn))
        _check(fn.__qualname__, fn.__code__)
        fn = fact(fn, "__wrapped__")


def _check(name: str, code: CodeType) -> None:
    if code.co_flags & (_COROUTINE | _ASYNC_GENERATOR):
        raise DeclarationError(
            f"{name} is asynchronous, so a call returns before there is a value; make it a "
            f"plain function that runs "
            "what it awaits (asyncio.run)",
            name=name,
        )
    if code.co_flags & _GENERATOR:
        raise DeclarationError(
            f"{name} is a generator function, whose result is used up by the first who reads "
            f"it; return a list or a "
            "table, or make a call per item with lineage.map",
            name=name,
        )
    for event in scan(code).events:
        if isinstance(event, GlobalStore):
            raise DeclarationError(
                f"{name}, line {event.line}, assigns the global `{event.name}`, so what it does "
                f"depends on what ran "
                "before; return the value, or set version=",
                name=name,
                global_name=event.name,
                line=event.line,
            )
