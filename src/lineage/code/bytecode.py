"""A signature of bytecode that changes only with meaning: the identity of code whose source can't
be had.

Left out: line numbers, docstrings, inline caches, the order in which a set literal was built (it
depends on `PYTHONHASHSEED`), and the names of plain local variables. Jumps are counted in
instructions that remain. Bytecode differs between minor versions of Python, which are in every key
anyway.
"""

from __future__ import annotations

import dis
from types import CodeType
from typing import Any

from lineage.code.memo import Memo
from lineage.digest import Digest, digest_of

__all__ = ["signature"]

_SKIPPED = {"CACHE", "NOP", "EXTENDED_ARG", "RESUME", "PRECALL", "NOT_TAKEN"}
_UNSTABLE_NAMES = {"__firstlineno__", "__static_attributes__", "__doc__"}
_JUMPS = frozenset(dis.hasjrel) | frozenset(dis.hasjabs)
_LOCALS = frozenset(dis.haslocal)
_FLAGS = 0x04 | 0x08 | 0x20 | 0x80 | 0x100 | 0x200  # *args, **kwargs, kinds of generator and coroutine

_known: Memo[Digest] = Memo()


def signature(code: CodeType) -> Digest:
    """Digest what `code` does. Equal for code that differs in lines, docstrings or names of locals
    only.
    """
    known = _known.get(code)
    if known is not None:
        return known
    described = repr(_describe(code)).encode("utf-8", "surrogatepass")
    return _known.put(code, digest_of("bytecode", described))


def _describe(code: CodeType) -> tuple[Any, ...]:
    """Return nested tuples of text and numbers, whose `repr` is the same in every process."""
    parameters = _parameters(code)
    instructions = _instructions(code)
    place = {}
    for index, instruction in enumerate(instructions):
        place[instruction.offset] = index
    ends = _places(code, place, len(instructions))
    locals_: dict[str, str] = {name: name for name in parameters}
    body = tuple(
        (instruction.opname, _argument(code, instruction, index, ends, locals_))
        for index, instruction in enumerate(instructions)
    )
    return (
        parameters,
        (code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount, code.co_flags & _FLAGS),
        code.co_freevars,
        body,
        _handlers(code, ends),
    )


def _parameters(code: CodeType) -> tuple[str, ...]:
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)
    return code.co_varnames[:count]


def _instructions(code: CodeType) -> list[dis.Instruction]:
    kept: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname in _SKIPPED:
            continue
        named = instruction.opname == "STORE_NAME" and instruction.argval in _UNSTABLE_NAMES
        if named and kept and kept[-1].opname == "LOAD_CONST":
            kept.pop()
            continue
        kept.append(instruction)
    return kept


def _places(code: CodeType, place: dict[int, int], count: int) -> dict[int, int]:
    """Map every offset to the index of the first kept instruction at or after it."""
    places: dict[int, int] = {}
    following = count
    for offset in range(len(code.co_code), -1, -2):
        following = place.get(offset, following)
        places[offset] = following
    return places


def _argument(
    code: CodeType,
    instruction: dis.Instruction,
    index: int,
    places: dict[int, int],
    locals_: dict[str, str],
) -> object:
    if instruction.arg is None:
        return None
    if instruction.opcode in _JUMPS:
        return places.get(instruction.argval, -1) - index
    value = instruction.argval
    if instruction.opcode in _LOCALS:
        names = value if isinstance(value, tuple) else (value,)
        return tuple(locals_.setdefault(name, f"local {len(locals_)}") for name in names)
    if instruction.opname in ("LOAD_CONST", "RETURN_CONST"):
        return _constant(value)
    if instruction.opname == "KW_NAMES":  # 3.11's `dis` does not look it up
        return _constant(code.co_consts[instruction.arg])
    # some arguments carry a flag beside the name: whether a call follows, which comparison, and so
    # on
    return (instruction.arg if not isinstance(value, str) else None, str(value))


def _constant(value: object) -> object:
    if isinstance(value, CodeType):
        return ("code", value.co_name, _describe(value))
    if isinstance(value, tuple):
        return ("tuple", tuple(_constant(item) for item in value))
    if isinstance(value, frozenset):
        return ("frozenset", tuple(sorted(repr(_constant(item)) for item in value)))
    return (type(value).__name__, repr(value))


def _handlers(code: CodeType, places: dict[int, int]) -> tuple[tuple[int, ...], ...]:
    entries: list[Any] = getattr(dis.Bytecode(code), "exception_entries", None) or []
    return tuple(
        (
            places.get(entry.start, -1),
            places.get(entry.end, -1),
            places.get(entry.target, -1),
            entry.depth,
            int(entry.lasti),
        )
        for entry in entries
    )
