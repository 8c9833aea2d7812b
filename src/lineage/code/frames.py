"""Calls that look names up in the variables of their callers: `pl.sql`, `pandas.eval`, `frame.query("a > @limit")`.

Such names stand in a text. Where the text is literal they are read off it; where it is computed, any name may be
meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lineage.code.guards import MISSING
from lineage.code.literals import literal
from lineage.code.origin import Origin, module_named, origin_of_module
from lineage.code.resolve import Resolver
from lineage.code.symbols import Attribute, Call, Symbol, Value

__all__ = ["FrameRead", "frame_read", "frames_in", "script"]

_SQL = frozenset(["polars.sql", "polars.sql.functions.sql", "polars.SQLContext.execute_global"])
_EXPRESSIONS = ("pandas.eval", "pandas.core.computation.eval.eval", "numexpr.", "duckdb.")
_FORMULAS = ("statsmodels.formula.", "patsy.", "formulaic.")


@attrs.frozen(eq=False)
class FrameRead:
    """`names` are looked up; None where any name may be. In the module of the caller, or (`main`) in that of the script.

    polars finds what the frames on the stack hold, and of modules only the script's is among those.
    """

    main: bool
    names: tuple[str, ...] | None


def frame_read(symbol: Symbol, path: str, call: Call, resolver: Resolver) -> FrameRead | None:
    """Say which names a call of `symbol`, found at `path` ("" if it isn't known), looks up around it."""
    method = symbol.name if isinstance(symbol, Attribute) else ""
    if path in _SQL or method == "execute_global":
        return FrameRead(True, _words(call, resolver, r"\w+"))
    if method == "register_globals" or _is_asked_for(dict(call.keywords).get("register_globals"), resolver):
        return FrameRead(True, None)
    if path.startswith((*_EXPRESSIONS, *_FORMULAS)):
        return FrameRead(False, _words(call, resolver, r"\w+"))
    if not path and method in ("query", "eval") and (call.arguments or call.keywords or call.arguments is None):
        return FrameRead(False, _words(call, resolver, r"@(\w+)"))
    return None


def _words(call: Call, resolver: Resolver, pattern: str) -> tuple[str, ...] | None:
    """Return the names in the literal texts that a call is given; None where a text may be computed."""
    if call.arguments is None:
        return None
    names: dict[str, None] = {}
    for value in (*call.arguments[:1], *(value for key, value in call.keywords if key in ("query", "expr", "formula"))):
        known: Any = literal(value, resolver)
        if known is MISSING and _may_be_text(value, resolver):
            return None
        names.update(dict.fromkeys(re.findall(pattern, known) if isinstance(known, str) else ()))
    return tuple(names)


def _may_be_text(value: Value, resolver: Resolver) -> bool:
    found = [resolver.resolve(symbol) for symbol in value]
    return any(one is None or isinstance(one.value, str) or one.value is MISSING for one in found)


def _is_asked_for(value: Value | None, resolver: Resolver) -> bool:
    if value is None:
        return False
    known = literal(value, resolver)
    return known is MISSING or bool(known)


def script() -> dict[str, Any]:
    """Return the variables of `__main__`, if it is the project's."""
    main = module_named("__main__")
    return vars(main) if main is not None and origin_of_module(main) is Origin.PROJECT else {}


def frames_in(namespace: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of what polars takes for a table."""
    for name, value in namespace.items():
        if type(value).__module__.partition(".")[0] in ("polars", "pandas", "pyarrow"):
            yield name
