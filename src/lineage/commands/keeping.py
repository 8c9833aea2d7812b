"""Commands that look after what is kept: names, stores, environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["KEEPING"]

KEEPING: list[Callable[..., Any]] = []
