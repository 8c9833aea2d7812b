"""Two versions of scikit-learn, and with them two of numpy, in one graph.

Both cluster the same points; a third node compares what they found. A classifier is trained in one environment and its
predictions are scored in the other: what crosses is arrays and numbers. Nothing of scikit-learn need be installed where this
is composed: the nodes import it in their bodies.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import lineage as ln

__all__ = ["clusters_new", "clusters_old", "coefficients", "comparison", "points", "scored"]

Array = np.ndarray[Any, np.dtype[Any]]

OLD = ln.Env(packages=["scikit-learn==1.3.2"], lock="envs/old.lock")
NEW = ln.Env(packages=["scikit-learn==1.6.1"], lock="envs/new.lock")


@ln.node
def points(count: int, groups: int, seed: int) -> Array:
    """Return points in the plane, some around each of so many centres."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(-10, 10, (groups, 2))
    return centres[np.arange(count) % groups] + generator.normal(0, 1.5, (count, 2))


@ln.node(env=OLD)
def clusters_old(where: Array, groups: int) -> dict[str, Any]:
    """Cluster with the defaults of the old version: ten starts, the best of which is taken."""
    import sklearn
    from sklearn.cluster import KMeans

    model = KMeans(groups, random_state=0).fit(where)
    return {"version": sklearn.__version__, "numpy": np.__version__, "inertia": float(model.inertia_)}


@ln.node(env=NEW)
def clusters_new(where: Array, groups: int) -> dict[str, Any]:
    """Cluster with the defaults of the new version: one start. The call is the same, letter for letter."""
    import sklearn
    from sklearn.cluster import KMeans

    model = KMeans(groups, random_state=0).fit(where)
    return {"version": sklearn.__version__, "numpy": np.__version__, "inertia": float(model.inertia_)}


@ln.node
def comparison(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Say how much worse the new defaults fit."""
    worse = new["inertia"] / old["inertia"] - 1
    return (
        f"scikit-learn {old['version']} (numpy {old['numpy']}): {old['inertia']:.1f}; "
        f"{new['version']} (numpy {new['numpy']}): {new['inertia']:.1f}, {worse:+.2%}"
    )


@ln.node(env=OLD)
def coefficients(where: Array) -> dict[str, Array]:
    """Train a classifier of the side that points lie on, and return what it learnt as arrays."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(where, where[:, 0] + where[:, 1] > 0)
    return {"weights": model.coef_[0], "offset": model.intercept_}


@ln.node(env=NEW)
def scored(learnt: dict[str, Array], where: Array) -> float:
    """Return the part of points that are on the side which was predicted."""
    from sklearn.metrics import accuracy_score

    predicted = where @ learnt["weights"] + learnt["offset"] > 0
    return float(accuracy_score(where[:, 0] + where[:, 1] > 0, predicted))


def report(count: int = 3000, groups: int = 12, seed: int = 1) -> tuple[str, float]:
    """Compose the whole: the comparison, and the score of the classifier on points that it has not seen."""
    seen, unseen = points(count, groups, seed), points(count, groups, seed + 1)
    return comparison(clusters_old(seen, groups), clusters_new(seen, groups)), scored(coefficients(seen), unseen)


if __name__ == "__main__":
    ln.main(report)
