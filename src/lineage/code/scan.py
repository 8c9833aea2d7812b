"""Follow names through bytecode, without running it.

One pass in order over the instructions, with a stack of `Value`s in place of values. Forward jumps
carry their stack to where they land, so conditional expressions are followed; whatever is not
understood turns into UNKNOWN *after* being reported as used, so nothing is lost, only known less
exactly. Variables are followed without regard to order: a variable may be anything that is ever
assigned to it.
"""

# ruff: noqa: N802, N815 (methods named after instructions)

from __future__ import annotations

import dis
import sys
from collections.abc import Iterable
from types import CodeType

from lineage.code.memo import Memo
from lineage.code.opcodes import COUNTED, ENDS, JUMPS, NO_EFFECT, PLAIN
from lineage.code.scopes import DATA, Scope, attribute_of, deep, expand_event
from lineage.code.symbols import (
    UNKNOWN,
    Call,
    Const,
    Event,
    Global,
    GlobalStore,
    Import,
    Imported,
    Item,
    Local,
    Operation,
    Result,
    Scan,
    Stored,
    Subscript,
    Symbol,
    Unknown,
    Use,
    Value,
)

__all__ = ["scan"]

_GLOBALS = ("__globals__", "f_globals", "f_locals")
_NULL: Value = frozenset()  # the empty slot beside a callable
_known: Memo[Scan] = Memo()


def scan(code: CodeType) -> Scan:
    """Return what `code` and the code nested in it do with names, in order."""
    known = _known.get(code)
    if known is not None:
        return known
    scopes: list[Scope] = []
    reads_globals = False
    waiting: list[tuple[CodeType, Scope | None]] = [(code, None)]
    while waiting:
        current, parent = waiting.pop()
        scope = Scope(current, parent, scopes)
        _Machine(scope).run()
        reads_globals = reads_globals or _names_globals(current)
        nested = [const for const in current.co_consts if isinstance(const, CodeType)]
        waiting.extend((const, scope) for const in reversed(nested))
    expanded = (expand_event(event, scopes) for scope in scopes for event in scope.events)
    events = tuple(event for event in expanded if not _idle(event))
    return _known.put(code, Scan(events, reads_globals))


def _names_globals(code: CodeType) -> bool:
    texts = (const for const in code.co_consts if isinstance(const, str))
    return any(name in _GLOBALS for name in code.co_names) or any(name in text for text in texts for name in _GLOBALS)


def _idle(event: Event) -> bool:
    """Say whether an event concerns data and literals only."""
    if isinstance(event, Use | Stored):
        return all(isinstance(symbol, Unknown | Const) for symbol in event.value)
    return False


class _Machine:
    """The stack while one code object is read."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.stack: list[Value] = []
        self.landing: dict[int, list[Value]] = {}
        self.keywords: tuple[str, ...] = ()  # of the next CALL, set by KW_NAMES (until 3.12)
        self.names: tuple[str, ...] = ()  # the last tuple loaded: those of a CALL_KW (from 3.13)
        self.line = scope.code.co_firstlineno

    def run(self) -> None:
        reachable = True
        for instruction in dis.get_instructions(self.scope.code):
            position = instruction.positions
            if position is not None and position.lineno is not None:
                self.line = position.lineno
            if instruction.offset in self.landing:
                self.land(self.landing.pop(instruction.offset), reachable)
            elif not reachable:
                self.stack = []  # an exception's handler: what it finds on the stack is data
            self.step(instruction)
            reachable = not instruction.opname.startswith(ENDS)

    def land(self, landed: list[Value], reachable: bool) -> None:
        if not reachable:
            self.stack = landed
            return
        count = min(len(landed), len(self.stack))
        for value in (*landed[: len(landed) - count], *self.stack[: len(self.stack) - count]):
            self.use(value)
        tops = zip(landed[len(landed) - count :], self.stack[len(self.stack) - count :], strict=True)
        self.stack = [one | other for one, other in tops]

    def pop(self) -> Value:
        return self.stack.pop() if self.stack else DATA

    def pop_many(self, count: int) -> list[Value]:
        return [self.pop() for _ in range(count)][::-1]

    def push(self, *values: Value) -> None:
        self.stack.extend(values)

    def use(self, value: Value) -> None:
        if any(symbol != UNKNOWN for symbol in value):
            self.event(Use(value, self.line))

    def event(self, event: Event) -> None:
        self.scope.events.append(event)

    def local(self, name: str) -> Value:
        return frozenset((Local(self.scope.number, name),))

    def plain(self, popped: int, pushed: int) -> None:
        for value in self.pop_many(popped):
            self.use(value)
        self.push(*[DATA] * pushed)

    def step(self, instruction: dis.Instruction) -> None:
        name, arg = instruction.opname, instruction.arg or 0
        if name in PLAIN:
            self.plain(*PLAIN[name])
        elif name in COUNTED:
            self.plain(arg, name != "RAISE_VARARGS")
        elif handler := getattr(self, "op_" + name, None):
            handler(instruction, arg)
        elif name.startswith("POP_JUMP"):
            self.plain(1, 0)
        elif name.startswith("JUMP_IF"):
            self.landing[instruction.argval] = list(self.stack)
            self.plain(1, 0)
        elif name.startswith(("LOAD_FAST", "STORE_FAST")):
            self.locals(name, instruction.argval)
        elif name not in NO_EFFECT:
            self.unknown(instruction)
        if instruction.opcode in JUMPS and not name.startswith(("JUMP_IF", "JUMP_BACK", "FOR_")):
            self.jump(instruction.argval)

    def jump(self, target: int) -> None:
        known = self.landing.get(target)
        if known is not None and len(known) == len(self.stack):
            self.landing[target] = [a | b for a, b in zip(known, self.stack, strict=True)]
            return
        for value in known or ():
            self.use(value)
        self.landing[target] = list(self.stack)

    def unknown(self, instruction: dis.Instruction) -> None:
        """Take an instruction that is not known here for one that turns its operands into data."""
        effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
        popped = max(1, 1 - effect)
        self.plain(popped, popped + effect)

    # variables and names

    def locals(self, opname: str, argval: object) -> None:
        names = argval if isinstance(argval, tuple) else (argval,)
        if opname.startswith("STORE_FAST"):
            stored = names if opname == "STORE_FAST_STORE_FAST" else names[:1]
            for name in stored:
                self.scope.assign(name, self.pop())
            names = names[len(stored) :]
        closed = (*self.scope.code.co_cellvars, *self.scope.code.co_freevars)
        for name in names:
            # a cell is only loaded so to be handed to a nested function, which is followed itself
            self.push(DATA if name in closed else self.local(name))

    def op_LOAD_DEREF(self, instruction: dis.Instruction, _: int) -> None:
        self.push(self.local(instruction.argval))

    op_LOAD_CLASSDEREF = op_LOAD_DEREF

    def op_LOAD_FROM_DICT_OR_DEREF(self, instruction: dis.Instruction, _: int) -> None:
        self.pop()
        self.push(self.local(instruction.argval))

    def op_STORE_DEREF(self, instruction: dis.Instruction, _: int) -> None:
        self.scope.assign(instruction.argval, self.pop())

    def op_STORE_NAME(self, instruction: dis.Instruction, _: int) -> None:
        value = self.pop()
        self.scope.assign(instruction.argval, value)
        self.use(value)  # an attribute of the class from then on

    def op_LOAD_NAME(self, instruction: dis.Instruction, _: int) -> None:
        name = instruction.argval
        value: Value = frozenset((Global(name),))
        self.push(value | self.local(name) if name in self.scope.assigned else value)

    def op_LOAD_FROM_DICT_OR_GLOBALS(self, instruction: dis.Instruction, arg: int) -> None:
        self.pop()
        self.op_LOAD_NAME(instruction, arg)

    def op_LOAD_GLOBAL(self, instruction: dis.Instruction, arg: int) -> None:
        value: Value = frozenset((Global(instruction.argval),))
        if not arg & 1:
            self.push(value)
        elif sys.version_info < (3, 13):
            self.push(_NULL, value)
        else:
            self.push(value, _NULL)

    def op_STORE_GLOBAL(self, instruction: dis.Instruction, _: int) -> None:
        self.use(self.pop())
        self.event(GlobalStore(instruction.argval, self.line))

    def op_DELETE_GLOBAL(self, instruction: dis.Instruction, _: int) -> None:
        self.event(GlobalStore(instruction.argval, self.line))

    def op_LOAD_CONST(self, instruction: dis.Instruction, _: int) -> None:
        value = instruction.argval
        if isinstance(value, tuple):
            self.names = value
        literal = isinstance(value, str | bytes | int | float | None.__class__)
        self.push(frozenset((Const(value, type(value).__name__),)) if literal else DATA)

    op_LOAD_SMALL_INT = op_LOAD_CONST

    def op_PUSH_NULL(self, _: dis.Instruction, __: int) -> None:
        self.push(_NULL)

    def op_POP_TOP(self, _: dis.Instruction, __: int) -> None:
        value = self.pop()
        if not all(isinstance(symbol, Import) for symbol in value):
            self.use(value)

    def op_COPY(self, _: dis.Instruction, arg: int) -> None:
        self.push(self.stack[-arg] if arg <= len(self.stack) else DATA)

    def op_SWAP(self, _: dis.Instruction, arg: int) -> None:
        while len(self.stack) < arg:
            self.stack.insert(0, DATA)
        self.stack[-arg], self.stack[-1] = self.stack[-1], self.stack[-arg]

    # attributes, items, operators

    def op_LOAD_ATTR(self, instruction: dis.Instruction, arg: int) -> None:
        base = self.pop()
        for symbol in base:
            if deep(symbol):
                self.use(frozenset((symbol,)))
        self.push(frozenset(attribute_of(symbol, instruction.argval) for symbol in base))
        if instruction.opname == "LOAD_METHOD" or (arg & 1 and sys.version_info >= (3, 12)):
            self.push(_NULL)

    op_LOAD_METHOD = op_LOAD_ATTR

    def op_LOAD_SUPER_ATTR(self, _: dis.Instruction, arg: int) -> None:
        self.plain(3, 1)
        if arg & 1:
            self.push(_NULL)

    def op_BINARY_SUBSCR(self, _: dis.Instruction, __: int) -> None:
        base, key = self.pop_many(2)
        self.event(Subscript(base, key, self.line))
        index = _single(key)
        self.push(frozenset(UNKNOWN if s == UNKNOWN or deep(s) else Item(s, index) for s in base) or DATA)

    def op_STORE_SUBSCR(self, _: dis.Instruction, __: int) -> None:
        value, base, key = self.pop_many(3)
        self.use(value)
        self.use(key)
        self.event(Stored(base, self.line))

    def op_DELETE_SUBSCR(self, _: dis.Instruction, __: int) -> None:
        base, key = self.pop_many(2)
        self.use(key)
        self.event(Stored(base, self.line))

    def op_CONTAINS_OP(self, _: dis.Instruction, __: int) -> None:
        key, base = self.pop_many(2)
        self.event(Subscript(base, key, self.line))
        self.push(DATA)

    def op_BINARY_OP(self, instruction: dis.Instruction, arg: int) -> None:
        if instruction.argrepr == "[]":
            self.op_BINARY_SUBSCR(instruction, arg)
            return
        left, right = self.pop_many(2)
        self.use(left)
        self.use(right)
        one, other = _single(left), _single(right)
        known = UNKNOWN not in (one, other) and not deep(one) and not deep(other)
        self.push(frozenset((Operation(instruction.argrepr, one, other),)) if known else DATA)

    def op_FORMAT_VALUE(self, _: dis.Instruction, arg: int) -> None:
        self.plain(2 if arg & 4 else 1, 1)

    def op_BUILD_MAP(self, _: dis.Instruction, arg: int) -> None:
        self.plain(2 * arg, 1)

    def op_BUILD_CONST_KEY_MAP(self, _: dis.Instruction, arg: int) -> None:
        self.plain(arg + 1, 1)

    def op_UNPACK_SEQUENCE(self, _: dis.Instruction, arg: int) -> None:
        self.plain(1, arg)

    def op_UNPACK_EX(self, _: dis.Instruction, arg: int) -> None:
        self.plain(1, (arg & 0xFF) + 1 + (arg >> 8))

    # loops and imports

    def op_FOR_ITER(self, instruction: dis.Instruction, _: int) -> None:
        if sys.version_info < (3, 12):
            self.landing[instruction.argval] = self.stack[:-1]
        else:
            self.landing[instruction.argval] = [*self.stack, DATA]
        self.push(DATA)

    def op_END_FOR(self, _: dis.Instruction, __: int) -> None:
        self.plain(2 if sys.version_info < (3, 13) else 1, 0)

    def op_IMPORT_NAME(self, instruction: dis.Instruction, _: int) -> None:
        level, _names = self.pop_many(2)
        number = _single(level)
        depth = number.value if isinstance(number, Const) and isinstance(number.value, int) else 0
        whole = _names != frozenset((Const(None, "NoneType"),))
        module = Import(instruction.argval, depth, whole)
        self.event(Imported(module, self.line))
        self.push(frozenset((module,)))

    def op_IMPORT_FROM(self, instruction: dis.Instruction, _: int) -> None:
        top = self.stack[-1] if self.stack else DATA
        self.push(frozenset(attribute_of(symbol, instruction.argval) for symbol in top))

    # calls

    def op_KW_NAMES(self, _: dis.Instruction, arg: int) -> None:
        self.keywords = self.scope.code.co_consts[arg]  # 3.11's `dis` does not look it up

    def op_CALL(self, _: dis.Instruction, arg: int) -> None:
        self.call(self.pop_many(arg), self.keywords)
        self.keywords = ()

    def op_CALL_KW(self, _: dis.Instruction, arg: int) -> None:
        self.pop()
        self.call(self.pop_many(arg), self.names)

    def op_CALL_FUNCTION_EX(self, _: dis.Instruction, arg: int) -> None:
        with_keywords = arg & 1 or sys.version_info >= (3, 14)
        self.plain(2 if with_keywords else 1, 0)
        self.call(None, ())

    def call(self, arguments: list[Value] | None, names: tuple[str, ...]) -> None:
        first, second = self.pop_many(2)
        function = first or second
        if first and second and arguments is not None:
            arguments = [second, *arguments]  # a decorator or comprehension: no empty slot
        keywords: tuple[tuple[str, Value], ...] = ()
        if arguments is not None and names:
            count = len(arguments) - len(names)
            keywords = tuple(zip(names, arguments[count:], strict=True))
            arguments = arguments[:count]
        if all(symbol == UNKNOWN for symbol in function):
            for value in (*(arguments or ()), *(value for _, value in keywords)):
                self.use(value)
            self.push(DATA)
            return
        positional = None if arguments is None else tuple(arguments)
        self.event(Call(function, positional, keywords, self.line))
        self.push(_result(function, positional, keywords))

    def op_MAKE_FUNCTION(self, _: dis.Instruction, arg: int) -> None:
        flags = bin(arg & 0x0F).count("1") if sys.version_info < (3, 13) else 0
        self.plain(1 + flags, 1)


def _single(value: Iterable[Symbol]) -> Symbol:
    symbols = list(value)
    return symbols[0] if len(symbols) == 1 else UNKNOWN


def _result(function: Value, arguments: tuple[Value, ...] | None, keywords: tuple[tuple[str, Value], ...]) -> Value:
    if arguments is None or keywords:
        return DATA
    given = tuple(_single(argument) for argument in arguments)
    if any(deep(argument) for argument in given):
        return DATA
    return frozenset(UNKNOWN if symbol == UNKNOWN or deep(symbol) else Result(symbol, given) for symbol in function)
