"""Work as it travels to workers: small, and with all that a worker needs to know which does not lie in the store.

A node travels once per worker, by reference where the code package holds it, else by value (notebooks, `__main__`, closures).
A parcel says which node, has the arguments as text, and how the store keeps those of them that are heavy, so that a
worker needs no index. Data goes through the store.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import cloudpickle

from lineage.codecs.plain import find_by_name
from lineage.codecs.text import dump_tree, load_tree
from lineage.content.tree import SCALARS, Leaf, Tree, leaves
from lineage.digest import Digest
from lineage.errors import NotFoundError
from lineage.executors.base import Failure, Kept, Success, Work
from lineage.executors.packages import Members, packed, project_members
from lineage.fold import Fold
from lineage.node import Node
from lineage.options import Options
from lineage.records import SideData
from lineage.storage.store import Store

__all__ = [
    "Box",
    "Packer",
    "Parcel",
    "Result",
    "as_result",
    "box_node",
    "from_result",
    "is_by_value",
    "unboxed",
    "unparcelled",
]


class Box(NamedTuple):
    """A node as it travels: how to find or make it, and the package that its code is in.

    `leaves` are the parts of its identity, so that a worker which comes to another digest can say what differs.
    """

    number: int
    reference: str
    value: bytes | None
    given: tuple[tuple[str, Any], ...]
    kind: str
    name: str
    code: Digest
    leaves: str
    package: str | None


class Parcel(NamedTuple):
    """One attempt of a call as it travels. `number` is the driver's; `box` that of the node."""

    number: int
    box: int
    arguments: tuple[Any, ...]
    key: Digest
    run: int
    attempt: int
    seeded: bool
    timeout: float | None
    resources: Any
    kept: tuple[Kept, ...]
    code_values: tuple[tuple[Digest, bytes], ...]
    live: tuple[Digest, ...]


class Result(NamedTuple):
    """What came of a parcel, as it travels back: a success (its text and digest) or a failure (its error, pickled)."""

    number: int
    text: Any
    digest: Digest | None
    note: str | None
    error: bytes
    traceback: str
    cause: Any
    side: tuple[Any, ...]
    kept: tuple[Kept, ...]


_OF_KEYS = ("version", "compare", "every")
"""The options that change what carrying out a call means, or its key."""


class Packer:
    """Makes parcels of work, and keeps the code package of the project in the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.boxes: dict[int, Box] = {}
        self._known: dict[tuple[int, Digest], tuple[Node[..., Any], Box]] = {}
        self._members: Members = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self.package: str | None = None
        self._data: set[str] = set()
        self._main_names: frozenset[str] = frozenset()

    def box(self, work: Work) -> Box:
        """Return the box of a piece of work's node, made when the node is first met or has changed."""
        node = work.node
        known = self._known.get((id(node), work.code))
        if known is None:
            known = (node, self._boxed(node, work.code))
            self._known[id(node), work.code] = known
            self.boxes[known[1].number] = known[1]
        return known[1]

    def _boxed(self, node: Node[..., Any], code: Digest) -> Box:
        self._pack(node)
        value = None if not is_by_value(node) else box_node(node)
        given = tuple((name, getattr(node.given, name)) for name in _OF_KEYS)
        number = len(self._known)
        return Box(number, node.reference, value, given, node.kind, node.name, code, node.leaves(), self.package)

    def _pack(self, node: Node[..., Any]) -> None:
        """See to it that the code package holds what `node` needs as it is now."""
        if node.given.version is None:
            self._data |= {path for path in node.code().files}
        members = project_members(sorted(self._data))
        if members != self._members or self._changed(members):
            self._members = members
            self.package = self.store.objects.put(packed(members)).hex() if members else None

    def _changed(self, members: Members) -> bool:
        import os

        stamps = {}
        for file in members.values():
            stat = os.stat(file)
            stamps[file] = (stat.st_mtime_ns, stat.st_size)
        changed = stamps != self._stamps
        self._stamps = stamps
        return changed

    def parcel(self, number: int, work: Work) -> Parcel:
        """Return `work` as it travels, as the driver's `number`."""
        box = self.box(work)
        arguments = work.arguments
        if all(type(tree) in SCALARS for tree in arguments):
            return Parcel(
                number, box.number, arguments, work.key, work.run, work.attempt, work.seeded, work.timeout,
                work.resources, (), (), (),
            )  # fmt: skip
        texts = tuple(tree if type(tree) in SCALARS else (dump_tree(tree),) for tree in arguments)
        found = [leaf for tree in arguments for leaf in leaves(tree)]
        return Parcel(
            number, box.number, texts, work.key, work.run, work.attempt, work.seeded, work.timeout, work.resources,
            tuple(self._kept(found)), tuple(_code_values(found)), tuple(_live(found)),
        )  # fmt: skip

    def _kept(self, found: list[Leaf]) -> Iterator[Kept]:
        for content in {leaf.content for leaf in found if not leaf.is_inline}:
            manifest = self.store.index.manifest(content)
            if manifest is not None:
                yield Kept(content, manifest, self.store.index.info(content))


def _code_values(found: list[Leaf]) -> Iterator[tuple[Digest, bytes]]:
    """Yield functions and classes among arguments that a worker can't import."""
    for leaf in found:
        if leaf.family == "code" and leaf.value is not None:
            name = leaf.kind.partition(":")[2]
            try:
                importable = not name.startswith("__main__:") and find_by_name(name) is leaf.value
            except NotFoundError:
                importable = False
            if not importable:
                yield leaf.content, cloudpickle.dumps(leaf.value)


def _live(found: list[Leaf]) -> Iterator[Digest]:
    """Yield the files whose digests were taken in this run: they need not be read once more before they are used."""
    return (leaf.content for leaf in found if leaf.family == "file" and (leaf.info or {}).get("live"))


def unparcelled(parcel: Parcel, node: Node[..., Any], code: Digest) -> Work:
    """Return the work that travelled as `parcel`."""
    values = {content: cloudpickle.loads(data) for content, data in parcel.code_values}
    arguments = tuple(_argument(argument, values, parcel.live) for argument in parcel.arguments)
    return Work(
        node, arguments, code, parcel.key, parcel.run, parcel.seeded, None, parcel.attempt, parcel.timeout,
        parcel.resources,
    )  # fmt: skip


def _argument(argument: Any, values: Mapping[Digest, Any], live: tuple[Digest, ...]) -> Tree:
    if type(argument) is not tuple:
        return argument  # type: ignore[no-any-return]
    tree = load_tree(argument[0])
    for leaf in leaves(tree):
        if leaf.content in values:
            leaf.value = values[leaf.content]
        elif leaf.content in live and leaf.info is not None:
            leaf.info["live"] = True
    return tree


# -- nodes


def is_by_value(node: Node[..., Any]) -> bool:
    """Say whether a worker can't find `node` by importing its module from the code package."""
    module = node.fn.__module__
    if module == "__main__" or "<locals>" in node.reference or "<lambda>" in node.reference:
        return True
    if module == "lineage" or module.startswith("lineage."):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(file, str):
        return True
    try:
        found = find_by_name(node.reference)
    except NotFoundError:
        return True
    return (found.fn if isinstance(found, Node) else found) is not node.fn


def box_node(node: Node[..., Any]) -> bytes:
    """Return a node by value: its function, with all that it reaches in `__main__`, where types of arguments are named too."""
    if isinstance(node, Fold):
        return cloudpickle.dumps(("folded", box_node(node.merge), _main_image(node)))
    made = (node.fn, node.given, node.kind, node.name)
    return cloudpickle.dumps(("made", made, _main_image(node)))


def _main_image(node: Node[..., Any]) -> dict[str, Any]:
    """Return the classes and functions of `__main__`, by which values name their types."""
    if node.fn.__module__ != "__main__" and "<locals>" not in node.reference:
        return {}
    found: dict[str, Any] = {}
    for name, value in list(vars(sys.modules["__main__"]).items()):
        if callable(value) and getattr(value, "__module__", None) == "__main__" and not isinstance(value, Node):
            try:
                cloudpickle.dumps(value)
            except Exception:
                continue  # nothing that this node reaches, or its own pickling says so
            found[name] = value
    return found


def unboxed(box: Box) -> Node[..., Any]:
    """Return the node that travelled as `box`.

    Raises:
        NotFoundError: it can't be imported here.
    """
    if box.value is not None:
        return _unpickled(box.value)
    found = find_by_name(box.reference)
    given = dict(box.given)
    if isinstance(found, Node):
        if all(getattr(found.given, name) == value for name, value in given.items()) and found.name == box.name:
            return found
        found = found.fn
    return Node(found, Options(**given), box.kind, box.name)  # type: ignore[arg-type]


def _unpickled(data: bytes) -> Node[..., Any]:
    how, made, image = cloudpickle.loads(data)
    vars(sys.modules["__main__"]).update(image)
    if how == "folded":
        return Fold(_unpickled(made))
    return Node(*made)


# -- results


def as_result(number: int, result: Success | Failure, kept: tuple[Kept, ...]) -> Result:
    """Return what came of a parcel as it travels back."""
    side = tuple(result.side)
    if isinstance(result, Success):
        text = result.tree if type(result.tree) in SCALARS else (result.text,)
        return Result(number, text, result.digest, result.note, b"", "", None, side, kept)
    return Result(number, None, None, None, _pickled(result.error), result.traceback, result.cause, side, kept)


def from_result(result: Result) -> Success | Failure:
    """Return what travelled as `result`."""
    side = SideData(*result.side)
    if result.digest is None:
        return Failure(_error(result), result.traceback, side, result.cause)
    if type(result.text) is tuple:
        text = result.text[0]
        return Success(load_tree(text), text, result.digest, side, result.note)
    return Success(result.text, dump_tree(result.text), result.digest, side, result.note)


def _error(result: Result) -> Exception:
    try:
        return cloudpickle.loads(result.error)  # type: ignore[no-any-return]
    except Exception:  # its class is not to be had here
        return RuntimeError(result.traceback.strip().rpartition("\n")[2])


def _pickled(error: Exception) -> bytes:
    """Return an error as it travels; one that does not survive is told by its type and text."""
    try:
        data = cloudpickle.dumps(error)
        cloudpickle.loads(data)
    except Exception:
        stand_in = type(error).__name__
        return cloudpickle.dumps(RuntimeError(f"{stand_in}: {error}"))
    return data
