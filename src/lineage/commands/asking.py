"""Commands that ask what was made, by what, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["ASKING"]

ASKING: list[Callable[..., Any]] = []
