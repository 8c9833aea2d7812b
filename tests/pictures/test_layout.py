"""Where boxes stand."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys

import pytest

from lineage.pictures.diagram import Arrow, Box, Diagram
from lineage.pictures.layout import BOX_HEIGHT, Placed, place


def diagram(count: int, arrows: list[tuple[int, int]]) -> Diagram:
    boxes = tuple(Box(f"node{number}", "cached", f"call {number}") for number in range(count))
    return Diagram(boxes, tuple(Arrow(*ends) for ends in arrows))


def tangle(seed: int, count: int) -> Diagram:
    chance = random.Random(seed)
    return diagram(count, [(chance.randrange(target), target) for target in range(1, count) for _ in range(2)])


def overlapping(placed: Placed) -> list[tuple[int, int]]:
    return [
        (one, other)
        for (one, (x, y, width)), (other, (u, v, wide)) in itertools.combinations(enumerate(placed.places), 2)
        if x < u + wide and u < x + width and y < v + BOX_HEIGHT and v < y + BOX_HEIGHT
    ]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [1, 5, 50, 80])
def test_boxes_never_overlap(seed: int, count: int) -> None:
    assert overlapping(place(tangle(seed, count))) == []


@pytest.mark.parametrize("seed", range(8))
def test_what_a_call_is_made_from_stands_to_its_left(seed: int) -> None:
    placed = place(tangle(seed, 60))
    for arrow, way in zip(placed.diagram.arrows, placed.ways, strict=True):
        assert placed.places[arrow.source][0] < placed.places[arrow.target][0]
        assert [x for x, _ in way] == sorted(x for x, _ in way)


def test_everything_lies_within_the_picture() -> None:
    placed = place(tangle(3, 60))
    for left, top, width in placed.places:
        assert left >= 0
        assert top >= 0
        assert left + width <= placed.width
        assert top + BOX_HEIGHT <= placed.height


def test_an_input_stands_just_before_what_first_uses_it() -> None:
    placed = place(diagram(5, [(0, 1), (1, 2), (2, 3), (4, 3)]))
    assert placed.places[4][0] == placed.places[2][0]


def test_an_arrow_past_a_layer_is_led_around_its_boxes() -> None:
    placed = place(diagram(3, [(0, 1), (1, 2), (0, 2)]))
    way = placed.ways[2]
    left, top, _ = placed.places[1]
    assert len(way) == 4
    assert way[1][0] == left
    assert not top <= way[1][1] <= top + BOX_HEIGHT


def test_nodes_that_make_one_another_can_be_placed() -> None:
    placed = place(diagram(3, [(0, 1), (1, 2), (2, 0)]))
    assert overlapping(placed) == []


def test_nothing_and_what_is_not_connected_can_be_placed() -> None:
    assert place(Diagram((), ())).places == ()
    assert overlapping(place(diagram(6, []))) == []


def test_without_the_library_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['igraph'] = None\n"
        "import lineage as ln\n"
        "from lineage.pictures.display import html, svg\n"
        "@ln.node(version='1')\n"
        "def double(x: int) -> int: return x\n"
        "assert 'lineage-graph[pictures]' in html(double(1)) and '<table>' in html(double(1))\n"
        "try: svg(double(1))\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "a picture of a graph needs igraph: `pip install 'lineage-graph[pictures]'`", (
        done.stderr
    )
