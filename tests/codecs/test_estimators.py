"""Fitted scikit-learn estimators: identified by their whole state, in every process alike, and read back as they were."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from estimators import KINDS, X, Y, fitted, predictions
from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import Thawer
from lineage.identity import digest_value, freezer, identify
from lineage.storage.store import Store


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    return {kind: digest_value(fitted(kind)).hex() for kind in KINDS}


@pytest.mark.parametrize("seed", ["1", "2"])
def test_digests_are_those_of_other_processes(digests: dict[str, str], seed: str) -> None:
    code = (
        "import json, estimators\nfrom lineage.identity import digest_value\n"
        "print(json.dumps({kind: digest_value(estimators.fitted(kind)).hex() for kind in estimators.KINDS}))"
    )
    folder = str(Path(__file__).parents[1])
    path = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == digests


@pytest.mark.parametrize("kind", KINDS)
def test_a_trip_through_pickle_keeps_the_digest(digests: dict[str, str], kind: str) -> None:
    again = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(fitted(kind)))))
    assert digest_value(again).hex() == digests[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_predicting_keeps_the_digest(digests: dict[str, str], kind: str) -> None:
    model = fitted(kind)
    predictions(model)
    assert digest_value(model).hex() == digests[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_back_predicts_the_same_and_can_be_changed_by_its_reader_only(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path / "store", freezer)
    model = fitted(kind)
    tree = freezer.freeze(model)
    store.keep(tree)
    plain = load_tree(dump_tree(tree))
    thawer = Thawer(store.read, identify)
    one, other = thawer.thaw(plain), thawer.thaw(plain)
    assert np.array_equal(predictions(one), predictions(model))
    one.fit(X[::-1] * 2, 1 - Y)
    assert np.array_equal(predictions(other), predictions(model))
    assert digest_value(other) == digest_value(model)
    store.close()


def test_all_kinds_differ(digests: dict[str, str]) -> None:
    assert len(set(digests.values())) == len(KINDS)


def test_two_forests_alike_in_public_attributes_differ() -> None:
    """Only their trees are not the same; half of their predictions follow."""
    one, other = fitted("forest"), fitted("forest")
    assert digest_value(one) == digest_value(other)
    other.estimators_[0] = fitted("other forest").estimators_[0]
    public = [name for name in vars(one) if not name.startswith("_") and name not in ("estimators_", "estimator")]
    assert all(digest_value(getattr(one, name)) == digest_value(getattr(other, name)) for name in public)
    assert digest_value(one) != digest_value(other)


def test_a_threshold_deep_in_a_tree_counts() -> None:
    one = fitted("forest")
    before = digest_value(one)
    thresholds = one.estimators_[3].tree_.threshold
    thresholds[np.flatnonzero(thresholds != -2)[-1]] += 1e-9
    assert digest_value(one) != before


def test_what_fitting_leaves_private_counts() -> None:
    one = fitted("boosting")
    before = digest_value(one)
    one._predictors[0][0].nodes["value"][1] += 1e-9
    assert digest_value(one) != before
