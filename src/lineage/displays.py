"""The door through which things show themselves in a notebook.

What draws them stands at the top of the layers and knows them all, so it is looked up when it is asked for, and not imported.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["html_of"]


def html_of(x: Any) -> str | None:
    """Return what a notebook shows of `x`; None, for its plain text, where something is in the way. Never raises."""
    try:
        return str(importlib.import_module("lineage.pictures.display").html(x))
    except Exception:  # a display that fails is worse than a plain one
        return None
