"""What can't be a node, whatever it reaches."""

from __future__ import annotations

import opcode
from collections.abc import Iterator
from types import CodeType, FunctionType

from lineage.errors import DeclarationError

__all__ = ["check_declaration"]

_STORES = bytes((opcode.opmap["STORE_GLOBAL"], opcode.opmap["DELETE_GLOBAL"]))
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def check_declaration(fn: object) -> None:
    """Refuse a function that can't be a node.

    Raises:
        DeclarationError: it is a coroutine or generator function, or it assigns a global.
    """
    fn = getattr(fn, "__lineage_function__", fn)
    seen: set[int] = set()
    while isinstance(fn, FunctionType) and id(fn) not in seen:
        seen.add(id(fn))
        _check(fn.__qualname__, fn.__code__)
        fn = getattr(fn, "__wrapped__", None)


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
    if any(operation in _STORES for within in _codes(code) for operation in within.co_code[::2]):
        _check_assignments(name, code)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield `code` and the code of what is defined in it."""
    stack = [code]
    while stack:
        found = stack.pop()
        yield found
        stack += [constant for constant in found.co_consts if isinstance(constant, CodeType)]


def _check_assignments(name: str, code: CodeType) -> None:
    from lineage.code.scan import scan
    from lineage.code.symbols import GlobalStore

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
