"""What a function *is*: the fingerprint of its code and of everything of the project's that it
reaches.

found = fingerprint(clean, digest_constant=digest_value) found.digest             # changes when
anything that `clean` reaches changes meaning found.leaves             # part by part: "function
clean", "constant LIMIT", "package polars 2.1.0" found.is_current()       # in microseconds: has
anything that it saw been rebound or changed since?

What finds it is loaded when the first fingerprint is taken: composing a graph needs none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineage.code.declaration import check_declaration

if TYPE_CHECKING:
    from lineage.code.classes import hides_state
    from lineage.code.compiled import refresh_compiled
    from lineage.code.fingerprinting import CodeFingerprint, DigestConstant, fingerprint, identify, source_of

__all__ = [
    "CodeFingerprint",
    "DigestConstant",
    "check_declaration",
    "fingerprint",
    "hides_state",
    "identify",
    "refresh_compiled",
    "source_of",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lineage.code import classes, compiled, fingerprinting

    for module in (classes, compiled, fingerprinting):
        globals().update({found: getattr(module, found) for found in module.__all__ if found in __all__})
    return globals()[name]
