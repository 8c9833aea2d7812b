"""What code reads from outside its arguments: clocks, randomness, the environment.

A result that depends on the hour or on unseeded randomness is not a function of its key. Objects are recognised as
themselves, whatever name they were imported under.
"""

from __future__ import annotations

import datetime
import random
import sys
from typing import Any

from lineage.code.facts import fact
from lineage.code.guards import MISSING

__all__ = ["ambient", "seeds", "unseeded_call"]

_CLOCKS = frozenset(["time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime"])
_ENTROPY = frozenset(["posix.urandom", "nt.urandom", "os.urandom", "uuid.uuid1", "uuid.uuid4"])
_CLOCK_METHODS = ("now", "utcnow", "today")
_SEEDING = ("seed", "setstate", "getstate", "set_state", "get_state")
_NEED_A_SEED = frozenset(
    [
        "random.Random",
        "random.SystemRandom",
        "numpy.random.default_rng",
        "numpy.random.mtrand.RandomState",
        "numpy.random._pcg64.PCG64",
        "numpy.random._pcg64.PCG64DXSM",
        "numpy.random._mt19937.MT19937",
        "numpy.random._philox.Philox",
        "numpy.random._sfc64.SFC64",
        "numpy.random.bit_generator.SeedSequence",
    ]
)


def ambient(value: object, path: str | None) -> tuple[str, str] | None:
    """Return (kind, name) where using `value` reads a clock or randomness: "clock", "entropy", or a generator's name."""
    owner: Any = fact(value, "__self__") if callable(value) else None
    name = fact(value, "__name__") or ""
    if isinstance(owner, type) and issubclass(owner, datetime.date) and name in _CLOCK_METHODS:
        return "clock", f"{owner.__name__}.{name}"
    if isinstance(owner, random.SystemRandom):
        return "entropy", f"secrets.{name}"
    if generator := _shared_generator(owner, value):
        return None if name in _SEEDING else (generator, f"{generator}.{name}")
    qualified = f"{fact(value, '__module__')}.{name}" if callable(value) else ""
    for dotted in (qualified, path or ""):
        if dotted in _CLOCKS:
            return "clock", dotted
        if (
            dotted in _ENTROPY
            or dotted.startswith("secrets.token_")
            or dotted == "secrets.randbelow"
        ):
            return "entropy", dotted
    return None


def seeds(value: object) -> str | None:
    """Return the shared generator that calling `value` seeds: "random" or "numpy.random"."""
    if fact(value, "__name__") != "seed" or not callable(value):
        return None
    return _shared_generator(fact(value, "__self__"), value)


def unseeded_call(value: object, first: object) -> str | None:
    """Return what a call makes, where it makes a generator and its first argument (MISSING if none) is no seed."""
    if first is not MISSING and first is not None:
        return None
    name = f"{fact(value, '__module__')}.{fact(value, '__qualname__')}"
    return name if callable(value) and name in _NEED_A_SEED else None


def _shared_generator(owner: object, value: object) -> str | None:
    if owner is not None and owner is getattr(random, "_inst", None):
        return "random"
    numpy_random: Any = sys.modules.get("numpy.random.mtrand")
    if (
        numpy_random is not None
        and owner is not None
        and owner is getattr(numpy_random, "_rand", None)
    ):
        return "numpy.random"
    if numpy_random is not None and value is getattr(numpy_random, "seed", MISSING):
        return "numpy.random"
    return None
