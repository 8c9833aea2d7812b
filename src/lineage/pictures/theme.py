"""Colours and style, in light and dark.

Every element carries the colours of the light theme itself, so that it can be read where style sheets are stripped. The style
sheet replaces them by those of the theme: the notebook's own, or else the system's.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DARK", "FONT", "LIGHT", "NODE_COLOURS", "ROOT", "sheet"]

ROOT = "lng"
"""The class of everything that is shown, and the prefix of the classes in it."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

NODE_COLOURS = 8
"""So many colours there are for nodes."""

LIGHT = {
    "paper": "#ffffff", "ink": "#1f2328", "muted": "#59636e", "line": "#d1d9e0", "arrow": "#818b98", "stripe": "#f6f8fa",
    "cached": "#2da44e", "cached-fill": "#eefaf1", "unchanged": "#1b7c83", "unchanged-fill": "#ecf8f8",
    "missing": "#bf8700", "missing-fill": "#fff8e5", "running": "#0969da", "running-fill": "#eaf4ff",
    "failed": "#cf222e", "failed-fill": "#ffefee", "unneeded": "#818b98", "unneeded-fill": "#f6f8fa",
    "unknown": "#818b98", "unknown-fill": "#f6f8fa", "made": "#2da44e", "made-fill": "#eefaf1",
    "source": "#57606a", "source-fill": "#f6f8fa", "view": "#818b98", "view-fill": "#ffffff",
    "node0": "#4c78c8", "node1": "#e08a2e", "node2": "#3fa06b", "node3": "#c7507a",
    "node4": "#8a63c9", "node5": "#3b9fb5", "node6": "#a3862f", "node7": "#7d8590",
}  # fmt: skip

DARK = {
    "paper": "#0d1117", "ink": "#e6edf3", "muted": "#9198a1", "line": "#3d444d", "arrow": "#7d8590", "stripe": "#151b23",
    "cached": "#3fb950", "cached-fill": "#10231a", "unchanged": "#39b5bd", "unchanged-fill": "#0f2427",
    "missing": "#d29922", "missing-fill": "#2a2111", "running": "#4493f8", "running-fill": "#111f36",
    "failed": "#f85149", "failed-fill": "#31161a", "unneeded": "#7d8590", "unneeded-fill": "#151b23",
    "unknown": "#7d8590", "unknown-fill": "#151b23", "made": "#3fb950", "made-fill": "#10231a",
    "source": "#9198a1", "source-fill": "#151b23", "view": "#7d8590", "view-fill": "#0d1117",
    "node0": "#6f9be6", "node1": "#e8a155", "node2": "#5cbb86", "node3": "#e0769a",
    "node4": "#a98ae0", "node5": "#5bb9cd", "node6": "#c4a54a", "node7": "#8d96a0",
}  # fmt: skip

_DARK_PLACES = (
    '[data-jp-theme-light="false"]',
    ".vscode-dark",
    ".vscode-high-contrast",
    'html[theme="dark"]',
    'html[data-theme="dark"]',
)
_LIGHT_PLACES = ('[data-jp-theme-light="true"]', ".vscode-light", 'html[theme="light"]', 'html[data-theme="light"]')


def sheet() -> str:
    """Return the style sheet: small, the same everywhere, and about elements of class `ROOT` only."""
    light, dark = _variables(LIGHT), _variables(DARK)
    return "".join(
        [
            f".{ROOT}{{{light}color-scheme:light;}}",
            f"@media (prefers-color-scheme:dark){{.{ROOT}{{{dark}color-scheme:dark;}}}}",
            f"{_in(_DARK_PLACES)}{{{dark}color-scheme:dark;}}",
            f"{_in(_LIGHT_PLACES)}{{{light}color-scheme:light;}}",
            *(f".{ROOT} .{ROOT}-f-{name}{{fill:var(--{ROOT}-{name})}}" for name in LIGHT),
            *(f".{ROOT} .{ROOT}-s-{name}{{stroke:var(--{ROOT}-{name})}}" for name in LIGHT if _is_stroke(name)),
            _HTML.replace("@", f".{ROOT}").replace("$", f"--{ROOT}"),
        ]
    )


def _is_stroke(name: str) -> bool:
    return not name.endswith("-fill") and not name.startswith("node")


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{ROOT}-{name}:{value};" for name, value in colours.items())


def _in(places: tuple[str, ...]) -> str:
    return ",".join(f"{place} .{ROOT}" for place in places)


_HTML = (
    "div@{background:var($-paper);color:var($-ink);border:1px solid var($-line);border-radius:6px;padding:8px 10px;"
    f"margin:2px 0;font:13px/1.45 {FONT};max-width:100%;box-sizing:border-box;overflow-x:auto}}"
    "@ svg{display:block;max-width:none}"
    "@ table{border-collapse:collapse;margin:6px 0 2px;font-size:12px;background:transparent;color:var($-ink)}"
    "@ table th,@ table td{border:0;border-bottom:1px solid var($-line);padding:2px 10px 2px 2px;text-align:left;"
    "vertical-align:top;max-width:480px;overflow-wrap:anywhere;background:transparent;color:inherit}"
    "@ table td[align=right],@ table th[align=right]{text-align:right}"
    "@ table small{color:var($-muted);font-weight:normal}"
    "@ code{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px;background:transparent;color:inherit;padding:0}"
    "@ p{margin:4px 0;color:var($-muted)}@ p b{color:var($-ink)}@ summary{color:var($-muted);cursor:pointer}"
    "@ pre{margin:4px 0;white-space:pre-wrap;overflow-wrap:anywhere;background:transparent;color:var($-ink);font-size:12px}"
)
