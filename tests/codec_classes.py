"""Classes whose instances the tests of codecs store."""

from __future__ import annotations

import copyreg
import dataclasses
import enum
from typing import Any, NamedTuple

import attrs


class Colour(enum.Enum):
    RED = 1
    GREEN = "g"
    CRIMSON = 1


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Access(enum.IntFlag):
    USER = 4
    GROUP = 2


class Named(NamedTuple):
    x: Any
    y: Any = 1


@attrs.frozen
class Frozen:
    a: Any
    _hidden: Any = None


@attrs.define(slots=False)
class Loose:
    a: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Data:
    a: Any
    b: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class Plain:
    a: Any


class Holder:
    """A class without declared fields, kept as a pickle."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


# Python adds the names of slots to a class when an instance is first pickled.
for _cls in (Holder, Named, Frozen, Loose, Data, Plain):
    copyreg._slotnames(_cls)  # type: ignore[attr-defined]
