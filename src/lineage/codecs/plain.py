"""Long byte strings, and names by which code is found again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lineage.digest import Digest, digest_of
from lineage.errors import CodecError, NotFoundError

__all__ = ["BytesCodec", "check_importable", "find_by_name", "name_of"]


class BytesCodec:
    """`bytes` and `bytearray` too long to stand in a record."""

    family = "bytes"

    def identify(self, value: Any, kind: str) -> tuple[Digest, dict[str, Any]]:
        return digest_of(kind, bytes(value)), {"nbytes": len(value)}

    def lossless(self, value: Any) -> bool:
        return True

    def encode(self, value: Any, kind: str, folder: Path) -> dict[str, Any]:
        (folder / "bytes").write_bytes(value)
        return {}

    def decode(self, files: Mapping[str, Path], notes: Mapping[str, Any], kind: str) -> Any:
        data = files["bytes"].read_bytes()
        return bytearray(data) if kind.endswith(":bytearray") else data


def check_importable(thing: Any) -> None:
    """Raise unless `thing` can be found again by its name.

    Raises:
        CodecError: it is a lambda, a local function, or hidden behind another of the same name.
    """
    name = name_of(thing)
    try:
        found = find_by_name(name)
    except NotFoundError:
        found = None
    if found is not thing:
        raise CodecError(
            f"{name} can't be stored: it can't be imported by that name. "
            "Define it at the top level of a module, or return a value instead of a function"
        )


def name_of(thing: Any) -> str:
    """Return `module:qualname`.

    >>> import json
    >>> name_of(json.dumps)
    'json:dumps'
    """
    module = getattr(thing, "__module__", None) or "builtins"
    return f"{module}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def find_by_name(name: str) -> Any:
    """Return what `module:qualname` names, importing the module if need be.

    Raises:
        NotFoundError: there is no such module or attribute.
    """
    module_name, _, path = name.partition(":")
    try:
        found: Any = sys.modules.get(module_name) or importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotFoundError(f"{name} can't be imported: {error}", name=name) from error
    return found
