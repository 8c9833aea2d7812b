"""What importing a module does belongs to whatever reaches the module."""

from __future__ import annotations

from pathlib import Path

import pytest

from code_project import Project, in_process

HEAD = "import numpy as np\nimport sys\nTABLE = {}\ndef patch(v=1): TABLE['v'] = v\n"
TAIL = "\ndef node(x): return x"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("np.lineage_test = 1", "np.lineage_test = 2"),
        ("TABLE['a'] = 1", "TABLE['a'] = 2"),
        ("patch(1)", "patch(2)"),
        ("sys.path.append('/nowhere')", "sys.path.append('/elsewhere')"),
        ("for i in range(3):\n    TABLE[i] = i", "for i in range(3):\n    TABLE[i] = -i"),
        ("if TABLE is not None:\n    patch(1)", "if TABLE is not None:\n    patch(2)"),
        ("try:\n    patch(1)\nfinally:\n    pass", "try:\n    patch(2)\nfinally:\n    pass"),
        ("with np.errstate():\n    patch(1)", "with np.errstate():\n    patch(2)"),
        ("patch(1)", ""),
    ],
)
def test_an_effect_changes_what_reaches_the_module(project: Project, one: str, other: str) -> None:
    assert not project.same(HEAD + one + TAIL, HEAD + other + TAIL)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A = 1", "A = 2"),
        ("A, B = 1, 2", "A = B = 3"),
        ("A: int = 1", "A: int = 2"),
        ("import math", "import heapq"),
        ("print('a')", "print('b')"),
        ("import logging\nlogging.getLogger('a').info('b')", "import logging"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    patch(1)", ""),
        ("if __name__ == '__main__':\n    patch(1)", ""),
        ("try:\n    import math\nexcept ImportError:\n    math = None", ""),
        ("'a text'", "..."),
        ("def f(): return 1", "class C: pass"),
    ],
)
def test_plain_bindings_do_not(project: Project, one: str, other: str) -> None:
    assert project.same(HEAD + one + TAIL, HEAD + other + TAIL)


def test_what_an_effect_calls_is_reached(project: Project) -> None:
    source = HEAD + "patch(2)" + TAIL
    assert not project.same(source, source.replace("= v", "= -v"))


def test_a_module_imported_for_its_effect_counts_however_far_away(project: Project) -> None:
    def digest(value: int) -> bytes:
        return project.digest(
            "from PKG import a\ndef node(x): return x",
            a="from PKG import b",
            b=f"import sys\nsys.lineage_test = {value}",
        )

    assert digest(1) == digest(1) != digest(2)


def test_a_module_imported_inside_a_body_brings_its_effects(project: Project) -> None:
    source = "def node(x):\n    import PKG.helpers\n    return x"
    one = "===import sys\nsys.lineage_test = 1"
    assert not project.same(source + one, source + one.replace("= 1", "= 2"))


def test_effects_of_the_package_around_a_module_count(project: Project) -> None:
    source = "import PKG.sub.core as core\ndef node(x): return core.f(x)"
    core = "def f(x): return x"
    one = project.digest(source, sub__core=core, sub____init__="import sys\nsys.lineage_test = 1")
    other = project.digest(source, sub__core=core, sub____init__="import sys\nsys.lineage_test = 2")
    assert one != other


def test_an_effect_with_a_live_object_is_no_error(project: Project) -> None:
    source = HEAD + "import threading\nLOCK = threading.Lock()\nTABLE['lock'] = LOCK" + TAIL
    assert project.same(source, source)


SCRIPT = """
from code_project import look
import numpy as np
def node(x): return x
def report(): print(node(1))
TABLE = {}
HERE
print(look(node).digest.hex())
report()
"""


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        ("print('x')", False),
        ("report()", False),
        ("np.seterr(all='ignore')", True),
        ("np.lineage_test = 1", True),
        ("TABLE['x'] = 1", True),
        ("import logging; logging.basicConfig()", False),
        ("for i in range(2): report()", False),
    ],
)
def test_at_the_top_of_a_script_only_settings_count(tmp_path: Path, line: str, counts: bool) -> None:
    bare = in_process(SCRIPT.replace("HERE", "pass"), tmp_path).splitlines()
    lines = in_process(SCRIPT.replace("HERE", line), tmp_path).splitlines()
    shown = next(text for text in lines if len(text) == 64)
    assert (shown != bare[0]) == counts


def test_import_time_code_may_do_what_a_node_may_not(project: Project) -> None:
    source = (
        "import sqlite3, time\nconn = None\nREAD = []\ndef connect():\n    global conn\n"
        "    conn = sqlite3.connect(':memory:')\n    conn.close()\n"
        "    READ.append(time.time() > 0)\n"
        "connect()\ndef node(x): return x"
    )
    assert project.same(source, source)
    assert not project.same(source, source.replace("> 0", "> 1"))
