"""Nodes: pure typed functions that compose. Calling one never runs it."""

from __future__ import annotations

import functools
import json
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

import attrs

from lineage import code
from lineage.content.tree import SCALARS, Hole, Tree, holes
from lineage.digest import Digest, digest_of
from lineage.errors import DeclarationError, LazyValueError, UnstableIdentityError, WiringError
from lineage.graph import Call, Lazy, make_call, shown, type_name
from lineage.identity import digest_constant, freezer
from lineage.options import Compare, Options, Resources, Retry
from lineage.running import inside
from lineage.signatures import Signature
from lineage.streaming import streaming_call
from lineage.wiring import brief, check_value, misfit_inside

__all__ = ["Kind", "Node", "dynamic", "node", "sink"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")

Kind = Literal["plain", "dynamic", "sink", "spread"]


class Node(Generic[P, R]):
    """A pure typed function and its options. `node(...)` makes one; calling it makes a call and runs nothing.

    `fn` is the plain function, for tests and for use inside other nodes; `name` is what people see.
    """

    def __init__(self, fn: Callable[P, R], options: Options, kind: Kind = "plain", name: str | None = None) -> None:
        _check_declaration(fn, name)
        functools.update_wrapper(self, fn, updated=())
        self.fn = fn
        self.kind = kind
        self.given = options
        self.name = name or fn.__qualname__.rpartition("<locals>.")[2]
        self.signature = Signature(fn)
        self._known = [set[Any]() for _ in self.signature.names]
        """For each parameter, the plain types and the nodes that are known to fit it."""
        _warn_of_streaming(fn, options, self.name)
        self._code: code.CodeFingerprint | None = None
        self._digest: tuple[object, Digest] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return the call of this node with these arguments, typed as its result.

        Raises:
            WiringError: an argument is missing, unknown, or not of its parameter's type.
        """
        self.check_place()
        try:
            values = self.signature.bind(*args, **kwargs)
        except TypeError:
            raise self._misbound(args, kwargs) from None
        inputs: tuple[Hole, ...] = ()
        for value, known in zip(values, self._known, strict=True):
            kind = type(value)
            if kind is Call:
                if value._lineage_node not in known:
                    break
                inputs += (value,)
            elif kind not in known:
                break
        else:
            return cast(R, make_call(self, values, inputs))
        return cast(R, make_call(self, self._admit(values)))

    def check_place(self) -> None:
        """Refuse to make a call where it can't run: inside a node that is running, unless that node composes."""
        running = inside.get()
        if running is not None and not running.composes:
            raise LazyValueError(
                f"{self.name} was called inside the node {running.node}, where calls can't run. "
                f"Use {self.name}.fn(...) for the plain function, or declare {running.node} with @lineage.dynamic"
            )

    # -- arguments

    def _admit(self, values: tuple[Any, ...]) -> tuple[Tree, ...]:
        return tuple(self._admit_one(position, value) for position, value in enumerate(values))

    def _admit_one(self, position: int, value: Any) -> Tree:
        """Check one argument against its parameter and freeze it.

        Raises:
            WiringError: it doesn't fit.
        """
        if type(value) in self._known[position]:
            return cast(Tree, value)
        try:
            tree = freezer.freeze(value)
        except UnstableIdentityError as error:
            raise self._refused(position, f"can't be given this: {error}") from error
        lazy = next((hole for hole in holes(tree) if isinstance(hole, Lazy)), None)
        hint = self.signature.hints[position]
        if lazy is None:
            self._check_literal(position, value, hint)
            return tree
        if position in self.signature.unhashed:
            raise self._refused(
                position,
                f"is Unhashed, so it can't be given `{shown(lazy)}`: what it holds would be no part of the key. "
                "Give it a plain value",
            )
        reason = misfit_inside(value, hint)
        if reason is not None:
            raise self._refused(position, f"was given {reason}")
        if type(value) is Call:
            self._known[position].add(value._lineage_node)
        return tree

    def _check_literal(self, position: int, value: Any, hint: Any) -> None:
        if type(value) is not hint:
            reason = check_value(value, hint, self._place(position))
            if reason is not None:
                raise self._refused(position, f"was given {brief(value)}: {reason}")
        if type(value) in SCALARS and isinstance(hint, type):
            self._known[position].add(type(value))

    def _refused(self, position: int, why: str) -> WiringError:
        parameter = self.signature.names[position]
        return WiringError(f"{self._place(position)} {why}", node=self.name, parameter=parameter)

    def _place(self, position: int) -> str:
        name = self.signature.names[position]
        return f"{self.name}(): parameter `{name}: {type_name(self.signature.hints[position])}`"

    def _misbound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> WiringError:
        import difflib
        import inspect

        try:
            inspect.signature(self.fn).bind(*args, **kwargs)
            reason = "arguments don't fit"
        except TypeError as error:
            reason = str(error)
        hint = ""
        for name in kwargs:
            if name not in self.signature.names:
                close = difflib.get_close_matches(name, self.signature.names, n=1)
                hint = f"; did you mean `{close[0]}`?" if close else ""
        return WiringError(
            f"{self.name}(): {reason}{hint} (parameters: {', '.join(self.signature.names) or 'none'})", node=self.name
        )

    # -- identity

    @property
    def __lineage_function__(self) -> Callable[P, R]:
        return self.fn

    @property
    def __lineage_manner__(self) -> str:
        """In what way this node is more than its function, for the fingerprints of those who use it; often nothing."""
        given = self.given
        manner = {"compare": given.contract, "version": given.version, "every": given.every, "kind": self.kind}
        usual = {"compare": "exact", "version": None, "every": None, "kind": "plain"}
        return ", ".join(f"{name} {value}" for name, value in manner.items() if value != usual[name])

    def code(self) -> code.CodeFingerprint:
        """Return the fingerprint of the function and of all that it reaches of the project's, as loaded now.

        Raises:
            IdentityError: something that it reaches has no stable identity.
        """
        if self._code is None or not self._code.is_current():
            self._code = code.fingerprint(
                self.fn,
                digest_constant=digest_constant,
                extra_types=(*self.signature.hints, self.signature.returns),
                allow_ambient=self.given.every is not None or self.kind == "sink",
                polars_engine="in-memory",
            )
        return self._code

    def code_digest(self) -> Digest:
        """Return what stands for this node in keys: its code, or the version in place of it, its contract, its door."""
        if self.given.version is not None:
            known: object = self
            parts: tuple[bytes, ...] = (b"version", self.reference.encode(), self.given.version.encode())
        else:
            known = found = self.code()
            parts = (b"code", found.digest, b"")
        if self._digest is None or self._digest[0] is not known:
            contract = self.given.contract.encode()
            self._digest = (
                known,
                digest_of("node", *parts, contract, self.signature.door.encode(), self.kind.encode()),
            )
        return self._digest[1]

    def still_is(self, digest: Digest) -> bool:
        """Say whether `code_digest()` is still `digest`, in a microsecond or so where nothing was touched.

        Asked after every call: has it changed a global, a closure or a file that its code reads?
        """
        code, known = self._code, self._digest
        if code is not None and known == (code, digest) and code.is_current(sources=False):
            return True
        return self.code_digest() == digest

    def packages(self) -> Mapping[str, str]:
        """Return the distributions that the code reaches, and their versions when it was last looked at."""
        if self.given.version is not None:
            return {}
        return (self._code or self.code()).packages

    def leaves(self) -> str:
        """Return the parts of this node's identity as JSON: leaf to digest, and the sources, for the record."""
        if self.given.version is not None:
            return json.dumps({"leaves": {f"version {self.given.version}": ""}, "sources": {}})
        found = self.code()
        leaves = {label: digest.hex() for label, digest in found.leaves.items()}
        return json.dumps({"leaves": leaves, "sources": dict(found.sources)})

    @property
    def reference(self) -> str:
        """`module:qualname`, by which another process can find this node."""
        return f"{self.fn.__module__}:{self.fn.__qualname__}"

    @property
    def declared(self) -> Node[..., Any]:
        """The node that people declared: this one, unless it was made of another."""
        return self

    @functools.cached_property
    def folded(self) -> Node[..., R]:
        """This node of two parts as a node of a list of parts, merged from the left in one call."""
        from lineage.fold import Fold

        return Fold(self)

    # -- variants

    def options(
        self,
        *,
        retries: int | Retry | None = None,
        timeout: float | None = None,
        resources: Resources | None = None,
        executor: str | None = None,
        env: Any = None,
        version: str | None = None,
        compare: Compare | None = None,
        every: str | None = None,
    ) -> Node[P, R]:
        """Return the same node with other options; those not given stay."""
        given = {
            "retries": retries, "timeout": timeout, "resources": resources, "executor": executor,
            "env": env, "version": version, "compare": compare, "every": every,
        }  # fmt: skip
        changes = {name: value for name, value in given.items() if value is not None}
        options = attrs.evolve(self.given, **changes)
        return Node(self.fn, options, self.kind, self.name)

    @overload
    def __get__(self, instance: None, owner: Any = None) -> Node[P, R]: ...
    @overload
    def __get__(self: Node[Concatenate[Any, Q], R], instance: object, owner: Any = None) -> Callable[Q, R]: ...
    def __get__(self, instance: object | None, owner: Any = None) -> Any:
        """As a method, a node takes its instance as first argument."""
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        parameters = ", ".join(
            f"{name}: {type_name(hint)}" for name, hint in zip(self.signature.names, self.signature.hints, strict=True)
        )
        kind = "node" if self.kind == "plain" else self.kind
        return f"<{kind} {self.name}({parameters}) -> {type_name(self.signature.returns)}>"


def _warn_of_streaming(fn: Callable[..., Any], options: Options, name: str) -> None:
    call = streaming_call(fn)
    if call is not None and options.compare == "exact":
        warnings.warn(
            f"{name} calls {call}: streamed float sums and orders of rows may differ from run to run, which an exact "
            "comparison takes for a change. Collect in memory, or declare compare='unordered' or 'approx'",
            UserWarning,
            stacklevel=4,
        )


def _check_declaration(fn: Any, name: str | None) -> None:
    if isinstance(fn, Node):
        raise DeclarationError(f"{fn.name} is a node already; use {fn.name}.options(...) to change its options")
    if isinstance(fn, (staticmethod, classmethod)):
        raise DeclarationError("put @staticmethod or @classmethod above @lineage.node, not below it")
    if not isinstance(fn, types.FunctionType) and not hasattr(fn, "__wrapped__"):
        raise DeclarationError(
            f"a node is a plain function, not {type(fn).__qualname__} ({fn!r}). Wrap it: "
            "@lineage.node above a def that calls it"
        )
    if fn.__name__ == "<lambda>" and name is None:
        raise DeclarationError("a lambda needs a name to be a node: lineage.node(lambda x: ..., name='double')")
    code.check_declaration(fn)


@overload
def node(fn: Callable[P, R], /, *, name: str | None = None) -> Node[P, R]: ...
@overload
def node(
    *,
    retries: int | Retry | None = None,
    timeout: float | None = None,
    resources: Resources | None = None,
    executor: str | None = None,
    env: Any = None,
    version: str | None = None,
    compare: Compare = "exact",
    every: str | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Node[P, R]]: ...
def node(fn: Callable[..., Any] | None = None, /, *, name: str | None = None, **options: Any) -> Any:
    """Declare a pure typed function as a node: its calls are lazy, typed, cached by what they do and what they get.

    `retries` and `timeout` (seconds from the start of the call) say what to do about failure; `resources` and
    `executor` (a name bound in the session) where to run; `version` replaces the fingerprint of the code by a text
    that you keep true; `compare` says when two outputs are the same (`exact`; `unordered`; `approx` or `Approx(...)`);
    `every` makes a source with one value a period (`"1d"`), which may read clocks and the network.

    >>> @node
    ... def double(x: int) -> int:
    ...     return 2 * x
    >>> double(4)
    <double(x=4) -> int, not computed>
    >>> double.fn(4)
    8

    Raises:
        DeclarationError: the function can't be a node (async, a generator, writes a global).
    """
    if fn is None:
        made = Options(**options)
        return lambda found: Node(found, made, name=name)
    return Node(fn, Options(**options), name=name)


def dynamic(fn: Callable[P, R]) -> Node[P, R]:
    """Declare a function that receives values and returns calls: conditions, recursion, graphs that depend on data.

    >>> @node
    ... def half(n: int) -> int:
    ...     return n // 2
    >>> @dynamic
    ... def halve_until(n: int, limit: int) -> int:
    ...     return n if n <= limit else halve_until(half(n), limit)
    >>> halve_until(100, 10)
    <halve_until(n=100, limit=10) -> int, not computed>
    """
    return Node(fn, Options(), "dynamic")


def sink(fn: Callable[P, R]) -> Node[P, R]:
    """Declare an effect on the outside world: done once per input, retried, recorded, not replayed.

    Like any node it runs when it is materialised and its inputs are new. What depends on its result is looked up by
    content only, never by how it was derived.
    """
    return Node(fn, Options(), "sink")
