"""What code reads from outside its arguments: clocks, randomness, the environment.

A result that depends on the hour or on unseeded randomness is not a function of its key. Objects
are recognised as themselves, whatever name they were imported under.
"""

from __future__ import annotations

import datetime
import random
import sys
from typing import Any

from lineage.code.facts import fact
from lineage.code.guards import MISSING

__all__ = ["address", "ambient", "is_shared", "seeds", "unseeded_call"]

_CLOCKS = frozenset(
    [
        *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime"),
        *("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today"),
        *("datetime.date.today", "pandas.Timestamp.now", "pandas.Timestamp.today"),
    ]
)
_ENTROPY = frozenset(["os.urandom", "uuid.uuid1", "uuid.uuid4"])
_NOT_DRAWN = frozenset(
    [
        *("seed", "setstate", "getstate", "set_state", "get_state", "default_rng"),
        *("mtrand", "bit_generator", "get_bit_generator", "set_bit_generator"),
    ]
)
_NEED_A_SEED = frozenset(
    [
        *("random.Random", "random.SystemRandom", "numpy.random.default_rng"),
        *("numpy.random.RandomState", "numpy.random.PCG64", "numpy.random.PCG64DXSM"),
        *("numpy.random.MT19937", "numpy.random.Philox", "numpy.random.SFC64"),
        "numpy.random.SeedSequence",
    ]
)
_MODULES = {
    "posix": "os",
    "nt": "os",
    "numpy.random.mtrand": "numpy.random",
    "numpy.random._pcg64": "numpy.random",
    "numpy.random._mt19937": "numpy.random",
    "numpy.random._philox": "numpy.random",
    "numpy.random._sfc64": "numpy.random",
    "numpy.random.bit_generator": "numpy.random",
}


def address(value: object, path: str | None = None) -> str:
    """Return the name by which the world knows `value`: "time.time", "datetime.datetime.now",
    "random.choice".

    `path` is how code reached it, and all there is to go by while its module is not loaded.
    """
    name = fact(value, "__name__") if callable(value) else None
    if not isinstance(name, str):
        return path or ""
    owner = fact(value, "__self__")
    if isinstance(owner, type):
        for known in (datetime.datetime, datetime.date):
            if issubclass(owner, known):
                return f"datetime.{known.__name__}.{name}"
    if isinstance(owner, random.SystemRandom):
        return f"secrets.{name}"
    generator = _shared_generator(owner)
    if generator:
        return f"{generator}.{name}"
    module = str(fact(value, "__module__") or "")
    return f"{_MODULES.get(module, module)}.{fact(value, '__qualname__') or name}"


def ambient(value: object, path: str | None) -> tuple[str, str] | None:
    """Return (kind, name) where using `value` reads something ambient.

    The kind is "clock", "entropy", or the shared generator that is drawn from: "random" or
    "numpy.random".
    """
    name = address(value, path)
    if name in _CLOCKS:
        return "clock", name
    if name in _ENTROPY or name.startswith("secrets."):
        return "entropy", name
    module, _, last = name.rpartition(".")
    draws = last[:1].islower() and last not in _NOT_DRAWN
    return (module, name) if module in ("random", "numpy.random") and draws else None


def is_shared(value: object) -> bool:
    """Say whether `value` is a method of one of the generators that a whole process shares."""
    owner = fact(value, "__self__")
    return isinstance(owner, random.SystemRandom) or _shared_generator(owner) is not None


def seeds(value: object, path: str | None) -> str | None:
    """Return the shared generator that calling `value` seeds: "random" or "numpy.random"."""
    module, _, name = address(value, path).rpartition(".")
    return module if name == "seed" and module in ("random", "numpy.random") else None


def unseeded_call(value: object, path: str | None, first: object) -> str | None:
    """Return what a call makes: a generator, and `first`, its first argument (MISSING if none), is
    no seed.
    """
    if first is not MISSING and first is not None:
        return None
    name = address(value, path)
    return name if name in _NEED_A_SEED else None


def _shared_generator(owner: object) -> str | None:
    if owner is None:
        return None
    if owner is getattr(random, "_inst", None):
        return "random"
    numpy_random: Any = sys.modules.get("numpy.random.mtrand")
    shared = numpy_random is not None and owner is getattr(numpy_random, "_rand", None)
    return "numpy.random" if shared else None
