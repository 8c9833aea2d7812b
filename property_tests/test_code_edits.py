"""A digest changes exactly when something that is reached was edited in meaning."""

from __future__ import annotations

import importlib
import itertools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.code import fingerprint
from lineage.digest import Digest, digest_of

_numbers = itertools.count()


def digest_plain(value: object, identify: Callable[[object], Digest]) -> Digest:
    if isinstance(value, list | tuple):
        return digest_of(type(value).__name__, *(digest_plain(item, identify) for item in value))
    if callable(value):
        return identify(value)
    return digest_of(type(value).__name__, repr(value).encode())


@attrs.frozen
class Item:
    """One thing of a generated module: a kind, a number that is its meaning, and the items that it
    uses.
    """

    kind: str
    meaning: int
    uses: tuple[int, ...]
    where: int


KINDS = ("function", "constant", "class", "closure", "default", "list", "wrapped")


@st.composite
def modules(draw: st.DrawFn) -> tuple[Item, ...]:
    count = draw(st.integers(1, 8))
    items = []
    for index in range(count):
        kind = "function" if index == 0 else draw(st.sampled_from(KINDS))
        uses = draw(st.lists(st.integers(0, count - 1), max_size=3, unique=True))
        if kind in ("default", "list", "wrapped"):  # made at once: of what was made before
            uses = [use for use in uses if use > index]
        items.append(
            Item(
                kind,
                draw(st.integers(0, 9)),
                () if kind == "constant" else tuple(uses),
                draw(st.integers(0, 1)),
            )
        )
    items[0] = attrs.evolve(items[0], where=0)
    for index, item in enumerate(items):
        if item.kind in (
            "default",
            "list",
            "wrapped",
        ):  # made at import, when the other module is not
            own = tuple(use for use in item.uses if items[use].where == item.where)
            items[index] = attrs.evolve(item, uses=own)
    return tuple(items)


def reached(items: tuple[Item, ...]) -> set[int]:
    found: set[int] = set()
    waiting = [0]
    while waiting:
        index = waiting.pop()
        if index not in found:
            found.add(index)
            waiting.extend(items[index].uses)
    return found


def name(items: tuple[Item, ...], user: int, index: int) -> str:
    """Write item `index` as `user` names it: modules are reached through one another."""
    own = items[user].where == items[index].where
    return f"i{index}" if own else f"{'ab'[items[index].where]}.i{index}"


def render(items: tuple[Item, ...], index: int, cosmetic: bool) -> str:
    item = items[index]
    uses = [name(items, index, use) for use in item.uses]
    note = "    # a comment\n" if cosmetic else ""
    doc = '    "a docstring"\n' if cosmetic else ""
    body = f"{doc}{note}    return ({', '.join([str(item.meaning), *uses])},)\n"
    match item.kind:
        case "function":
            return f"def i{index}():\n{body}"
        case "constant":
            return f"i{index} = {item.meaning}\n"
        case "class":
            return f"class i{index}:\n{doc}    k = {item.meaning}\n    def go(self):\n" + indented(body)
        case "closure":
            inner = f"    def inner():\n        return (k, {', '.join(uses)})\n    return inner\n"
            return f"def m{index}(k):\n{inner}i{index} = m{index}({item.meaning})\n"
        case "default":
            head = f"def i{index}(x={item.meaning}, y=({', '.join(uses)})):\n"
            return f"{head}{doc}{note}    return x, y\n"
        case "list":
            return f"i{index} = [{', '.join([str(item.meaning), *uses])}]\n"
        case _:  # wrapped
            return (
                f"def d{index}(f):\n    @functools.wraps(f)\n    def w():\n        return f(), "
                f"{item.meaning}\n"
                f"    return w\n@d{index}\ndef i{index}():\n    return ({', '.join(uses)})\n"
            )


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def digest(items: tuple[Item, ...], cosmetic: set[int]) -> Digest:
    """Write the items to two modules that import each other, and fingerprint the first item."""
    with tempfile.TemporaryDirectory() as folder:
        package = f"generated{next(_numbers)}"
        root = Path(folder, package)
        root.mkdir()
        (root / "__init__.py").touch()
        for where, letter in enumerate("ab"):
            lines = ["import functools\nfrom . import a, b\n"]
            for index in reversed(range(len(items))):
                if items[index].where == where:
                    lines.append(render(items, index, index in cosmetic))
            (root / f"{letter}.py").write_text("\n".join(lines))
        sys.path.insert(0, folder)
        try:
            importlib.invalidate_caches()
            module = importlib.import_module(f"{package}.a")
            return fingerprint(module.i0, digest_constant=digest_plain).digest
        finally:
            sys.path.remove(folder)
            for loaded in [loaded for loaded in sys.modules if loaded.startswith(package)]:
                del sys.modules[loaded]


@settings(deadline=None)
@given(modules(), st.data())
def test_the_digest_changes_exactly_when_what_is_reached_changes_meaning(
    items: tuple[Item, ...], data: st.DataObject
) -> None:
    edited = data.draw(st.integers(0, len(items) - 1), label="edited item")
    cosmetic = data.draw(st.sets(st.integers(0, len(items) - 1)), label="cosmetically edited items")
    changed = list(items)
    changed[edited] = attrs.evolve(items[edited], meaning=items[edited].meaning + 1)
    before = digest(items, set())
    assert digest(items, cosmetic) == before
    assert (digest(tuple(changed), cosmetic) == before) == (edited not in reached(items))
