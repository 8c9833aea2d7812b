"""Walk from a function over everything of the project's that it reaches.

A worklist, not recursion: a chain of thousands of helpers is as good as one. Every function, class,
constant, module and wrapper that is met gets a label when first seen, and later a leaf: the digest
of what it is itself and of the labels that its names lead to. Labels and leaves together say
everything, in whatever circles the code runs.
"""

from __future__ import annotations

import abc
import logging
from collections import deque
from collections.abc import Callable
from types import CodeType, FunctionType, ModuleType
from typing import Any

from lineage.code.ambient import address, ambient, is_shared
from lineage.code.bytecode import signature
from lineage.code.claims import Claims
from lineage.code.distributions import bytes_digest
from lineage.code.facts import fact
from lineage.code.guards import MISSING, is_fixed
from lineage.code.ledger import Ledger
from lineage.code.origin import (
    Origin,
    file_of_module,
    module_named,
    origin_of_code,
    origin_of_file,
    origin_of_module,
    origin_of_module_name,
)
from lineage.code.parts import Parts, address_of, lineage_function, lineage_manner, parts_of
from lineage.code.registries import live_subclasses, until_registered, virtual_subclasses
from lineage.code.shown import shown_constant
from lineage.code.unstable import without_identity
from lineage.digest import Digest, digest_of
from lineage.errors import UnstableIdentityError

__all__ = ["Describe", "DigestConstant", "Walk"]

DigestConstant = Callable[[object, Callable[[object], Digest]], Digest]
"""`digest_constant(value, identify)`: the content digest of a plain value. It calls `identify` for
each function, class and module met in the value and for each instance's class, and raises
UnstableIdentityError for what has no digest.
"""

Describe = Callable[["Walk", str, Any], Digest]
"""Works out the leaf of one thing, and reaches what that leads to."""


class Walk(Ledger):
    """One walk: what was reached, and what is still to be looked into."""

    def __init__(
        self,
        digest_constant: DigestConstant,
        describe: dict[str, Describe],
        allow_ambient: bool = False,
        is_node: bool = False,
    ) -> None:
        super().__init__()
        self.digest_constant = digest_constant
        self.describe = describe
        self.allow_ambient = allow_ambient
        self.is_node = is_node
        self.claims: Claims | None = None  # gathered where the code runs among other packages
        self.lenient = False
        self.tolerated: set[str] = set()  # instances whose parts may lack identity
        self._tolerating = False
        self.dispatchers: list[Any] = []
        self.root = ""
        self._waiting: deque[tuple[str, str, Any]] = deque()
        self._modules: set[str] = set()
        self._effects: deque[ModuleType] = deque()
        self._classes: dict[int, tuple[type, str]] = {}  # the project's, and those that code names
        self._asks_for_subclasses = False

    def start(self, target: object) -> None:
        """Look into `target` and what it reaches by running."""
        self.root = self.reach(target, "")
        self.drain()

    def finish(self) -> None:
        """Look into what importing the modules that were reached has done.

        Import-time code handles connections, clocks and globals as it must: from here on nothing is
        refused.
        """
        self.drain()
        self.lenient = True
        while self._effects:
            self._waiting.append(("effects", "", self._effects.popleft()))
            self.drain()

    def drain(self) -> None:
        while self._waiting or self._unasked():
            kind, label, thing = self._waiting.popleft()
            digest = self.describe[kind](self, label, thing)
            if label:
                self.leaves[label] = digest

    def _unasked(self) -> bool:
        """Have the subclasses of every class that was met looked into, if code asks for those of an unknown class."""
        if self._asks_for_subclasses:
            for cls, label in list(self._classes.values()):
                self.subclasses(cls, label)
        return bool(self._waiting)

    def wait(self, kind: str, thing: object, text: str, parent: str) -> str:
        label = self.label(id(thing), text, parent)
        self._held.append(thing)
        self._waiting.append((kind, label, thing))
        if self._tolerating:
            self.tolerated.add(label)
        return label

    # things

    def reach(self, thing: object, parent: str) -> str:
        """Return the label of a function, class, module or wrapper, and have it looked into; a
        reference, if foreign.
        """
        plain = lineage_function(thing)
        manner = "" if plain is MISSING else lineage_manner(thing)
        thing = thing if plain is MISSING or manner else plain
        known = self._labels.get(id(thing))
        if known is not None:
            return known
        if manner:
            return self.wait("parts", thing, f"node {fact(plain, '__qualname__')}", parent)
        if isinstance(thing, FunctionType) and origin_of_code(thing) is Origin.PROJECT:
            return self.wait("function", thing, f"function {_short(thing.__qualname__)}", parent)
        if isinstance(thing, type):
            return self._reach_class(thing, parent)
        if isinstance(thing, ModuleType):
            return self._reach_module(thing, parent)
        return self._reach_other(thing, parent)

    def binds(self, label: str) -> bool:
        """Say whether the defaults of a function are arguments of every call: those of the node that is asked about are,
        those of what it reaches are bound where nobody sees them.
        """
        return self.is_node and label == self.root

    def is_thing(self, value: object) -> bool:
        """Say whether `value` is reached as code; everything else is digested as data."""
        if isinstance(value, FunctionType | type | ModuleType | logging.Logger):
            return True
        if is_fixed(value):
            return False
        if lineage_function(value) is not MISSING or parts_of(value) is not None:
            return True
        return _foreign_name(value) is not None

    def _reach_class(self, cls: type, parent: str) -> str:
        name = f"{cls.__module__}.{cls.__qualname__}"
        foreign = origin_of_module_name(cls.__module__) is not Origin.PROJECT
        if foreign and not (cls.__flags__ & _HEAP_TYPE and address_of(cls) is None):
            reference = self._refer(cls, self.foreign(name))
            self.virtual(cls, parent)
            return reference
        compiled = self._compiled(cls.__module__)
        if compiled:
            return self._refer(cls, f"{compiled}: {cls.__qualname__}")
        label = self.wait("class", cls, f"class {_short(cls.__qualname__)}", parent)
        self._classes[id(cls)] = cls, label
        self.virtual(cls, label)
        return label

    # registries of the interpreter's

    def named(self, cls: type, parent: str) -> None:
        """Note that code names `cls`, which is not the project's."""
        if cls is not object and cls is not type:
            self._classes.setdefault(id(cls), (cls, parent))
        self.virtual(cls, parent)

    def subclasses(self, cls: type, parent: str) -> str:
        """Return the label of the project's classes below `cls`, those that are alive, in order; they are reached."""
        key = ("subclasses", id(cls))
        if key not in self._labels:
            found = live_subclasses(cls)
            self.guards.listing(lambda: live_subclasses(cls, collect=False), found)
            self._list(key, f"subclasses of {_short(cls.__qualname__)}", found, parent)
        return self._labels[key]

    def subclasses_of_any(self, file: str | None) -> str:
        """Have the subclasses of every class that is met reached; return the label of all that may be meant besides."""
        self._asks_for_subclasses = True
        return self.widen(file)

    def virtual(self, cls: type, parent: str) -> None:
        """Reach what passes for a subclass of `cls` without being one; of a class of theirs, where that is the project's."""
        key = ("virtual", id(cls))
        if key in self._labels or not isinstance(cls, abc.ABCMeta) or cls is abc.ABC:
            return
        theirs = origin_of_module_name(cls.__module__) is not Origin.PROJECT

        def look() -> list[type]:
            found = virtual_subclasses(cls)
            return (
                [one for one in found if origin_of_module_name(one.__module__) is Origin.PROJECT] if theirs else found
            )

        found = look()
        self.guards.listing(until_registered(look) if theirs else look, found)  # theirs may have thousands below them
        if found:
            self._list(key, f"virtual subclasses of {_short(cls.__qualname__)}", found, parent)

    def _list(self, key: object, text: str, classes: list[type], parent: str) -> None:
        label = self.label(key, text, parent)
        reached = [self.reach(one, label).encode("utf-8", "surrogatepass") for one in classes]
        self.leaves[label] = digest_of("classes", *reached)

    def _reach_module(self, module: ModuleType, parent: str) -> str:
        if origin_of_module(module) is not Origin.PROJECT:
            return self._refer(module, self.foreign(module.__name__))
        compiled = self._compiled(module.__name__)
        if compiled:
            return self._refer(module, compiled)
        return self.wait("module", module, f"module {module.__name__.rpartition('.')[2]}", parent)

    def _reach_other(self, thing: object, parent: str) -> str:
        if isinstance(thing, logging.Logger):
            return self._refer(thing, f"logger {thing.name}")
        self.refuse_ambient(thing, None, parent, None)
        path = address(thing) if is_shared(thing) else address_of(thing)
        if path is not None:
            return self._refer(thing, self.foreign(path))
        parts = parts_of(thing)
        if parts is not None:
            return self._reach_parts(thing, parts, parent)
        name = _foreign_name(thing)
        if name is None:
            return self.wait("instance", thing, f"instance {type(thing).__qualname__}", parent)
        compiled = self._compiled(fact(thing, "__module__"))
        return self._refer(thing, f"{compiled}: {name}" if compiled else self.foreign(name))

    def _reach_parts(self, thing: object, parts: Parts, parent: str) -> str:
        if isinstance(thing, FunctionType):
            owner = str(thing.__globals__.get("__name__", ""))
            if origin_of_module_name(owner) is not Origin.PROJECT:
                self.foreign(owner)
        if parts.kind == "compiled":
            self.dispatchers.append(thing)
            self.foreign(type(thing).__module__)
        return self.wait("parts", thing, f"{parts.kind} {parts.name}", parent)

    def _refer(self, thing: object, reference: str) -> str:
        self._labels[id(thing)] = reference
        self._held.append(thing)
        return reference

    def _compiled(self, module_name: object) -> str | None:
        """Return the label of a module of the project's that is machine code: its bytes are all
        there is to see.
        """
        module = module_named(module_name)
        file = file_of_module(module) if module is not None else None
        if file is None or not file.endswith((".so", ".pyd", ".dylib")):
            return None
        if origin_of_file(file) is not Origin.PROJECT:
            return None
        label = f"module {str(module_name).rpartition('.')[2]}"
        if ("compiled", file) not in self._labels:
            label = self.label(("compiled", file), label, "")
            self.leaves[label] = bytes_digest((file,))
        return self._labels["compiled", file]

    # values

    def item(self, value: object, parent: str, name: str, tolerant: bool = False) -> bytes:
        """Return what identifies `value`: the label that it leads to, or its digest."""
        if self.is_thing(value):
            return b"to " + self.reach(value, parent).encode()
        before, self._tolerating = self._tolerating, tolerant
        try:
            return b"is " + self.value_digest(value, parent, name)
        except UnstableIdentityError:
            if not (tolerant or self.lenient):
                raise
            return b"type " + self.reach(type(value), parent).encode("utf-8", "surrogatepass")
        finally:
            self._tolerating = before

    def constant(self, key: object, name: str, value: object, parent: str, kind: str = "constant") -> str:
        """Return the label of a value with a leaf of its own: a constant, what is in a cell, a
        default.
        """
        known = self._labels.get(key)
        if known is not None:
            return known
        label = self.label(key, f"{kind} {name}", parent)
        self._held.append(value)
        self.sources[label] = shown_constant(name, value)
        try:
            self.leaves[label] = self.value_digest(value, label, "")
        except UnstableIdentityError:
            if not self.lenient:
                raise
            kind = self.reach(type(value), label)
            self.leaves[label] = digest_of("unstable", kind.encode("utf-8", "surrogatepass"))
        return label

    def value_digest(self, value: object, parent: str, name: str) -> Digest:
        """Digest data; code in it is reached, and counts by its label.

        Twice where there is code in it: labels are given after all of it was met and put in an
        order that the order of a set does not change.
        """
        chain = f"{self.chain(parent)}{' -> ' if name else ''}{name}"
        reason = without_identity(value)
        if reason is not None:
            raise self._unstable(chain, reason, value)
        met: list[object] = []

        def meet(thing: object) -> Digest:
            met.append(thing)
            return digest_of("met", *_order(thing))

        def refer(thing: object) -> Digest:
            return digest_of("reference", self.reach(thing, parent).encode())

        def again() -> Digest:
            return self._digest(value, self._seen)

        try:
            digest = self._digest(value, meet)
            if met:
                for thing in sorted(met, key=_order):
                    self.reach(thing, parent)
                digest = self._digest(value, refer)
        except UnstableIdentityError as error:
            if "chain" in error.facts:
                raise
            raise self._unstable(chain, None, value, error) from error
        if not is_fixed(value):
            self.guards.value(again, digest)
        return digest

    def _digest(self, value: object, identify: Callable[[object], Digest]) -> Digest:
        digest = self.digest_constant(value, identify)
        kind = type(value)
        if is_fixed(value) or origin_of_module_name(kind.__module__) is not Origin.PROJECT:
            return digest
        return digest_of("instance", identify(kind), digest)  # a subclass of dict is more than a dict

    def refuse_value(self, value: object, parent: str) -> None:
        raise self._unstable(self.chain(parent), None, value)

    def _seen(self, thing: object) -> Digest:
        plain = lineage_function(thing)
        own = self._labels.get(id(thing))
        reference = own or self._labels.get(id(thing if plain is MISSING else plain), "\0unseen")
        return digest_of("reference", reference.encode())

    def _unstable(
        self, chain: str, reason: str | None, value: object, cause: Exception | None = None
    ) -> UnstableIdentityError:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        what = f"{kind} {reason or 'has no stable identity'}"
        detail = f" ({cause})" if cause is not None and str(cause) else ""
        return UnstableIdentityError(
            f"{chain}: {what}{detail}; pass it as an argument, create it inside the node, or set version=",
            chain=chain,
            type=kind,
        )

    def visit_module(self, module: ModuleType, parent: str) -> None:
        """Have the effects of importing `module` looked into, and of the packages around it."""
        name = module.__name__
        while name and name not in self._modules:
            self._modules.add(name)
            found = module_named(name)
            if found is not None and origin_of_module(found) is Origin.PROJECT:
                self._effects.append(found)
            name = name.rpartition(".")[0]

    def refuse_ambient(
        self,
        value: object,
        path: str | None,
        parent: str,
        line: int | None,
        seeded: tuple[str, ...] = (),
    ) -> None:
        read = ambient(value, path)
        if read is None or self.lenient or self.allow_ambient or read[0] in seeded:
            return
        if read[0] == "clock":
            advice = "pass the time as an argument, declare a source with every=, or set version="
        else:
            advice = "take a seed as an argument, declare a source with every=, or set version="
        raise self.undeclared(parent, line, f"uses {read[1]}", advice)


def _short(qualname: str) -> str:
    return qualname.rpartition("<locals>.")[2]


def _order(thing: object) -> tuple[bytes, ...]:
    name = fact(thing, "__qualname__") or fact(thing, "__name__")
    code = fact(thing, "__code__")
    own = signature(code) if isinstance(code, CodeType) else b""
    return (type(thing).__qualname__.encode(), str(name).encode("utf-8", "surrogatepass"), own)


def _foreign_name(value: object) -> str | None:
    """Return the dotted name of a built-in or packaged callable that is neither class nor plain
    function.
    """
    path = address_of(value)
    if path is not None:
        return path
    owner = fact(value, "__self__")
    name = fact(value, "__qualname__") or fact(value, "__name__")
    if not callable(value) or not isinstance(name, str):
        return None
    if isinstance(owner, type):
        return f"{owner.__module__}.{owner.__qualname__}.{name.rpartition('.')[2]}"
    holder = fact(value, "__objclass__")
    if isinstance(holder, type):
        return f"{holder.__module__}.{name}"
    if isinstance(owner, ModuleType) or type(value).__name__ in _NATIVE:
        return f"{fact(value, '__module__') or 'builtins'}.{name}"
    if isinstance(value, FunctionType) and origin_of_code(value) is not Origin.PROJECT:
        return f"{value.__globals__.get('__name__')}.{name}"
    return None


_HEAP_TYPE = 1 << 9  # made at run time: such a class may have been made by theirs out of ours
_NATIVE = ("builtin_function_or_method", "cython_function_or_method", "method_descriptor")
