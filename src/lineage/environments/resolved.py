"""What one machine installs of a lock: this, and not the lock's text, is part of keys.

Of every package the one file that fits this platform and the lock's Python counts, by its hash. So comments and order in a
lock don't matter, nor files for other platforms; and two platforms have different keys exactly where their wheels differ.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from lineage.digest import Digest, digest_of
from lineage.environments.lock import Artifact, Lock, Package
from lineage.errors import EnvError

__all__ = ["Pin", "Resolved", "load_resolved", "resolved"]


@frozen(order=True)
class Pin:
    """One distribution as it is installed: the file, by its hash. `platform` says where a source archive is built."""

    name: str
    version: str
    file: str
    sha256: str
    platform: str = ""

    @property
    def digest(self) -> Digest:
        return digest_of("pinned", *(part.encode() for part in (self.name, self.version, self.sha256, self.platform)))


def _in_order(pins: Iterable[Pin]) -> tuple[Pin, ...]:
    return tuple(sorted(pins))


@frozen
class Resolved:
    """An environment: a version of Python and what is installed for it, in the order of names."""

    python: str
    pins: tuple[Pin, ...] = field(converter=_in_order)
    allow_undeclared: bool = False

    @functools.cached_property
    def place(self) -> Digest:
        """The name of the environment on a machine: what is installed, whatever code is allowed to import besides."""
        return digest_of("environment", self.python.encode(), *(pin.digest for pin in self.pins))

    @functools.cached_property
    def digest(self) -> Digest:
        """What stands for the environment in keys where its leaves don't."""
        return digest_of("allowing undeclared", self.place) if self.allow_undeclared else self.place

    @functools.cached_property
    def packages(self) -> dict[str, str]:
        """Names and versions."""
        return {pin.name: pin.version for pin in self.pins}

    @property
    def leaves(self) -> Mapping[str, Digest]:
        """What stands for this environment in the keys of nodes that run in it, leaf by leaf."""
        found = {f"package {pin.name} {pin.version}": pin.digest for pin in self.pins}
        found[f"python {self.python}"] = digest_of("python")
        if self.allow_undeclared:
            found["undeclared imports allowed"] = digest_of("undeclared")
        return found


def resolved(lock: Lock, *, allow_undeclared: bool = False) -> Resolved:
    """Return what this machine installs of `lock`.

    Raises:
        EnvError: a package has no file that fits this platform.
    """
    pins = [_pin(package, lock.python) for package in lock.packages if _applies(package.marker, lock.python)]
    return Resolved(lock.python, pins, allow_undeclared)


def load_resolved(data: Mapping[str, Any]) -> Resolved:
    """Return the environment that `attrs.asdict` made data of."""
    return Resolved(data["python"], [Pin(**pin) for pin in data["pins"]], data["allow_undeclared"])


def _applies(marker: str, python: str) -> bool:
    if not marker:
        return True
    from packaging.markers import Marker

    return Marker(marker).evaluate(_surroundings(python))


@functools.cache
def _surroundings(python: str) -> dict[str, str]:
    """Return what markers are asked about. The last part of a version that is not given is the driver's, else a late one."""
    from packaging.markers import default_environment

    minor = ".".join(python.split(".")[:2])
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    full = python if python != minor else ".".join(map(str, sys.version_info[:3])) if minor == own else f"{minor}.99"
    found = {**default_environment(), "python_version": minor, "python_full_version": full}
    return {**{name: str(value) for name, value in found.items()}, "implementation_version": full, "extra": ""}


@functools.cache
def _order(python: str) -> dict[Any, int]:
    """Return the tags of wheels that fit, the best first."""
    from packaging.tags import compatible_tags, cpython_tags, platform_tags

    major, minor = python.split(".")[:2]
    version = (int(major), int(minor))
    platforms = list(platform_tags())
    interpreter = f"cp{major}{minor}"
    tags = [
        *cpython_tags(version, [interpreter], platforms),
        *compatible_tags(version, interpreter, platforms),
    ]
    return {tag: place for place, tag in enumerate(tags)}


def _pin(package: Package, python: str) -> Pin:
    best = min(
        ((place, file) for file in package.files if file.is_wheel and (place := _fit(file, python)) is not None),
        default=None,
    )
    if best is not None:
        return Pin(package.name, package.version, best[1].name, best[1].sha256)
    archive = next((file for file in package.files if not file.is_wheel), None)
    if archive is None:
        raise EnvError(
            f"{package.name} {package.version} has no wheel for Python {python} on this platform, and no source; "
            "ask for another version of it"
        )
    from packaging.tags import platform_tags

    return Pin(package.name, package.version, archive.name, archive.sha256, f"cp{python} {next(platform_tags())}")


def _fit(file: Artifact, python: str) -> tuple[int, tuple[int, str]] | None:
    """Return how well a wheel fits, the less the better; None where it does not."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        _, _, build, tags = parse_wheel_filename(file.name)
    except InvalidWheelFilename:
        return None
    order = _order(python)
    places = [order[tag] for tag in tags if tag in order]
    return (min(places), (-(build[0] if build else 0), file.name)) if places else None
