"""Code inside values is identified by what it is."""

from __future__ import annotations

import functools
import json
from types import ModuleType

from code_project import Project, digest_plain
from lineage.code import identify
from lineage.digest import Digest


def of(thing: object) -> Digest:
    return identify(thing, digest_constant=digest_plain)


def both(project: Project, one: str, other: str) -> tuple[ModuleType, ModuleType]:
    return project.load(one), project.load(other)


def test_the_class_of_an_instance_is_identified_by_its_code(project: Project) -> None:
    one, other = both(project, "class T:\n    k = 1", "class T:\n    k = 2")
    assert of(one.T) == of(one.T) != of(other.T)


def test_a_function_is_identified_by_what_it_reaches_and_its_name(project: Project) -> None:
    source = "def h(): return 1\ndef f(): return h()\ndef g(): return h()"
    one, other = both(project, source, source.replace("1", "2"))
    assert len({of(one.f), of(one.g), of(other.f)}) == 3


def test_a_partial_is_identified_by_function_and_arguments(project: Project) -> None:
    module = project.load("def f(x, y=0): return x")
    digests = [functools.partial(module.f, *a, **k) for a, k in [((1,), {}), ((2,), {}), ((), {"y": 1})]]
    assert len({of(partial) for partial in digests}) == 3


def test_names_of_the_library_are_told_apart() -> None:
    import numpy as np
    import polars as pl

    things = [
        len,
        max,
        json.dumps,
        json.loads,
        np.mean,
        np.sin,
        np.linalg.norm,
        pl.DataFrame,
        int,
        str.lower,
    ]
    assert len({of(thing) for thing in things}) == len(things)
    assert of(np.mean) == of(np.mean)


def test_an_identity_is_taken_again_when_something_was_rebound(project: Project) -> None:
    module = project.load("K = 1\ndef f(): return K")
    before = of(module.f)
    module.K = 2
    assert of(module.f) != before
