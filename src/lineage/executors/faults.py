"""Errors as they travel between processes: themselves where they can, else a stand-in with their names, text and bases."""

from __future__ import annotations

import pickle
import types
from typing import Any

import cloudpickle

from lineage.codecs.plain import find_by_name, name_of
from lineage.errors import NotFoundError

__all__ = ["error_as_bytes", "error_from"]


def error_as_bytes(error: Exception) -> bytes:
    """Return an error as it travels. One that does not survive pickling is described."""
    described = [name_of(cls) for cls in type(error).__mro__ if issubclass(cls, BaseException)], _text(error)
    try:
        data = cloudpickle.dumps(error)
        back = cloudpickle.loads(data)
        if type(back) is not type(error) or str(back) != str(error):
            data = b""
    except Exception:  # whatever its own code does then
        data = b""
    return pickle.dumps((data, *described))


def error_from(data: bytes) -> Exception:
    """Return the error that travelled as `data`; a stand-in, of the nearest class that is to be had here, for one that can't.

    >>> error_from(error_as_bytes(ValueError("no", 1)))
    ValueError('no', 1)
    """
    whole, names, text = pickle.loads(data)
    if whole:
        try:
            return cloudpickle.loads(whole)  # type: ignore[no-any-return]
        except Exception:  # its class is not to be had here
            pass
    return _stand_in(names, text)


def _stand_in(names: list[str], text: str) -> Exception:
    for name in names:
        try:
            nearest = find_by_name(name)
        except NotFoundError:
            continue
        if isinstance(nearest, type) and issubclass(nearest, Exception):
            break
    else:
        nearest = Exception
    module, _, qualname = names[0].partition(":")
    facts: dict[str, Any] = {"__module__": module, "__qualname__": qualname, "__str__": lambda self: text}
    for base in (nearest, Exception):
        try:
            cls: Any = types.new_class(qualname.rpartition(".")[2], (base,), exec_body=lambda body: body.update(facts))
            made: Exception = cls.__new__(cls, text)  # its own __init__ may want what is lost
        except TypeError:
            continue
        return made
    return Exception(text)


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception as worse:
        return f"(its text can't be had: {worse!r})"
