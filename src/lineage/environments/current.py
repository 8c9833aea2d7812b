"""Which environment a node runs in: what it asks for, on top of what its run asks for; in a worker, the worker's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from lineage.environments.request import Env

if TYPE_CHECKING:
    from lineage.environments.resolved import Resolved

__all__ = ["environment_of", "file_of", "here", "merged_env", "run_env"]

_run: ContextVar[Env | None] = ContextVar("lineage_run_env", default=None)
"""What the run asks for, on top of which nodes ask for theirs."""

_here: list[Resolved] = []
"""The environment that this very process is a worker of: all that it is asked about runs in it."""


@contextlib.contextmanager
def run_env(env: Env | None) -> Iterator[None]:
    """Let nodes inherit `env` inside the block."""
    token = _run.set(env)
    try:
        yield
    finally:
        _run.reset(token)


def here(environment: Resolved | None = None) -> Resolved | None:
    """Return the environment that this process is a worker of, if it is one; given one, it becomes that."""
    if environment is not None:
        _here[:] = [environment]
    return _here[0] if _here else None


def merged_env(own: Env | None) -> Env | None:
    """Return what a node asks for: its own, added to what the run asks for."""
    run = _run.get()
    return own if run is None else run.plus(own)


def environment_of(own: Env | None, fn: Any, who: str) -> Resolved | None:
    """Return the environment of a node that is made of `fn`; None where nothing is asked for.

    Raises:
        LockError: its lock is damaged, or of something else than is asked for.
        EnvError: there is no lock, and none could be made.
    """
    if _here:
        return _here[0]
    env = own if _run.get() is None else merged_env(own)
    if env is None:
        return None
    from lineage.environments.bound import bound

    return bound(env, file_of(fn), who)


def file_of(fn: Any) -> str:
    """Return the file that a function, or what wraps one, is declared in."""
    while not hasattr(fn, "__code__") and hasattr(fn, "__wrapped__"):
        fn = fn.__wrapped__
    return str(fn.__code__.co_filename) if hasattr(fn, "__code__") else ""
