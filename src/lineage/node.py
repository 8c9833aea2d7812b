"""Nodes: pure typed functions that compose. Calling one never runs it."""

from __future__ import annotations

import contextlib
import functools
import json
import types
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

import attrs

from lineage import code
from lineage.codecs.plain import find_by_name
from lineage.content.tree import SCALARS, Hole, Tree, holes
from lineage.digest import Digest, digest_of
from lineage.environments.current import environment_of
from lineage.environments.request import Env
from lineage.errors import (
    DeclarationError,
    LazyValueError,
    NotFoundError,
    StaleCodeError,
    UnstableIdentityError,
    WiringError,
)
from lineage.graph import Call, Lazy, make_call, shown, type_name
from lineage.identity import digest_constant, freezer
from lineage.options import Compare, Options, Resources, Retry
from lineage.running import inside
from lineage.signatures import Signature
from lineage.streaming import streaming_call
from lineage.wiring import brief, check_value, misfit_inside

if TYPE_CHECKING:
    from lineage.environments.resolved import Resolved

__all__ = ["Kind", "Node", "dynamic", "node", "nodes_of", "sink"]

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
        if kind == "dynamic" and options.env is not None:
            raise DeclarationError(
                f"{fn.__qualname__} composes, which happens in the driver; give env= to the nodes that it calls"
            )
        functools.update_wrapper(self, fn, updated=())
        self.fn = fn
        self.kind = kind
        self.given = options
        self.name = name or fn.__qualname__.rpartition("<locals>.")[2]
        self.signature = Signature(fn)
        self._known = [set[Any]() for _ in self.signature.names]
        """For each parameter, the plain types and the nodes that are known to fit it."""
        _warn_of_streaming(fn, options, self.name)
        _made.setdefault(self.reference, weakref.WeakSet()).add(self)
        self._code: code.CodeFingerprint | None = None
        self._environment: Resolved | None = None
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
        environment = self.environment()
        if self._code is None or self._environment != environment or not self._code.is_current():
            self._environment = environment
            self._code = code.fingerprint(
                self.fn,
                digest_constant=digest_constant,
                extra_types=(*self.signature.hints, self.signature.returns),
                allow_ambient=self.given.every is not None or self.kind == "sink",
                polars_engine="in-memory",
                pinned=environment,
            )
        return self._code

    def environment(self) -> Resolved | None:
        """Return the pinned environment that calls run in, its run's and its own; None where they run among the driver's,
        as do nodes that compose and those that are built in.

        Raises:
            EnvError: its lock is missing and can't be made, or is not of what is asked for.
        """
        if self.kind in ("dynamic", "spread") or self.reference.startswith("lineage."):
            return None
        return environment_of(self.given.env, self.fn, self.reference)

    def code_digest(self) -> Digest:
        """Return what stands for this node in keys: its code, or the version in place of it, its contract, its door."""
        if self.given.version is not None:
            environment = self.environment()
            known: object = environment or self
            place = (b"environment", environment.digest) if environment is not None else ()
            parts: tuple[bytes, ...] = (b"version", self.reference.encode(), self.given.version.encode(), *place)
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

    def claims(self, *, by_value: bool = False) -> tuple[str, ...]:
        """Return what a worker of this node's environment must find of its code too: see `lineage.code.claims`."""
        if self.given.version is not None:
            return (f"version {self.given.version}",)
        return self.code().value_claims if by_value else self.code().claims

    def packages(self) -> Mapping[str, str]:
        """Return the distributions that the code reaches, and their versions when it was last looked at."""
        if self.given.version is not None:
            environment = self.environment()
            return environment.packages if environment is not None else {}
        return (self._code or self.code()).packages

    def leaves(self) -> str:
        """Return the parts of this node's identity as JSON, for the record: leaf to digest, the sources, and parameters that don't count."""
        environment = self.environment()
        rest: dict[str, Any] = {
            "unhashed": [self.signature.names[position] for position in sorted(self.signature.unhashed)]
        }
        if environment is not None:
            rest["environment"] = attrs.asdict(environment)
        if self.given.version is not None:
            own = {label: digest.hex() for label, digest in environment.leaves.items()} if environment else {}
            leaves = {f"version {self.given.version}": "", **own}
            return json.dumps({"leaves": leaves, "sources": self._own_source(), **rest})
        found = self.code()
        leaves = {label: digest.hex() for label, digest in found.leaves.items()}
        return json.dumps({"leaves": leaves, "sources": dict(found.sources), **rest})

    def _own_source(self) -> dict[str, str]:
        """Return the text of a function whose version stands for its code, where it can be had."""
        try:
            text = code.source_of(self.fn) if self.kind != "spread" else None
        except StaleCodeError:
            return {}
        return {f"function {self.name}": text} if text else {}

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
        env: Env | None = None,
        version: str | None = None,
        compare: Compare | None = None,
        every: str | None = None,
    ) -> Node[P, R]:
        """Return the same node with other options; those not given stay."""
        given: dict[str, Any] = {
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


_made: dict[str, weakref.WeakSet[Node[..., Any]]] = {}


def nodes_of(reference: str) -> list[Node[..., Any]]:
    """Return the nodes of this process that are called `module:qualname`; the one that can be imported by it, if none is.

    There may be several: a cell that was run again, the same function with other options.
    """
    found: list[Any] = list(_made.get(reference, ()))
    if not found:
        with contextlib.suppress(NotFoundError):
            found = [find_by_name(reference)]
    return [node for node in found if isinstance(node, Node)]


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
    env: Env | None = None,
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
    `env` (a `lineage.Env`) says among which packages to run, pinned by a lock and part of the key;
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
