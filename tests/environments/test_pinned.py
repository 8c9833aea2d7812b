"""Calls of nodes with an environment run in workers of it: what they see, what they are told, and how they fail."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import lineage as ln
from environment_project import EnvironmentProject
from lineage.environments.current import file_of
from lineage.environments.frozen import freeze, recorded
from lineage.environments.made import made, make
from lineage.environments.operations import create, lock
from lineage.environments.resolved import resolved
from lineage.errors import EnvError, ExecutorError, NodeError, UndeclaredImportError
from lineage.executors.serial import Serial
from lineage.testing import EventLog

pytestmark = pytest.mark.usefixtures("index")

MODULE = """
    import dataclasses
    import os
    import sys
    import time
    from pathlib import Path
    from typing import Any

    import lineage as ln

    tools = ln.Env(packages=["iniconfig==2.0.0"], lock="envs/tools.lock")
    older = ln.Env(packages=["iniconfig==1.1.1"], lock="envs/older.lock")
    BASE = 100

    @dataclasses.dataclass(frozen=True)
    class Found:
        version: str
        number: int

    @ln.node(env=tools)
    def version(x: int) -> str:
        from importlib.metadata import version

        return f"{version('iniconfig')} {x}"

    @ln.node(env=older)
    def older_version(x: int) -> str:
        from importlib.metadata import version

        return f"{version('iniconfig')} {x}"

    @ln.node
    def both(one: str, other: str) -> list[str]:
        return [one, other]

    @ln.node(env=tools)
    def add(x: int) -> int:
        return BASE + x

    @ln.node(env=tools)
    def process(x: int) -> int:
        return os.getpid()

    @ln.node(env=tools)
    def slow_process(x: int) -> int:
        time.sleep(1)
        return os.getpid()

    @ln.node(env=tools, version="1")
    def surroundings(x: int) -> dict[str, Any]:
        return {
            "seed": os.environ["PYTHONHASHSEED"], "path": sys.path, "prefix": sys.prefix,
            "names": sorted(name for name in os.environ if name.startswith(("PYTHONPATH", "LINEAGE_WORKER"))),
        }

    @ln.node(env=tools)
    def uses_polars(x: int) -> int:
        import polars

        return polars.Series([x]).sum()

    @ln.node(env=ln.Env(packages=["iniconfig==2.0.0"], lock="envs/loose.lock", allow_undeclared=True))
    def may_use_polars(x: int) -> int:
        import polars

        return polars.Series([x]).sum()

    @ln.node(env=tools)
    def record(x: int) -> Found:
        return Found("1", x)

    @ln.node(env=older)
    def number_of(found: Found) -> int:
        return found.number

    @ln.node(env=tools)
    def parsed(text: str) -> Any:
        from iniconfig import IniConfig

        return IniConfig("made-up", text)

    @ln.node(env=tools)
    def sections(config: Any) -> list[str]:
        return [section.name for section in config]

    @ln.node(env=older)
    def sections_elsewhere(config: Any) -> list[str]:
        return [section.name for section in config]

    @ln.node(env=tools)
    def fails(x: int) -> int:
        print("before it fails")
        return 1 // x

    @ln.node(env=tools)
    def dies(x: int) -> int:
        os._exit(3)

    @ln.node(env=tools, timeout=0.5)
    def sleeps(x: int) -> int:
        time.sleep(60)
        return x

    @ln.node(env=tools)
    def writes(text: str) -> Path:
        path = ln.scratch() / "out.txt"
        path.write_text(text)
        return path
    """


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, index: None) -> Iterator[ModuleType]:
    """One project with its locks and environments, for all tests of this module."""
    folder = tmp_path_factory.mktemp("pinned")
    project = EnvironmentProject(folder / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LINEAGE_ENVIRONMENTS", str(folder / "environments"))
        patch.syspath_prepend(str(project.folder))
        project.write("pinned_nodes.py", MODULE)
        importlib.invalidate_caches()
        module = importlib.import_module("pinned_nodes")
        lock([module.version, module.older_version, module.may_use_polars])
        yield module


def test_two_versions_of_a_package_work_in_one_graph(session: ln.Session, shared: ModuleType) -> None:
    assert session.compute(shared.both(shared.version(1), shared.older_version(2))) == ["2.0.0 1", "1.1.1 2"]


def test_what_was_computed_in_an_environment_is_a_hit_that_needs_none(
    session: ln.Session, shared: ModuleType, log: EventLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert session.compute(shared.version(7)) == "2.0.0 7"
    log.clear()
    monkeypatch.setenv("LINEAGE_ENVIRONMENTS", str(tmp_path / "none"))
    assert session.compute(shared.version(7)) == "2.0.0 7"
    assert log.names() == ["hit version"]
    assert not (tmp_path / "none").exists()


def test_a_worker_stays_warm_for_the_calls_of_a_session(session: ln.Session, shared: ModuleType) -> None:
    assert len(set(session.compute(ln.map(shared.process, range(20))))) == 1
    assert session.compute(shared.process(50)) in session.compute(ln.map(shared.process, range(20)))
    assert session.compute(shared.process(51)) != os.getpid()


def test_a_worker_sees_its_environment_and_nothing_of_the_drivers(
    session: ln.Session, shared: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = session.compute(shared.surroundings(1))
    place = made(shared.version.environment())
    assert place is not None
    assert seen["prefix"] == str(place.folder)
    assert [path for path in seen["path"] if "site-packages" in path] == [
        f"{place.folder}/lib/python{own_python()}/site-packages"
    ]
    assert str(tmp_path) not in seen["path"]
    assert (seen["seed"], seen["names"]) == ("0", [])


def own_python() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_an_undeclared_import_fails_and_says_which_line_to_add(session: ln.Session, shared: ModuleType) -> None:
    with pytest.raises(NodeError) as caught:
        session.compute(shared.uses_polars(1))
    assert isinstance(caught.value.__cause__, UndeclaredImportError)
    assert "imports polars, which its environment lacks. Add it: packages=[..., 'polars']" in str(caught.value)
    assert "lineage env lock pinned_nodes:uses_polars" in str(caught.value)


def test_an_undeclared_import_that_is_allowed_works_and_is_in_key_and_lineage(
    session: ln.Session, shared: ModuleType
) -> None:
    handle = session.materialize(shared.may_use_polars(2))
    assert handle.value == 2
    leaves = shared.may_use_polars.code().leaves
    assert "undeclared imports allowed" in leaves
    assert [leaf for leaf in leaves if leaf.startswith("package polars ")]
    found = recorded(handle)
    assert found is not None
    assert found.allow_undeclared


def test_records_of_plain_classes_cross(session: ln.Session, shared: ModuleType) -> None:
    assert session.compute(shared.number_of(shared.record(5))) == 5
    assert session.compute(shared.record(5)).number == 5


def test_a_pickle_is_read_in_the_environment_that_it_is_of(session: ln.Session, shared: ModuleType) -> None:
    assert session.compute(shared.sections(shared.parsed("[a]\nx=1\n"))) == ["a"]


def test_a_pickle_of_another_version_fails_and_says_why_and_is_not_made_again(
    session: ln.Session, shared: ModuleType, log: EventLog
) -> None:
    with pytest.raises(NodeError, match="Two versions of a package meet in data only") as caught:
        session.compute(shared.sections_elsewhere(shared.parsed("[a]\nx=1\n")))
    assert isinstance(caught.value.__cause__, EnvError)
    assert log.names().count("executed parsed") == 1


def test_a_pickle_that_the_driver_can_not_read_is_kept_and_the_error_says_why(
    session: ln.Session, shared: ModuleType, log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EnvError, match=r"was made in an environment of its own, and what it gave can't be read here"):
        session.compute(shared.parsed("[b]\nx=1\n"))
    assert log.names().count("executed parsed") == 1
    log.clear()
    assert session.compute(shared.sections(shared.parsed("[b]\nx=1\n"))) == ["b"]
    assert "executed parsed" not in log.names()


def test_a_damaged_result_of_an_environment_is_made_again(
    session: ln.Session, shared: ModuleType, log: EventLog
) -> None:
    call = shared.writes("text")
    path = session.compute(call)
    session.close()
    for file in session.root.rglob("*"):
        if file.is_file() and file.parent.parent.name == "objects" and file.read_bytes() == b"text":
            file.chmod(0o644)
            file.write_bytes(b"tex!")
    log.clear()
    with ln.Session(session.root, verify="always", on_event=log) as again:
        assert again.compute(call).read_text() == "text"
    assert "executed writes" in log.names()
    assert path.name == "out.txt"


def test_a_failure_has_its_error_and_its_log(session: ln.Session, shared: ModuleType) -> None:
    with pytest.raises(NodeError, match="ZeroDivisionError") as caught:
        session.compute(shared.fails(0))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "before it fails" in caught.value.facts["log"]


def test_a_worker_that_dies_is_a_failure_of_the_platform(session: ln.Session, shared: ModuleType) -> None:
    call = shared.dies.options(retries=ln.Retry(platform=1, platform_backoff=0))(1)
    with pytest.raises(NodeError, match="the worker of dies died: exit code 3"):
        session.compute(call)
    assert session.compute(shared.add(1)) == 101


def test_a_call_that_takes_too_long_is_ended(session: ln.Session, shared: ModuleType) -> None:
    began = time.monotonic()
    with pytest.raises(NodeError, match=r"sleeps ran for more than 0\.5 s"):
        session.compute(shared.sleeps(1))
    assert time.monotonic() - began < 50


def test_code_that_was_edited_after_it_was_planned_is_not_run(
    session: ln.Session, shared: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's constant is changed in memory only, so that the worker's module has another."""
    monkeypatch.setattr(shared, "BASE", 200)
    call = shared.add.options(retries=ln.Retry(platform=0))(3)
    with pytest.raises(
        NodeError, match="add is not the same code in its environment as where it was planned"
    ) as caught:
        session.compute(call)
    assert "constant BASE" in str(caught.value)


def test_a_lock_that_changes_after_the_plan_leads_to_no_result(session: ln.Session, shared: ModuleType) -> None:
    """The key was made of what was locked; what is locked now was never in it."""
    folder = Path(str(shared.__file__)).parent
    lock_file = folder / "envs" / "tools.lock"
    before = lock_file.read_text()

    @ln.node(version="1")
    def relock(x: int) -> int:
        other = (folder / "envs" / "older.lock").read_text()
        lock_file.write_text(other.replace('"iniconfig==1.1.1"', '"iniconfig==2.0.0"'))
        return x

    try:
        with pytest.raises((ExecutorError, NodeError), match="or its lock, has changed since this run was planned"):
            session.compute(shared.version(relock(77)))
    finally:
        lock_file.write_text(before)
    assert session.compute(shared.version(77)) == "2.0.0 77"


def test_code_that_was_edited_and_loaded_anew_runs_in_a_worker_that_has_it(
    session: ln.Session, shared: ModuleType
) -> None:
    folder = Path(str(shared.__file__)).parent
    text = "import lineage as ln\nBASE = {base}\n@ln.node(env=ln.Env(packages=['iniconfig==2.0.0'], lock='envs/tools.lock'))\n"
    text += "def added(x: int) -> int:\n    return BASE + x\n"
    (folder / "edited_nodes.py").write_text(text.format(base=100))
    importlib.invalidate_caches()
    module = importlib.import_module("edited_nodes")
    assert session.compute(module.added.options(retries=ln.Retry(platform=0))(1)) == 101
    (folder / "edited_nodes.py").write_text(text.format(base=20000))
    importlib.reload(module)
    assert session.compute(module.added.options(retries=ln.Retry(platform=0))(1)) == 20001


def test_an_environment_that_was_changed_by_hand_is_not_worked_in(
    session: ln.Session, shared: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LINEAGE_ENVIRONMENTS", str(tmp_path / "environments"))
    place = make(shared.add.environment())
    record = next(place.folder.glob("lib/*/site-packages/iniconfig-*.dist-info/RECORD"))
    record.unlink()
    call = shared.add.options(retries=ln.Retry(platform=0))(4)
    with pytest.raises(NodeError, match="something was installed or removed by hand"):
        session.compute(call)


def test_the_environment_that_made_a_dataset_is_made_again_from_its_record(
    session: ln.Session, shared: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    handle = session.materialize(shared.version(9))
    monkeypatch.setenv("LINEAGE_ENVIRONMENTS", str(tmp_path / "environments"))
    frozen = freeze(handle)
    assert resolved(frozen).place == shared.version.environment().place
    assert create(frozen).folder.name == shared.version.environment().place.hex()[:32]


def test_what_a_plain_node_was_made_among_is_frozen_at_the_versions_that_it_reached(
    session: ln.Session, shared: ModuleType
) -> None:
    from importlib.metadata import version

    @ln.node
    def merged(x: int) -> int:
        import attrs

        return len(attrs.fields(attrs.make_class("C", ["x"]))) + x

    frozen = freeze(session.materialize(merged(1)))
    assert [package.version for package in frozen.packages if package.name == "attrs"] == [version("attrs")]
    assert Path(file_of(merged.fn)).name == "test_pinned.py"


@pytest.mark.parametrize("python", ["3.12", "3.13"])
def test_a_node_runs_on_another_python(session: ln.Session, shared: ModuleType, python: str, tmp_path: Path) -> None:
    env = ln.Env(python=python, packages=["iniconfig==2.0.0"], lock=str(tmp_path / f"{python}.lock"))
    elsewhere = shared.add.options(env=env)
    try:
        make(elsewhere.environment())
    except EnvError as error:
        pytest.skip(f"there is no Python {python} here: {error}")
    assert session.compute(elsewhere(1)) == 101
    assert session.compute(shared.version.options(env=env)(1)) == "2.0.0 1"


def test_a_node_that_would_travel_as_compiled_code_is_refused_by_another_python(
    session: ln.Session, shared: ModuleType, tmp_path: Path
) -> None:
    env = ln.Env(python="3.12", packages=["iniconfig==2.0.0"], lock=str(tmp_path / "12.lock"))

    @ln.node(env=env)
    def local(x: int) -> int:
        return x

    with pytest.raises((ExecutorError, NodeError), match="put it into a module"):
        session.compute(local(1))


def test_a_node_of_a_function_runs_in_an_environment_of_the_same_python(
    session: ln.Session, shared: ModuleType
) -> None:
    step = 10

    @ln.node(env=shared.tools)
    def local(x: int) -> int:
        import iniconfig

        return x + step + len(iniconfig.__name__)

    here = Path(__file__).parent.parent.parent / "envs"
    local = local.options(
        env=ln.Env(packages=["iniconfig==2.0.0"], lock=str(Path(str(shared.__file__)).parent / "envs/tools.lock"))
    )
    assert session.compute(local(1)) == 20
    assert not here.exists()


class Wide(Serial):
    """Stands for an executor with two workers: environments get as many."""

    workers = 2


def test_an_environment_has_as_many_workers_as_the_executor_that_it_stands_beside(
    shared: ModuleType, tmp_path: Path
) -> None:
    with ln.Session(tmp_path / "store", executors={"default": Wide()}) as session:
        found = session.compute(ln.map(shared.slow_process, range(4)))
    assert len(set(found)) == 2
    with ln.Session(tmp_path / "other") as session:
        assert len(set(session.compute(ln.map(shared.slow_process, range(4))))) == 1


SCRIPT = """
    import os
    import sys
    from math import floor as rounded

    import polars as pl
    from polars import DataFrame

    import lineage as ln

    class Scale:
        FACTOR = 3

        def of(self, x: int) -> int:
            return rounded(self.FACTOR * x)

    @ln.node(env=ln.Env(packages=["iniconfig==2.0.0"], lock="envs/tools.lock"))
    def scaled(x: int) -> list[int]:
        import iniconfig

        return [Scale().of(x), len(iniconfig.__name__), os.getpid()]

    print("an effect of the script", file=sys.stderr)
    sys.setrecursionlimit(1234)

    if __name__ == "__main__":
        value = ln.compute(scaled(2))
        assert value[2] != os.getpid()
        print(value[:2])
    """


def test_nodes_of_a_script_run_in_environments_without_what_else_the_script_does(
    shared: ModuleType, tmp_path: Path
) -> None:
    folder = Path(str(shared.__file__)).parent
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    variables = {**os.environ, "LINEAGE_STORE": str(tmp_path / "store")}
    done = subprocess.run([sys.executable, script], env=variables, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[6, 9]", 0), done.stderr
    assert done.stderr.count("an effect of the script") == 1


def test_nodes_of_a_notebook_run_in_environments(shared: ModuleType, tmp_path: Path) -> None:
    folder = Path(str(shared.__file__)).parent
    cells = textwrap.dedent(SCRIPT).replace("print(value[:2])", 'print("found", value[:2])')
    shell = f"""
    from IPython.core.interactiveshell import InteractiveShell
    shell = InteractiveShell.instance()
    shell.run_cell({cells!r}, store_history=True).raise_error()
    """
    variables = {**os.environ, "LINEAGE_STORE": str(tmp_path / "store"), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(shell)],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "found [6, 9]" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]


def test_a_changed_helper_of_a_notebook_is_another_key(shared: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = {"n": 3}

    @ln.node(env=ln.Env(packages=["iniconfig==2.0.0"], lock=str(Path(str(shared.__file__)).parent / "envs/tools.lock")))
    def local(x: int) -> int:
        return x * scale["n"]

    before = local.claims(by_value=True)
    scale["n"] = 4
    assert local.claims(by_value=True) != before
