"""What a node asks of its environment: an interpreter's version, packages, extras of the project."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from attrs import evolve, field, frozen

from lineage.errors import DeclarationError

__all__ = ["Env", "name_of", "normalised"]

_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*(.*)", re.DOTALL)
_PYTHON = re.compile(r"3\.(\d+)(\.\d+)?")
_OLDEST = 11


def normalised(name: str) -> str:
    """Return a distribution's name in the one spelling that indexes know it by."""
    return re.sub(r"[-_.]+", "-", name).lower()


def name_of(requirement: str) -> str:
    """Return the name of the distribution that a requirement asks for.

    >>> name_of("Scikit_Learn[alldeps]>=1.5")
    'scikit-learn'
    """
    match = _NAME.fullmatch(requirement)
    return normalised(match[1]) if match else requirement


def _requirements(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise DeclarationError(f"packages is a list of requirements, not the text {values!r}; write [{values!r}]")
    found: dict[str, str] = {}
    for value in values:
        name = name_of(_checked(value))
        if name in found:
            raise DeclarationError(f"packages asks for {name} twice: {found[name]!r} and {value!r}; keep one")
        found[name] = value
    return tuple(found[name] for name in sorted(found))


def _checked(requirement: Any) -> str:
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError:  # in a worker, whose driver has looked at it
        return str(requirement).strip()
    try:
        parsed = Requirement(requirement)
    except (InvalidRequirement, TypeError) as error:
        raise DeclarationError(
            f"{requirement!r} is not a requirement ({error}); write a name and versions, such as 'scikit-learn>=1.5,<2'"
        ) from error
    if parsed.url:
        raise DeclarationError(
            f"{requirement!r} names a place; an environment is pinned by names, versions and hashes. "
            f"Write a version of {parsed.name}, and let the machine's configuration of uv say where to look"
        )
    return str(requirement).strip()


def _python(value: str | None) -> str | None:
    if value is None:
        return None
    match = _PYTHON.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[1]) < _OLDEST:
        raise DeclarationError(f"python={value!r}: write a version from '3.{_OLDEST}' on, such as '3.12'")
    return value


def _names(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise DeclarationError(f"extras is a list of names, not the text {values!r}; write [{values!r}]")
    return tuple(sorted({normalised(value) for value in values}))


@frozen
class Env:
    """What nodes ask of the environment that they run in.

    Args:
        python: The version of the interpreter (`"3.12"`); by default that of the lock, which is that of whoever made it.
        packages: Requirements: names and versions, as in `pyproject.toml`.
        lock: The file that says what was resolved, beside the code and meant to be committed. A relative path starts at the
            project's folder. By default `envs/` there, under a name made of the request.
        extras: Extras of the project whose requirements count too, together with the project's own.
        allow_undeclared: Let code import what only the driver's environment has, at the versions that are there. Recorded.

    >>> base = Env(packages=["numpy>=2"])
    >>> base.plus(Env(packages=["scikit-learn==1.6.1", "numpy==2.1.3"])).packages
    ('numpy==2.1.3', 'scikit-learn==1.6.1')

    Raises:
        DeclarationError: a requirement can't be read, names a place, or stands there twice.
    """

    python: str | None = field(default=None, converter=_python)
    packages: tuple[str, ...] = field(default=(), converter=_requirements)
    lock: str | None = None
    extras: tuple[str, ...] = field(default=(), converter=_names)
    allow_undeclared: bool = False
    replaced: tuple[str, ...] = field(default=(), kw_only=True)
    """What of an outer environment gave way to what an inner one says, for people."""

    def plus(self, inner: Env | None) -> Env:
        """Return this environment with what `inner` adds to it; where both say something, `inner` holds.

        The lock is `inner`'s where it names one; where it names none, it is this one's only if `inner` adds nothing.
        """
        if inner is None:
            return self
        own = {name_of(requirement): requirement for requirement in self.packages}
        theirs = {name_of(requirement): requirement for requirement in inner.packages}
        gone = [
            f"{own[name]} gave way to {theirs[name]}" for name in own if name in theirs and own[name] != theirs[name]
        ]
        if inner.python and self.python and inner.python != self.python:
            gone.append(f"Python {self.python} gave way to {inner.python}")
        merged = evolve(
            inner,
            python=inner.python or self.python,
            packages=tuple({**own, **theirs}.values()),
            extras=(*self.extras, *inner.extras),
            allow_undeclared=self.allow_undeclared or inner.allow_undeclared,
            replaced=(*self.replaced, *inner.replaced, *gone),
        )
        if inner.lock is None and merged.asks == self.asks:
            return evolve(merged, lock=self.lock)
        return merged

    @property
    def asks(self) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
        """What decides a resolution: the interpreter, the packages, the extras."""
        return self.python, self.packages, self.extras
