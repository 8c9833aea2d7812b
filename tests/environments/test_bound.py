"""From what a node asks for to its lock: what changes a key, and when a lock is not of what is asked for."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

import lineage as ln
from environment_project import EnvironmentProject, small_lock
from lineage.environments.bound import lock_path, request_of
from lineage.environments.current import run_env
from lineage.environments.lock import Package, dump_lock, read_lock
from lineage.environments.request import Env
from lineage.errors import EnvError, LockError

MODULE = """
    import lineage as ln

    @ln.node(env=ln.Env(packages=["toolbox"], lock="envs/train.lock"))
    def train(x: int) -> str:
        import toolbox

        return toolbox.fit(x)
    """


PLAIN = """
    import lineage as ln

    @ln.node
    def plain(x: int) -> int:
        return x

    @ln.node
    def numbers(n: int) -> list[int]:
        return list(range(n))
    """


def module_of(project: EnvironmentProject, text: str = MODULE) -> ModuleType:
    name = f"module_{abs(hash((str(project.folder), text))):x}"
    project.write(f"{name}.py", text)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def test_a_changed_lock_changes_the_key(project: EnvironmentProject) -> None:
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    train = module_of(project).train
    first = train.code_digest()
    project.lock("envs/train.lock", "toolbox==2", asks=("toolbox",))
    second = train.code_digest()
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    assert first != second
    assert train.code_digest() == first


def test_the_key_names_what_was_resolved_leaf_by_leaf(project: EnvironmentProject) -> None:
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    train = module_of(project).train
    known = json.loads(train.leaves())
    assert "package toolbox 1" in known["leaves"]
    assert not [leaf for leaf in known["leaves"] if leaf.startswith("package polars")]
    assert {pin["name"] for pin in known["environment"]["pins"]} >= {"toolbox", "attrs"}


def test_what_the_driver_has_installed_is_no_part_of_the_key_of_a_pinned_node(project: EnvironmentProject) -> None:
    """`attrs` is installed here, and the lock has another version of it."""
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    train = module_of(project, MODULE.replace("import toolbox\n", "import attrs, toolbox\n")).train
    leaves = json.loads(train.leaves())["leaves"]
    assert [leaf for leaf in leaves if leaf.startswith("package attrs ")] == ["package attrs 99"]


def test_what_the_environment_has_goes_before_what_is_installed_here_where_that_may_be_used_too(
    project: EnvironmentProject,
) -> None:
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    text = MODULE.replace('train.lock"', 'train.lock", allow_undeclared=True').replace(
        "import toolbox\n", "import attrs, polars, toolbox\n"
    )
    leaves = json.loads(module_of(project, text).train.leaves())["leaves"]
    assert [leaf for leaf in leaves if leaf.startswith("package attrs ")] == ["package attrs 99"]
    assert [leaf for leaf in leaves if leaf.startswith("package polars ")]


def test_a_node_with_a_version_of_its_own_still_carries_its_environment(project: EnvironmentProject) -> None:
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    train = module_of(project).train.options(version="7")
    first = train.code_digest()
    project.lock("envs/train.lock", "toolbox==2", asks=("toolbox",))
    assert train.code_digest() != first


def test_a_package_that_is_not_installed_here_does_not_keep_a_graph_from_being_composed(
    project: EnvironmentProject,
) -> None:
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    assert "package toolbox.fit" in " ".join(module_of(project).train.code().claims)


def test_another_import_inside_a_body_is_another_key(project: EnvironmentProject) -> None:
    project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    one = module_of(project).train.code_digest()
    assert module_of(project, MODULE.replace("toolbox.fit(", "toolbox.fit_more(")).train.code_digest() != one


def test_an_outdated_lock_is_an_error_that_names_the_command(project: EnvironmentProject) -> None:
    path = project.lock("envs/train.lock", "toolbox==1", asks=("toolbox<1",))
    module = module_of(project)
    with pytest.raises(
        LockError, match=rf"packages was toolbox<1 and is toolbox\. .*lineage env lock {module.__name__}:train"
    ):
        module.train.code_digest()
    assert "toolbox<1" in path.read_text()


def test_a_lock_without_what_the_worker_needs_is_outdated(project: EnvironmentProject) -> None:
    lock = small_lock("toolbox==1", asks=("toolbox",))
    few = dump_lock(lock).replace('name = "blake3"', 'name = "blake2"')
    project.write("envs/train.lock", few)
    with pytest.raises(LockError, match=r"the worker needs blake3 besides.*lineage env lock"):
        module_of(project).train.code_digest()


def test_with_a_lock_there_nothing_is_resolved(project: EnvironmentProject) -> None:
    """No index has a `toolbox` with these hashes: asking one would fail."""
    path = project.lock("envs/train.lock", "toolbox==1", asks=("toolbox",))
    before = path.read_bytes()
    module_of(project).train.code_digest()
    assert path.read_bytes() == before


def test_a_run_adds_to_the_environment_of_every_node(project: EnvironmentProject, session: ln.Session) -> None:
    project.lock("envs/train.lock", "toolbox==1", "more==1", asks=("more", "toolbox"))
    project.lock("envs/run.lock", "more==1", asks=("more",))
    module = module_of(project, MODULE + "\n    @ln.node\n    def plain(x: int) -> int:\n        return x\n")
    run = Env(packages=["more"], lock="envs/run.lock")
    alone = module.plain.code_digest()
    with run_env(run):
        assert module.train.environment().packages["more"] == "1"
        assert module.plain.environment().packages["more"] == "1"
        assert module.plain.code_digest() != alone
    assert module.plain.environment() is None
    assert module.plain.code_digest() == alone


def test_what_one_request_asks_for_is_added_to_what_its_session_does(
    project: EnvironmentProject, tmp_path: Path
) -> None:
    project.lock("envs/both.lock", "more==1", "toolbox==1", asks=("more", "toolbox"))
    plain = module_of(project, PLAIN).plain
    both = str(project.folder / "envs/both.lock")
    with ln.Session(tmp_path / "store", env=Env(packages=["more"])) as session:
        verdicts = [call.verdict for call in session.plan(plain(1), env=Env(packages=["toolbox"], lock=both))]
    assert verdicts == ["execute"]
    assert not (project.folder / "envs").joinpath("run.lock").exists()
    assert sorted(path.name for path in (project.folder / "envs").iterdir()) == ["both.lock"]


def test_a_map_in_a_run_with_an_environment_is_not_that_of_a_run_without(
    project: EnvironmentProject, session: ln.Session
) -> None:
    project.lock("envs/run.lock", "more==1", asks=("more",))
    module = module_of(project, PLAIN)
    call = ln.map(module.plain, module.numbers(2))
    assert session.compute(call) == [0, 1]
    assert set(session.plan(call).counts()) == {"hit"}
    plan = session.plan(call, env=Env(packages=["more"], lock=str(project.folder / "envs/run.lock")))
    assert {planned.verdict for planned in plan} == {"execute"}


def test_without_a_name_a_lock_has_one_made_of_what_is_asked_for(project: EnvironmentProject) -> None:
    root = str(project.folder)
    path = lock_path(Env(packages=["toolbox"]), root)
    assert path.parent == project.folder / "envs"
    assert path == lock_path(Env(packages=["toolbox"], allow_undeclared=True), root)
    assert path != lock_path(Env(packages=["toolbox>=1"]), root)
    assert path != lock_path(Env(packages=["toolbox"], python="3.12"), root)


def test_extras_of_the_project_come_with_its_own_requirements(project: EnvironmentProject) -> None:
    project.extras({"train": ["scikit-learn>=1.5", "made_up[plots]"], "plots": ["seaborn"]}, own=("numpy>=2",))
    request = request_of(Env(extras=["train"], packages=["numpy==2.1"]), str(project.folder))
    assert request.project == ("numpy>=2", "scikit-learn>=1.5", "seaborn")


def test_an_extra_that_the_project_lacks_is_an_error_that_lists_those_it_has(project: EnvironmentProject) -> None:
    project.extras({"train": ["scikit-learn"]})
    with pytest.raises(EnvError, match=r"no extra 'tain'; it has train"):
        request_of(Env(extras=["tain"]), str(project.folder))


def test_a_changed_requirement_of_an_extra_makes_the_lock_outdated(project: EnvironmentProject) -> None:
    project.extras({"train": ["toolbox"]})
    text = MODULE.replace('packages=["toolbox"]', 'extras=["train"]')
    path = project.lock("envs/train.lock", "toolbox==1")
    lock = read_lock(path)
    asked = request_of(Env(extras=["train"]), str(project.folder))
    project.write("envs/train.lock", dump_lock(type(lock)(lock.python, asked, lock.packages)))
    train = module_of(project, text).train
    train.code_digest()
    project.extras({"train": ["toolbox>=2"]})
    with pytest.raises(LockError, match="project was toolbox and is toolbox>=2"):
        train.code_digest()


@pytest.mark.usefixtures("index")
def test_a_lock_that_is_not_there_is_made_beside_the_code(project: EnvironmentProject) -> None:
    train = module_of(project, MODULE.replace('"toolbox"', '"iniconfig==2.0.0"')).train
    train.code_digest()
    lock = read_lock(project.folder / "envs" / "train.lock")
    assert Package in {type(package) for package in lock.packages}
    assert lock.request.packages == ("iniconfig==2.0.0",)


@pytest.mark.usefixtures("index")
def test_a_failed_resolution_says_which_node_asked(project: EnvironmentProject) -> None:
    module = module_of(project, MODULE.replace('"toolbox"', '"iniconfig==99"'))
    with pytest.raises(EnvError, match=rf"environment of {module.__name__}:train can't be resolved.*iniconfig==99"):
        module.train.code_digest()
    assert not Path(project.folder, "envs", "train.lock").exists()
