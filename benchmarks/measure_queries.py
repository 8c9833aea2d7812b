"""Questions to a store that holds a million calls."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

import fill_index
from found import Found, Sizes, target, why
from harness import Harness, Phase
from report import Sheet, duration

__all__ = ["MEASUREMENTS"]

_ASKED = {
    "first": "upstream of the graph, the first time: edges are derived",
    "upstream": "upstream of the graph, again",
    "run": "the calls of the run that made it",
    "digest": "a dataset by the beginning of its digest",
    "failed": "failed calls",
    "why": "why a new call would run",
    "latest": "the latest 100 calls",
}


def queries(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """The past of a graph of 10,000 calls, and other questions, where the index holds a million."""
    if "lineage" not in tools:
        return Found({})
    template = harness.work / "questions-template"
    rows = _template(harness, sizes, template)
    try:
        phases = [Phase("graph", "graph", sizes.map), Phase("questions", "questions", sizes.map)]
        found = harness.measure(["queries_lineage"], lambda _: phases, lambda _, store: _copy(template, store))
    finally:
        shutil.rmtree(template, ignore_errors=True)
    samples = found["queries_lineage"]
    lines = [[text, duration(samples.median("questions", name))] for name, text in _ASKED.items()]
    title = f"queries: a graph of {sizes.map:,} calls, {rows:,} more in the index"
    sheet = Sheet(title, ["", "best of 5"], lines, why({"lineage": samples}))
    name = f"upstream of {sizes.map:,} calls, {rows:,} in the index"
    targets = target(name, 0.1, samples.median("questions", "upstream"), duration)
    return Found({"lineage": asdict(samples), "rows": rows}, [sheet], targets)


def _template(harness: Harness, sizes: Sizes, template: Path) -> int:
    shutil.rmtree(template, ignore_errors=True)
    with harness.folder() as folder:
        count = max(100, sizes.index // 1000)
        harness.run("queries_lineage", Phase("template", "template", count), folder)
        began = time.perf_counter()
        tables = fill_index.fill(folder / "store" / "index.sqlite", sizes.index // count)
        harness.say(f"filled an index in {duration(time.perf_counter() - began)}")
        shutil.move(folder / "store", template)
    return int(tables["executions"])


def _copy(template: Path, store: Path) -> None:
    shutil.copytree(template, store)


MEASUREMENTS: dict[str, Callable[[Harness, Sizes, Sequence[str]], Any]] = {"queries": queries}
