"""What a picture of a graph shows, before anybody says where: boxes, and arrows between them.

Large graphs are shown by node: one box for all calls of a node, which counts what became of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve, field, frozen

__all__ = ["CALL_STATES", "MOST_BOXES", "Arrow", "Box", "Diagram", "by_node", "counted"]

MOST_BOXES = 80
"""Boxes that are drawn one by one; a larger graph is shown by node."""

CALL_STATES = {
    "cached": "cached",
    "unchanged": "unchanged",
    "missing": "would execute",
    "running": "running",
    "failed": "failed",
    "unneeded": "not needed",
    "unknown": "not looked up",
    "made": "executed",
}
"""What a call may be, and the words for it."""


@frozen
class Box:
    """A call, an input, or a view. `title` is bold, `note` small; `details` show when the pointer rests on it.

    `group` says which boxes are one in a large graph. `counts` says what became of how many, in a box that stands for several.
    """

    title: str
    state: str
    group: str
    note: str = ""
    details: tuple[str, ...] = ()
    count: int = 1
    counts: Mapping[str, int] = field(factory=dict)

    @property
    def beside(self) -> str:
        """What stands beside the title: the state of a call, or how many there are."""
        return f"×{self.count:,}" if self.count > 1 else CALL_STATES.get(self.state, "")


@frozen
class Arrow:
    """What box `source` gave went into box `target`. `label` names the field, where it is one."""

    source: int
    target: int
    label: str = ""


@frozen
class Diagram:
    """Boxes, arrows between them by position, a caption, and remarks to be shown below."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    caption: str = ""
    remarks: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return how many calls there are of each state."""
        found: dict[str, int] = {}
        for box in self.boxes:
            for state, count in (box.counts or {box.state: box.count}).items():
                if state in CALL_STATES:
                    found[state] = found.get(state, 0) + count
        return found


def by_node(diagram: Diagram) -> Diagram:
    """Return a diagram with one box for each group of boxes. A group of one stays as it is.

    >>> boxes = [Box("clean", "cached", "clean"), Box("clean", "missing", "clean"), Box("worst", "missing", "worst")]
    >>> merged = by_node(Diagram(tuple(boxes), (Arrow(0, 2), Arrow(1, 2))))
    >>> [(box.title, dict(box.counts)) for box in merged.boxes]
    [('clean', {'cached': 1, 'missing': 1}), ('worst', {})]
    >>> merged.arrows
    (Arrow(source=0, target=1, label=''),)
    """
    groups: dict[str, list[Box]] = {}
    for box in diagram.boxes:
        groups.setdefault(box.group, []).append(box)
    place = {group: position for position, group in enumerate(groups)}
    of = [place[box.group] for box in diagram.boxes]
    labels: dict[tuple[int, int], list[str]] = {}
    for arrow in diagram.arrows:
        ends = of[arrow.source], of[arrow.target]
        if ends[0] != ends[1]:
            found = labels.setdefault(ends, [])
            if arrow.label and arrow.label not in found:
                found.append(arrow.label)
    arrows = tuple(Arrow(*ends, _few(found)) for ends, found in labels.items())
    return evolve(diagram, boxes=tuple(map(_merged, groups.values())), arrows=arrows)


def _merged(boxes: list[Box]) -> Box:
    if len(boxes) == 1:
        return boxes[0]
    counts: dict[str, int] = {}
    for box in boxes:
        counts[box.state] = counts.get(box.state, 0) + 1
    words = counted(counts)
    details = (f"{boxes[0].title} ×{len(boxes):,}: {words}", *(_first_line(box) for box in boxes[:_EXAMPLES]))
    if len(boxes) > _EXAMPLES:
        details += (f"… and {len(boxes) - _EXAMPLES:,} more",)
    is_call = any(state in CALL_STATES for state in counts)
    return Box(
        title=boxes[0].title if is_call else _KINDS.get(boxes[0].group, boxes[0].title),
        state=_loudest(counts),
        group=boxes[0].group,
        note=words if is_call else "",
        details=details,
        count=len(boxes),
        counts=counts,
    )


_EXAMPLES = 5
_KINDS = {"source File": "files", "source Directory": "folders"}
_LOUD = ["failed", "running", "missing", "unknown", "unchanged", "unneeded", "made", "cached"]


def _loudest(counts: Mapping[str, int]) -> str:
    """Return the state that a box of several is coloured by: what asks for attention goes first."""
    return next((state for state in _LOUD if state in counts), next(iter(counts)))


def counted(counts: Mapping[str, int]) -> str:
    """Return what became of how many calls, in words.

    >>> counted({"cached": 360, "missing": 5})
    '360 cached, 5 execute'
    """
    words = {**CALL_STATES, "missing": "execute"}
    order = sorted(counts, key=lambda state: _LOUD[::-1].index(state) if state in _LOUD else -1)
    return ", ".join(f"{counts[state]:,} {words.get(state, state)}" for state in order)


def _first_line(box: Box) -> str:
    return f"{box.details[0] if box.details else box.title} ({CALL_STATES.get(box.state, box.state)})"


def _few(labels: Iterable[str]) -> str:
    found = list(labels)
    return ", ".join(found) if len(found) <= 2 else f"{found[0]} … ×{len(found)}"
