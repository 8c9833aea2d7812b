"""From a live value to its tree.

Types match exactly: a subclass of `list` is not a list, since decoding would lose what it adds. What no rule knows is
taken apart by its own `__reduce_ex__` and identified by its whole state, so that estimators compiled by Cython and
plain classes alike are what they hold; no digest ever comes from a pickle's bytes.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from lineage.codecs.atoms import INLINE_BYTES, write_atom
from lineage.codecs.base import Codec
from lineage.codecs.plain import name_of
from lineage.content.tree import SCALARS, Atom, Branch, Hole, Leaf, Tree, digest_tree, holes
from lineage.digest import Digest, digest_of
from lineage.errors import CodecError, UnstableIdentityError
from lineage.outcomes import Failed

__all__ = ["Freezer", "Identify", "failed_leaf"]

Identify = Callable[[Any], Digest]
"""Gives functions and classes their identity: the fingerprint of what they do."""


class Freezer:
    """Makes trees of values.

    `codecs` are the families by name and `kinds` the types they serve, by top-level package and class name.
    """

    def __init__(
        self,
        codecs: dict[str, Codec],
        kinds: dict[tuple[str, str], str],
        identify: Identify,
        hides: Callable[[type], bool] = lambda _: False,
    ) -> None:
        self.codecs = codecs
        self.kinds = kinds
        self.identify = identify
        self.hides = hides
        self._by_type: dict[type, str] = {}

    def freeze(self, value: Any, *, scratch: Path | None = None) -> Tree:
        """Return the tree of `value`; holes (calls, references, files) stay in their places.

        With `scratch`, the value is a result: paths in that folder are kept with what is behind them, and lazy frames
        are collected.

        Raises:
            UnstableIdentityError: some part of the value can't be told from another; the error says which.
        """
        if type(value) in SCALARS:
            return value  # type: ignore[no-any-return]
        try:
            return _Walk(self, scratch).tree(value)
        except RecursionError:
            raise UnstableIdentityError(f"a {type(value).__name__} contains itself, or is nested too deeply") from None

    def kind_of(self, cls: type) -> str | None:
        """Return the kind under which values of exactly `cls` are kept, or None."""
        try:
            return self._by_type[cls]
        except KeyError:
            kind = self.kinds.get((cls.__module__.partition(".")[0], cls.__qualname__))
            if kind is not None:  # a codec may still be registered for what has none
                self._by_type[cls] = kind
            return kind


class _Walk:
    """One walk over a value. Remembers where it is, for errors, and which objects are open, for cycles."""

    def __init__(self, freezer: Freezer, scratch: Path | None) -> None:
        self.freezer = freezer
        self.scratch = scratch
        self.open: dict[int, int] = {}
        self.done: dict[int, tuple[Any, Tree]] = {}

    def tree(self, value: Any) -> Tree:
        cls = type(value)
        if cls in SCALARS:
            return value  # type: ignore[no-any-return]
        rule = _CONTAINERS.get(cls)
        if rule is not None and not (cls in _WITH_ATTRIBUTES and value.__dict__):
            try:
                return rule(self, value)
            except RecursionError:
                raise UnstableIdentityError(f"a {cls.__name__} contains itself, or is nested too deeply") from None
        if isinstance(value, Hole):
            return value
        return self._other(value, cls)

    def at(self, value: Any, where: str) -> Tree:
        """Return the tree of a part, whose place is named if it has none."""
        try:
            return self.tree(value)
        except UnstableIdentityError as error:
            raise _placed(error, where) from None

    def each(self, values: Iterable[Any]) -> tuple[Tree, ...]:
        return tuple(
            value if type(value) in SCALARS else self.at(value, f"[{position}]")
            for position, value in enumerate(values)
        )

    def pairs(self, mapping: Any) -> tuple[Tree, ...]:
        items: list[Tree] = []
        for key, value in mapping.items():
            items.append(self.at(key, f"[key {key!r}]"))
            items.append(self.at(value, f"[{key!r}]"))
        return tuple(items)

    def code(self, thing: Any) -> Leaf:
        return Leaf(f"code:{name_of(thing)}", self.freezer.identify(thing), value=thing)

    def _other(self, value: Any, cls: type) -> Tree:
        if self.scratch is not None and isinstance(value, Path):
            return self._path(value)
        atom = write_atom(value)
        if atom is not None:
            return self._atom(atom, value)
        kind = self.freezer.kind_of(cls)
        if kind is not None:
            return self._heavy(value, kind)
        if isinstance(value, enum.Enum):
            return self._enum(value, cls)
        if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type)) or hasattr(
            value, "__lineage_function__"
        ):
            return self.code(value)
        structural = self._instance(value, cls)
        return structural if structural is not None else self._object(value, cls)

    def _atom(self, atom: Atom, value: Any) -> Tree:
        if atom.kind in ("bytes", "bytearray") and len(value) > INLINE_BYTES:
            return self._heavy(value, f"bytes:{atom.kind}")
        return atom

    def _enum(self, value: enum.Enum, cls: type) -> Tree:
        """Return the atom of a member by its name, or of flags by their number: several together have no name."""
        if isinstance(value, enum.Flag):
            return Atom("flag", f"{name_of(cls)} {value.value}", self.freezer.identify(cls))
        return Atom("enum", f"{name_of(cls)} {value.name}", self.freezer.identify(cls))

    def _heavy(self, value: Any, kind: str) -> Tree:
        family = kind.partition(":")[0]
        if kind == "table:polars.LazyFrame":
            value = self._collected(value)
        if family == "array" and value.dtype.hasobject:
            return self._object(value, type(value))
        try:
            content, info = self.freezer.codecs[family].identify(value, kind)
        except CodecError:
            return self._object(value, type(value))
        return Leaf(kind, content, value=value, info=info)

    def _collected(self, frame: Any) -> Any:
        if self.scratch is None:
            raise UnstableIdentityError(
                "a LazyFrame has no content until it is collected; pass frame.collect(), or the call that makes it"
            )
        return frame.collect(engine="in-memory")

    def _path(self, value: Path) -> Tree:
        assert self.scratch is not None
        if value == self.scratch:
            raise UnstableIdentityError(
                f"{value} is the scratch folder itself, whose name says nothing; return a file or a folder in it"
            )
        if value.is_absolute() and value.is_relative_to(self.scratch) and value.exists():
            content, info = self.freezer.codecs["path"].identify(value, "path:Path")
            return Leaf("path:Path", content, value=value, info=info)
        raise UnstableIdentityError(
            f"{value} is not a file in this call's scratch folder; write results under lineage.scratch(), "
            "or return str(path) if only the name matters"
        )

    def _instance(self, value: Any, cls: type) -> Tree | None:
        """Return the branch of an instance of a class that declares its fields, or None."""
        if attrs.has(cls):
            names: Iterable[str] = [field.name for field in attrs.fields(cls)]
            kind = "attrs"
        elif dataclasses.is_dataclass(cls):
            names = [field.name for field in dataclasses.fields(cls)]
            kind = "dataclass"
        elif isinstance(value, tuple) and hasattr(cls, "_fields"):
            if hasattr(value, "__dict__") and value.__dict__:
                return None
            fields = tuple(self.at(item, f".{name}") for name, item in zip(cls._fields, value, strict=True))
            return Branch("namedtuple", fields, name_of(cls), self.freezer.identify(cls))
        else:
            return None
        own = getattr(value, "__dict__", None)
        if any(slot not in names for slot in _slots(cls)):
            return None
        if own and any(name not in names and name != "__orig_class__" for name in own):
            return None  # it holds more than its fields
        if isinstance(value, (list, dict, tuple, set, frozenset, str, int, float, bytes, BaseException)):
            return None
        items: list[Tree] = []
        for name in names:
            try:
                part = getattr(value, name)
            except AttributeError:
                return None
            items += [name, self.at(part, f".{name}")]
        return Branch(kind, tuple(items), name_of(cls), self.freezer.identify(cls))

    def _object(self, value: Any, cls: type) -> Tree:
        """Identify an instance by its class and its whole state; it is kept as a pickle."""
        content = digest_of("object", *self._state_digests(value, cls))
        return Leaf(f"pickle:{name_of(cls)}", content, value=value, code=self.freezer.identify(cls))

    def _state_digests(self, value: Any, cls: type) -> Iterator[bytes]:
        if isinstance(value, (Iterator, types.ModuleType)):
            raise UnstableIdentityError(_no_identity(cls, "it is an iterator or a module"))
        key = id(value)
        if key in self.open:
            yield f"cycle {len(self.open) - self.open[key]}".encode()
            return
        self.open[key] = len(self.open)
        try:
            for part in self._reduced(value, cls):
                yield self._memoised(part)
        finally:
            del self.open[key]

    def _memoised(self, part: Any) -> Digest:
        known = self.done.get(id(part))
        if known is None:
            known = self.done[id(part)] = (part, self.tree(part))
        if any(True for _ in holes(known[1])):
            raise UnstableIdentityError("a call is hidden inside an object; pass it as an argument of its own")
        return digest_tree(known[1])

    def _reduced(self, value: Any, cls: type) -> Iterator[Any]:
        if isinstance(value, types.MethodType):
            yield from (_Named("method"), value.__self__, value.__func__)
            return
        try:
            reduced = value.__reduce_ex__(4)
        except UnstableIdentityError:
            raise
        except Exception as error:
            raise UnstableIdentityError(_no_identity(cls, str(error))) from None
        if isinstance(reduced, str):
            yield _Named(f"{cls.__module__}:{reduced}")
            return
        function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        yield _Named(name_of(function)) if _is_plumbing(function) else function
        yield tuple(arguments)
        yield _State.of(state)
        yield list(items) if items is not None else None
        yield dict(pairs) if pairs is not None else None
        if self.freezer.hides(cls):
            yield from self._hidden(value, cls)

    def _hidden(self, value: Any, cls: type) -> Iterator[Any]:
        """Yield all attributes of an instance, whatever it says of itself: code that holds it sees them.

        What has no identity is often what is hidden, and why; it counts by its type.
        """
        own = dict(getattr(value, "__dict__", None) or {})
        own.update((name, getattr(value, name)) for name in _slots(cls) if hasattr(value, name))
        for name, part in sorted(own.items()):
            yield name
            try:
                self._memoised(part)
            except UnstableIdentityError:
                yield type(part)
            else:
                yield part


def _slots(cls: type) -> Iterator[str]:
    """Yield the slots of a class that may hold state besides its declared fields."""
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in ("__weakref__", "__dict__", "_attrs_cached_hash"):
                yield slot


class _Named:
    """A fixed name among the parts of a state."""

    def __init__(self, name: str) -> None:
        self.name = name


class _State:
    """The attributes of an instance, whose order says nothing."""

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes

    @classmethod
    def of(cls, state: Any) -> Any:
        if isinstance(state, dict) and all(type(name) is str for name in state):
            return cls(state)
        if type(state) is tuple and len(state) == 2 and isinstance(state[1], dict):
            return (cls.of(state[0]), cls.of(state[1]))
        return state


def _freeze_state(walk: _Walk, state: _State) -> Tree:
    pairs = (Branch("pair", (name, walk.at(value, f".{name}"))) for name, value in state.attributes.items())
    return Branch("state", tuple(pairs))


def _is_plumbing(function: Any) -> bool:
    return getattr(function, "__module__", "") in ("copyreg", "_codecs", "numpy._core.multiarray")


def _no_identity(cls: type, why: str) -> str:
    return f"{name_of(cls)} has no stable identity ({why}); make it inside the node, or pass what it is made from"


def _placed(error: UnstableIdentityError, where: str) -> UnstableIdentityError:
    place = where + str(error.facts.get("where", ""))
    message = error.facts.get("reason", error.message)
    return UnstableIdentityError(f"at {place}: {message}", where=place, reason=message)


def failed_leaf(failed: Failed) -> Leaf:
    """Return the tree of a failure: it is its error's type and its call, whatever was logged on the way."""
    content = digest_of("failed", failed.error.partition(":")[0].encode(), failed.call.encode())
    return Leaf("failed:Failed", content, value=failed, info=attrs.asdict(failed))


def _frozen_list(walk: _Walk, value: Any) -> Tree:
    return Branch("list", walk.each(value))


def _frozen_partial(walk: _Walk, value: functools.partial[Any]) -> Tree:
    return Branch("partial", (walk.tree(value.func), walk.tree(value.args), walk.tree(value.keywords)))


def _frozen_slice(walk: _Walk, value: slice) -> Tree:
    return Branch("slice", walk.each((value.start, value.stop, value.step)))


def _frozen_defaultdict(walk: _Walk, value: Any) -> Tree:
    factory = None if value.default_factory is None else walk.tree(value.default_factory)
    return Branch("defaultdict", (factory, *walk.pairs(value)))


_WITH_ATTRIBUTES = frozenset({collections.OrderedDict, collections.Counter, functools.partial})
"""Containers that may have attributes besides: with some, they are taken apart as objects are."""

_CONTAINERS: dict[type, Callable[[_Walk, Any], Tree]] = {
    list: _frozen_list,
    tuple: lambda walk, value: Branch("tuple", walk.each(value)),
    dict: lambda walk, value: Branch("dict", walk.pairs(value)),
    set: lambda walk, value: Branch("set", walk.each(value)),
    frozenset: lambda walk, value: Branch("frozenset", walk.each(value)),
    collections.OrderedDict: lambda walk, value: Branch("OrderedDict", walk.pairs(value)),
    collections.Counter: lambda walk, value: Branch("Counter", walk.pairs(value)),
    collections.defaultdict: _frozen_defaultdict,
    collections.deque: lambda walk, value: Branch("deque", (value.maxlen, *walk.each(value))),
    range: lambda walk, value: Branch("range", (value.start, value.stop, value.step)),
    slice: _frozen_slice,
    functools.partial: _frozen_partial,
    Failed: lambda walk, value: failed_leaf(value),
    typing.ForwardRef: lambda walk, value: Atom("name", value.__forward_arg__),
    _State: _freeze_state,
    _Named: lambda walk, value: Atom("name", value.name),
}
