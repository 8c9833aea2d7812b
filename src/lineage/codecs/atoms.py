"""Small values that are written as text: how each is written, and read back to the very same value."""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import json
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

from lineage.content.tree import Atom
from lineage.errors import UnstableIdentityError

__all__ = ["INLINE_BYTES", "read_atom", "write_atom"]

INLINE_BYTES = 4096
"""Byte strings up to so many bytes stand in the record; longer ones are objects."""


def _write_zone(zone: dt.tzinfo | None) -> str:
    if zone is None:
        return ""
    if type(zone).__module__ == "zoneinfo":
        key = getattr(zone, "key", None)
        if key:
            return f"zone {key}"
    if type(zone) is dt.timezone:
        return f"utc {zone.utcoffset(None).total_seconds()!r} {zone.tzname(None)}"
    raise UnstableIdentityError(
        f"{zone!r} is a time zone without a stable name; use zoneinfo.ZoneInfo or datetime.timezone"
    )


def _read_zone(text: str) -> dt.tzinfo | None:
    kind, _, rest = text.partition(" ")
    if kind == "":
        return None
    if kind == "zone":
        return _zone(rest)
    seconds, _, name = rest.partition(" ")
    offset = dt.timedelta(seconds=float(seconds))
    plain = dt.timezone(offset)
    return plain if plain.tzname(None) == name else dt.timezone(offset, name)


def _zone(name: str) -> dt.tzinfo:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _write_clock(value: dt.datetime | dt.time) -> str:
    return f"{value.replace(tzinfo=None, fold=0).isoformat()}|{value.fold}|{_write_zone(value.tzinfo)}"


def _read_clock(cls: Any) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        plain, fold, zone = text.split("|", 2)
        return cls.fromisoformat(plain).replace(fold=int(fold), tzinfo=_read_zone(zone))

    return read


def _write_delta(value: dt.timedelta) -> str:
    return f"{value.days} {value.seconds} {value.microseconds}"


def _read_complex(text: str) -> complex:
    real, imaginary = text.split(" ")
    return complex(float.fromhex(real), float.fromhex(imaginary))


def _read_pattern(text: str) -> re.Pattern[Any]:
    pattern, is_bytes, flags = json.loads(text)
    return re.compile(pattern.encode("latin-1") if is_bytes else pattern, flags)


def _write_pattern(value: re.Pattern[Any]) -> str:
    is_bytes = isinstance(value.pattern, bytes)
    pattern = value.pattern.decode("latin-1") if is_bytes else value.pattern
    return json.dumps([pattern, is_bytes, value.flags])


def _write_numpy(value: Any) -> str:
    import numpy as np

    if isinstance(value, np.str_):  # an array would cut off the zeros at its end
        return f"str {value.encode('utf-8', 'surrogatepass').hex()}"
    if isinstance(value, np.bytes_):
        return f"bytes {bytes(value).hex()}"
    parts = [value.real, value.imag] if value.dtype.kind == "c" else [value]
    return f"{value.dtype.str} {b''.join(map(_number_bytes, parts)).hex()}"


def _number_bytes(number: Any) -> bytes:
    """Return the bytes of a scalar: those of the one NaN if it is one, and no padding."""
    if number.dtype.kind == "f" and number != number:
        number = number.dtype.type("nan")
    data: bytes = number.tobytes()
    if number.dtype.kind == "f" and number.dtype.itemsize > 8 and _is_x87(number.dtype):
        return data[:10] + bytes(len(data) - 10)
    return data


def _is_x87(dtype: Any) -> bool:
    import numpy as np

    return int(np.finfo(dtype).nmant) == 63


def _read_numpy(text: str) -> Any:
    import numpy as np

    dtype, _, data = text.partition(" ")
    raw = bytes.fromhex(data)
    if dtype == "str":
        return np.str_(raw.decode("utf-8", "surrogatepass"))
    if dtype == "bytes":
        return np.bytes_(raw)
    return np.frombuffer(raw, np.dtype(dtype), count=1)[0]


def _read_by(module: str, name: str) -> Callable[[str], Any]:
    """Return what makes a value of a class of its text, importing the module when it is first needed."""
    return lambda text: getattr(importlib.import_module(module), name)(text)


_KINDS: dict[str, tuple[type | str | None, Callable[[Any], str], Callable[[str], Any]]] = {
    "bytes": (bytes, lambda v: base64.b64encode(v).decode(), base64.b64decode),
    "bytearray": (
        bytearray,
        lambda v: base64.b64encode(v).decode(),
        lambda text: bytearray(base64.b64decode(text)),
    ),
    "complex": (complex, lambda v: f"{v.real.hex()} {v.imag.hex()}", _read_complex),
    "decimal": ("decimal.Decimal", str, _read_by("decimal", "Decimal")),
    "fraction": ("fractions.Fraction", str, _read_by("fractions", "Fraction")),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, _write_clock, _read_clock(dt.time)),
    "datetime": (dt.datetime, _write_clock, _read_clock(dt.datetime)),
    "timedelta": (dt.timedelta, _write_delta, lambda text: dt.timedelta(*map(int, text.split()))),
    "timezone": (dt.timezone, _write_zone, _read_zone),
    "zone": ("zoneinfo.ZoneInfo", _write_zone, _read_zone),
    "uuid": ("uuid.UUID", str, _read_by("uuid", "UUID")),
    "pattern": (re.Pattern, _write_pattern, _read_pattern),
    "ellipsis": (type(...), lambda _: "", lambda _: ...),
    "PurePosixPath": (pathlib.PurePosixPath, str, pathlib.PurePosixPath),
    "PureWindowsPath": (pathlib.PureWindowsPath, str, pathlib.PureWindowsPath),
    "PosixPath": (pathlib.PosixPath, str, pathlib.Path),
    "numpy": (None, _write_numpy, _read_numpy),
}

_BY_TYPE = {cls: (kind, write) for kind, (cls, write, _) in _KINDS.items() if isinstance(cls, type)}
_BY_NAME = {cls: (kind, write) for kind, (cls, write, _) in _KINDS.items() if isinstance(cls, str)}
"""By the names of modules that need not be imported before there is a value of theirs."""


def write_atom(value: Any) -> Atom | None:
    """Return the atom of `value`, or None if its exact type is not one that is written as text."""
    found = _BY_TYPE.get(type(value)) or _named(type(value))
    if found is not None:
        kind, write = found
        return Atom(kind, write(value))
    if type(value).__module__ == "numpy" and hasattr(value, "dtype") and hasattr(value, "tobytes"):
        import numpy as np

        if isinstance(value, np.generic) and value.dtype.kind in "biufcSUmM":
            return Atom("numpy", _write_numpy(value))
    return None


def _named(cls: type) -> tuple[str, Callable[[Any], str]] | None:
    name = f"{cls.__module__}.{cls.__qualname__}"
    found = _BY_NAME.get(name)
    if found is not None and getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls:
        _BY_TYPE[cls] = found
        return found
    return None


def read_atom(atom: Atom) -> Any:
    """Return the value that `atom` writes."""
    return _KINDS[atom.kind][2](atom.text)
