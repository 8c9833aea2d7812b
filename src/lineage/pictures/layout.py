"""Where the boxes of a diagram stand: in layers from left to right, inputs first, with few crossings.

Layers are those of the longest path; inputs stand just before what first uses them. The order in each layer and the places
are igraph's (the method of Sugiyama, Tagawa and Toda; coordinates by Brandes and Köpf). An arrow that passes layers is led
around what stands there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from lineage.errors import MissingExtraError
from lineage.pictures.diagram import Arrow, Box, Diagram

__all__ = ["BOX_HEIGHT", "Placed", "can_place", "place", "text_width"]

BOX_HEIGHT = 44.0
_ROW = 60.0
_BETWEEN = 44.0
_MARGIN = 12.0
_ROUNDS = 100
"""How often the order in the layers is improved at most: this bounds the time."""

_MOST_BENDS = 600
"""With more arrows past layers than this, they are drawn straight."""


@frozen
class Placed:
    """A diagram with a place for each box (left, top, width) and a way for each arrow (points from left to right)."""

    diagram: Diagram
    places: tuple[tuple[float, float, float], ...]
    ways: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float


def can_place() -> bool:
    """Say whether the library that places boxes is there."""
    try:
        import igraph  # noqa: F401
    except ImportError:
        return False
    return True


def place(diagram: Diagram) -> Placed:
    """Return `diagram` with places.

    Raises:
        MissingExtraError: the library for it is not installed.
    """
    try:
        import igraph
    except ImportError:
        raise MissingExtraError("a picture of a graph needs igraph: `pip install 'lineage-graph[pictures]'`") from None
    boxes = diagram.boxes
    if not boxes:
        return Placed(diagram, (), (), 2 * _MARGIN, 2 * _MARGIN)
    layers = _layers(boxes, diagram.arrows)
    edges, routes, all_layers = _with_bends(diagram.arrows, layers)
    graph = igraph.Graph(len(all_layers), edges, directed=True)
    found: Any = graph.layout_sugiyama(layers=all_layers, hgap=1, vgap=1, maxiter=_ROUNDS)
    rows = [point[0] for point in found.coords[: len(all_layers)]]
    return _placed(diagram, layers, rows, routes, all_layers)


def _placed(
    diagram: Diagram, layers: list[int], rows: list[float], routes: list[list[int]], all_layers: list[int]
) -> Placed:
    widths = [0.0] * (max(all_layers) + 1)
    for box, layer in zip(diagram.boxes, layers, strict=True):
        widths[layer] = max(widths[layer], _box_width(box))
    lefts = [_MARGIN]
    for width in widths[:-1]:
        lefts.append(lefts[-1] + width + _BETWEEN)
    middles = _heights(rows, all_layers, len(layers))
    places = tuple(
        (lefts[layer], middles[number] - BOX_HEIGHT / 2, widths[layer]) for number, layer in enumerate(layers)
    )
    ways = []
    for arrow, bends in zip(diagram.arrows, routes, strict=True):
        source, target = places[arrow.source], places[arrow.target]
        points = [(source[0] + source[2], middles[arrow.source])]
        for bend in bends:
            left = lefts[all_layers[bend]]
            points += [(left, middles[bend]), (left + widths[all_layers[bend]], middles[bend])]
        ways.append((*points, (target[0], middles[arrow.target])))
    height = max(middles) + BOX_HEIGHT / 2 + _MARGIN
    return Placed(diagram, places, tuple(ways), lefts[-1] + widths[-1] + _MARGIN, height)


def _heights(rows: list[float], layers: list[int], boxes: int) -> list[float]:
    """Return how far down the middle of each box and bend is. What is in one row stays so; bends need less room than boxes."""
    in_row: dict[float, list[int]] = {}
    for number, row in enumerate(rows):
        in_row.setdefault(round(row, 3), []).append(number)
    found = [0.0] * len(rows)
    last: dict[int, int] = {}
    y = _MARGIN + BOX_HEIGHT / 2
    for row in sorted(in_row):
        for number in in_row[row]:
            above = last.get(layers[number])
            if above is not None:
                y = max(y, found[above] + _apart(above < boxes, number < boxes))
        for number in in_row[row]:
            found[number] = y
            last[layers[number]] = number
    return found


def _apart(is_box: bool, is_next_box: bool) -> float:
    return {2: _ROW, 1: BOX_HEIGHT / 2 + 14, 0: 16.0}[is_box + is_next_box]


def _layers(boxes: Sequence[Box], arrows: Sequence[Arrow]) -> list[int]:
    """Return the layer of each box: one more than that of the last box before it. Arrows that close a circle don't count."""
    forward = _without_circles(len(boxes), arrows)
    before: list[list[int]] = [[] for _ in boxes]
    after: list[list[int]] = [[] for _ in boxes]
    for source, target in forward:
        before[target].append(source)
        after[source].append(target)
    layers = [0] * len(boxes)
    order = _in_order(before, after)
    for box in order:
        layers[box] = max((layers[source] + 1 for source in before[box]), default=0)
    for box in reversed(order):
        if not before[box] and after[box]:
            layers[box] = min(layers[target] for target in after[box]) - 1
    return layers


def _in_order(before: list[list[int]], after: list[list[int]]) -> list[int]:
    open_before = [len(sources) for sources in before]
    order = [box for box, count in enumerate(open_before) if count == 0]
    for box in order:
        for target in after[box]:
            open_before[target] -= 1
            if open_before[target] == 0:
                order.append(target)
    return order


def _without_circles(count: int, arrows: Sequence[Arrow]) -> list[tuple[int, int]]:
    """Return the ends of arrows, less those that lead back to where a walk along them came from."""
    after: list[list[int]] = [[] for _ in range(count)]
    for arrow in arrows:
        after[arrow.source].append(arrow.target)
    kept: list[tuple[int, int]] = []
    is_open, is_done = [False] * count, [False] * count
    for start in range(count):
        stack = [(start, 0)] if not is_done[start] else []
        while stack:
            box, position = stack.pop()
            is_open[box] = True
            if position == len(after[box]):
                is_open[box], is_done[box] = False, True
                continue
            stack.append((box, position + 1))
            target = after[box][position]
            if is_open[target]:
                continue
            kept.append((box, target))
            if not is_done[target]:
                stack.append((target, 0))
    return kept


def _with_bends(
    arrows: Sequence[Arrow], layers: Sequence[int]
) -> tuple[list[tuple[int, int]], list[list[int]], list[int]]:
    """Return edges from layer to layer, the bends of each arrow, and the layers of boxes and bends."""
    all_layers = list(layers)
    edges: list[tuple[int, int]] = []
    routes: list[list[int]] = []
    passed = sum(max(0, layers[arrow.target] - layers[arrow.source] - 1) for arrow in arrows)
    for arrow in arrows:
        bends: list[int] = []
        source, target = arrow.source, arrow.target
        if layers[source] < layers[target]:
            if passed <= _MOST_BENDS:
                for layer in range(layers[source] + 1, layers[target]):
                    bends.append(len(all_layers))
                    all_layers.append(layer)
            chain = [source, *bends, target]
            edges += itertools.pairwise(chain)
        routes.append(bends)
    return edges, routes, all_layers


def _box_width(box: Box) -> float:
    first = text_width(box.title, 13, bold=True) + text_width(box.beside, 11) + 12
    return max(first, text_width(box.note, 11), 70.0) + 26


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Return about how wide a text is in pixels, on the side of too wide: which font will be there is not known.

    >>> text_width("ill", 10) < text_width("WWW", 10)
    True
    """
    units = sum(_UNITS.get(char, 0.62 if char.islower() or char.isdigit() else 0.72) for char in text)
    return units * size * (1.12 if bold else 1.0)


_UNITS = {
    **dict.fromkeys("ijl.,:;'|!", 0.33),
    **dict.fromkeys("ftr()[]/ -", 0.42),
    **dict.fromkeys("mwMW@%…", 0.98),
    "×": 0.84,
    "_": 0.55,
    "=": 0.84,
}
