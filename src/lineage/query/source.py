"""The code that made a dataset: a function and what it reached, as it was recorded when the code first ran."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen

from lineage.node import Node
from lineage.query.points import point
from lineage.session import Session

__all__ = ["Source", "source"]

_AS_ASSIGNMENT = ("constant", "default", "cell")


@frozen
class Source:
    """Code, as recorded. Print it; `parts` has the text of each part (`function clean`, `constant LIMIT`), `packages` name and version."""

    node: str
    parts: dict[str, str]
    packages: dict[str, str]
    python: str

    @property
    def text(self) -> str:
        """All of it as one text: constants first, the node last."""
        heads = {label: label.partition(" ")[2] for label in self.parts if label.partition(" ")[0] in _AS_ASSIGNMENT}
        values = [f"{name} = {self.parts[label]}" for label, name in heads.items() if label.startswith("constant")]
        notes = [f"# {label}: {self.parts[label]}" for label in heads if not label.startswith("constant")]
        code = [text.rstrip() for label, text in self.parts.items() if label not in heads]
        packages = ", ".join(f"{name} {version}" for name, version in self.packages.items())
        first = f"# {self.node}, Python {self.python}" + (f", with {packages}" if packages else "")
        return "\n\n\n".join(["\n".join([first, *notes, *values]), *reversed(code)]) + "\n"

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "node": self.node,
            "parts": self.parts,
            "packages": self.packages,
            "python": self.python,
            "text": self.text,
        }

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def source(session: Session, x: Any) -> Source:
    """Return the code that made what `x` points at. See `lineage.source`."""
    if isinstance(x, Node):
        return _of(x.name, x.leaves())
    number = max(point(session, x).executions)
    ((name, text),) = session.store.index.ask(
        "SELECT n.name, c.leaves FROM executions e JOIN nodes n ON n.id = e.node JOIN codes c ON c.id = e.code WHERE e.id = ?",
        (number,),
    )
    return _of(name, text or "{}")


def _of(name: str, text: str) -> Source:
    plain = json.loads(text)
    labels = plain.get("leaves", {})
    packages = dict(label.split(" ")[1:3] for label in labels if label.startswith("package "))
    python = next((label.partition(" ")[2] for label in labels if label.startswith("python ")), "?")
    return Source(name, plain.get("sources", {}), packages, python)
