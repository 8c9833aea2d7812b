"""One worker process, whoever started it: is told of nodes, carries out parcels, and hands back what came of them.

A worker makes sure that its code is what was planned, when it is told of a node and again before each call: what an earlier
call did to a module shows there, and such a worker carries out nothing more. Everything that a call can set for the whole
process without its code showing it (working folder, environment, locale, warning filters, context variables) is put back.
"""

from __future__ import annotations

import contextvars
import json
import locale
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from lineage.digest import Digest
from lineage.errors import MutationError, WorkerError
from lineage.executors.base import Failure
from lineage.executors.outpost import Description, Outpost
from lineage.executors.packages import unpacked
from lineage.executors.parcels import Box, Parcel, Result, as_result, unboxed, unparcelled
from lineage.executors.perform import perform
from lineage.node import Node
from lineage.records import SideData
from lineage.settings import fixed_settings

__all__ = ["ENVIRONMENT", "Tainted", "Worker", "environment"]

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "LANG": "C.UTF-8",
    "POLARS_ENGINE_AFFINITY": "in-memory",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
"""What workers start with, whoever starts them."""


def environment(cpus: int) -> dict[str, str]:
    """Return what a worker for calls that use up to `cpus` cores starts with.

    >>> environment(2)["POLARS_MAX_THREADS"]
    '2'
    """
    threads = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
    return ENVIRONMENT | dict.fromkeys(threads, str(cpus))


class Tainted(Exception):
    """This process no longer holds the code that was planned: another one has to carry out what is left."""


class Worker:
    """Carries out parcels in this process, for as long as it is what it was. Its store has no index: see `Outpost`."""

    def __init__(self, description: Description, executor: str, *, cpus: int = 1) -> None:
        time.tzset()
        self.executor = executor
        self.store = Outpost(description)
        self.cpus = cpus
        self._has_run = False
        self.is_spent = False
        """Whether a call left something behind that only another process is free of."""
        self._nodes: dict[int, tuple[Box, Node[..., Any] | Exception]] = {}
        self._folder: str | None = None
        self._settings = ExitStack()
        self._packages: frozenset[str] | None = None
        self._state = _State()

    def learn(self, boxes: Iterable[Box]) -> None:
        """Take in nodes that parcels will speak of.

        Raises:
            Tainted: what was carried out here has changed the code of one.
        """
        for box in boxes:
            found = self._opened(box)
            if isinstance(found, Exception) and self._has_run:
                raise Tainted(str(found))
            self._nodes[box.number] = box, found
        packages = frozenset(
            name for _, node in self._nodes.values() if isinstance(node, Node) for name in node.packages()
        )
        if packages != self._packages:
            self._packages = packages
            self._settings.close()
            self._settings.enter_context(fixed_settings(packages, self.cpus))
        self._state = _State()

    def carry_out(self, parcel: Parcel) -> Result:
        """Carry out one attempt of a call.

        Raises:
            Tainted: it was not begun, because the code of its node is not here as it was planned any more.
        """
        box, node = self._nodes[parcel.box]
        if not isinstance(node, Node):
            return self._refusal(parcel, node)
        if not node.still_is(box.code):
            raise Tainted(f"{box.name}: {_differences(box, node)}")
        self._has_run = True
        self.store.learn(parcel.kept)
        try:
            work = unparcelled(parcel, node, box.code, self._folder)
        except Exception as error:
            return self._refusal(parcel, _refused(box, f"its arguments can't be read: {error!r}", error))
        try:
            outcome = contextvars.copy_context().run(perform, work, self.store, self.executor)
        finally:
            self._state.restore()
        if isinstance(outcome.result, Failure) and isinstance(outcome.result.error, MutationError):
            self.is_spent = True
        return as_result(parcel.number, outcome.result, self.store.handed_over())

    def _refusal(self, parcel: Parcel, error: Exception) -> Result:
        side = SideData(time.time(), attempt=parcel.attempt, executor=self.executor, process=os.getpid())
        return as_result(
            parcel.number, Failure(error, "".join(traceback.format_exception(error)), side, "platform"), ()
        )

    def _opened(self, box: Box) -> Node[..., Any] | Exception:
        """Return the node in a box, or why there is none."""
        try:
            if box.package is not None:
                self._folder = self._unpack(box.package)
            self.store.register(self._folder)
            node = unboxed(box, self._folder)
            found = node.code_digest()
        except Exception as error:
            return _refused(box, f"{type(error).__name__}: {error}", error)
        if found != box.code:
            return _refused(box, f"a worker has other code or packages than this process: {_differences(box, node)}")
        return node

    def _unpack(self, package: str) -> str:
        place = self.store.views().parent / "code" / package
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = str(unpacked(self.store.objects.path(Digest(bytes.fromhex(package))), place))
        if folder not in sys.path:
            sys.path.insert(0, folder)
        return folder


def _refused(box: Box, why: str, cause: Exception | None = None) -> WorkerError:
    error = WorkerError(f"{box.name} can't be carried out as it was planned: {why}", node=box.name)
    error.__cause__ = cause
    return error


def _differences(box: Box, node: Node[..., Any]) -> str:
    """Return which parts of a node's identity are not the same here."""
    there: Mapping[str, str] = json.loads(box.leaves)["leaves"]
    here: Mapping[str, str] = json.loads(node.leaves())["leaves"]
    told = [
        f"{name} ({'not here' if name not in here else 'only here' if name not in there else 'differs'})"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
    more = f" and {len(told) - 5} more" if len(told) > 5 else ""
    return (", ".join(told[:5]) or "how it is declared") + more


class _State:
    """What a process has besides its modules, as it was when this was made."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        self._environment = dict(os.environ._data)  # type: ignore[attr-defined]
        self._locale = locale.setlocale(locale.LC_ALL)
        self._filters = list(warnings.filters)
        self._path = list(sys.path)

    def restore(self) -> None:
        """Put back what was changed. A microsecond each where nothing was."""
        if os.environ._data != self._environment:  # type: ignore[attr-defined]
            for name in list(os.environ):
                if os.fsencode(name) not in self._environment:
                    del os.environ[name]
            for key, value in self._environment.items():
                os.environ[os.fsdecode(key)] = os.fsdecode(value)
            time.tzset()
        if warnings.filters != self._filters:
            warnings.filters[:] = self._filters  # type: ignore[index]
            warnings._filters_mutated()  # type: ignore[attr-defined]
        if sys.path != self._path:
            sys.path[:] = self._path
        if _where() != self._folder:
            os.chdir(self._folder)
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)


def _where() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it was removed
