"""The main job, as a user lives it: run, run again, change a parameter, edit a comment; what runs each time, and why.

Works on a copy of `pipeline.py` in a folder of its own, and keeps its datasets in `.lineage/demo` of this checkout, from
which a second demo starts afresh.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = HERE.parent.parent / ".lineage" / "demo"


def run(*options: str) -> None:
    """Run the pipeline as a user would, in a process of its own."""
    print(f"\n$ python pipeline.py {' '.join(options)}", flush=True)
    began = time.perf_counter()
    environment = {**os.environ, "LINEAGE_STORE": str(WORK / "store")}
    subprocess.run([sys.executable, "pipeline.py", *options], cwd=WORK, env=environment, check=True)
    print(f"({time.perf_counter() - began:.1f} s, Python and its imports included)", flush=True)


def title(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    shutil.copy(HERE / "pipeline.py", WORK)

    title("First run: everything is computed")
    run("--explain")

    title("Again: one look-up, everything is a hit")
    run("--explain")

    title("Another learning rate: only the model and its score depend on it")
    run("--learning-rate", "0.2", "--explain")

    title("A comment and a docstring edited: the code does the same, everything is a hit")
    source = (WORK / "pipeline.py").read_text()
    edited = source.replace(
        '"""Fit boosted trees to the delays."""', '"""Fit trees."""\n    # A remark for the next reader.'
    )
    assert edited != source
    (WORK / "pipeline.py").write_text(edited)
    run("--explain")

    title("The cleaning written in another way: `clean` runs and gives the same, so what follows is unchanged")
    edited = edited.replace(".abs() <= longest_delay", ".abs() < longest_delay + 1")
    (WORK / "pipeline.py").write_text(edited)
    run("--explain")


if __name__ == "__main__":
    main()
