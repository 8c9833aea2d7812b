"""The options of a node, as frozen records. Only `version`, `compare`, `every` and `env` are part of a key."""

from __future__ import annotations

import re
from typing import Any, Literal

from attrs import field, frozen

from lineage.errors import DeclarationError

__all__ = ["Approx", "Compare", "Options", "Resources", "Retry", "parse_every"]


@frozen
class Approx:
    """Outputs are the same when they differ by no more than `abs + rel * |stored|`, number by number."""

    rel: float = 1e-9
    abs: float = 0.0


Compare = Literal["exact", "unordered", "approx"] | Approx


@frozen
class Retry:
    """Try again up to `count` times after an error of a type in `on`, after `backoff`, 2 × `backoff`, ... seconds."""

    count: int = 0
    backoff: float = 0.0
    on: tuple[type[BaseException], ...] = (Exception,)


@frozen
class Resources:
    """What a call needs: cores, bytes of memory, GPUs, and custom resources by name."""

    cpus: float = 1.0
    memory: int | None = None
    gpus: float = 0.0
    custom: dict[str, float] = field(factory=dict)


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


def _retry(value: int | Retry) -> Retry:
    if isinstance(value, int) and not isinstance(value, bool):
        value = Retry(value)
    if not isinstance(value, Retry) or value.count < 0:
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


def _timeout(value: float | None) -> float | None:
    if value is not None and not value > 0:
        raise DeclarationError(f"timeout is a number of seconds above 0, not {value!r}")
    return value


@frozen
class Options:
    """What a node asks for. See `lineage.node`."""

    retries: Retry = field(default=Retry(), converter=_retry)
    timeout: float | None = field(default=None, converter=_timeout)
    resources: Resources | None = None
    executor: str | None = None
    env: Any = None
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
