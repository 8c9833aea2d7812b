"""Diagrams and timelines as SVG text. What more there is to know of an element is its `<title>`, which shows on hover."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from lineage.pictures.diagram import Box
from lineage.pictures.layout import BOX_HEIGHT, Placed
from lineage.pictures.theme import FONT, LIGHT, ROOT, sheet

__all__ = ["Pen", "document", "draw_diagram"]


class Pen:
    """Writes elements in the colours of a theme. With `styled`, they are named by class too, for a style sheet to change."""

    def __init__(self, colours: Mapping[str, str] = LIGHT, *, styled: bool = True) -> None:
        self.colours = colours
        self.styled = styled

    def paint(self, fill: str | None = None, stroke: str | None = None) -> str:
        """Return the attributes of an element with these colours."""
        parts = [f'fill="{self.colours[fill]}"' if fill else 'fill="none"']
        if stroke:
            parts.append(f'stroke="{self.colours[stroke]}"')
        if self.styled:
            names = [f"{ROOT}-f-{fill}"] if fill else []
            names += [f"{ROOT}-s-{stroke}"] if stroke else []
            parts.append(f'class="{" ".join(names)}"')
        return " ".join(parts)

    def text(self, x: float, y: float, text: str, *, colour: str = "ink", size: float = 11, more: str = "") -> str:
        place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"'
        return f"<text {place} {self.paint(colour)}{' ' + more if more else ''}>{escape(text)}</text>"


def document(
    body: str,
    width: float,
    height: float,
    *,
    label: str,
    colours: Mapping[str, str] | None = None,
    inline: bool = False,
) -> str:
    """Return an SVG document. `inline` is for a page that has the style sheet; `colours` fix a theme, and take none."""
    pen = Pen(colours or LIGHT, styled=colours is None)
    style = "" if inline or colours is not None else f"<style>{sheet()}</style>"
    paper = "" if inline else f'<rect width="100%" height="100%" {pen.paint("paper")}/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}" '
        f'font-family="{escape(FONT)}">{style}<g class="{ROOT}">{paper}{body}</g></svg>'
    )


def draw_diagram(placed: Placed, pen: Pen) -> str:
    """Return the elements of a diagram: arrows first, so that boxes lie on them."""
    parts = [_way(pen, points, arrow.label) for points, arrow in zip(placed.ways, placed.diagram.arrows, strict=True)]
    parts += [_box(pen, box, *where) for box, where in zip(placed.diagram.boxes, placed.places, strict=True)]
    return "".join(parts)


def _box(pen: Pen, box: Box, left: float, top: float, width: float) -> str:
    dash = ' stroke-dasharray="5 3"' if box.state in ("missing", "unknown", "unneeded") else ""
    rounded = 14 if box.state == "source" else 5
    shape = (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BOX_HEIGHT:.0f}" rx="{rounded}" '
        f"{pen.paint(box.state + '-fill', box.state)}{dash}/>"
    )
    if box.count > 1:  # a second sheet behind
        behind = (
            f'<rect x="{left + 4:.1f}" y="{top + 4:.1f}" width="{width:.1f}" height="{BOX_HEIGHT:.0f}" rx="{rounded}" '
        )
        shape = behind + f"{pen.paint('paper', box.state)}/>" + shape
    bar = ""
    if box.counts and box.note:
        bar = _shares(pen, box, left, top, width)
    has_note = bool(box.note)
    line = top + (18 if has_note else 26)
    words = pen.text(left + 11, line, box.title, size=13, more='font-weight="600"')
    beside = pen.text(left + width - 10, line, box.beside, colour="muted", more='text-anchor="end"')
    note = pen.text(left + 11, top + 34, box.note, colour="muted") if has_note else ""
    title = f"<title>{escape(chr(10).join(box.details))}</title>" if box.details else ""
    return f'<g class="{ROOT}-box">{title}{shape}{bar}{words}{beside if box.beside else ""}{note}</g>'


def _shares(pen: Pen, box: Box, left: float, top: float, width: float) -> str:
    """Return a line at the foot of a box of several that shows the shares of what became of them."""
    total, at = sum(box.counts.values()), left + 5
    parts = []
    for state, count in sorted(box.counts.items(), key=lambda pair: pair[0] != "cached"):
        share = (width - 10) * count / total
        parts.append(
            f'<rect x="{at:.1f}" y="{top + BOX_HEIGHT - 4:.1f}" width="{max(share, 1.5):.1f}" height="2.5" {pen.paint(state)}/>'
        )
        at += share
    return "".join(parts)


def _way(pen: Pen, points: Iterable[tuple[float, float]], label: str) -> str:
    found = list(points)
    (x, y), end = found[0], found[-1]
    d = [f"M{x:.1f} {y:.1f}"]
    last = (end[0] - 6, end[1])
    for px, py in [*found[1:-1], last]:
        bend = (px - x) / 2 if px > x else 40.0
        d.append(f"C{x + bend:.1f} {y:.1f} {px - bend:.1f} {py:.1f} {px:.1f} {py:.1f}")
        x, y = px, py
    head = f"M{end[0]:.1f} {end[1]:.1f}l-7 -3.5v7z"
    line = (
        f'<path d="{"".join(d)}" stroke-width="1.2" {pen.paint(None, "arrow")}/><path d="{head}" {pen.paint("arrow")}/>'
    )
    if not label:
        return line
    (x, y), side = (found[1], "start") if len(found) > 2 else (end, "end")
    place = f'x="{x + (2 if side == "start" else -9):.1f}" y="{y - 5:.1f}" font-size="10" text-anchor="{side}"'
    halo = 'stroke-width="3" stroke-linejoin="round" paint-order="stroke"'
    return f"{line}<text {place} {pen.paint('muted', 'paper')} {halo}>{escape(label)}</text>"
