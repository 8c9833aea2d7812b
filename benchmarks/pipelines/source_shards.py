"""The shards that the shard pipelines read: seeded parquet files, the same for everybody.

`python source_shards.py FOLDER COUNT ROWS` writes COUNT of them, and beside them in `FOLDER/../more` two more:
`added.parquet`, and `changed.parquet` to stand in the place of one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["make_shard", "write_shards"]


def make_shard(rows: int, seed: int) -> pl.DataFrame:
    """Return a table of 5 columns and about 25 bytes a row."""
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "station": random.integers(0, 50, rows, dtype=np.int32),
            "minutes": random.integers(-20, 200, rows),
            "cents": random.integers(0, 1 << 40, rows),
            "distance": random.standard_normal(rows),
            "day": pl.Series(random.integers(19_700, 19_731, rows, dtype=np.int32)).cast(pl.Date),
        }
    )


def write_shards(folder: Path, count: int, rows: int) -> None:
    more = folder.parent / "more"
    folder.mkdir(parents=True)
    more.mkdir()
    for number in range(count):
        make_shard(rows, number).write_parquet(folder / f"shard-{number:05d}.parquet", compression="lz4")
    make_shard(rows, count).write_parquet(more / "added.parquet", compression="lz4")
    make_shard(rows, count + 1).write_parquet(more / "changed.parquet", compression="lz4")


if __name__ == "__main__":
    write_shards(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
