"""Executors by text, as given to `executor=`, to `LINEAGE_EXECUTOR` and to `--with`: a name, and what it is made with.

    serial                              in this process
    processes    processes:4            workers of this machine
    ray          ray:auto    ray:ray://head:10001    ray://head:10001
    batch:queue=high,memory=10000,cpu=8

What a call needs may stand there too (`memory`, `cpu`, `gpu`): it holds for nodes that say nothing of it. A plain number is
mebibytes of memory; `10GB` and `10GiB` say what they are.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from lineage.errors import ExecutorError, NotFoundError
from lineage.executors.base import Executor
from lineage.options import Resources

if TYPE_CHECKING:
    from lineage.environments.resolved import Resolved

__all__ = ["KNOWN", "Chosen", "Executors", "choice", "memory_in_bytes"]

KNOWN = ("serial", "processes", "ray", "batch")

_CLASSES = {
    "serial": ("lineage.executors.serial", "Serial"),
    "processes": ("lineage.executors.processes", "Processes"),
    "ray": ("lineage.executors.ray", "Ray"),
    "batch": ("lineage.executors.batch", "Batch"),
}
_REQUESTS = {"memory": "memory", "cpu": "cpus", "cpus": "cpus", "gpu": "gpus", "gpus": "gpus"}


@frozen
class Chosen:
    """An executor that was asked for by text: its kind, what it is made with, and what its calls need."""

    kind: str
    main: str | None = None
    settings: dict[str, str] = field(factory=dict)
    resources: Resources | None = None

    def make(self) -> Executor:
        """Return a new executor.

        Raises:
            ExecutorError: it is not part of this installation, or takes no such settings.
        """
        module, name = _CLASSES[self.kind]
        try:
            cls: Callable[..., Executor] = getattr(importlib.import_module(module), name)
        except ImportError as error:
            raise ExecutorError(
                f"the executor {self.kind!r} can't be loaded here ({error}); install it: "
                f"pip install 'lineage[{self.kind}]'"
            ) from error
        given = [_number_or_text(self.main)] if self.main is not None else []
        try:
            return cls(*given, **{key: _number_or_text(value) for key, value in self.settings.items()})
        except TypeError as error:
            raise ExecutorError(f"{name} can't be made from {self._given()}: {error}") from error

    def _given(self) -> str:
        parts = [*([self.main] if self.main is not None else []), *(f"{k}={v}" for k, v in self.settings.items())]
        return repr(",".join(parts)) if parts else "nothing"


def choice(text: str) -> Chosen | None:
    """Return what a text asks for; None where it begins with no known kind of executor.

    >>> choice("processes:4")
    Chosen(kind='processes', main='4', settings={}, resources=None)
    >>> print(choice("batch:queue=high,memory=10000,cpu=8").resources)
    8 cpus, 9.77 GiB of memory
    >>> choice("gpu-box") is None
    True

    Raises:
        ExecutorError: what follows the kind can't be read.
    """
    if text.startswith("ray://"):
        return Chosen("ray", text)
    kind, _, rest = text.partition(":")
    if kind not in KNOWN:
        return None
    main: str | None = None
    settings: dict[str, str] = {}
    asked: dict[str, Any] = {}
    for part in rest.split(",") if rest else ():
        key, is_setting, value = part.partition("=")
        if not is_setting or not key.isidentifier():
            if main is not None:
                raise ExecutorError(f"{text!r}: {part!r} is one thing too many; write name=value, with commas between")
            main = part
        elif key in _REQUESTS:
            asked[_REQUESTS[key]] = _amount(key, value)
        else:
            settings[key] = value
    return Chosen(kind, main, settings, Resources(**asked) if asked else None)


class Executors:
    """The executors of a session, by name: those that were bound, and known ones, which are made when they are asked for.

    >>> Executors({"gpu": "serial"}).find("gpu")
    Serial()
    """

    def __init__(self, bound: Mapping[str, Executor | str]) -> None:
        self._bound: dict[str, Executor | str] = {"default": "serial", **bound}
        self._made: dict[str, Executor] = {}

    def find(self, wanted: Executor | str) -> Executor:
        """Return the executor behind a name or a text; one that is an executor already is that.

        Raises:
            NotFoundError: nothing is bound to the name, and it is no known one.
            ExecutorError: it can't be made.
        """
        found: Executor | str = wanted
        for _ in range(len(self._bound) + 1):
            if not isinstance(found, str):
                return found
            if self._bound.get(found, found) == found:
                return self._known(found)
            found = self._bound[found]
        raise ExecutorError(f"the executors bound to {wanted!r} lead back to themselves: {self!r}")

    def _known(self, text: str) -> Executor:
        if text not in self._made:
            chosen = choice(text)
            if chosen is None:
                raise NotFoundError(
                    f"no executor is bound to {text!r}; bound: {', '.join(self._bound)}; known: {', '.join(KNOWN)}. "
                    f"Bind it: Session(executors={{{text!r}: ...}})"
                )
            self._made[text] = chosen.make()
        return self._made[text]

    def pinned(self, environment: Resolved, workers: int) -> Executor:
        """Return the workers of an environment, which last as long as the session."""
        from lineage.executors.pinned import Pinned

        key = f"environment {environment.digest.hex()} {workers}"
        if key not in self._made:
            self._made[key] = Pinned(environment, workers, tell=_tell)
        return self._made[key]

    def resources(self, wanted: Executor | str) -> Resources | None:
        """Return what a text says of the needs of calls: `batch:memory=10000`."""
        found: Any = wanted
        while isinstance(found, str) and self._bound.get(found, found) != found:
            found = self._bound[found]
        chosen = choice(found) if isinstance(found, str) else None
        return None if chosen is None else chosen.resources

    def close(self) -> None:
        """End the workers of all."""
        for executor in [*self._bound.values(), *self._made.values()]:
            if not isinstance(executor, str):
                executor.close()

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {executor!r}' for name, executor in self._bound.items())}}}"


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)


_UNITS = {"": 1 << 20, "B": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}  # fmt: skip


def memory_in_bytes(text: str) -> int:
    """Return the bytes that a text asks for.

    >>> memory_in_bytes("10GB"), memory_in_bytes("4GiB"), memory_in_bytes("512")
    (10000000000, 4294967296, 536870912)

    Raises:
        ExecutorError: it is written in another way.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?((?:[KMGT]i?)?)(B?)", text)
    if match is None:
        raise ExecutorError(f"{text!r} is no amount of memory; write mebibytes (10000) or a unit (10GB, 4GiB)")
    unit = match[2] or match[3]
    return int(float(match[1]) * _UNITS[unit])


def _amount(key: str, text: str) -> float | int:
    if key == "memory":
        return memory_in_bytes(text)
    try:
        return float(text)
    except ValueError:
        raise ExecutorError(f"{key}={text!r} is no number") from None


def _number_or_text(text: str) -> int | str:
    return int(text) if text.isdigit() else text
