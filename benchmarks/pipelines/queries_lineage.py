"""Questions about a graph of many calls in a store that holds many more."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lineage as ln

LIBRARY = "lineage-graph"
WIDTH = 100


@ln.node
def add(x: int, y: int) -> int:
    return x + y


def fan(store: Path, size: int, y: int = 8) -> int:
    """Record calls that are each made from the one before, so that there are edges to derive."""
    x = 0
    for _ in range(size):
        x = add(x, y)
    with ln.Session(store):
        return ln.compute(x)


def graph(store: Path, size: int) -> int:
    """Record layers of calls, each made from two of the layer before, and one chain that takes the last of them."""
    layer = [add(number, -5) for number in range(WIDTH)]
    for depth in range(size // WIDTH - 2):
        layer = [add(layer[place], layer[(place * 7 + depth) % WIDTH]) for place in range(WIDTH)]
    whole = layer[0]
    for one in layer[1:]:
        whole = add(whole, one)
    with ln.Session(store):
        handle = ln.materialize(whole)
        ln.tag(handle, "benchmark/graph")
        return size


def questions(store: Path, size: int) -> dict[str, Any]:
    """Ask for the first time, when edges are derived, and then five times more, of which the best counts."""
    found: dict[str, float] = {}

    def ask(name: str, question: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        answer = question()
        found[name] = min(found.get(name, 1e9), time.perf_counter() - began)
        return answer

    with ln.Session(store):
        whole = ln.dataset("benchmark/graph")
        answer = ask("first", lambda: ln.upstream(whole)).height
        for _ in range(5):
            ask("upstream", lambda: ln.upstream(whole))
            ask("digest", lambda: ln.datasets(whole.digest.hex()[:12]))
            ask("failed", lambda: ln.calls(status="failed"))
            ask("run", lambda: ln.calls(run=2))
            ask("why", lambda: ln.why(add(-1, -1)))
            ask("latest", lambda: ln.calls(limit=100))
    return {"answer": answer, "seconds": found["upstream"], **found}
