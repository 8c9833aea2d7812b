"""A seeded corpus of made-up reviews, in parquet shards, with the word statistics of real ones.

Words follow the law of Zipf and Mandelbrot, `p(rank) ~ 1 / (rank + 10) ** 1.2`, over a vocabulary of 48,500; the number of words
of a document is log-normal. At 1,000 documents some 1,100 words are in at least ten documents and at most a tenth of
them, at 100,000 some 47,000: what 650,000 reviews of restaurants show too.

python corpus.py data 100000        # writes data/shard-000.parquet ...
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

__all__ = ["make_shard", "write_corpus"]

WORDS = 48_500
PER_SHARD = 10_000


def make_shard(documents: int, seed: int) -> pl.DataFrame:
    """Return `documents` documents, one text a row."""
    random = np.random.default_rng(seed)
    weights = 1.0 / (np.arange(WORDS) + 10.0) ** 1.2
    ends = np.cumsum(weights / weights.sum())
    lengths = np.clip(np.exp(random.normal(4.5, 0.85, documents)), 5, 1000).astype(np.int64)
    ranks = np.minimum(np.searchsorted(ends, random.random(int(lengths.sum()))), WORDS - 1)
    names = pl.Series([f"w{rank}" for rank in range(WORDS)])
    tokens = pl.DataFrame(
        {"document": np.repeat(np.arange(documents), lengths), "text": names.gather(ranks.astype(np.uint32))}
    )
    return tokens.group_by("document", maintain_order=True).agg(pl.col("text").str.join(" ")).select("text")


def write_corpus(folder: Path, documents: int, *, per_shard: int = PER_SHARD) -> list[Path]:
    """Write a corpus in shards of `per_shard` documents and return the paths. A longer corpus begins with the same shards."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, start in enumerate(range(0, documents, per_shard)):
        path = folder / f"shard-{number:03d}.parquet"
        if not path.exists():
            make_shard(min(per_shard, documents - start), seed=number).write_parquet(path)
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write_corpus(Path(sys.argv[1]), int(sys.argv[2])):
        print(written)
