"""A timeline as SVG elements: a row for each worker, time to the right, coloured by node, with how busy each was."""

from __future__ import annotations

import math
from html import escape

from attrs import frozen

from lineage.pictures.layout import text_width
from lineage.pictures.svg import Pen
from lineage.pictures.theme import NODE_COLOURS
from lineage.pictures.timeline import Bar, Timeline, lane_name, seconds_text

__all__ = ["Sheet", "draw_timeline"]

_CHART = 640.0
_ROW = 24.0
_BAR = 16.0
_MARGIN = 12.0
_MOST_LANES = 64
_MOST_NAMES = 16


@frozen
class Sheet:
    """Elements, and the size of what they cover."""

    body: str
    width: float
    height: float


def draw_timeline(timeline: Timeline, pen: Pen) -> Sheet:
    """Return the elements of a timeline: names of nodes with what each took, the lanes, and the time below."""
    colours = {share.node: f"node{position % NODE_COLOURS}" for position, share in enumerate(timeline.shares)}
    lanes = timeline.lanes[:_MOST_LANES]
    names = [lane_name(lane) for lane in lanes]
    left = _MARGIN + max((text_width(name, 11) for name in names), default=0.0) + 10
    legend, top = _legend(timeline, colours, pen, left + _CHART)
    parts = [legend]
    for number, (lane, name) in enumerate(zip(lanes, names, strict=True)):
        y = top + number * _ROW
        parts.append(pen.text(left - 8, y + 13, name, colour="muted", more='text-anchor="end"'))
        parts.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{_CHART:.0f}" height="{_BAR:.0f}" {pen.paint("stripe")}/>'
        )
        parts += [_bar(bar, timeline, colours, pen, left, y) for bar in lane.bars]
        parts.append(pen.text(left + _CHART + 8, y + 13, f"{min(1.0, lane.busy / timeline.seconds):.0%} busy"))
    bottom = top + len(lanes) * _ROW
    if len(timeline.lanes) > _MOST_LANES:
        parts.append(
            pen.text(left, bottom + 12, f"… and {len(timeline.lanes) - _MOST_LANES} more workers", colour="muted")
        )
        bottom += 18
    parts.append(_axis(timeline.seconds, pen, left, bottom))
    return Sheet("".join(parts), left + _CHART + 76, bottom + 30)


def _legend(timeline: Timeline, colours: dict[str, str], pen: Pen, width: float) -> tuple[str, float]:
    parts, x, y = [], _MARGIN, _MARGIN
    for share in timeline.shares[:_MOST_NAMES]:
        text = f"{share.node} {seconds_text(share.wall)}"
        needs = text_width(text, 11) + 32
        if x + needs > width and x > _MARGIN:
            x, y = _MARGIN, y + 18
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="10" height="10" rx="2" {pen.paint(colours[share.node])}/>')
        parts.append(pen.text(x + 15, y + 9, text))
        x += needs
    if len(timeline.shares) > _MOST_NAMES:
        parts.append(pen.text(x, y + 9, f"… and {len(timeline.shares) - _MOST_NAMES} more nodes", colour="muted"))
    return "".join(parts), y + 24


def _bar(bar: Bar, timeline: Timeline, colours: dict[str, str], pen: Pen, left: float, y: float) -> str:
    x = left + bar.start / timeline.seconds * _CHART
    width = max((bar.end - bar.start) / timeline.seconds * _CHART, 0.8)
    paint = pen.paint(colours[bar.node], "failed") + ' stroke-width="2"' if bar.failed else pen.paint(colours[bar.node])
    failed = f", {bar.failed} failed" if bar.failed else ""
    many = f" ×{bar.count:,}, {seconds_text(bar.busy)} in all" if bar.count > 1 else ""
    title = f"{bar.node}{many}: {seconds_text(bar.end - bar.start)} from {seconds_text(max(bar.start, 0.0))} on{failed}"
    place = f'x="{x:.2f}" y="{y:.1f}" width="{width:.2f}" height="{_BAR:.0f}"'
    return f"<rect {place} {paint}><title>{escape(title)}</title></rect>"


def _axis(seconds: float, pen: Pen, left: float, y: float) -> str:
    step = _round_step(seconds / 5)
    parts = [f'<path d="M{left:.1f} {y:.1f}h{_CHART:.0f}" {pen.paint(None, "line")}/>']
    for number in range(int(seconds / step + 1e-9) + 1):
        x = left + number * step / seconds * _CHART
        parts.append(f'<path d="M{x:.1f} {y:.1f}v4" {pen.paint(None, "line")}/>')
        text = "0" if number == 0 else seconds_text(number * step)
        parts.append(pen.text(x, y + 16, text, colour="muted", size=10, more='text-anchor="middle"'))
    return "".join(parts)


def _round_step(about: float) -> float:
    """Return a round number of seconds of about this size.

    >>> _round_step(0.7), _round_step(13), _round_step(45)
    (0.5, 15.0, 30.0)
    """
    if about <= 5:
        power = 10.0 ** math.floor(math.log10(about))
        return min((1, 2, 5, 10), key=lambda factor: abs(factor * power - about)) * power
    steps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400]
    return float(min(steps, key=lambda step: abs(step - about)))
