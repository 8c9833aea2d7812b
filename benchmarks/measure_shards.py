"""Tables in pieces: many parquet shards mapped and reduced, a scan of some columns of many files, and memory.

Inputs are made once for a measurement, in a process of their own, and linked into the folder of each run.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from found import NAMES, Found, Sizes, Target, check_agreement, record, target, why
from harness import HERE, Harness, Phase, Samples, WrongAnswerError, environment
from report import Sheet, duration, size, times

__all__ = ["MEASUREMENTS"]

_SETTLE = 2.5
"""Seconds after which a tool believes that a file has settled. Inputs are seldom seconds old."""

_FEWER = {"redun": 10}
"""How many times fewer of the many shards a tool is given, so that it ends within minutes; compare it by shard."""


# -- shards: cold, cached, one added, one changed


def shards(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """A map over 200 shards and a reduce of what it gives; then again, with one added, with one changed."""
    count = sizes.shards
    phases = [
        Phase("cold", "run", count, before=_settled),
        Phase("cached", "run", count),
        Phase("added", "run", count + 1, before=lambda folder: _add(folder, count)),
        Phase("changed", "run", count + 1, before=lambda folder: _change(folder, count // 2)),
    ]
    with _inputs(harness, "source_shards.py", count, sizes.shard_rows) as inputs:
        measured = harness.measure(
            [f"shards_{tool}" for tool in tools], lambda _: phases, lambda _, store: _link(inputs, store.parent)
        )
        one = next((inputs / "data").iterdir()).stat().st_size
    named = _named(measured)
    check_agreement(named, [phase.name for phase in phases])
    _check_cached(named)
    columns = ["", *(text for phase in phases for text in (phase.name, "executed")), "peak memory", "on disk"]
    rows = [
        [
            NAMES[tool],
            *(text for phase in phases for text in _time_and_calls(samples, phase.name)),
            size(samples.median("cold", "peak")),
            size(samples.median("changed", "disk")),
        ]
        for tool, samples in named.items()
    ]
    notes = [*why(named), "Executed: calls that map a shard + calls that merge."]
    sheet = Sheet(f"shards: {count} of {size(one)}, mapped and reduced", columns, rows, notes)
    return Found(record(named), [sheet], _shards_targets(named, count))


def _shards_targets(named: Mapping[str, Samples], count: int) -> list[Target]:
    if "lineage" not in named:
        return []
    samples, targets = named["lineage"], []
    merges = math.ceil(math.log2(count + 1))
    for phase in ("added", "changed"):
        calls = _calls(samples, phase)
        if calls is not None:
            kept = calls["part"] == 1 and calls["merge"] <= merges
            name = f"one of {count} shards {phase}: calls"
            targets.append(Target(name, f"1 + at most {merges}", _shown(calls), kept))
    cached = samples.median("cached", "seconds")
    return targets + target(f"{count} shards, cached, after import", 0.1, cached, duration)


def _time_and_calls(samples: Samples, phase: str) -> tuple[str, str]:
    calls = _calls(samples, phase)
    return duration(samples.median(phase, "seconds")), "–" if calls is None else _shown(calls)


def _shown(calls: Mapping[str, int]) -> str:
    return f"{calls['part']} + {calls['merge']}"


def _calls(samples: Samples, phase: str) -> dict[str, int] | None:
    """Return what a phase executed: the count after it less the count after the one before.

    Raises:
        WrongAnswerError: it differs between repetitions.
    """
    names = list(samples.phases)
    if phase not in names:
        return None
    before = samples.phases[names[names.index(phase) - 1]] if names.index(phase) else []
    found = []
    for number, row in enumerate(samples.phases[phase]):
        earlier = before[number]["executed"] if before else {}
        now = row.get("executed", {})
        found.append({name: now.get(name, 0) - earlier.get(name, 0) for name in ("part", "merge")})
    if any(calls != found[0] for calls in found):
        raise WrongAnswerError(f"{samples.tool}, {phase}: executed {found}")
    return found[0]


def _check_cached(named: Mapping[str, Samples]) -> None:
    """Raise if a cached run executed something, or answered otherwise than the cold one."""
    for tool, samples in named.items():
        calls = _calls(samples, "cached")
        if calls is not None and any(calls.values()):
            raise WrongAnswerError(f"{tool}, cached: executed {_shown(calls)}")
        check_agreement({phase: Samples(tool, {"run": samples.phases.get(phase, [])}) for phase in _SAME}, ["run"])


_SAME = ("cold", "cached")
"""Phases that answer alike."""


def _settled(folder: Path) -> None:
    time.sleep(_SETTLE)


def _add(folder: Path, number: int) -> None:
    (folder / "more" / "added.parquet").rename(folder / "data" / f"shard-{number:05d}.parquet")


def _change(folder: Path, number: int) -> None:
    """Put another file in the place of one, as a program does that writes one anew."""
    (folder / "more" / "changed.parquet").replace(folder / "data" / f"shard-{number:05d}.parquet")


# -- many shards


def many_shards(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """A map over 10,000 shards of 100 rows and a reduce: planned, made, and found again by a new process."""
    able = [tool for tool in tools if tool != "hamilton"]

    def phases_of(pipeline: str) -> list[Phase]:
        count = _count_for(pipeline.removeprefix("shards_"), sizes)
        made = [Phase("cold", "run", count, before=_settled), Phase("cached", "run", count)]
        if pipeline != "shards_lineage":
            return made
        return [Phase("planned", "plan", count, before=_settled), *made, Phase("planned again", "plan", count)]

    with _inputs(harness, "source_shards.py", sizes.many_shards, 100) as inputs:

        def prepare(pipeline: str, store: Path) -> None:
            _link(inputs, store.parent, _count_for(pipeline.removeprefix("shards_"), sizes))

        named = _named(harness.measure([f"shards_{tool}" for tool in able], phases_of, prepare))
    check_agreement({tool: one for tool, one in named.items() if tool not in _FEWER}, ["cold", "cached"])
    _check_cached(named)
    rows, notes = [], why(named)
    for tool, samples in named.items():
        row = [NAMES[tool]]
        for phase in ("planned", "cold", "cached", "planned again"):
            row.append(duration(samples.median(phase, "seconds")))
        count = samples.median("cached", "size")
        seconds = samples.median("cached", "seconds")
        row.append(duration(seconds / count if seconds is not None and count else None))
        row += [size(samples.median(phase, "peak")) for phase in ("cold", "cached")]
        rows.append([*row, size(samples.median("cached", "disk"))])
        if count not in (None, sizes.many_shards):
            notes.append(f"{NAMES[tool]} was given {count:,.0f} shards.")
    if "hamilton" in tools:
        notes.append("Hamilton is left out: an item takes longer the more there are.")
    columns = ["", "planned", "cold", "cached", "planned again", "a shard, cached"]
    columns += ["peak, cold", "peak, cached", "on disk"]
    sheet = Sheet(f"many shards: {sizes.many_shards:,} of 100 rows, mapped and reduced", columns, rows, notes)
    return Found(record(named), [sheet], _many_targets(named, sizes))


def _many_targets(named: Mapping[str, Samples], sizes: Sizes) -> list[Target]:
    if "lineage" not in named:
        return []
    cached = named["lineage"].median("cached", "seconds")
    return target(f"{sizes.many_shards:,} shards, cached, after import", 1.0, cached, duration)


def _count_for(tool: str, sizes: Sizes) -> int:
    return sizes.many_shards // _FEWER.get(tool, 1)


# -- scan


_WAYS = {
    "node": ("scan_lineage", "node", "lineage, a new node", "in memory"),
    "frame": ("scan_lineage", "frame", "lineage, computed and collected", "in memory"),
    "polars": ("scan_polars", "frame", "polars, the same files", "in memory"),
    "frame, streaming": ("scan_lineage", "frame_streaming", "lineage, computed and collected", "streaming"),
    "polars, streaming": ("scan_polars", "frame_streaming", "polars, the same files", "streaming"),
}
_PAIRS = (("node", "polars"), ("frame", "polars"), ("frame, streaming", "polars, streaming"))


def scan(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """3 of 18 columns of 13 M taxi rides, read through cached datasets, and by polars from the same files."""
    if "lineage" not in tools:
        return Found({})
    samples: dict[str, Samples] = {way: Samples(way) for way in _WAYS}
    with _inputs(harness, "source_taxi.py", sizes.rides, sizes.ride_rows) as inputs, harness.folder() as folder:
        _link(inputs, folder)
        harness.say("lineage: clean the rides")
        stored = harness.run("scan_lineage", Phase("store", "store", sizes.rides, before=_settled), folder)
        for question in range(sizes.questions):
            for way, (pipeline, workload, *_) in _WAYS.items():
                harness.say(f"{way}: {question + 1} of {sizes.questions}")
                before = _edited if way == "node" else None  # a node that is not edited is a hit
                executed = {"clean": sizes.rides, "tipped": question + 1}
                phase = Phase(way, workload, sizes.rides, executed=executed, before=before)
                row = harness.run(pipeline, phase, folder)
                samples[way].phases.setdefault("asked", []).append(row)
    check_agreement(samples, ["asked"])
    rows = [
        [
            label,
            engine,
            *(duration(_best(samples[way], figure)) for figure in ("seconds", "process")),
            duration(samples[way].median("asked", "seconds")),
            duration(_best(samples[way], "cpu")),
            *(
                times(_best(samples[way], figure), _best(samples[_direct(way)], figure))
                for figure in ("seconds", "process")
            ),
            times(samples[way].median("asked", "seconds"), samples[_direct(way)].median("asked", "seconds")),
            size(samples[way].median("asked", "peak")),
        ]
        for way, (_, _, label, engine) in _WAYS.items()
    ]
    columns = ["", "engine", "after imports", "whole process", "median after imports", "processor", "ratio", "whole"]
    columns += ["of medians", "peak memory"]
    rides = sizes.rides * sizes.ride_rows
    title = f"scan: 3 of 18 columns of {rides:,} rides in {sizes.rides} files, {size(stored['disk'])} on disk"
    notes = [
        f"The best of {sizes.questions}, in turn, each in a new process. Cleaned and kept in {stored['seconds']:.1f} s."
    ]
    targets = []
    for mine, direct in _PAIRS:
        one, other = _best(samples[mine], "seconds"), _best(samples[direct], "seconds")
        if one is not None and other is not None:
            name = f"scan, {mine}, after imports: to polars with that engine"
            targets.append(Target(name, "< 1.10 x", times(one, other), one < 1.1 * other))
    return Found({"stored": stored, **record(samples)}, [Sheet(title, columns, rows, notes)], targets)


def _direct(way: str) -> str:
    return "polars, streaming" if "streaming" in way else "polars"


def _best(samples: Samples, figure: str) -> float | None:
    """Return the least: a busy machine adds, and can't take away."""
    return min((row[figure] for row in samples.phases.get("asked", ())), default=None)


def _edited(folder: Path) -> None:
    """Change what the node reaches, as a user would who saves a file, to something that answers alike."""
    path = folder / "code" / "scan_lineage.py"
    version = time.monotonic_ns()
    path.write_text(re.sub(r"VERSION = \d+", f"VERSION = {version}", path.read_text()))


# -- memory


def memory(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """Peak memory of a map over few large shards, and over four times as many."""
    if "lineage" not in tools:
        return Found({})
    few, many = sizes.few_large, 4 * sizes.few_large
    found: dict[str, Samples] = {}
    with _inputs(harness, "source_shards.py", many, sizes.large_rows) as inputs:
        one = next((inputs / "data").iterdir()).stat().st_size
        for count in (few, many):
            phases = [Phase(name, "run", count, before=_settled) for name in ("cold", "cached")]
            found[f"lineage, {count}"] = harness.measure(
                ["memory_lineage"], lambda _, p=phases: p, lambda _, store, n=count: _link(inputs, store.parent, n)
            )["memory_lineage"]
    _check_cached(found)
    rows = [
        [
            f"{name} shards",
            *(text for phase in ("cold", "cached") for text in _time_and_peak(samples, phase)),
            size(samples.median("cold", "memory_after_import")),
        ]
        for name, samples in found.items()
    ]
    columns = ["", "cold", "peak memory", "cached", "peak memory", "after import"]
    title = f"memory: shards of {size(one)}, read, cleaned, kept, aggregated and reduced by lineage"
    targets = []
    less, more = (found[f"lineage, {count}"].median("cold", "peak") for count in (few, many))
    if less is not None and more is not None:
        name = f"peak memory of {many} large shards: to that of {few}"
        targets.append(Target(name, "< 1.20 x", times(more, less), more < 1.2 * less))
    return Found(record(found), [Sheet(title, columns, rows, why(found))], targets)


def _time_and_peak(samples: Samples, phase: str) -> tuple[str, str]:
    return duration(samples.median(phase, "seconds")), size(samples.median(phase, "peak"))


# -- inputs


@contextlib.contextmanager
def _inputs(harness: Harness, script: str, count: int, rows: int) -> Iterator[Path]:
    """Write input files and give the folder that has them in `data`; it is gone afterwards."""
    folder = harness.work / f"inputs-{time.monotonic_ns()}"
    harness.say(f"{script}: {count} files of {rows:,} rows")
    command = [sys.executable, str(HERE / "pipelines" / script), str(folder / "data"), str(count), str(rows)]
    try:
        subprocess.run(command, check=True, env=environment())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _link(inputs: Path, folder: Path, count: int | None = None) -> None:
    """Give a run the first `count` input files, and those that come later: links, so that nothing is copied."""
    for name, most in (("data", count), ("more", None)):
        if (inputs / name).exists():
            (folder / name).mkdir()
            for path in sorted((inputs / name).iterdir())[:most]:
                os.link(path, folder / name / path.name)


def _named(measured: Mapping[str, Samples]) -> dict[str, Samples]:
    return {pipeline.removeprefix("shards_"): samples for pipeline, samples in measured.items()}


MEASUREMENTS: dict[str, Callable[[Harness, Sizes, Sequence[str]], Found]] = {
    "shards": shards,
    "many-shards": many_shards,
    "scan": scan,
    "memory": memory,
}
