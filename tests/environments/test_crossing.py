"""What may cross from one environment to another is checked by types, before anything runs."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

import lineage as ln
from environment_project import EnvironmentProject
from lineage.errors import EnvError, ExecutorError, NodeError

MODULE = """
    from typing import Any

    import polars as pl
    from sklearn.linear_model import Ridge

    import lineage as ln

    old = ln.Env(packages=["scikit-learn==1.5"], lock="envs/old.lock")
    new = ln.Env(packages=["scikit-learn==1.6"], lock="envs/new.lock")

    @ln.node(env=old)
    def fit(x: float) -> Ridge:
        return Ridge(x)

    @ln.node(env=old)
    def fit_anything(x: float) -> Any:
        return Ridge(x)

    @ln.node(env=old)
    def several(x: float) -> list[Ridge]:
        return [Ridge(x)]

    @ln.node(env=old)
    def coefficients(model: Ridge) -> list[float]:
        return [1.0]

    @ln.node(env=new)
    def score(model: Ridge) -> float:
        return 1.0

    @ln.node(env=new)
    def score_first(models: list[Ridge]) -> float:
        return 1.0

    @ln.node(env=new)
    def total(numbers: list[float]) -> float:
        return sum(numbers)

    @ln.node
    def in_driver(model: Ridge) -> float:
        return 1.0

    @ln.node(env=old)
    def rows(x: int) -> pl.DataFrame:
        return pl.DataFrame({"x": [x]})

    @ln.node(env=old)
    def height(table: pl.DataFrame) -> int:
        return table.height
    """


@pytest.fixture
def module(project: EnvironmentProject) -> ModuleType:
    project.lock("envs/old.lock", "scikit-learn==1.5", asks=("scikit-learn==1.5",))
    project.lock("envs/new.lock", "scikit-learn==1.6", asks=("scikit-learn==1.6",))
    name = f"crossed_{abs(hash(str(project.folder))):x}"
    project.write(f"{name}.py", MODULE)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_a_pickle_of_another_version_is_refused_before_anything_runs(session: ln.Session, module: ModuleType) -> None:
    with pytest.raises(
        EnvError,
        match=r"fit\(x=1\.0\) gives sklearn\.Ridge, a pickle of scikit-learn 1\.5; score runs with scikit-learn 1\.6",
    ):
        session.compute(module.score(module.fit(1.0)))


def test_one_within_a_list_is_refused_too(session: ln.Session, module: ModuleType) -> None:
    with pytest.raises(EnvError, match=r"score_first runs with scikit-learn 1\.6 and can't read it"):
        session.compute(module.score_first(module.several(1.0)))
    with pytest.raises(EnvError, match=r"score runs with scikit-learn 1\.6 and can't read it"):
        session.compute(module.score(module.several(1.0)[0]))


def test_the_driver_has_versions_of_its_own(session: ln.Session, module: ModuleType) -> None:
    with pytest.raises(EnvError, match=r"a pickle of scikit-learn 1\.5; in_driver runs with scikit-learn 1\.\d+"):
        session.compute(module.in_driver(module.fit(1.0)))


@pytest.mark.parametrize("table", ["rows", "height"])
def test_a_type_in_a_signature_whose_package_the_environment_lacks_is_refused(
    session: ln.Session, module: ModuleType, table: str
) -> None:
    import polars as pl

    call = module.rows(1) if table == "rows" else module.height(pl.DataFrame({"x": [1]}))
    with pytest.raises(
        EnvError, match=rf"lacks polars\. Add it: packages=\[\.\.\., 'polars'\].*lineage env lock .*:{table}"
    ):
        session.compute(call)


@pytest.mark.usefixtures("environments")
def test_within_one_environment_and_as_data_values_pass(
    session: ln.Session, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They get as far as to the executor, which can't make what no index has."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    for call in (
        module.coefficients(module.fit(1.0)),
        module.total(module.coefficients(module.fit(1.0))),
        module.score(module.fit_anything(1.0)),
    ):
        with pytest.raises((ExecutorError, NodeError), match=r"the environment of .* can't be made"):
            session.compute(call)
