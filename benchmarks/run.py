"""Measures `lineage` beside redun, joblib and Hamilton: `make bench`, or `python benchmarks/run.py
--help`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from found import FULL, QUICK, Found, Target
from harness import HERE, Harness, WrongAnswerError
from measurements import MEASUREMENTS
from report import Sheet, markdown, rich_table

RESULTS = HERE / "results"
TOOLS = ("lineage", "joblib", "redun", "hamilton")
DISTRIBUTIONS = (
    "lineage-graph",
    "redun",
    "joblib",
    "apache-hamilton",
    "polars",
    "pyarrow",
    "numpy",
    "blake3",
    "attrs",
)
ROOM = 10 * 2**30
"""Bytes of disk that the largest peer needs, with its temporary files."""


def main() -> int:
    options = _options()
    wide = None if sys.stdout.isatty() else 150
    console = Console(stderr=options.markdown, width=wide)
    RESULTS.mkdir(exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=options.folder or RESULTS))
    machine = _machine(work)
    _warn(console, machine, quick=options.quick)
    harness = Harness(
        work,
        repetitions=options.repetitions or (1 if options.quick else 3),
        say=lambda text: console.print(f"[dim]{text}", highlight=False),
    )
    try:
        found = _measure(harness, options, console)
    except WrongAnswerError as error:
        console.print(f"[red]stopped: {error}")
        return 1
    finally:
        shutil.rmtree(work, ignore_errors=True)
    machine["load_after"] = max(machine["load"], *os.getloadavg())
    machine["busiest"] = harness.busiest
    sheets = [sheet for one in found.values() for sheet in one.sheets]
    targets = [target for one in found.values() for target in one.targets]
    if targets and not options.quick:
        sheets.append(_targets_sheet(targets))
    _write(machine, found, options)
    if options.markdown:
        print("\n\n".join([_machine_line(machine), *map(markdown, sheets)]))
    elif sheets:
        console.rule()
        for sheet in sheets:
            console.print(rich_table(sheet), "")
        console.print(_machine_line(machine), highlight=False)
    return 1 if _failed(found) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        choices=list(MEASUREMENTS),
        help="this measurement (may be repeated)",
    )
    parser.add_argument("--tools", default=",".join(TOOLS), help="tools to measure, with commas between")
    parser.add_argument("--quick", action="store_true", help="small and once: does the harness work?")
    parser.add_argument("--repetitions", type=int, help="how often (default 3)")
    parser.add_argument("--markdown", action="store_true", help="print Markdown instead of tables")
    parser.add_argument("--folder", type=Path, help="where stores are made, to measure another disk")
    options = parser.parse_args()
    options.tools = options.tools.split(",")
    unknown = set(options.tools) - set(TOOLS)
    if unknown:
        parser.error(f"no such tool: {', '.join(sorted(unknown))}; there are {', '.join(TOOLS)}")
    return options


def _measure(harness: Harness, options: argparse.Namespace, console: Console) -> dict[str, Found]:
    sizes = QUICK if options.quick else FULL
    found = {}
    for name in options.only or MEASUREMENTS:
        console.print(f"[bold]{name}[/] (load {os.getloadavg()[0]:.1f})", highlight=False)
        found[name] = MEASUREMENTS[name](harness, sizes, options.tools)
    return found


def _failed(found: dict[str, Found]) -> bool:
    """Say whether `lineage` itself failed somewhere; peers may."""
    return any(
        isinstance(samples, dict) and samples.get("skipped") and tool.startswith(("lineage", "hashing"))
        for one in found.values()
        for tool, samples in one.figures.items()
    )


def _targets_sheet(targets: list[Target]) -> Sheet:
    rows = [[target.name, target.promised, target.measured, "yes" if target.kept else "NO"] for target in targets]
    return Sheet("What the design promises", ["", "promised", "measured", "kept"], rows)


# -- the machine


def _machine(work: Path) -> dict[str, Any]:
    return {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
        "free": shutil.disk_usage(work).free,
        "commit": _git("rev-parse", "--short", "HEAD"),
        "edited": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "src")),
        "versions": {name: _version(name) for name in DISTRIBUTIONS},
    }


def _machine_line(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if number)
    edited = " (edited)" if machine["edited"] else ""
    return (
        f"{machine['when'][:10]}, commit {machine['commit']}{edited}: "
        f"{machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory'] / 2**30:.0f} GiB, Python {machine['python']}; load {machine['load']:.1f} before and up to "
        f"{machine['busiest']:.1f} during, the work's own included; {versions}."
    )


def _warn(console: Console, machine: dict[str, Any], *, quick: bool) -> None:
    if machine["load"] > 0.5:
        console.print(f"[yellow]the machine is busy (load {machine['load']:.1f}): times will be too long")
    if not quick and machine["free"] < ROOM:
        console.print(f"[yellow]{machine['free'] / 2**30:.0f} GiB of disk are free; the table wants {ROOM / 2**30:.0f}")
    if not quick and machine["memory"] < 12 * 2**30:
        console.print("[yellow]the peers want about 12 GiB of memory for the table")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "an unknown processor"
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        "an unknown processor",
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=HERE.parent)
    except OSError:
        return ""
    return done.stdout.strip()


def _write(machine: dict[str, Any], found: dict[str, Found], options: argparse.Namespace) -> None:
    """Keep every sample; a quick run never stands where a real one does."""
    kept = {
        "machine": machine,
        "quick": options.quick,
        "measurements": {name: one.figures for name, one in found.items()},
        "targets": [
            {"name": t.name, "promised": t.promised, "measured": t.measured, "kept": t.kept}
            for one in found.values()
            for t in one.targets
        ],
    }
    path = RESULTS / ("quick.json" if options.quick else "latest.json")
    path.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    sys.exit(main())
