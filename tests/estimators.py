"""Fitted estimators for tests, the same in every process."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

__all__ = ["KINDS", "fitted", "predictions"]

_random = np.random.default_rng(0)
X = _random.normal(size=(120, 3))
Y = (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(int)

_UNFITTED = {
    "forest": lambda: RandomForestClassifier(5, random_state=0),
    "other forest": lambda: RandomForestClassifier(5, random_state=1),
    "logistic": lambda: LogisticRegression(),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    "means": lambda: KMeans(3, n_init=2, random_state=0),
    "process": lambda: GaussianProcessClassifier(random_state=0),
}
KINDS = list(_UNFITTED)


def fitted(kind: str) -> Any:
    return _UNFITTED[kind]().fit(X, Y)


def predictions(model: Any) -> Any:
    return model.predict(X)
