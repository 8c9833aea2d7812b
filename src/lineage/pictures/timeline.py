"""Where the time of a run went: a lane for each worker, a bar for each execution, and sums by node."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from lineage.errors import NotFoundError
from lineage.records import Run

__all__ = [
    "MOST_EXECUTIONS",
    "Bar",
    "Lane",
    "Share",
    "Timeline",
    "headline",
    "lane_name",
    "seconds_text",
    "timeline_of",
    "timeline_text",
]

MOST_EXECUTIONS = 100_000
"""Executions of a run that its timeline reads."""


@frozen
class Bar:
    """One execution, or several short ones of a node side by side: seconds since the run began, and how many failed."""

    node: str
    start: float
    end: float
    count: int = 1
    failed: int = 0
    busy: float = 0.0


@frozen
class Lane:
    """A worker: a process on a host (a second lane of it, where it did several things at once), and what it did."""

    host: str
    process: int
    executor: str
    bars: tuple[Bar, ...]
    busy: float


@frozen
class Share:
    """What one node took: calls, seconds by the clock and of the processor, the longest call, and failures."""

    node: str
    calls: int
    wall: float
    cpu: float
    longest: float
    failed: int


@frozen
class Timeline:
    """A run over time. `seconds` is its length, `busy` the part of the workers' time in which calls ran."""

    run: Run
    seconds: float
    lanes: tuple[Lane, ...]
    shares: tuple[Share, ...]
    left_out: int = 0

    @property
    def busy(self) -> float:
        return min(1.0, sum(lane.busy for lane in self.lanes) / (self.seconds * len(self.lanes))) if self.lanes else 0.0

    @property
    def between(self) -> float:
        """Seconds in which no call ran anywhere: looking up, recording, waiting."""
        found, at = 0.0, 0.0
        for start, end in sorted((bar.start, bar.end) for lane in self.lanes for bar in lane.bars):
            found += max(0.0, start - at)
            at = max(at, end)
        return found + max(0.0, self.seconds - at)


def timeline_of(index: Any, number: int, *, bars: int = 400) -> Timeline:
    """Return the timeline of a run, with at most about `bars` bars in a lane: shorter ones of a node are put together.

    Raises:
        NotFoundError: there is no such run.
    """
    run = index.run(number)
    if run is None:
        raise NotFoundError(f"there is no run {number} in this store")
    rows = index.of_run(number, MOST_EXECUTIONS + 1)
    left_out = max(0, len(rows) - MOST_EXECUTIONS)
    rows = [row for row in rows[:MOST_EXECUTIONS] if row["executor"] != "driver"]
    ends = [row["started"] + row["wall"] for row in rows]
    end = run.finished or max([time.time() if run.status == "running" else run.started, *ends])
    began = min([run.started, *(row["started"] for row in rows)])
    seconds = max(end - began, *(one - began for one in ends), 1e-6) if ends else max(end - began, 1e-6)
    return Timeline(run, seconds, _lanes(rows, began, seconds / bars), _shares(rows), left_out)


def _lanes(rows: Sequence[Mapping[str, Any]], began: float, least: float) -> tuple[Lane, ...]:
    workers: dict[tuple[str, int, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        workers.setdefault((row["host"], row["process"], row["executor"]), []).append(row)
    lanes = []
    for (host, process, executor), own in sorted(workers.items(), key=lambda pair: (pair[0][0], pair[1][0]["started"])):
        for at_once in _side_by_side(own):
            busy = sum(row["wall"] for row in at_once)
            lanes.append(Lane(host, process, executor, tuple(_bars(at_once, began, least)), busy))
    return tuple(lanes)


_SLACK = 1e-3
"""Seconds by which clocks may disagree before two executions count as side by side."""


def _side_by_side(rows: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the executions of a process in as few rows as have no two at once: one, unless it has threads."""
    found: list[list[Mapping[str, Any]]] = []
    ends: list[float] = []
    for row in sorted(rows, key=lambda row: row["started"]):
        free = next((number for number, end in enumerate(ends) if end <= row["started"] + _SLACK), None)
        if free is None:
            found.append([])
            ends.append(0.0)
            free = len(found) - 1
        found[free].append(row)
        ends[free] = row["started"] + row["wall"]
    return found


def _bars(rows: Iterable[Mapping[str, Any]], began: float, least: float) -> list[Bar]:
    """Return the bars of a lane. Those that follow one another closely and are too short to be seen are one."""
    found: list[Bar] = []
    for row in rows:
        start = row["started"] - began
        bar = Bar(row["node"], start, start + row["wall"], 1, int(row["status"] != "ok"), row["wall"])
        last = found[-1] if found else None
        if (
            last is not None
            and last.node == bar.node
            and bar.start - last.end < least
            and (bar.end - bar.start < least or last.end - last.start < least)
        ):
            found[-1] = Bar(
                bar.node, last.start, bar.end, last.count + 1, last.failed + bar.failed, last.busy + bar.busy
            )
        else:
            found.append(bar)
    return found


def _shares(rows: Iterable[Mapping[str, Any]]) -> tuple[Share, ...]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["node"], []).append(row)
    shares = [
        Share(
            node,
            len(own),
            sum(row["wall"] for row in own),
            sum(row["cpu"] for row in own),
            max(row["wall"] for row in own),
            sum(row["status"] != "ok" for row in own),
        )
        for node, own in found.items()
    ]
    return tuple(sorted(shares, key=lambda share: -share.wall))


# -- as text

_COLUMNS = 60
_MARKS = "█▓▒░▚▞▙▟"


def timeline_text(timeline: Timeline) -> str:
    """Return a timeline for a terminal: what each node took, and a line for each worker."""
    lines = [headline(timeline)]
    marks = {share.node: _MARKS[position % len(_MARKS)] for position, share in enumerate(timeline.shares)}
    width = max((len(share.node) for share in timeline.shares), default=0)
    for share in timeline.shares[:_MOST_SHARES]:
        failed = f", {share.failed:,} failed" if share.failed else ""
        lines.append(
            f"  {marks[share.node]} {share.node:<{width}}  {share.calls:>7,} × {seconds_text(share.longest):>8} at most"
            f"  {seconds_text(share.wall):>9} in all{failed}"
        )
    if len(timeline.shares) > _MOST_SHARES:
        lines.append(f"  … and {len(timeline.shares) - _MOST_SHARES} more nodes")
    for lane in timeline.lanes[:_MOST_LANES]:
        lines.append(
            f"  {_lane_text(lane, timeline.seconds, marks)} {lane.busy / timeline.seconds:>4.0%} {lane_name(lane)}"
        )
    if len(timeline.lanes) > _MOST_LANES:
        lines.append(f"  … and {len(timeline.lanes) - _MOST_LANES} more workers")
    return "\n".join(lines)


_MOST_SHARES, _MOST_LANES = 20, 32


def headline(timeline: Timeline) -> str:
    """Return one line that says what a run was and how well its workers were used."""
    run = timeline.run
    calls = sum(share.calls for share in timeline.shares)
    status = "still running" if run.status == "running" else run.status
    line = f"run {run.id} ({run.name}): {status}, {seconds_text(timeline.seconds)}"
    if not calls:
        hits = run.counts.get("hit", 0)
        return f"{line}; nothing was executed" + (f", {hits:,} found" if hits else "")
    workers = f"{len(timeline.lanes)} worker{'s' if len(timeline.lanes) > 1 else ''}"
    more = f"; the first {calls:,} are shown" if timeline.left_out else ""
    return (
        f"{line}; {calls:,} execution{'s' if calls > 1 else ''} on {workers}, busy {timeline.busy:.0%} of the time; "
        f"{seconds_text(timeline.between)} in which none ran{more}"
    )


def lane_name(lane: Lane) -> str:
    return f"{lane.executor} {lane.process} on {lane.host}"


def _lane_text(lane: Lane, seconds: float, marks: Mapping[str, str]) -> str:
    cells: list[dict[str, float]] = [{} for _ in range(_COLUMNS)]
    for bar in lane.bars:
        first, last = bar.start / seconds * _COLUMNS, bar.end / seconds * _COLUMNS
        for column in range(int(first), min(_COLUMNS, int(last) + 1)):
            part = min(last, column + 1) - max(first, column)
            if part < 1e-6 and column > first:
                continue
            cells[column][bar.node] = cells[column].get(bar.node, 0.0) + part
    return "".join(marks[max(cell, key=lambda node: cell[node])] if cell else "·" for cell in cells)


def seconds_text(seconds: float) -> str:
    """Return a duration in words.

    >>> seconds_text(0.0123), seconds_text(75), seconds_text(4000)
    ('12.3 ms', '1 min 15 s', '1 h 06 min')
    """
    if seconds < 1e-9:
        return "0 s"
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        rest = int(seconds % 60)
        return f"{int(seconds // 60)} min" + (f" {rest} s" if rest else "")
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02} min"
