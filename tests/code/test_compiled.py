"""What numba compiled is followed to its source, and compiled anew when what it froze has
changed.
"""

from __future__ import annotations

import pytest

from code_project import Project, digest_plain, look
from lineage.code import identify

pytest.importorskip("numba")

SOURCE = """
import numba
K = 1
@numba.njit
def inner(x):
    return x + K
@numba.njit
def outer(x):
    return inner(x)
def node(x):
    return outer(x)
"""


@pytest.mark.parametrize(
    "edit",
    [
        ("x + K", "x - K"),
        ("K = 1", "K = 2"),
        ("@numba.njit\ndef o", "@numba.njit(fastmath=True)\ndef o"),
    ],
)
def test_an_edit_of_a_compiled_function_changes_the_digest(project: Project, edit: tuple[str, str]) -> None:
    assert project.same(SOURCE, SOURCE)
    assert not project.same(SOURCE, SOURCE.replace(*edit))


@pytest.mark.slow
def test_what_was_compiled_under_other_globals_is_compiled_anew(project: Project) -> None:
    module = project.load(SOURCE)
    assert module.node(1) == 2
    module.K = 10
    assert module.node(1) == 2  # numba's frozen global: what this guards from
    found = look(module.node)
    assert module.node(1) == 11
    module.K = 20
    assert not found.is_current()
    look(module.node)
    assert module.node(1) == 21


@pytest.mark.slow
def test_declared_signatures_are_compiled_anew(project: Project) -> None:
    module = project.load(SOURCE.replace("@numba.njit\n", "@numba.njit('int64(int64)')\n"))
    module.K = 10
    assert module.node(1) == 2
    look(module.node)
    assert module.node(1) == 11


@pytest.mark.slow
def test_a_compiled_function_that_is_an_argument_is_compiled_anew(project: Project) -> None:
    module = project.load(SOURCE)
    before = identify(module.outer, digest_constant=digest_plain)
    assert module.outer(1) == 2
    module.K = 10
    assert identify(module.outer, digest_constant=digest_plain) != before
    assert module.outer(1) == 11


@pytest.mark.slow
def test_the_cache_on_disk_is_not_used(project: Project) -> None:
    source = SOURCE.replace("@numba.njit\n", "@numba.njit(cache=True)\n")
    module = project.load(source)
    look(module.node)
    assert module.node(1) == 2
    assert module.outer.stats.cache_path is None
