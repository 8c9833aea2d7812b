"""The source that is hashed is the source of what is loaded."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import pytest

from code_project import Project, in_process, look
from lineage.code import source_of
from lineage.errors import StaleCodeError


def test_a_module_edited_after_import_is_refused_until_it_is_reloaded(project: Project) -> None:
    module = project.load("def helper(x): return x\ndef node(x): return helper(x)")
    before = look(module.node)
    file = Path(str(module.__file__))
    file.write_text(file.read_text().replace("return x\n", "return x + 1000\n"))
    assert not before.is_current()
    with pytest.raises(StaleCodeError, match=r"helper: .* changed on disk after it was imported"):
        look(module.node)
    _reload(module)
    assert look(module.node).digest != before.digest


def test_lines_that_moved_on_disk_are_still_the_loaded_code(project: Project) -> None:
    module = project.load("def helper(x): return x\ndef node(x): return helper(x)")
    before = look(module.node)
    file = Path(str(module.__file__))
    file.write_text("# a comment\n\n\n" + file.read_text())
    assert look(module.node).digest == before.digest
    assert look(module.node).is_current()


def _reload(module: object) -> None:
    time.sleep(0.01)
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    try:
        cached = Path(importlib.util.cache_from_source(module.__file__))  # type: ignore[attr-defined]
        cached.unlink(missing_ok=True)
        importlib.reload(module)  # type: ignore[arg-type]
    finally:
        sys.dont_write_bytecode = kept


def test_code_without_source_goes_by_its_bytecode() -> None:
    def made(text: str) -> object:
        space: dict[str, object] = {"__name__": "made"}
        exec(text, space)
        return space["node"]

    one = look(made("def node(x):\n    'doc'\n    y = x + 1\n    return y")).digest
    moved = look(made("\n\n# why\ndef node(x):\n    z = x + 1\n    return z")).digest
    other = look(made("def node(x):\n    'doc'\n    y = x + 2\n    return y")).digest
    assert one == moved != other


def test_bytecode_sees_the_names_of_keywords() -> None:
    spaces: list[dict[str, object]] = [{"__name__": "made"}, {"__name__": "made"}]
    exec("def node(f):\n    return f(a=1)", spaces[0])
    exec("def node(f):\n    return f(b=1)", spaces[1])
    assert look(spaces[0]["node"]).digest != look(spaces[1]["node"]).digest


def test_a_replaced_code_object_is_seen(project: Project) -> None:
    module = project.load("def h(): return 1\ndef g(): return 2\ndef node(): return h()")
    before = look(module.node)
    module.h.__code__ = module.g.__code__
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_replaced_helper_is_seen(project: Project) -> None:
    module = project.load("def h(): return 1\ndef node(): return h()")
    before = look(module.node)
    module.h = lambda: 2
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_changed_default_is_seen(project: Project) -> None:
    module = project.load("def h(x=1): return x\ndef node(): return h()")
    before = look(module.node)
    module.h.__defaults__ = (2,)
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_class_attribute_set_at_run_time_is_seen(project: Project) -> None:
    module = project.load("class T:\n    k = 1\ndef node(): return T.k")
    before = look(module.node)
    module.T.k = 2
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_list_changed_in_place_is_seen(project: Project) -> None:
    module = project.load("L = [1]\ndef make(c):\n    return lambda: (L, c)\nnode = make([1])")
    before = look(module.node)
    module.L.append(2)
    assert not before.is_current()
    assert look(module.node).digest != before.digest
    before = look(module.node)
    module.node.__closure__[0].cell_contents.append(2)
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_list_that_only_grew_back_is_current_again(project: Project) -> None:
    module = project.load("L = [1]\ndef node(): return L")
    before = look(module.node)
    module.L.append(2)
    module.L.pop()
    assert before.is_current()


def test_a_name_that_is_defined_later_is_seen(project: Project) -> None:
    module = project.load("def node(): return later()")
    before = look(module.node)
    assert "unbound later" in before.leaves
    module.later = lambda: 1
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_builtin_shadowed_later_is_seen(project: Project) -> None:
    module = project.load("def node(x): return len(x)")
    before = look(module.node)
    module.len = lambda x: 0
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_patched_method_of_a_package_is_seen(project: Project) -> None:
    module = project.load("import attrs\ndef patch(x): return 1\ndef node(x): return attrs.patched(x)")
    import attrs

    before = look(module.node)
    attrs.patched = module.patch  # type: ignore[attr-defined]
    try:
        assert "function patch" in look(module.node).leaves
        assert look(module.node).digest != before.digest
    finally:
        del attrs.patched  # type: ignore[attr-defined]


def test_source_of_a_function_is_its_text(project: Project) -> None:
    module = project.load("@staticmethod\ndef f(): pass\n\ndef node(x):\n    # why\n    return x")
    assert source_of(module.node) == "def node(x):\n    # why\n    return x"
    assert source_of(eval("lambda: 1")) is None


SCRIPT = """
from code_project import look
import sys

NAMES = {"a", "b", "c"}
class T:
    tags = frozenset({"x", "y"})
def f(x, tags=frozenset({"p", "q", "r"})):
    return x in {"u", "v", "w"}
# so that functions lie, and sets of them are ordered, differently in each process
def a(): return 1
padding_0 = [lambda: 0 for _ in range(hash("a") % 97)]
def b(): return 2
padding_1 = [lambda: 0 for _ in range(hash("b") % 97)]
def c(): return 3
padding_2 = [lambda: 0 for _ in range(hash("c") % 97)]
def d(): return 4
HANDLERS = {a, b, c, d}
class Other: pass
def node(x):
    return f(x), NAMES, T, HANDLERS
space = {"__name__": "made"}
exec("def bare(x): return x in {'u', 'v', 'w'}", space)
print(look(node).digest.hex(), look(space["bare"]).digest.hex())
"""


def test_processes_with_other_hash_seeds_agree(tmp_path: Path) -> None:
    answers = {in_process(SCRIPT, tmp_path, PYTHONHASHSEED=seed) for seed in ("0", "1", "2", "77")}
    assert len(answers) == 1


def test_a_script_and_an_imported_module_agree(tmp_path: Path, project: Project) -> None:
    source = "LIMIT = 2\ndef h(x): return x * LIMIT\ndef node(x): return h(x)\n"
    tail = "from code_project import look\nprint(look(node).digest.hex())"
    assert in_process(source + tail, tmp_path) == project.digest(source).hex()


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    source = """
    import sys
    import lineage.code
    heavy = {"numpy", "polars", "numba", "importlib.metadata", "pandas", "IPython"}
    print(sorted(heavy & set(sys.modules)))
    """
    assert in_process(source, tmp_path) == "[]"
