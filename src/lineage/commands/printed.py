"""What a command prints: text for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from lineage.datasets import Dataset

__all__ = ["as_json", "printed", "told"]


def told(text: str) -> None:
    """Say something beside the answer: on standard error, so that what is piped on stays clean."""
    print(text, file=sys.stderr)


def printed(found: Any, *, json: bool) -> None:
    """Print what a command found."""
    if json:
        print(_dumped(as_json(found)))
    elif type(found).__name__ == "DataFrame" and type(found).__module__.startswith("polars"):
        _print_frame(found)
    elif found is not None:
        print(found)


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str, indent=None)


def _print_frame(frame: Any) -> None:
    """Print a frame as a table: as wide as it needs to be where nobody looks, as wide as the terminal else."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, markup=False)
    if frame.height:
        console.print(table)
    else:
        told("nothing found")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.hex()[:12]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return (
        value.isoformat(sep=" ", timespec="seconds")
        if hasattr(value, "isoformat") and hasattr(value, "hour")
        else str(value)
    )


def as_json(found: Any) -> Any:
    """Return `found` as what JSON can say: frames as lists of rows, digests in hexadecimal, handles by their facts."""
    if found is None or isinstance(found, (bool, int, str)):
        return found
    if isinstance(found, float):
        return found if math.isfinite(found) else str(found)
    if isinstance(found, bytes):
        return found.hex()
    if isinstance(found, Dataset):
        return _handle(found)
    if isinstance(found, Mapping):
        return {str(key): as_json(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)) and not hasattr(found, "_fields"):
        return [as_json(value) for value in found]
    if hasattr(found, "to_dicts"):
        return [as_json(row) for row in found.to_dicts()]
    return _record(found)


def _handle(found: Dataset[Any]) -> dict[str, Any]:
    plain = {"digest": found.digest.hex(), "type": found.type, "rows": found.rows, "schema": found.schema}
    value = _small(found)
    return plain if value is None else plain | {"value": value}


def _small(found: Dataset[Any]) -> Any:
    """Return the value of a dataset where it is one that JSON knows."""
    if found.type not in ("int", "float", "str", "bool", "dict", "list", "NoneType"):
        return None
    try:
        return as_json(found.value)
    except Exception:
        return None


def _record(found: Any) -> Any:
    for name in ("records", "record"):
        if hasattr(found, name):
            return as_json(getattr(found, name)())
    if hasattr(found, "_asdict"):
        return as_json(found._asdict())
    if hasattr(type(found), "__attrs_attrs__"):
        return {
            one.name: as_json(getattr(found, one.name)) for one in type(found).__attrs_attrs__ if one.repr is not False
        }
    if hasattr(found, "__iter__"):
        return [as_json(value) for value in found]
    return str(found)
