"""Which words stand in the same documents? Four ways to count, which give one and the same dataset.

python corpus.py data 1000
python cooccurrences.py data --method plain       # Python's loops: seconds for 1,000 documents
python cooccurrences.py data --method scipy       # a sparse matrix product
python cooccurrences.py data --method numba       # one dense matrix, compiled loops
python cooccurrences.py data --method shards      # the same loops over each shard; counts added in a tree

Whichever came first, the others end in an equal dataset, so that nothing downstream of it runs again. With `shards` and a
vocabulary that stays, another shard costs its own counting and a few additions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numba
import numpy as np
import polars as pl
import scipy.sparse
from attrs import frozen

import lineage as ln

Method = Literal["plain", "scipy", "numba", "shards"]


@frozen(eq=False)
class Documents:
    """Documents as sets of words: document d has `words[starts[d]:starts[d + 1]]`, ascending numbers below `size`."""

    starts: np.ndarray
    words: np.ndarray
    size: int


@frozen(eq=False)
class Counts:
    """How many documents hold two words: `counts[k]` those of the pair `pairs[k] == first * size + second`.

    Ascending pairs, first <= second: the upper triangle of a symmetric matrix, whose diagonal says how many documents hold a word.
    """

    pairs: np.ndarray
    counts: np.ndarray
    size: int


# -- the vocabulary: words of at least ten documents, and of at most a tenth of them


@ln.node
def document_frequencies(shard: ln.File) -> pl.DataFrame:
    """Return for each word of a shard in how many of its documents it stands."""
    words = pl.scan_parquet(shard.path).select(pl.col("text").str.split(" ").list.unique().alias("word"))
    return words.explode("word").group_by("word").agg(pl.len().alias("documents")).sort("word").collect()


@ln.node
def added(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Add up the document frequencies of several shards."""
    return pl.concat(parts).group_by("word").agg(pl.col("documents").sum()).sort("word")


@ln.node
def number_of_documents(shards: list[ln.File]) -> int:
    return sum(pl.scan_parquet(shard.path).select(pl.len()).collect().item() for shard in shards)


@ln.node
def vocabulary(frequencies: pl.DataFrame, documents: int, least: int = 10, largest_share: float = 0.1) -> list[str]:
    fitting = pl.col("documents").is_between(least, int(largest_share * documents))
    return frequencies.filter(fitting)["word"].to_list()


@ln.node
def encoded(shard: ln.File, words: list[str]) -> Documents:
    """Return the documents of a shard as sets of numbers of words."""
    numbers = pl.DataFrame({"word": words}).with_row_index("number")
    found = (
        pl.read_parquet(shard.path)
        .select(pl.col("text").str.split(" ").list.unique().alias("word"))
        .with_row_index("document")
        .explode("word")
        .join(numbers, on="word", how="inner")
        .sort("document", "number")
    )
    documents = pl.scan_parquet(shard.path).select(pl.len()).collect().item()
    lengths = np.bincount(found["document"].to_numpy(), minlength=documents)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Documents(starts, found["number"].to_numpy().astype(np.int32), len(words))


# -- four ways to count


@ln.node
def counted_plainly(shards: list[Documents]) -> Counts:
    """Count in Python's own loops."""
    size = shards[0].size
    found: Counter[int] = Counter()
    for shard in shards:
        words = shard.words.tolist()
        for start, end in zip(shard.starts.tolist(), shard.starts.tolist()[1:], strict=False):
            for position in range(start, end):
                first = words[position] * size
                for second in words[position:end]:
                    found[first + second] += 1
    pairs = np.array(sorted(found), dtype=np.int64)
    return Counts(pairs, np.array([found[pair] for pair in pairs.tolist()], dtype=np.int32), size)


@ln.node
def counted_by_scipy(shards: list[Documents]) -> Counts:
    """Count by a product of sparse matrices."""
    size = shards[0].size
    matrix = scipy.sparse.vstack(
        [
            scipy.sparse.csr_matrix(
                (np.ones(len(shard.words), np.int32), shard.words, shard.starts), (len(shard.starts) - 1, size)
            )
            for shard in shards
        ]
    )
    product = scipy.sparse.triu((matrix.T @ matrix).tocsr(), format="csr")
    product.sort_indices()
    firsts = np.repeat(np.arange(size, dtype=np.int64), np.diff(product.indptr))
    return Counts(firsts * size + product.indices, product.data.astype(np.int32), size)


@numba.njit
def add_documents(dense: np.ndarray, starts: np.ndarray, words: np.ndarray) -> None:
    for document in range(len(starts) - 1):
        for position in range(starts[document], starts[document + 1]):
            for other in range(position, starts[document + 1]):
                dense[words[position], words[other]] += 1


@ln.node
def counted_by_numba(shards: list[Documents]) -> Counts:
    """Count in one dense matrix."""
    size = shards[0].size
    dense = np.zeros((size, size), np.int32)
    for shard in shards:
        add_documents(dense, shard.starts, shard.words)
    flat = dense.ravel()
    pairs = np.flatnonzero(flat)
    return Counts(pairs, flat[pairs], size)


@numba.njit
def pairs_of_shard(starts: np.ndarray, words: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of one shard, ascending, and their counts; word by word, so that one row is enough to count in."""
    documents = len(starts) - 1
    holding = np.zeros(size + 1, np.int64)
    for word in words:
        holding[word + 1] += 1
    holding = np.cumsum(holding)
    places = np.empty(len(words), np.int64)  # where the words of a document begin that are not below the one at hand
    ends = np.empty(len(words), np.int64)
    filled = holding.copy()
    for document in range(documents):
        for position in range(starts[document], starts[document + 1]):
            word = words[position]
            places[filled[word]] = position
            ends[filled[word]] = starts[document + 1]
            filled[word] += 1
    row = np.zeros(size, np.int32)
    total = 0
    pairs = np.empty(1 << 20, np.int64)
    counts = np.empty(1 << 20, np.int32)
    for word in range(size):
        for holder in range(holding[word], holding[word + 1]):
            for position in range(places[holder], ends[holder]):
                row[words[position]] += 1
        if total + size > len(pairs):
            pairs = np.concatenate((pairs, np.empty(len(pairs) + size, np.int64)))
            counts = np.concatenate((counts, np.empty(len(counts) + size, np.int32)))
        for other in range(word, size):
            if row[other]:
                pairs[total] = word * size + other
                counts[total] = row[other]
                row[other] = 0
                total += 1
    return pairs[:total].copy(), counts[:total].copy()


@ln.node
def counted_in_shard(shard: Documents) -> Counts:
    """Count the pairs of one shard."""
    pairs, counts = pairs_of_shard(shard.starts, shard.words, shard.size)
    return Counts(pairs, counts, shard.size)


@numba.njit
def number_merged(pairs: np.ndarray, more_pairs: np.ndarray) -> int:
    """Return how many different pairs two ascending runs hold."""
    i = j = total = 0
    while i < len(pairs) and j < len(more_pairs):
        step_i, step_j = pairs[i] <= more_pairs[j], more_pairs[j] <= pairs[i]
        i += step_i
        j += step_j
        total += 1
    return total + len(pairs) - i + len(more_pairs) - j


@numba.njit
def merged_pairs(
    pairs: np.ndarray, counts: np.ndarray, more_pairs: np.ndarray, more_counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Merge two ascending runs of pairs, adding the counts of those that are in both."""
    total = number_merged(pairs, more_pairs)
    into, sums = np.empty(total, np.int64), np.empty(total, np.int32)
    i = j = 0
    for place in range(total):
        if j == len(more_pairs) or (i < len(pairs) and pairs[i] < more_pairs[j]):
            into[place], sums[place] = pairs[i], counts[i]
            i += 1
        elif i == len(pairs) or more_pairs[j] < pairs[i]:
            into[place], sums[place] = more_pairs[j], more_counts[j]
            j += 1
        else:
            into[place], sums[place] = pairs[i], counts[i] + more_counts[j]
            i += 1
            j += 1
    return into, sums


@ln.node
def counts_added(some: Counts, more: Counts) -> Counts:
    """Add the counts of two sets of documents."""
    pairs, counts = merged_pairs(some.pairs, some.counts, more.pairs, more.counts)
    return Counts(pairs, counts, some.size)


# -- what a reader wants to know


@ln.node
def top_pairs(counts: Counts, words: list[str], wanted: int = 10) -> pl.DataFrame:
    """Return the pairs of different words that stand together most often."""
    different = counts.pairs % (counts.size + 1) != 0  # a word with itself is first * size + first
    numbers = np.where(different, counts.counts, 0)
    wanted = min(wanted, int(different.sum()))
    least = np.partition(numbers, -wanted)[-wanted] if wanted else 1
    often = np.flatnonzero(numbers >= max(least, 1))
    often = often[np.lexsort((often, -numbers[often]))][:wanted]
    first, second = np.divmod(counts.pairs[often], counts.size)
    names = pl.Series(words)
    return pl.DataFrame(
        {"word": names.gather(first), "with": names.gather(second), "documents": numbers[often].astype(np.int32)}
    )


def counted(documents: list[Documents], method: Method) -> Counts:
    """Compose the counting in one of four ways."""
    if method == "shards":
        return ln.reduce(counts_added, ln.map(counted_in_shard, documents))
    return {"plain": counted_plainly, "scipy": counted_by_scipy, "numba": counted_by_numba}[method](documents)


def cooccurrences(shards: Sequence[ln.File], method: Method = "shards") -> tuple[Counts, list[str]]:
    """Compose the counting of `shards` from their texts on; nothing runs here."""
    files = list(shards)
    frequencies = ln.reduce(added, ln.map(document_frequencies, files))
    words = vocabulary(frequencies, number_of_documents(files))
    return counted(ln.map(encoded, files, words=words), method), words


def report(folder: str, method: Method = "shards") -> pl.DataFrame:
    """Show the ten pairs of words that stand together in most documents of the shards in `folder`."""
    counts, words = cooccurrences(ln.files(f"{folder}/*.parquet"), method)
    return top_pairs(counts, words)


if __name__ == "__main__":
    ln.main(report)
