"""Driver and worker agree on code though they have other packages, and another Python; and not where it differs."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from environment_project import EnvironmentProject
from lineage.environments import bootstrap
from lineage.environments.made import make
from lineage.environments.started import VARIABLE, surroundings

HELPERS = """
    import dataclasses
    from pathlib import Path

    import attrs
    from attrs import frozen

    LIMITS = {"low": 1, "high": [2.5, None]}

    @frozen
    class Point:
        x: float
        y: float = 0.0

    @dataclasses.dataclass
    class Box:
        corner: Point
        name: str = "box"

        def area(self) -> float:
            return self.corner.x * self.corner.y

    def name_of(path: str) -> str:
        return Path(path).name

    def shape_of(box: Box) -> dict[str, object]:
        return attrs.asdict(box.corner) if box.area() > LIMITS["low"] else dataclasses.asdict(box)
    """

NODE = """
    from pathlib import Path as Place

    import lineage as ln
    from {helpers} import Box, Point, name_of, shape_of

    @ln.node(env=ln.Env(python="{python}", packages=["iniconfig==2.0.0"], lock="envs/a{minor}.lock"))
    def train(x: float, path: str = "a/b") -> str:
        from iniconfig import IniConfig

        with open(__file__) as file:
            assert file
        words = sorted(shape_of(Box(Point(x, x))))
        return ", ".join([*words, name_of(path), str(Place(path)), IniConfig.__name__])
    """


def module_of(project: EnvironmentProject, python: str, helpers: str = HELPERS) -> ModuleType:
    own = f"agreed_{abs(hash((str(project.folder), python))):x}"
    project.write(f"{own}_helpers.py", helpers)
    project.write(f"{own}.py", NODE.format(helpers=f"{own}_helpers", python=python, minor=python.replace(".", "")))
    importlib.invalidate_caches()
    return importlib.import_module(own)


def claims_elsewhere(project: EnvironmentProject, module: ModuleType) -> list[str]:
    environment = module.train.environment()
    place = make(environment, who="train")
    ours = Path(bootstrap.__file__).parent.parent
    script = project.write(
        "ask.py",
        f"""
        import importlib, json, sys
        sys.path.insert(0, {str(Path(bootstrap.__file__).parent)!r})
        from bootstrap import Ours
        del sys.path[0]
        sys.meta_path.insert(0, Ours({str(ours)!r}))
        from lineage.environments.started import enter
        enter()
        module = importlib.import_module({module.__name__!r})
        print(json.dumps(module.train.claims()))
        """,
    )
    variables = surroundings(place, environment, os.environ)
    assert VARIABLE in variables
    done = subprocess.run([place.python, "-s", script], env=variables, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.usefixtures("index", "environments")
def test_the_same_source_makes_the_same_claims_in_another_environment(project: EnvironmentProject, python: str) -> None:
    module = module_of(project, python)
    try:
        make(module.train.environment())
    except Exception as error:
        pytest.skip(f"no Python {python}: {error}")
    here = list(module.train.claims())
    assert any("iniconfig.IniConfig" in claim for claim in here)
    assert claims_elsewhere(project, module) == here


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"low": 1', '"low": 2'),
        ("self.corner.x * self.corner.y", "self.corner.x + self.corner.y"),
        ("from pathlib import Path\n", "from pathlib import PurePath as Path\n"),
        ("y: float = 0.0", "y: float = 1.0"),
    ],
)
@pytest.mark.usefixtures("index", "environments")
def test_what_was_edited_after_the_driver_loaded_it_is_claimed_otherwise(
    project: EnvironmentProject, before: str, after: str
) -> None:
    module = module_of(project, "3.11")
    here = list(module.train.claims())
    assert before in HELPERS
    project.write(f"{module.__name__}_helpers.py", HELPERS.replace(before, after))
    assert claims_elsewhere(project, module) != here
