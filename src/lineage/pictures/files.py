"""Pictures as files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lineage.errors import CompositionError, MissingExtraError
from lineage.pictures.display import svg
from lineage.pictures.theme import DARK, LIGHT

__all__ = ["write_picture"]

_ZOOM = 2.0
"""Pixels of a PNG for each of the SVG, so that text is sharp."""


def write_picture(x: Any, path: str | os.PathLike[str], *, dark: bool = False) -> Path:
    """Write a picture of `x` as SVG or PNG, by the suffix of `path`. See `lineage.picture`."""
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix == ".svg":
        target.write_text(svg(x), encoding="utf-8")
    elif suffix == ".png":
        target.write_bytes(_png(svg(x, DARK if dark else LIGHT)))
    else:
        raise CompositionError(
            f"a picture is written as .svg or .png, not {suffix or 'without a suffix'}: {target.name}"
        )
    return target


def _png(text: str) -> bytes:
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise MissingExtraError("a picture as PNG needs resvg-py: `pip install 'lineage-graph[pictures]'`") from None
    return bytes(svg_to_bytes(svg_string=text, zoom=_ZOOM, font_family="DejaVu Sans", sans_serif_family="DejaVu Sans"))
