"""Constants as texts for people, short and without running anybody's code. Never hashed."""

from __future__ import annotations

import re
import reprlib
from typing import Any

__all__ = ["shown_constant"]

_SECRET = re.compile(r"passw|secret|token|credential|api_?key|private_?key", re.IGNORECASE)


class _Plain(reprlib.Repr):
    """Writes builtins; of anything else only the type, since its own `__repr__` may do anything."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 20
        self.maxlevel = 4

    def repr1(self, x: Any, level: int) -> str:
        if type(x).__module__ != "builtins":
            return f"<{type(x).__module__}.{type(x).__qualname__}>"
        return super().repr1(x, level)


_plain = _Plain()


def shown_constant(name: str, value: object) -> str:
    """Return the text of a constant that code reaches. What its name says to be a secret is not written.

    >>> shown_constant("LIMITS", {"a": [1, 2]}), shown_constant("API_TOKEN", "abc")
    ("{'a': [1, 2]}", '<hidden>')
    """
    return "<hidden>" if _SECRET.search(name) else _plain.repr(value)
