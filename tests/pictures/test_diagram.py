"""Boxes and arrows, and how a large graph becomes one by node."""

from __future__ import annotations

from lineage.pictures.diagram import Arrow, Box, Diagram, by_node


def a_map(count: int, missing: int) -> Diagram:
    sources = [Box(f"{number}.csv", "source", "source File") for number in range(count)]
    states = ["missing"] * missing + ["cached"] * (count - missing)
    calls = [Box("clean", state, "call clean", details=(f"clean({number})",)) for number, state in enumerate(states)]
    arrows = [Arrow(number, count + number) for number in range(count)]
    arrows += [Arrow(count + number, 2 * count, f"[{number}]") for number in range(count)]
    return Diagram((*sources, *calls, Box("worst", "missing", "call worst")), tuple(arrows))


def test_calls_of_a_node_become_one_box_that_counts_them() -> None:
    files, clean, worst = by_node(a_map(365, 5)).boxes
    assert (clean.title, clean.beside, clean.note) == ("clean", "×365", "360 cached, 5 execute")
    assert (files.title, files.count) == ("files", 365)
    assert (worst.title, worst.beside) == ("worst", "would execute")


def test_a_box_of_several_is_coloured_by_what_asks_for_attention() -> None:
    assert by_node(a_map(365, 5)).boxes[1].state == "missing"
    assert by_node(a_map(365, 0)).boxes[1].state == "cached"


def test_counts_are_the_same_by_call_and_by_node() -> None:
    assert a_map(365, 5).counts() == by_node(a_map(365, 5)).counts() == {"cached": 360, "missing": 6}


def test_arrows_between_two_nodes_become_one_with_few_words() -> None:
    assert by_node(a_map(365, 5)).arrows == (Arrow(0, 1), Arrow(1, 2, "[0] … ×365"))


def test_calls_that_were_made_from_others_of_their_node_have_no_arrow_to_themselves() -> None:
    boxes = tuple(Box("merge", "missing", "call merge") for _ in range(3))
    assert by_node(Diagram(boxes, (Arrow(0, 1), Arrow(1, 2)))).arrows == ()
