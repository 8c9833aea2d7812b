"""Built-in nodes that compose once what they are given is known. They run in the driver and read no data.

`map` over a call, `zip`, `flatten` and `reduce` are such nodes: how many items there are, or what the items' digests are,
is known only when the calls before them have run. Then the items are there as trees, and what is composed of them
takes them as lazies, each with a digest of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from lineage.codecs.thaw import Thawer
from lineage.content.tree import Branch, Hole, Leaf, Tree, digest_tree, fill
from lineage.digest import Digest, digest_of
from lineage.errors import CompositionError, MutationError, ObjectMissingError
from lineage.graph import LATE, Call, Item, Lazy, brief_tree, make_call, result_hint, shown, type_name
from lineage.identity import freezer, identify
from lineage.limits import check_fanout, taken
from lineage.node import Node
from lineage.options import Options
from lineage.signatures import is_mapping, item_hint, known_length, split_annotated

__all__ = ["Part", "Spread", "composed", "late", "listed", "spread"]


Resolve = Callable[[Hole], Tree]
Read = Callable[[Leaf], Any]


class Spread(Node[..., Any]):
    """A built-in node whose function receives each of its arguments as a `Part` and returns a tree of calls.

    It is known by its name and version, and by the functions that it composes with. What it gives is what its calls
    give, which are checked at their own doors.
    """

    def __init__(self, fn: Callable[..., Tree], name: str, version: str = "1") -> None:
        super().__init__(fn, Options(version=version), "spread", name)
        self._built_in = digest_of("node", b"built in", self.reference.encode(), version.encode())
        self._base = self
        self._uses: tuple[Any, ...] = ()

    def __call__(self, *values: Any) -> Any:
        """Return the call of this node. A function in it, marked by `late`, is what it is when the graph is planned."""
        self.check_place()
        return make_call(self, tuple(value if type(value) is Leaf else freezer.freeze(value) for value in values))

    @property
    def declared(self) -> Node[..., Any]:
        return self._base

    def code_digest(self) -> Digest:
        if not self._uses:
            return self._built_in
        return digest_of("node", self._built_in, *(digest_tree(freezer.freeze(fn)) for fn in self._uses))

    def shown(self, arguments: Sequence[Tree]) -> str:
        """Return one line that says which call this is."""
        return f"{self.name}({', '.join(brief_tree(argument) for argument in arguments if not _is_empty(argument))})"

    def giving(self, hint: Any, *uses: Any) -> Spread:
        """Return this node with calls that are known to give a `hint`, and that compose with functions.

        Raises:
            UnstableIdentityError: one of the functions has no stable identity.
        """
        twin = copy.copy(self)
        twin.signature = copy.copy(self.signature)
        twin.signature.returns = hint
        twin._uses = uses
        twin.code_digest()
        return twin


def late(fn: Any) -> Leaf:
    """Return a function as an argument of a built-in node that uses it: the node's code says what it does."""
    return Leaf(LATE, digest_of("late"), value=fn)


def _is_empty(tree: Tree) -> bool:
    return isinstance(tree, Branch) and not tree.items


def spread(name: str) -> Callable[[Callable[..., Tree]], Spread]:
    """Make a built-in node of a function of ours."""
    return lambda fn: Spread(fn, name)


class Part:
    """Something given to a built-in node. `tree` is how it goes into calls: lazy, where it is part of something lazy."""

    __slots__ = ("_known", "_read", "_resolve", "tree")

    def __init__(self, tree: Tree, resolve: Resolve, read: Read, known: Tree = None) -> None:
        self.tree = tree
        self._resolve = resolve
        self._read = read
        self._known = known if isinstance(tree, Hole) else tree

    @property
    def known(self) -> Tree:
        """What it is: its own tree, or the result of the call in its place."""
        if self._known is None and isinstance(self.tree, Hole):
            self._known = self._resolve(self.tree)
            if isinstance(self._known, Leaf) and self._known.kind == "text:lost":
                raise ObjectMissingError("what a graph's shape depends on is lost")
        return self._known

    @property
    def digest(self) -> Digest:
        return digest_tree(self.known, lambda hole: digest_tree(self._resolve(hole)))

    @property
    def value(self) -> Any:
        """The value, with lazies in the places of what is lazy."""
        return self.tree if isinstance(self.tree, Hole) else Thawer(self._read, identify).thaw(self.tree)

    def parts(self, what: str) -> list[Part]:
        """Return the items of a sequence, in order; those of a set in the order of their digests.

        Raises:
            CompositionError: it is no sequence, or one of more items than is let through. It says so of `what`.
        """
        known = self.known
        if not isinstance(known, Branch) or known.kind not in _SEQUENCES:
            raise CompositionError(f"{what} needs a sequence, {self._named()}{_advice(known)}")
        if known.kind == "range":
            count = len(range(*known.items))  # type: ignore[arg-type]
        else:
            count = len(known.items) - (known.kind == "deque")
        check_fanout(count, what)
        return list(self._parts(known))

    def _parts(self, known: Branch) -> Iterator[Part]:
        if known.kind == "range":
            return (self._of(number) for number in range(*known.items))  # type: ignore[arg-type]
        if known.kind in ("set", "frozenset"):
            return (self._of(item) for item in sorted(self._filled(known).items, key=digest_tree))
        if known.kind == "deque":
            return (self._of(item) for item in known.items[1:])
        if not isinstance(self.tree, Lazy):
            return (self._of(item) for item in known.items)
        return self._lazy_parts(self.tree, known)

    def _of(self, tree: Tree, known: Tree = None) -> Part:
        return Part(tree, self._resolve, self._read, known)

    def _filled(self, known: Branch) -> Branch:
        filled = fill(known, self._resolve)
        assert isinstance(filled, Branch)
        return filled

    def _lazy_parts(self, lazy: Lazy, known: Branch) -> Iterator[Part]:
        hint = result_hint(lazy)
        length = known_length(hint)
        same = item_hint(hint, 0)[1] if length is None else None
        for position, item in enumerate(known.items):
            kind = same if length is None else item_hint(hint, position)[1]
            yield self._of(Item(lazy, position, kind), item)

    def _named(self) -> str:
        if isinstance(self.tree, Lazy):
            return f"and `{shown(self.tree)}` gave {_described(self.known)}"
        return f"not {_described(self.known)}"


_SEQUENCES = frozenset({"list", "tuple", "namedtuple", "range", "deque", "set", "frozenset"})


def composed(call: Call, planned: Digest, resolve: Resolve, read: Read) -> Tree:
    """Return the tree of what the built-in node of `call` composes.

    `planned` is the node's code in the plan, `resolve` gives the trees of the call's inputs, `read` the values of stored
    leaves.

    Raises:
        MutationError: a function that it composes with has changed since.
    """
    node = call._lineage_node
    if node.code_digest() != planned:
        raise MutationError(f"a function that {shown(call)} composes with changed while the graph was carried out")
    parts = [Part(argument, resolve, read) for argument in call._lineage_arguments]
    if isinstance(node, Spread):
        return cast(Tree, node.fn(*parts))
    return freezer.freeze(node.fn(*map(_value_of, parts)))


def _value_of(part: Part) -> Any:
    """Return what a built-in node gets that takes plain values: a call of a list as the list of its items."""
    known = part.known if isinstance(part.tree, Lazy) else None
    if isinstance(known, Branch) and known.kind in ("list", "tuple"):
        return [item.value for item in part.parts("a call")]
    return part.value


# -- sequences, when a graph is composed


class _Kind(NamedTuple):
    names: tuple[str, ...]
    advice: str


_REFUSED = (
    _Kind(("str", "bytes", "bytearray"), "its items would be letters; give a list"),
    _Kind(
        ("dict", "OrderedDict", "defaultdict", "Counter", "Mapping", "MutableMapping"),
        "its items would be keys alone; give list(d.items()), or list(d.values())",
    ),
    _Kind(
        ("DataFrame", "LazyFrame", "Table", "RecordBatch"),
        "its items would be columns; cut it into a list of tables in a node first",
    ),
    _Kind(("None", "NoneType"), "is something missing before it?"),
)


def listed(xs: Any, what: str) -> list[Any] | Lazy:
    """Return a sequence as the list of its items; a call as it is, unless its type says how many items it has.

    Raises:
        CompositionError: `xs` is no sequence, or one of more items than is let through. It says so of `what`.
    """
    if isinstance(xs, Lazy):
        hint = split_annotated(result_hint(xs))[0]
        if known_length(hint) is not None:
            return [*cast("Iterable[Any]", xs)]
        name = type_name(hint).partition("[")[0]
        _check_kind(name, is_mapping(hint), lambda: f"`{shown(xs)}` -> {type_name(hint)}", what)
        return xs
    _check_kind(type(xs).__name__, hasattr(xs, "keys"), lambda: f"{xs!r:.60} ({type(xs).__name__})", what)
    if isinstance(xs, (set, frozenset)):
        return sorted(taken(xs, what), key=lambda item: digest_tree(freezer.freeze(item)))
    try:
        iter(xs)
    except TypeError:
        raise CompositionError(f"{what} needs a sequence, not {xs!r:.60} ({type(xs).__name__})") from None
    return taken(xs, what)


def _check_kind(name: str, has_keys: bool, described: Callable[[], str], what: str) -> None:
    """Refuse what has items that nobody means. `described` is asked for errors only: ten thousand items are long to show."""
    for kind in _REFUSED:
        if name in kind.names or (has_keys and "dict" in kind.names):
            raise CompositionError(f"{what} needs a sequence, not {described()}: {kind.advice}")
    if name in ("int", "float", "bool", "complex"):
        raise CompositionError(f"{what} needs a sequence, not {described()}")


def _described(tree: Tree) -> str:
    if isinstance(tree, Leaf):
        return f"a {tree.kind.rpartition(':')[2]}"
    if isinstance(tree, Branch):
        return f"a {tree.text.rpartition(':')[2] or tree.kind}"
    return f"{tree!r:.60} ({type(tree).__name__})"


def _advice(tree: Tree) -> str:
    if isinstance(tree, Leaf):
        name = tree.kind.rpartition(":")[2].rpartition(".")[2]
    else:
        name = tree.kind if isinstance(tree, Branch) else type(tree).__name__
    found = next((kind.advice for kind in _REFUSED if name in kind.names), "")
    return f": {found}" if found else ""
