"""The examples do what they say: what they print is asserted here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cooccurrences as words
import corpus
import monthly
import months_demo
import numpy as np
import polars as pl
import pytest
import versions_demo

import lineage as ln
from lineage.errors import EnvError, NodeError
from lineage.testing import EventLog

# -- flights, month by month


def test_a_month_more_one_corrected_and_one_less_cost_what_they_touch(tmp_path: Path) -> None:
    chapters = months_demo.tell(tmp_path)
    executed = {title: count for title, count, _, _ in chapters}
    first, again, more, corrected, less = executed.values()
    assert [first[node] for node in ("cleaned", "delays", "shuffle", "fitted")] == [12, 12, 12, 16]
    assert sum(again.values()) == 0
    for one in (more, corrected):
        assert [one[node] for node in ("cleaned", "delays", "shuffle")] == [1, 1, 1]
        assert 1 <= one["added"] <= 3
    assert corrected["fitted"] == 1  # one carrier's flights changed
    assert [less[node] for node in ("cleaned", "delays", "shuffle")] == [0, 0, 0]
    assert less["added"] <= 3


def test_the_months_add_up_however_they_came(tmp_path: Path) -> None:
    last = months_demo.tell(tmp_path)[-1][3]
    with ln.Session(tmp_path / "fresh"):
        anew = ln.compute(monthly.monthly(tmp_path / "data"))
    assert anew.delays.equals(last.delays)
    assert [(model.carrier, model.flights) for model in anew.models] == [
        (model.carrier, model.flights) for model in last.models
    ]
    cleaned = pl.concat([monthly.cleaned.fn(file) for file in ln.files(tmp_path / "data/*.parquet")])
    assert sum(model.flights for model in last.models) == cleaned.height == last.delays["flights"].sum()


# -- two versions of a library


def test_two_versions_meet_in_data_and_nothing_is_needed_for_what_is_known(tmp_path: Path) -> None:
    try:
        first, again, anew = versions_demo.tell(tmp_path)
    except (EnvError, NodeError) as error:
        if "can't be made" not in str(error):
            raise
        pytest.skip(f"packages can't be had here: {error}")
    assert "scikit-learn 1.3.2 (numpy 1.26.4)" in first.result[0]
    assert "1.6.1 (numpy 2." in first.result[0]
    assert first.result[1] > 0.98
    assert again.executed == []
    assert sorted(anew.executed) == ["clusters_new", "clusters_old", "coefficients", "scored"]
    assert first.result == again.result == anew.result


# -- words that stand together


@pytest.fixture
def shards(tmp_path: Path) -> list[ln.File]:
    return [ln.File(path) for path in corpus.write_corpus(tmp_path / "corpus", 400, per_shard=100)]


@pytest.mark.parametrize("method", ["scipy", "numba", "shards"])
def test_all_ways_to_count_words_give_one_dataset(
    session: ln.Session, shards: list[ln.File], method: words.Method
) -> None:
    expected = session.materialize(words.cooccurrences(shards, "plain")[0])
    assert len(expected.value.pairs) > 1000
    assert session.materialize(words.cooccurrences(shards, method)[0]).digest == expected.digest


def test_counts_of_words_are_those_of_sets_of_documents(tmp_path: Path, session: ln.Session) -> None:
    """Cats are fun, dogs are fun, cats eat fish."""
    texts = pl.DataFrame({"text": ["cats are fun", "dogs are fun", "cats eat fish"]})
    texts.write_parquet(tmp_path / "toy.parquet")
    names = ["are", "cats", "dogs", "eat", "fish", "fun"]
    documents = words.encoded(ln.File(tmp_path / "toy.parquet"), names)
    counts = session.compute(words.counted_in_shard(documents))
    dense = np.zeros((6, 6), int)
    dense[np.divmod(counts.pairs, counts.size)] = counts.counts
    assert dense.tolist() == [
        [2, 1, 1, 0, 0, 2],
        [0, 2, 0, 1, 1, 1],
        [0, 0, 1, 0, 0, 1],
        [0, 0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 2],
    ]


def test_another_shard_costs_its_own_counting_and_a_few_additions(
    session: ln.Session, log: EventLog, shards: list[ln.File]
) -> None:
    names = session.compute(words.cooccurrences(shards[:3])[1])
    session.compute(words.counted(ln.map(words.encoded, shards[:3], words=names), "shards"))
    log.clear()
    session.compute(words.counted(ln.map(words.encoded, shards, words=names), "shards"))
    executed = Counter(log.names())
    assert [executed[f"executed {node}"] for node in ("encoded", "counted_in_shard", "counts_added")] == [1, 1, 1]
