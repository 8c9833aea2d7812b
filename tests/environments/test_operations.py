"""What people do with environments: lock, show, create, export, check."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from attrs import evolve

from environment_project import EnvironmentProject, small_lock
from lineage.environments import operations
from lineage.environments.command import env_app, nodes_at
from lineage.environments.lock import Package, read_lock, write_lock
from lineage.environments.resolving import own_python
from lineage.errors import NotFoundError

MODULE = """
    import lineage as ln

    @ln.node(env=ln.Env(packages=["{package}"], lock="envs/train.lock"))
    def train(x: int) -> str:
        import {module}

        return {module}.__name__

    @ln.node
    def plain(x: int) -> int:
        return x
    """


def module_of(project: EnvironmentProject, package: str = "toolbox", module: str = "toolbox") -> ModuleType:
    name = f"operated_{abs(hash((str(project.folder), package, module))):x}"
    project.write(f"{name}.py", MODULE.format(package=package, module=module))
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_a_lock_is_shown_with_who_asked_for_what() -> None:
    text = operations.show(small_lock("toolbox==1", "below==2", asks=("toolbox",)))
    assert text.splitlines()[0] == f"Python {own_python()}"
    assert "toolbox 1 asked for: toolbox" in " ".join(text.split())
    assert "  below 2" in text.splitlines()
    assert "of the worker: blake3>=1.0" in text


def test_an_export_has_versions_and_hashes() -> None:
    text = operations.export(small_lock("toolbox==1"))
    assert f"toolbox==1 --hash=sha256:{'a' * 64}\n" in text
    assert "://" not in text


def test_check_finds_a_lock_that_is_missing_and_one_that_is_outdated(project: EnvironmentProject) -> None:
    module = module_of(project)
    nodes = [module.train, module.plain]
    assert [problem.what for problem in operations.check(nodes)] == [
        f"there is no lock train.lock in {project.folder / 'envs'}. lineage env lock {module.__name__}:train"
    ]
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox<1",))
    (problem,) = operations.check(nodes)
    assert "is not of what is asked for: packages was toolbox<1 and is toolbox" in problem.what
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    assert operations.check(nodes) == []


@pytest.mark.usefixtures("index", "environments")
def test_check_finds_an_import_that_the_environment_lacks(project: EnvironmentProject) -> None:
    module = module_of(project, "iniconfig==2.0.0", "polars")
    operations.lock([module.train])
    operations.create(read_lock(project.folder / "envs" / "train.lock"))
    assert [problem.what for problem in operations.check([module.train])] == [
        "imports polars, which its environment lacks: add it to packages"
    ]


@pytest.mark.usefixtures("index", "environments")
def test_check_finds_an_environment_that_was_changed_by_hand(project: EnvironmentProject) -> None:
    module = module_of(project, "iniconfig==2.0.0", "iniconfig")
    operations.lock([module.train])
    place = operations.create(read_lock(project.folder / "envs" / "train.lock"))
    assert operations.check([module.train]) == []
    next(place.folder.glob("lib/*/site-packages/iniconfig-*.dist-info/RECORD")).unlink()
    (problem,) = operations.check([module.train])
    assert "is not what it was when it was made" in problem.what


@pytest.mark.usefixtures("index")
def test_locking_again_keeps_the_versions_that_still_fit(project: EnvironmentProject) -> None:
    module = module_of(project, "iniconfig", "iniconfig")
    (path,) = operations.lock([module.train, module.plain])
    newest = read_lock(path)
    older = [
        Package(package.name, "2.0.0", package.files) if package.name == "iniconfig" else package
        for package in newest.packages
    ]
    write_lock(path, evolve(newest, packages=older))
    operations.lock([module.train])
    assert [package.version for package in read_lock(path).packages if package.name == "iniconfig"] == ["2.0.0"]
    operations.lock([module.train], upgrade=True)
    assert read_lock(path) == newest


def test_a_target_is_a_module_a_file_or_one_node_of_it(project: EnvironmentProject) -> None:
    module = module_of(project)
    assert nodes_at(module.__name__) == [module.train, module.plain]
    assert nodes_at(f"{module.__file__}:plain") == [module.plain]
    with pytest.raises(NotFoundError, match=r"no node 'tran'; it has train, plain"):
        nodes_at(f"{module.__name__}:tran")
    with pytest.raises(NotFoundError, match="there is no file"):
        nodes_at("nowhere.py")


def test_the_command_checks_and_shows(project: EnvironmentProject, capsys: pytest.CaptureFixture[str]) -> None:
    module = module_of(project)
    app = env_app()
    assert app(["check", module.__name__], result_action="return_value") == 1
    assert f"{module.__name__}:train: there is no lock" in capsys.readouterr().out
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    assert app(["check", module.__name__], result_action="return_value") == 0
    app(["show", f"{module.__name__}:train"], result_action="return_value")
    assert "toolbox 1" in capsys.readouterr().out
