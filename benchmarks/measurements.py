"""What is measured, of whom, and how it is laid out. Each function returns figures for the record
and sheets to show.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict

import fill_index
import measure_queries
import measure_shards
from found import NAMES, PEERS, Found, Sizes, Target, check_agreement, record, target, why
from harness import Harness, Phase, Samples, WrongAnswerError, environment
from report import Sheet, duration, size, times

__all__ = ["MEASUREMENTS"]


# -- trivial calls: chain, map, full index


def chain(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """1,000 calls, each made from the one before."""
    found = _calls(harness, tools, "chain", sizes.chain)
    return Found(record(found), [_calls_sheet("chain", sizes.chain, found)])


def map_(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """10,000 calls beside each other."""
    found = _calls(harness, tools, "fan", sizes.map)
    sheet = _calls_sheet("map", sizes.map, found)
    return Found(record(found), [sheet], _map_targets(found, sizes))


def _map_targets(found: Mapping[str, Samples], sizes: Sizes) -> list[Target]:
    if "lineage" not in found:
        return []
    cold, cached = (found["lineage"].median(phase, "seconds") for phase in ("cold", "cached"))
    targets = target("a new trivial call, recorded", 50e-6, cold and cold / sizes.map, duration)
    return targets + target("a cached map of 10,000, after import", 0.1, cached, duration)


def _sum(count: int, y: int = 7) -> int:
    return count * (count - 1) // 2 + y * count


_ANSWERS: dict[str, Callable[[int], int]] = {"chain": int, "fan": _sum}

_FEWER = {("redun", "fan"): 5}
"""How many times fewer calls a tool is given, so that it ends within minutes; compare it by call."""


def _calls(harness: Harness, tools: Sequence[str], workload: str, count: int) -> dict[str, Samples]:
    def phases_of(pipeline: str) -> list[Phase]:
        calls = count // _FEWER.get((pipeline.removeprefix("calls_"), workload), 1)
        answer = _ANSWERS[workload](calls)
        return [Phase(n, workload, calls, answer, executed=calls) for n in ("cold", "cached")]

    found = harness.measure([f"calls_{tool}" for tool in tools], phases_of)
    return {pipeline.removeprefix("calls_"): samples for pipeline, samples in found.items()}


def _calls_sheet(title: str, count: int, found: Mapping[str, Samples]) -> Sheet:
    columns = ["", "cold", "a call", "ratio", "cached", "a call", "ratio"]
    columns += ["import", "peak memory", "on disk", "times"]
    base = found.get("lineage") or Samples("")
    rows, notes = [], why(found)
    for tool, samples in found.items():
        row = [NAMES[tool]]
        for phase in ("cold", "cached"):
            row += [duration(samples.median(phase, "seconds")), duration(_per_call(samples, phase))]
            row.append(times(_per_call(samples, phase), _per_call(base, phase)))
        row.append(duration(samples.median("cached", "import")))
        row.append(size(samples.median("cold", "peak")))
        row.append(size(samples.median("cached", "disk")))
        rows.append([*row, str(len(samples.phases.get("cached", ())))])
        calls = samples.median("cold", "size")
        if calls not in (None, count):
            notes.append(f"{NAMES[tool]} was given {calls:,} calls. Ratios are by call.")
    title = f"{title}: {count:,} trivial calls, recorded on disk; then again in a new process"
    return Sheet(title, columns, rows, notes)


def _per_call(samples: Samples, phase: str) -> float | None:
    seconds, calls = samples.median(phase, "seconds"), samples.median(phase, "size")
    return seconds / calls if seconds is not None and calls else None


def _columns(seconds: float | None, count: int) -> tuple[str, str]:
    return duration(seconds), duration(seconds and seconds / count)


def full_index(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """New calls, and cached ones, where the index holds a million."""
    if "lineage" not in tools:
        return Found({})
    template = harness.work / "template"
    facts = _full_template(harness, sizes, template)
    try:
        phases = [
            Phase("cold", "fan", sizes.map, answer=_sum(sizes.map)),
            Phase("cached", "fan", sizes.map, answer=_sum(sizes.map)),
        ]
        found = harness.measure(["calls_lineage"], lambda _: phases, lambda _, store: shutil.copytree(template, store))
    finally:
        shutil.rmtree(template, ignore_errors=True)
    samples = found["calls_lineage"]
    cold, cached = samples.median("cold", "seconds"), samples.median("cached", "seconds")
    rows = [
        [
            f"lineage, {facts['rows']:,} calls in the index",
            *_columns(cold, sizes.map),
            *_columns(cached, sizes.map),
            size(samples.median("cold", "disk")),
        ]
    ]
    title = f"full index: {sizes.map:,} trivial calls beside those that are there"
    sheet = Sheet(
        title,
        ["", "cold", "a call", "cached", "a call", "on disk"],
        rows,
        why({"lineage": samples}),
    )
    name = "a new trivial call, a million in the index"
    targets = target(name, 50e-6, cold and cold / sizes.map, duration)
    return Found({"lineage": asdict(samples), "filling": facts}, [sheet], targets)


def _full_template(harness: Harness, sizes: Sizes, template: Path) -> dict[str, Any]:
    shutil.rmtree(template, ignore_errors=True)
    with harness.folder() as folder:
        count = max(100, sizes.index // 1000)
        harness.run("calls_lineage", Phase("template", "template", count, answer=_sum(count, 8)), folder)
        began = time.perf_counter()
        tables = fill_index.fill(folder / "store" / "index.sqlite", sizes.index // count)
        took = time.perf_counter() - began
        shutil.move(folder / "store", template)
    return {"tables": tables, "rows": tables["executions"], "seconds": took}


# -- building


def build(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """Calls that are built and held, in a list and as one chain; and the memory of a driver that
    runs them.
    """
    able = [tool for tool in ("lineage", "redun") if tool in tools]

    def phases_of(pipeline: str) -> list[Phase]:
        traced = max(1000, sizes.build // 10)
        phases = [Phase("list", "build", sizes.build), Phase("traced", "build_traced", traced)]
        if pipeline == "calls_lineage":
            phases.append(Phase("chain", "build_chain", sizes.build))
            phases.append(Phase("driver", "fan", sizes.driver, answer=_sum(sizes.driver)))
        return phases

    measured = harness.measure([f"calls_{tool}" for tool in able], phases_of)
    found = {pipeline.removeprefix("calls_"): samples for pipeline, samples in measured.items()}
    rows, notes, targets = [], why(found), []
    for tool, samples in found.items():
        seconds, held = samples.median("list", "seconds"), samples.median("list", "held")
        traced = samples.median("traced", "held")
        per_call = traced and traced / max(1000, sizes.build // 10)
        chained, freed = samples.median("chain", "seconds"), samples.median("chain", "freed")
        peak, start = (
            samples.median("driver", "peak"),
            samples.median("driver", "memory_after_import"),
        )
        running = peak and start and (peak - start) / sizes.driver
        rows.append(
            [
                NAMES[tool],
                duration(seconds and seconds / sizes.build), size(per_call), size(held),
                duration(chained and chained / sizes.build), duration(freed), size(running),
            ]
        )  # fmt: skip
        if tool == "lineage":
            targets += target("building a call", 5e-6, seconds and seconds / sizes.build, duration)
            targets += target("memory of a built call", 500, per_call, size)
            targets += target("a million built calls", 2**30, held and held * 1e6 / sizes.build, size)
    columns = [
        "",
        "a call",
        "bytes a call",
        f"{sizes.build:,} held",
        "in a chain",
        "chain freed",
        "a call, running",
    ]
    notes.append(
        "Bytes a call: what Python allocates (tracemalloc), arguments included. "
        "Held: growth of the resident set. "
        f"Running: growth of the peak while a map of {sizes.driver:,} is computed, per call."
    )
    return Found(
        record(found),
        [Sheet(f"build: {sizes.build:,} calls, nothing run", columns, rows, notes)],
        targets,
    )


# -- a table


def table(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """A table of 20 M rows x 7 columns: made, aggregated over two columns; again; and with a
    changed consumer.
    """
    chosen = ["lineage", "parquet", "arrow", "none", *(tool for tool in PEERS if tool in tools)]
    phases = [
        Phase("cold", "run", sizes.rows, executed=2),
        Phase("cached", "run", sizes.rows, executed=2),
        Phase("changed", "run", sizes.rows, executed=3, changed=True),
    ]
    found = harness.measure([f"table_{tool}" for tool in chosen], lambda _: phases)
    named = {pipeline.removeprefix("table_"): samples for pipeline, samples in found.items()}
    check_agreement(named, ("cold", "cached", "changed"))
    rows, notes = [], why(named)
    for tool, samples in named.items():
        row = [NAMES[tool]]
        for phase in ("cold", "cached", "changed"):
            row += [duration(samples.median(phase, figure)) for figure in ("process", "seconds")]
            row.append(size(samples.median(phase, "peak")))
        repeated = str(len(samples.phases.get("changed", ())))
        rows.append([*row, size(samples.median("cold", "disk")), repeated])
    columns = [""]
    for phase in ("cold", "cached", "changed consumer"):
        columns += [phase, "without imports", "peak"]
    columns += ["on disk", "times"]
    notes.append("Each phase is a process; its whole time, and that after its imports. Cold includes making the table.")
    title = f"table: {sizes.rows:,} rows x 7 columns, two of them aggregated"
    return Found(record(named), [Sheet(title, columns, rows, notes)], _table_targets(named))


def _table_targets(named: Mapping[str, Samples]) -> list[Target]:
    """Compare with the quicker memo and the best peer, both ways: a promise of a ratio hides behind neither."""
    targets = []
    for phase in ("cold", "cached", "changed"):
        for figure, label in (("process", "whole process"), ("seconds", "after imports")):
            mine = named["lineage"].median(phase, figure)
            memo = _least(named, ("parquet", "arrow"), phase, figure)
            peer = _least(named, PEERS, phase, figure)
            for other, name, limit in ((memo, "memo by hand", 1.3), (peer, "peer", 1.0)):
                if mine is not None and other is not None:
                    title = f"table, {phase}, {label}: to the best {name}"
                    targets.append(Target(title, f"< {limit:.2f} x", times(mine, other), mine < limit * other))
    return targets


def _least(named: Mapping[str, Samples], tools: Sequence[str], phase: str, figure: str) -> float | None:
    medians = [named[tool].median(phase, figure) for tool in tools if tool in named]
    return min((value for value in medians if value is not None), default=None)


# -- import


_IMPORTS = {
    "lineage": "import lineage",
    "joblib": "from joblib import Memory",
    "redun": "import redun",
    "hamilton": "from hamilton import driver",
}
HEAVY = (
    "asyncio", "beartype", "cattrs", "cyclopts", "fsspec", "importlib.metadata", "numba", "numpy",
    "pandas", "polars", "pyarrow", "rich", "sklearn", "sqlite3", "threadpoolctl",
    "typeguard", "unittest", "email",
)  # fmt: skip


def import_(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """What an import takes, beyond a bare interpreter; and which heavy modules it brought."""
    statements = {"bare": "pass", **{tool: _IMPORTS[tool] for tool in tools}}
    able = {tool: text for tool, text in statements.items() if _once(text) is not None}
    samples: dict[str, list[float]] = {tool: [] for tool in able}
    for _ in range(sizes.imports):
        for tool, statement in able.items():
            took = _once(statement)
            assert took is not None
            samples[tool].append(took)
    bare = statistics.median(samples["bare"])
    rows, figures = [], {}
    for tool, values in samples.items():
        if tool == "bare":
            continue
        modules = _modules(able[tool])
        heavy = [name for name in HEAVY if name in modules]
        extra = statistics.median(values) - bare
        figures[tool] = {
            "seconds": extra,
            "samples": values,
            "heavy": heavy,
            "modules": len(modules),
        }
        fastest = min(values) - min(samples["bare"])
        rows.append(
            [
                NAMES[tool],
                duration(extra),
                duration(fastest),
                str(len(modules)),
                ", ".join(heavy) or "none",
            ]
        )
    title = f"import: median of {sizes.imports}, a bare interpreter's {duration(bare)} taken off"
    sheet = Sheet(title, ["", "import", "quickest", "modules", "heavy modules loaded"], rows)
    mine = figures.get("lineage", {}).get("seconds")
    return Found(
        {"bare": samples["bare"], **figures},
        [sheet],
        target("import lineage", 0.08, mine, duration),
    )


def _once(statement: str) -> float | None:
    """Return the time of one interpreter, None if it fails. The first of each writes the bytecode for the rest."""
    command = [sys.executable, "-c", statement]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False, env=environment())
    return time.perf_counter() - began if done.returncode == 0 else None


def _modules(statement: str) -> frozenset[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps([list(sys.modules), [m.__cached__ for m in "
    code += "list(sys.modules.values()) if getattr(m, '__cached__', None)]]))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    names, bytecode = json.loads(done.stdout.splitlines()[-1])
    missing = [path for path in bytecode if not Path(path).exists()]
    if missing:
        raise WrongAnswerError(f"{statement}: {len(missing)} modules have no bytecode, such as {missing[0]}")
    return frozenset(names)


# -- hashing


def hashing(harness: Harness, sizes: Sizes, tools: Sequence[str]) -> Found:
    """How quickly content is hashed: the table, and an array of as many bytes."""
    phase = Phase("hash", "hashing", sizes.rows)
    samples = harness.measure(["source_table"], lambda _: [phase])["source_table"]
    rows, targets = [], []
    volume = samples.median("hash", "bytes")
    labels = {
        "table": "lineage, table", "array": "lineage, array",
        "joblib table": "joblib.hash, table", "joblib array": "joblib.hash, array",
    }  # fmt: skip
    for name, label in labels.items():
        figures = [row[name] for row in samples.phases.get("hash", ()) if "best" in row.get(name, {})]
        if not figures or volume is None:
            continue
        first, best = (statistics.median(figure[key] for figure in figures) for key in ("first", "best"))
        rows.append([label, f"{volume / best / 1e9:.2f} GB/s", duration(best), duration(first)])
        if label.startswith("lineage"):
            speed = volume / best / 1e9
            targets.append(Target(f"hashing, {name}", "> 5 GB/s", f"{speed:.2f} GB/s", speed > 5))
    title = f"hashing: {size(volume)} on {os.cpu_count()} cores"
    sheet = Sheet(title, ["", "speed", "best of 3", "first, with imports"], rows, why({"hashing": samples}))
    return Found(record({"hashing": samples}), [sheet], targets)


MEASUREMENTS: dict[str, Callable[[Harness, Sizes, Sequence[str]], Found]] = {
    "import": import_,
    "chain": chain,
    "map": map_,
    "full-index": full_index,
    "build": build,
    "table": table,
    "hashing": hashing,
    **measure_shards.MEASUREMENTS,
    **measure_queries.MEASUREMENTS,
}
