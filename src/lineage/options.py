"""The options of a node and of a run, as frozen records. Only `version`, `compare`, `every` and `env` are part of a key.

What a node does not say is None, so that a run can fill it: `retries=0` on a node holds whatever the run says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, TypedDict

from attrs import evolve, field, frozen

from lineage.environments.request import Env
from lineage.errors import DeclarationError

__all__ = [
    "Approx",
    "Asked",
    "AskedOfAll",
    "AskedToRaise",
    "Compare",
    "OnFailure",
    "Options",
    "Resources",
    "Retry",
    "RunOptions",
    "parse_every",
]


@frozen
class Approx:
    """Outputs are the same when they differ by no more than `abs + rel * |stored|`, number by number."""

    rel: float = 1e-9
    abs: float = 0.0


Compare = Literal["exact", "unordered", "approx"] | Approx


def _types(value: Any) -> tuple[type[BaseException], ...]:
    found = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in found):
        raise DeclarationError(f"Retry(on=...) takes types of errors, such as (ConnectionError,), not {value!r}")
    return found


@frozen
class Retry:
    """Try again up to `count` times after an error of a type in `on`, after `backoff`, 2 × `backoff`, ... seconds.

    No pause is longer than `cap` seconds, and up to the part `jitter` of it is added at random, so that calls that failed
    together do not come back together. What fails for want of a worker (one that died, that ran out of memory) is no
    error of the node's: it is tried again up to `platform` times, after `platform_backoff`, twice that, ... seconds, and
    counts by itself. Where `platform` is not given, it is 3, and 0 for a sink, whose effect may have happened, whatever the run says.

    >>> Retry(3, backoff=1.0, on=ConnectionError).on
    (<class 'ConnectionError'>,)
    """

    count: int = 0
    backoff: float = 0.0
    on: tuple[type[BaseException], ...] = field(default=(Exception,), converter=_types)
    cap: float = 300.0
    jitter: float = 0.1
    platform: int | None = None
    platform_backoff: float = 1.0

    def __attrs_post_init__(self) -> None:
        numbers = {
            "count": self.count, "backoff": self.backoff, "cap": self.cap, "jitter": self.jitter,
            "platform": self.platform or 0, "platform_backoff": self.platform_backoff,
        }  # fmt: skip
        for name, number in numbers.items():
            if not isinstance(number, (int, float)) or isinstance(number, bool) or not number >= 0:
                raise DeclarationError(f"Retry({name}=...) is a number of 0 or more, not {number!r}")


@frozen
class Resources:
    """What a call needs: cores, bytes of memory, GPUs, and custom resources by name."""

    cpus: float = 1.0
    memory: int | None = None
    gpus: float = 0.0
    custom: dict[str, float] = field(factory=dict)

    def __str__(self) -> str:
        """Return what is asked for, in the units that people use.

        >>> print(Resources(memory=4 << 30, gpus=1))
        1 cpu, 4 GiB of memory, 1 gpu
        """
        parts = [_counted(self.cpus, "cpu")]
        parts += [f"{self.memory / (1 << 30):.3g} GiB of memory"] if self.memory is not None else []
        parts += [_counted(self.gpus, "gpu")] if self.gpus else []
        parts += [f"{number:g} {name}" for name, number in self.custom.items()]
        return ", ".join(parts)


def _counted(number: float, name: str) -> str:
    return f"{number:g} {name}" if number == 1 else f"{number:g} {name}s"


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_every(text: str | None) -> int | None:
    """Return the seconds of a period written as `30s`, `15m`, `12h`, `1d` or `2w`.

    >>> parse_every("12h")
    43200

    Raises:
        DeclarationError: it is written in another way.
    """
    if text is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]*)([smhdw])", text)
    if match is None:
        raise DeclarationError(f"every={text!r} is not a period; write a number and s, m, h, d or w, such as '1d'")
    return int(match[1]) * _UNITS[match[2]]


def _retry(value: int | Retry | None) -> Retry | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        value = Retry(value)
    if not isinstance(value, Retry):
        raise DeclarationError(f"retries is a count (0 or more) or a lineage.Retry, not {value!r}")
    return value


def _compare(value: Any) -> str | Approx:
    if value == "approx":
        return Approx()
    if value in ("exact", "unordered") or isinstance(value, Approx):
        return value  # type: ignore[no-any-return]
    raise DeclarationError(
        f"compare={value!r} is not known; use 'exact', 'unordered', 'approx' or lineage.Approx(rel=..., abs=...)"
    )


def _env(value: Env | None) -> Env | None:
    if value is not None and not isinstance(value, Env):
        raise DeclarationError(f"env is a lineage.Env(packages=[...], lock=...), not {value!r}")
    return value


def _timeout(value: float | None) -> float | None:
    if value is not None and not value > 0:
        raise DeclarationError(f"timeout is a number of seconds above 0 (math.inf for none), not {value!r}")
    return value


def _resources(value: Resources | None) -> Resources | None:
    if value is not None and not isinstance(value, Resources):
        raise DeclarationError(f"resources is a lineage.Resources(cpus=, memory=, gpus=, custom=), not {value!r}")
    return value


@frozen
class Options:
    """What a node asks for. See `lineage.node`."""

    retries: Retry | None = field(default=None, converter=_retry)
    timeout: float | None = field(default=None, converter=_timeout)
    resources: Resources | None = field(default=None, converter=_resources)
    executor: str | None = None
    env: Env | None = field(default=None, converter=_env)
    version: str | None = None
    compare: str | Approx = field(default="exact", converter=_compare)
    every: str | None = None

    def __attrs_post_init__(self) -> None:
        parse_every(self.every)

    @property
    def period(self) -> int | None:
        """The seconds of `every`."""
        return parse_every(self.every)

    @property
    def contract(self) -> str:
        """The text that stands for `compare` in keys."""
        return self.compare if isinstance(self.compare, str) else f"approx {self.compare.rel!r} {self.compare.abs!r}"


OnFailure = Literal["finish", "stop", "continue"]
"""What a failure that nothing catches does to a run: the rest is finished and the error raised; everything is given up and the
error raised at once; the rest is finished and the failures are handed over among the results."""


class AskedOfAll(TypedDict, total=False):
    """What may be said of one run, whatever it does about failures: see `RunOptions`."""

    executor: Any
    refresh: Iterable[Any]
    retries: int | Retry | None
    timeout: float | None
    resources: Resources | None
    env: Env | None


class AskedToRaise(AskedOfAll, total=False):
    """What may be said of a run that raises failures."""

    on_failure: Literal["finish", "stop"] | None


class Asked(AskedOfAll, total=False):
    """What may be said of any run."""

    on_failure: OnFailure | None


def _on_failure(value: Any) -> Any:
    if value not in (None, "finish", "stop", "continue"):
        raise DeclarationError(f"on_failure={value!r} is not known; use 'finish', 'stop' or 'continue'")
    return value


@frozen
class RunOptions:
    """What is said of one run, or of all runs of a session. It fills what nodes leave open and overrides nothing of theirs.

    `env` is what nodes inherit of their environment, and add to.
    """

    executor: Any = None
    refresh: Iterable[Any] = ()
    retries: Retry | None = field(default=None, converter=_retry)
    timeout: float | None = field(default=None, converter=_timeout)
    resources: Resources | None = field(default=None, converter=_resources)
    on_failure: OnFailure | None = field(default=None, converter=_on_failure)
    env: Env | None = field(default=None, converter=_env)

    def over(self, others: RunOptions) -> RunOptions:
        """Return these options, with those of `others` where nothing is said here.

        >>> RunOptions(retries=0).over(RunOptions(retries=3, timeout=60.0)).timeout
        60.0
        """
        names = ("executor", "retries", "timeout", "resources", "on_failure")
        open_names = [name for name in names if getattr(self, name) is None]
        env = others.env.plus(self.env) if others.env is not None else self.env
        return evolve(self, env=env, **{name: getattr(others, name) for name in open_names})

    def filling(self, given: Options) -> Options:
        """Return the options of a node, with those of the run where the node says nothing. No key changes by it."""
        changes: dict[str, Any] = {}
        if given.retries is None and self.retries is not None:
            changes["retries"] = self.retries
        if given.timeout is None and self.timeout is not None:
            changes["timeout"] = self.timeout
        if self.resources is not None and given.resources is None:
            changes["resources"] = self.resources
        elif self.resources is not None and given.resources is not None and given.resources.memory is None:
            changes["resources"] = evolve(given.resources, memory=self.resources.memory)
        return evolve(given, **changes) if changes else given
