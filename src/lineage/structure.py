"""Trees made from other trees without running anything: fields, items, views, outcomes."""

from __future__ import annotations

from typing import Any

from lineage.codecs.atoms import read_atom
from lineage.content.tree import Atom, Branch, Leaf, Tree
from lineage.errors import LineageError, ObjectMissingError
from lineage.identity import identify
from lineage.outcomes import Ok

__all__ = ["NoSuchItemError", "as_view", "ok_tree", "pick"]


class NoSuchItemError(LineageError, LookupError):
    """A result lacks a field or an item that the graph takes from it."""


def pick(tree: Tree, key: int | str) -> Tree:
    """Return the tree of one field or item.

    Raises:
        NoSuchItemError: the value has none of that name or position.
        ObjectMissingError: the value is lost, so nothing can be taken from it.
    """
    if isinstance(tree, Leaf) and tree.kind == "text:lost":
        raise ObjectMissingError("the result that a field is taken from is lost")
    if isinstance(tree, Branch):
        if tree.kind in ("attrs", "dataclass", "dict", "OrderedDict", "defaultdict"):
            start = 1 if tree.kind == "defaultdict" else 0
            for name, item in zip(tree.items[start::2], tree.items[start + 1 :: 2], strict=True):
                if type(name) is type(key) and name == key:
                    return item
        elif isinstance(key, int) and tree.kind in ("list", "tuple", "namedtuple"):
            if -len(tree.items) <= key < len(tree.items):
                return tree.items[key]
        elif isinstance(key, str) and tree.kind == "namedtuple":
            return _named_field(tree, key)
    raise NoSuchItemError(f"the result has no item {key!r}: it is {_described(tree)}")


def _named_field(tree: Branch, name: str) -> Tree:
    from lineage.codecs.plain import find_by_name

    fields: tuple[str, ...] = find_by_name(tree.text)._fields
    if name not in fields:
        raise NoSuchItemError(f"the result has no field {name!r}; it has {', '.join(fields)}")
    return tree.items[fields.index(name)]


def _described(tree: Tree) -> str:
    if isinstance(tree, Branch):
        return f"a {tree.text or tree.kind} of {len(tree.items)}"
    if isinstance(tree, Atom):
        return repr(read_atom(tree))
    return repr(tree)


def as_view(tree: Tree, kind: str) -> Tree:
    """Return a table, or a list of tables of one schema, seen as `kind`; `table:same` is what the first of them is.

    Several are one branch: `scan` for a LazyFrame, else `joined`. In a `shards` branch, `(schemas, tables)`, equal schemas
    (empty tables) count once and None stands for no table, so that a table without rows leaves no trace. A `list:` kind
    is the items of several lists, one after another.

    Raises:
        LineageError: it is something else, or no table at all.
    """
    if kind.startswith("list:"):
        return Branch("list", tuple(item for part in _items(tree) for item in _items(part)))
    found = _tables(tree, kind)
    if not found:
        raise LineageError("there are no tables to read as one, so nothing says what columns they have; give schema=")
    if kind == "table:same":
        kind = found[0].kind
    if len(found) == 1:
        return found[0].viewed_as(kind)
    if kind == "table:polars.LazyFrame":
        return Branch("scan", tuple(leaf.viewed_as(kind) for leaf in found))
    return Branch("joined", tuple(leaf.viewed_as(kind) for leaf in found), kind)


def _items(tree: Tree) -> tuple[Tree, ...]:
    if isinstance(tree, Branch) and tree.kind in ("list", "tuple"):
        return tree.items
    raise LineageError(f"only lists can be taken as one list, not {_described(tree)}")


def _tables(tree: Tree, kind: str) -> list[Leaf]:
    if isinstance(tree, Leaf) and tree.family == "table":
        return [tree]
    if isinstance(tree, Branch) and tree.kind == "shards":
        schemas, tables = tree.items
        assert isinstance(tables, Branch)
        distinct = {leaf.digest: leaf for leaf in _tables(schemas, kind)}
        filled = Branch("list", tuple(item for item in tables.items if item is not None))
        return [*distinct.values(), *_tables(filled, kind)]
    if isinstance(tree, Branch) and tree.kind in ("list", "tuple", "scan", "joined"):
        return [leaf for item in tree.items for leaf in _tables(item, kind)]
    raise LineageError(
        f"only tables and lists of tables can be seen as {kind.partition(':')[2]}, not {_described(tree)}"
    )


def ok_tree(tree: Tree) -> Tree:
    """Return the tree of `Ok(value)`."""
    text = f"{Ok.__module__}:{Ok.__qualname__}"
    return Branch("attrs", ("value", tree), text, identify(Ok))


def is_instance_branch(tree: Any) -> bool:
    """Say whether some part of `tree` is an instance, whose class may surprise us."""
    if not isinstance(tree, Branch):
        return False
    return bool(tree.text) or any(is_instance_branch(item) for item in tree.items)
