"""The settings under which nodes run, so that a result does not depend on the mood of a library.

Since polars 2 `collect()` streams by default, and float aggregations then differ from run to run: nodes run with the in-memory
engine. Matrix products differ between one and two BLAS threads: nodes run with one, and
with as many OpenMP threads as their resources ask for (one by default). Whoever uses numpy's or Python's
global generator without a seed gets one made from the call's key.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections.abc import Iterator

__all__ = ["alone", "fixed_settings", "seeded"]

_ENVIRONMENT = {
    "POLARS_ENGINE_AFFINITY": "in-memory",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


_turn = threading.RLock()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Let one thread at a time run nodes: settings, generators and standard output are the whole process's."""
    with _turn:
        yield


def _begin_anew() -> None:
    """The thread that held the turn may not have come along into a forked child."""
    global _turn
    _turn = threading.RLock()


os.register_at_fork(after_in_child=_begin_anew)


@contextlib.contextmanager
def fixed_settings(packages: frozenset[str], cpus: int = 1) -> Iterator[None]:
    """Hold the settings while nodes that reach `packages` run on up to `cpus` cores, and put back what was there."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        with contextlib.ExitStack() as stack:
            if "polars" in packages or "polars" in sys.modules:
                stack.enter_context(_in_memory_polars())
            if packages & {"numpy", "scipy", "scikit-learn"}:
                stack.enter_context(_few_threads(cpus))
            yield
    finally:  # after what polars puts back: it saw these settings as what was there before
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _in_memory_polars() -> Iterator[None]:
    import polars as pl

    with pl.Config():
        pl.Config.set_engine_affinity("in-memory")
        yield


@contextlib.contextmanager
def _few_threads(cpus: int) -> Iterator[None]:
    """Give BLAS one thread, whose number changes results, and OpenMP as many as were asked for."""
    import numpy  # noqa: F401  (its BLAS must be loaded to be limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits={"blas": 1, "openmp": cpus}):
        yield


@contextlib.contextmanager
def seeded(key: bytes) -> Iterator[None]:
    """Seed the global generators of `random` and numpy from a call's key, and give the user's state back."""
    import numpy as np

    state, legacy = random.getstate(), np.random.get_state()
    random.seed(key)
    np.random.seed(int.from_bytes(key[:4], "little"))
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(legacy)
