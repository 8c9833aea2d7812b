"""Trees as JSON text, for records. Scalars and lists of them are plain JSON; all else is an object with a kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lineage.content.tree import SCALARS, Atom, Branch, Leaf, Tree
from lineage.digest import Digest
from lineage.errors import CorruptObjectError

__all__ = ["dump_tree", "load_tree"]

_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


def dump_tree(tree: Tree) -> str:
    """Return `tree` as JSON text. It must have no holes.

    >>> dump_tree(Branch("tuple", (1, 2.0)))
    '{"k":"tuple","i":[1,2.0]}'
    """
    if type(tree) is int:
        return str(tree) if -(10**18) < tree < 10**18 else _encode(_plain(tree))
    return _encode(_plain(tree))


def _plain(tree: Tree) -> Any:
    if type(tree) is int and not -(10**18) < tree < 10**18:
        return {"n": hex(tree)}
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if isinstance(tree, Branch):
        items = [_plain(item) for item in tree.items]
        if tree.kind == "list":
            return items
        plain: dict[str, Any] = {"k": tree.kind, "i": items}
        if tree.text:
            plain["t"] = tree.text
    elif isinstance(tree, Leaf):
        plain = {"l": tree.kind, "d": tree.content.hex()}
        if tree.family in ("failed", "file"):
            plain["m"] = {name: fact for name, fact in (tree.info or {}).items() if name != "live"}
    elif isinstance(tree, Atom):
        plain = {"a": tree.kind, "x": tree.text}
    else:
        raise TypeError(f"a tree with holes can't be written: {tree!r}")
    if tree.code is not None:
        plain["c"] = tree.code.hex()
    return plain


def load_tree(text: str) -> Tree:
    """Return the tree that `dump_tree` wrote.

    Raises:
        CorruptObjectError: `text` is not the text of a tree.
    """
    try:
        plain, end = _scan(text, 0)
        if end != len(text):
            raise ValueError("text after the value")
        return plain if type(plain) in SCALARS else _tree(plain)
    except StopIteration:
        raise CorruptObjectError("a record holds no readable value") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptObjectError(f"a record holds no readable value: {error}") from error


def _tree(plain: Any) -> Tree:
    if isinstance(plain, list):
        return Branch("list", tuple(_tree(item) for item in plain))
    if not isinstance(plain, dict):
        return plain  # type: ignore[no-any-return]
    code = Digest(bytes.fromhex(plain["c"])) if "c" in plain else None
    if "k" in plain:
        return Branch(plain["k"], tuple(_tree(item) for item in plain["i"]), plain.get("t", ""), code)
    if "l" in plain:
        content = Digest(bytes.fromhex(plain["d"]))
        return Leaf(plain["l"], content, info=plain.get("m"), code=code)
    if "n" in plain:
        return int(plain["n"], 16)
    return Atom(plain["a"], plain["x"], code)
