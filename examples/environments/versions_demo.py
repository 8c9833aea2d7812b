"""What pinned environments give: two versions in one graph, a rerun with nothing installed, the same results once more.

Keeps datasets and environments in `.lineage/environments-demo` of this checkout, from which a second demo starts afresh; the
packages themselves come from uv's cache.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import versions

import lineage as ln
from lineage.testing import EventLog

__all__ = ["Chapter", "main", "tell"]

HERE = Path(__file__).resolve().parent


class Chapter(NamedTuple):
    """One run: what it is, what came of it, what was executed, and how many seconds it took."""

    title: str
    result: tuple[str, float]
    executed: list[str]
    seconds: float


def tell(folder: Path) -> list[Chapter]:
    """Run the graph three times, with environments and datasets in `folder`, and return what happened."""
    environments = folder / "environments"
    before = {name: os.environ.get(name) for name in ("LINEAGE_ENVIRONMENTS", "UV_OFFLINE")}
    os.environ["LINEAGE_ENVIRONMENTS"] = str(environments)
    try:
        first = _run(folder, "two environments are made, then everything is computed")
        shutil.rmtree(environments)
        os.environ["UV_OFFLINE"] = "1"
        again = _run(folder, "environments removed, no network: nothing is needed, since everything is a hit")
        pinned = [versions.clusters_old, versions.clusters_new, versions.coefficients, versions.scored]
        anew = _run(folder, "computed once more: the environments are made again, from uv's cache alone", pinned)
        return [first, again, anew]
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _run(folder: Path, title: str, refresh: list[Any] | None = None) -> Chapter:
    log = EventLog()
    began = time.perf_counter()
    with ln.Session(folder / "store", on_event=log) as session:
        result = session.compute(versions.report(), refresh=refresh or ())
    executed = [name.removeprefix("executed ") for name in log.names() if name.startswith("executed ")]
    return Chapter(title, result, executed, time.perf_counter() - began)


def main() -> None:
    work = HERE.parent.parent / ".lineage" / "environments-demo"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for chapter in tell(work):
        print(f"\n=== {chapter.title}\n{chapter.result[0]}\nscored elsewhere: {chapter.result[1]:.3f}")
        print(f"executed: {', '.join(chapter.executed) or 'nothing'} ({chapter.seconds:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
