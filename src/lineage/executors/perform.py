"""Carrying out one call: the same on every executor.

Arguments are decoded for this call alone, so that nothing it does to them is seen elsewhere; the result is frozen, stored
and dropped, so that nobody holds what may still change.
"""

from __future__ import annotations

import os
import resource
import shutil
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from lineage import capture
from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import ClassChangedError, Thawer
from lineage.content.tree import SCALARS, Hole, Tree, digest_tree, holes, leaves
from lineage.digest import Digest
from lineage.errors import (
    CodecError,
    CorruptObjectError,
    MutationError,
    ObjectMissingError,
    ResultTypeError,
)
from lineage.executors.base import Failure, Outcome, Success, Work
from lineage.executors.canonical import in_canonical_order
from lineage.executors.measures import size_of
from lineage.executors.timeouts import in_time
from lineage.identity import freezer, identify
from lineage.node import Node
from lineage.reads import undeclared
from lineage.records import SideData
from lineage.running import Current, inside
from lineage.settings import seeded
from lineage.storage.store import Store
from lineage.structure import is_instance_branch
from lineage.wiring import check_value, misfit_inside

__all__ = ["compose", "perform"]

_HOST = os.uname().nodename
_NO_SCRATCH = Path(os.devnull)


def perform(work: Work, store: Store, executor: str) -> Outcome:
    """Carry out one attempt of `work`."""
    current = _current(work, store)
    watch = _Watch(executor, current)
    with capture.collecting() as log:
        try:
            values = _thaw(work, store, watch)
        except Exception as error:
            return Outcome(work, _failure(error, watch.side(log), arrives=True))
        try:
            _check_tables(work.node, values)
            value = _run(work, values, current)
            del values
            return Outcome(work, _stored(work, store, value, current, watch, log))
        except Exception as error:
            return Outcome(work, _failure(error, watch.side(log)))
        finally:
            _clean(current)


def compose(work: Work, store: Store) -> tuple[Tree, SideData] | Failure:
    """Run a dynamic node, which receives values, and return the tree of what it composed."""
    current = _current(work, store, composes=True)
    watch = _Watch("driver", current)
    with capture.collecting() as log:
        try:
            made = _run(work, _thaw(work, store, watch), current)
            tree = freezer.freeze(made, scratch=current.scratch_folder or _NO_SCRATCH)
            reason = misfit_inside(made, work.node.signature.returns)
            if reason is not None:
                raise ResultTypeError(f"{work.node.name} returned something else than it declares: {reason}")
            return tree, watch.side(log)
        except Exception as error:
            return _failure(error, watch.side(log), arrives=True)
        finally:
            _clean(current)


def _current(work: Work, store: Store, *, composes: bool = False) -> Current:
    return Current(work.run, work.node.name, work.key.hex(), work.attempt, store.place, composes)


def _thaw(work: Work, store: Store, watch: _Watch) -> list[Any]:
    if all(type(tree) in SCALARS for tree in work.arguments):
        return list(work.arguments)
    watch.arrived = size_of(store, work.arguments)
    thawer = Thawer(store.read, identify)
    return [tree if type(tree) in SCALARS else thawer.thaw(tree) for tree in work.arguments]


def _check_tables(node: Node[..., Any], values: list[Any]) -> None:
    """Check what arrives at the door against schemas; types were checked when the graph was composed."""
    for position in node.signature.annotated:
        where = f"{node.name}(): argument {node.signature.names[position]!r}"
        reason = check_value(values[position], node.signature.hints[position], where)
        if reason is not None:
            raise ResultTypeError(f"{where}: {reason}")


def _run(work: Work, values: list[Any], current: Current) -> Any:
    node = work.node
    args, kwargs = node.signature.spread(values)
    token = inside.set(current)
    try:
        with in_time(work.timeout, node.name):
            if work.seeded:
                with seeded(work.key):
                    return node.fn(*args, **kwargs)
            return node.fn(*args, **kwargs)
    finally:
        inside.reset(token)


def _stored(work: Work, store: Store, value: Any, current: Current, watch: _Watch, log: list[str]) -> Success:
    node = work.node
    if not node.still_is(work.code):
        raise MutationError(
            f"{node.name} changed a global, a closure or a file that its code reads, or they changed while it ran; "
            "its result is discarded. Return what is new instead"
        )
    if current.reads:
        _warn_of_reads(work, store, current)
    returns = node.signature.returns
    if type(value) is not returns:
        reason = check_value(value, returns, f"{node.name}(): result")
        if reason is not None:
            raise ResultTypeError(f"{node.name} returned something else than it declares: {reason}")
    elif hasattr(returns, "__metadata__"):
        check_value(value, returns, f"{node.name}(): result")
    if node.given.compare == "unordered":
        value = in_canonical_order(value)
    tree = freezer.freeze(value, scratch=current.scratch_folder or _NO_SCRATCH)
    if type(tree) in SCALARS:
        text, size = dump_tree(tree), _NOTHING
    else:
        frozen = tree
        tree, text = _kept(node, store, frozen)
        size = size_of(store, (frozen,))
    return Success(tree, text, digest_tree(tree), watch.side(log, size))


def _warn_of_reads(work: Work, store: Store, current: Current) -> None:
    """Say which files the call read that are no inputs of it, unless the node vouches for itself."""
    node = work.node
    if node.given.version is not None or node.given.every is not None or node.kind == "sink":
        return
    inputs = [leaf for tree in work.arguments for leaf in leaves(tree) if leaf.family == "file"]
    paths = [(leaf.info or {})["path"] for leaf in inputs]
    folders = [path for leaf, path in zip(inputs, paths, strict=True) if leaf.kind == "file:Directory"]
    found = undeclared(current.reads, [*paths, *node.code().files], [store.place, *folders])
    if found:
        warnings.warn(
            f"{node.name} read {', '.join(found[:3])}, which is no input of it: when the file changes, its result will "
            "not. Give it as an argument, lineage.File(path)",
            UserWarning,
            stacklevel=2,
        )


def _kept(node: Node[..., Any], store: Store, tree: Tree) -> tuple[Tree, str]:
    """Store what `tree` holds and return it as readers will find it."""
    hole = next(holes(tree), None)
    if hole is not None:
        raise ResultTypeError(f"{node.name} returned a call, {hole!r}; declare it with @lineage.dynamic to compose")
    store.keep(tree)
    text = dump_tree(tree)
    plain = load_tree(text)
    digest = digest_tree(tree)
    if digest_tree(plain) != digest or (is_instance_branch(tree) and _digest_again(plain) != digest):
        raise CodecError(
            f"the result of {node.name} does not survive being stored: what is read back differs. "
            "Fields that a class computes or hides are lost; return plainer data"
        )
    return plain, text


def _digest_again(tree: Tree) -> Digest:
    """Return the digest of what readers of `tree` get, its stored leaves taken as read."""
    value = Thawer(lambda leaf: _StandIn(leaf.digest), identify).thaw(tree)
    return digest_tree(freezer.freeze(value), lambda stand_in: stand_in.digest)  # type: ignore[attr-defined]


class _StandIn(Hole):
    """Stands for a stored leaf, which has been checked already."""

    __slots__ = ("digest",)

    def __init__(self, digest: Digest) -> None:
        self.digest = digest


class _Meter:
    """The processor time and the peak memory of this process. The system is asked once in a millisecond at most, since asking
    takes as long as a trivial call: a shorter call is taken to have had one core for as long as it ran.

    Where Linux lets us, the peak begins anew each time that it is asked for, which takes less than a microsecond: so it is
    that of one call, give or take a millisecond before it. Elsewhere it is the process's. `peak` is the process's always.
    """

    def __init__(self) -> None:
        self._at = -1.0
        self._cpu = 0.0
        self._memory = 0
        self.peak = 0
        self._reset = -1
        self.after_fork()

    def after_fork(self) -> None:
        """Open the file by which the peak is begun anew: one opened before a fork would be that of the parent."""
        try:
            if self._reset >= 0:
                os.close(self._reset)
            self._reset = os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            self._reset = -1

    def begin(self, now: float) -> float:
        """Return the processor seconds used until `now` (of `perf_counter`), give or take what fits into `_SHORT`."""
        if now - self._at > _SHORT:
            self._read(now)
        return self._cpu

    def _read(self, now: float) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._at, self._cpu, self._memory = now, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
        self.peak = max(self.peak, self._memory)
        if self._reset >= 0:
            try:
                os.pwrite(self._reset, b"5", 0)
            except OSError:
                self._reset = -1

    def end(self, now: float, wall: float, before: float) -> tuple[float, int]:
        """Return the processor seconds used since `before`, and the peak memory in bytes."""
        if wall < _SHORT and now - self._at < _SHORT:
            return wall, self._memory
        self._read(now)
        return (wall if wall < _SHORT else self._cpu - before), self._memory


_SHORT = 0.001
_NOTHING: tuple[int, int | None] = (0, None)
_meter = _Meter()
os.register_at_fork(after_in_child=_meter.after_fork)


class _Watch:
    """Times one attempt."""

    __slots__ = ("arrived", "began", "cpu", "current", "executor", "started")

    def __init__(self, executor: str, current: Current) -> None:
        self.executor = executor
        self.current = current
        self.arrived = _NOTHING
        self.started = time.time()
        self.began = time.perf_counter()
        self.cpu = _meter.begin(self.began)

    def side(self, log: list[str], left: tuple[int, int | None] = _NOTHING) -> SideData:
        now = time.perf_counter()
        wall = now - self.began
        cpu, memory = _meter.end(now, wall, self.cpu)
        return SideData(
            self.started,
            wall,
            cpu,
            memory,
            self.current.attempt,
            self.executor,
            _HOST,
            os.getpid(),
            capture.joined(log) if log else "",
            left[0],
            tuple(self.current.spans),
            *self.arrived,
            left[1],
        )


def _failure(error: Exception, side: SideData, *, arrives: bool = False) -> Failure:
    """Return the failure of a call. What goes wrong while its inputs arrive may be their fault."""
    damaged = arrives and isinstance(error, (ObjectMissingError, CorruptObjectError, ClassChangedError))
    return Failure(error, "".join(traceback.format_exception(error)), side, "inputs" if damaged else "user")


def _clean(current: Current) -> None:
    if current.scratch_folder is not None and not current.keeps_scratch:
        shutil.rmtree(current.scratch_folder, ignore_errors=True)
