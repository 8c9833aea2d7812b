"""Work as it travels to workers: small, and with all that a worker needs to know which does not lie in the store.

A node travels once per worker, by reference where the code package holds it, else by value (notebooks, `__main__`, closures).
A parcel says which node, has the arguments as text, and how the store keeps those of them that are heavy, so that a
worker needs no index. Data goes through the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from lineage.codecs.plain import find_by_name
from lineage.codecs.text import dump_tree, load_tree
from lineage.content.tree import SCALARS, Leaf, Tree, leaves
from lineage.digest import Digest
from lineage.errors import NotFoundError
from lineage.executors.base import Failure, Kept, Success, Work
from lineage.executors.by_value import closed, is_by_value, opened
from lineage.executors.faults import error_as_bytes, error_from
from lineage.executors.packages import Project
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
    "from_result",
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


_UNPACKED = re.compile(r'File "[^"]*/code/[0-9a-f]{64}/(?P<place>[^"]+)"')

_OF_KEYS = ("version", "compare", "every")
"""The options that change what carrying out a call means, or its key."""


class Packer:
    """Makes parcels of work, and keeps the code package of the project in the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.boxes: dict[int, Box] = {}
        self._known: dict[tuple[int, Digest], tuple[Node[..., Any], Box]] = {}
        self._project = Project()
        self._packed = b""
        self.package: str | None = None

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
        value = closed(node) if is_by_value(node) else None
        given = tuple((name, getattr(node.given, name)) for name in _OF_KEYS)
        number = len(self._known)
        return Box(number, node.reference, value, given, node.kind, node.name, code, node.leaves(), self.package)

    def _pack(self, node: Node[..., Any]) -> None:
        """See to it that the code package holds what `node` needs as it is now."""
        data = self._project.packed(node.code().files if node.given.version is None else ())
        if data != self._packed:
            self._packed = data
            self.package = self.store.objects.put(data).hex() if data else None

    def localized(self, text: str) -> str:
        """Return a traceback of a worker with the project's own files in the place of those of its package."""
        return _UNPACKED.sub(self._own_file, text) if "/code/" in text else text

    def _own_file(self, found: re.Match[str]) -> str:
        file = self._project.file(found["place"])
        return f'File "{file}"' if file is not None else found[0]

    def parcel(self, number: int, work: Work) -> Parcel:
        """Return `work` as it travels, as the driver's `number`."""
        return Parcel._make(self.fields(number, work, self.box(work).number, {}))

    def fields(self, number: int, work: Work, box: int, told: dict[Digest, Kept]) -> tuple[Any, ...]:
        """Return the fields of the parcel of `work`, whose node is in `box`. `told` holds how the store keeps what parcels of
        the same message speak of, so that it is in there once.
        """
        arguments = work.arguments
        for tree in arguments:
            if type(tree) not in SCALARS:
                break
        else:
            return (
                number, box, arguments, work.key, work.run, work.attempt, work.seeded, work.timeout, work.resources,
                (), (), (),
            )  # fmt: skip
        texts = tuple(tree if type(tree) in SCALARS else (dump_tree(tree),) for tree in arguments)
        found = [leaf for tree in arguments for leaf in leaves(tree)]
        return (
            number, box, texts, work.key, work.run, work.attempt, work.seeded, work.timeout, work.resources,
            tuple(self._kept(found, told)), tuple(_code_values(found)), tuple(_live(found)),
        )  # fmt: skip

    def _kept(self, found: list[Leaf], told: dict[Digest, Kept]) -> Iterator[Kept]:
        for content in {leaf.content for leaf in found if not leaf.is_inline}:
            known = told.get(content)
            if known is None:
                manifest = self.store.index.manifest(content)
                if manifest is None:
                    continue
                known = told[content] = Kept(content, manifest, self.store.index.info(content))
            yield known


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
                yield leaf.content, closed(leaf.value)


def _live(found: list[Leaf]) -> Iterator[Digest]:
    """Yield the files whose digests were taken in this run: they need not be read once more before they are used."""
    return (leaf.content for leaf in found if leaf.family == "file" and (leaf.info or {}).get("live"))


def unparcelled(parcel: Parcel, node: Node[..., Any], code: Digest, folder: str | None = None) -> Work:
    """Return the work that travelled as `parcel`; its code package lies unpacked in `folder`."""
    values = {content: opened(data, folder) for content, data in parcel.code_values}
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


def unboxed(box: Box, folder: str | None) -> Node[..., Any]:
    """Return the node that travelled as `box`; its code package lies unpacked in `folder`.

    Raises:
        NotFoundError: it can't be imported here.
    """
    if box.value is not None:
        return opened(box.value, folder)  # type: ignore[no-any-return]
    found = find_by_name(box.reference)
    given = dict(box.given)
    if isinstance(found, Node):
        if all(getattr(found.given, name) == value for name, value in given.items()) and found.name == box.name:
            return found
        found = found.fn
    return Node(found, Options(**given), box.kind, box.name)  # type: ignore[arg-type]


# -- results


def as_result(number: int, result: Success | Failure, kept: tuple[Kept, ...]) -> Result:
    """Return what came of a parcel as it travels back."""
    side = tuple(result.side)
    if isinstance(result, Success):
        text = result.tree if type(result.tree) in SCALARS else (result.text,)
        return Result(number, text, result.digest, result.note, b"", "", None, side, kept)
    return Result(number, None, None, None, error_as_bytes(result.error), result.traceback, result.cause, side, kept)


def from_result(result: Result) -> Success | Failure:
    """Return what travelled as `result`."""
    side = SideData(*result.side)
    if result.digest is None:
        return Failure(error_from(result.error), result.traceback, side, result.cause)
    if type(result.text) is tuple:
        text = result.text[0]
        return Success(load_tree(text), text, result.digest, side, result.note)
    return Success(result.text, dump_tree(result.text), result.digest, side, result.note)
