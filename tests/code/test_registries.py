"""Registries that Python keeps of classes, and variables that are looked up in a caller's frame, are followed; what may name anything
widens."""

from __future__ import annotations

from pathlib import Path

import pytest

from code_project import Project, in_process, look

BASE = "class Base:\n    pass\nclass Other:\n    pass"
PLUGIN = "from PKG.h import Base, Other\nclass One(Base):\n    def go(self): return 1\nclass Two(Other):\n    k = 1"

# what a node does to see the classes below `h.Base`
ASKS = {
    "by name": "def node(x): return [c().go() for c in h.Base.__subclasses__()]",
    "by an imported name": "from PKG.h import Base\ndef node(x): return [c().go() for c in Base.__subclasses__()]",
    "in a helper that is given the class": "def below(c): return c.__subclasses__()\ndef node(x): return below(h.Base)",
    "by the name of the method": "def node(x): return getattr(h.Base, '__subclasses__')()",
    "as a method of type": "def node(x): return type.__subclasses__(h.Base)",
    "of a variable": "def node(x):\n    c = h.Base\n    return c.__subclasses__()",
    "below what was found": "def node(x): return [d for c in h.Base.__subclasses__() for d in c.__subclasses__()]",
    "with methodcaller": "import operator\ndef node(x): return operator.methodcaller('__subclasses__')(h.Base)",
}


def _digest(project: Project, how: str, plugin: str) -> bytes:
    return project.digest(f"from PKG import h\nimport PKG.plugin\n{ASKS[how]}", h=BASE, plugin=plugin)


@pytest.mark.parametrize("how", ASKS)
def test_subclasses_that_no_name_leads_to_are_reached(project: Project, how: str) -> None:
    before = _digest(project, how, PLUGIN)
    assert _digest(project, how, PLUGIN.replace("return 1", "return 2")) != before
    assert _digest(project, how, PLUGIN + "\nclass Three(Base):\n    def go(self): return 3") != before
    assert _digest(project, how, PLUGIN + "\nclass Deep(One):\n    pass") != before
    assert _digest(project, how, PLUGIN) == before


def test_subclasses_of_another_class_are_not_reached(project: Project) -> None:
    before = _digest(project, "by name", PLUGIN)
    assert _digest(project, "by name", PLUGIN.replace("k = 1", "k = 2")) == before


def test_subclasses_that_nobody_asks_for_are_not_reached(project: Project) -> None:
    source = "from PKG import h\nimport PKG.plugin\ndef node(x): return h.Base()"
    before = project.digest(source, h=BASE, plugin=PLUGIN)
    assert project.digest(source, h=BASE, plugin=PLUGIN.replace("return 1", "return 2")) == before


def test_the_order_in_which_subclasses_were_made_counts(project: Project) -> None:
    one, two = "class One(Base):\n    a = 1\n", "class Two(Base):\n    b = 1\n"
    source = "from PKG.h import Base\n"
    before = _digest(project, "by name", source + one + two)
    assert _digest(project, "by name", source + two + one) != before


def test_subclasses_of_a_class_of_theirs_are_reached(project: Project) -> None:
    source = "import codecs\nimport PKG.plugin\ndef node(x): return codecs.Codec.__subclasses__()"
    plugin = "import codecs\nclass One(codecs.Codec):\n    k = 1"
    module = project.load(source, plugin=plugin)
    before = look(module.node)
    assert "class One" in before.leaves
    module.example_project.plugin.One.k = 2
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_method_that_asks_for_the_subclasses_of_its_class_finds_them(project: Project) -> None:
    source = "from PKG import h\nimport PKG.plugin\ndef node(x): return h.Base.all()"
    base = "class Base:\n    @classmethod\n    def all(cls): return cls.__subclasses__()\nclass Other: pass"
    before = look(project.load(source, h=base, plugin=PLUGIN).node)
    assert "subclasses of Base" in before.leaves
    assert "class One" in before.leaves
    assert project.digest(source, h=base, plugin=PLUGIN.replace("return 1", "return 2")) != before.digest


def test_a_subclass_made_later_is_seen(project: Project) -> None:
    module = project.load(f"from PKG import h\n{ASKS['by name']}", h=BASE)
    before = look(module.node)
    assert before.is_current()
    late = type("Late", (module.h.Base,), {"__module__": module.__name__})
    assert not before.is_current()
    assert look(module.node).digest != before.digest
    assert late.__name__ == "Late"


def test_a_class_that_slots_replaced_counts_once(project: Project) -> None:
    plugin = "import attrs\nfrom PKG.h import Base\n@attrs.define\nclass One(Base):\n    k: int = 1"
    found = look(project.load(f"from PKG import h\nimport PKG.plugin\n{ASKS['by name']}", h=BASE, plugin=plugin).node)
    assert [label for label in found.leaves if label.startswith("class One")] == ["class One"]


# -- abstract classes

SHAPE = "import abc\nclass Shape(abc.ABC):\n    pass\nclass Flat(Shape):\n    pass"
SQUARE = "from PKG.h import Shape, Flat\nclass Square:\n    k = 1\n"

TESTS = {
    "isinstance": "def node(x): return isinstance(x, h.Shape)",
    "issubclass": "def node(x): return issubclass(type(x), (int, h.Shape))",
    "match": "def node(x):\n    match x:\n        case h.Shape(): return 1",
}


@pytest.mark.parametrize("how", TESTS)
@pytest.mark.parametrize("registers", ["Shape.register(Square)", "Flat.register(Square)"])
def test_virtual_subclasses_belong_to_their_class(project: Project, how: str, registers: str) -> None:
    source = f"from PKG import h\nimport PKG.square\n{TESTS[how]}"
    # registered where the node's module does not look: in a module that only another one imports
    through = {"middle": "import PKG.square\ndef unrelated(): pass"}
    source = source.replace("import PKG.square", "def other():\n    import PKG.middle")
    load = {"h": SHAPE, **through}

    def digest(square: str) -> bytes:
        module = project.load(source, square=square, **load)
        module.other()
        return look(module.node).digest

    before = digest(SQUARE)
    assert digest(SQUARE + registers) != before
    assert digest(SQUARE + "class Ring: pass\n") == before


def test_classes_of_the_project_registered_with_an_abstract_class_of_theirs_count(project: Project) -> None:
    source = "from collections.abc import Mapping\ndef node(x): return isinstance(x, Mapping)"
    module = project.load(source, late="from collections.abc import Mapping\nclass Mine: pass")
    before = look(module.node)
    exec("import example_project.late as late\nlate.Mapping.register(late.Mine)")
    assert not before.is_current()
    assert look(module.node).digest != before.digest


# -- names that are looked up in a caller's frame

FRAME = """
    import polars as pl
    from lineage.code import fingerprint
    from lineage.identity import digest_constant
    def look(fn):
        return fingerprint(fn, digest_constant=digest_constant)
    flights = pl.DataFrame({{"a": [1, 2]}})
    other = pl.DataFrame({{"b": [1, 2]}})
    def node(x):
        {body}
    before = look(node)
    assert before.is_current()
    {change}
    print(look(node).digest != before.digest, before.is_current())
"""
MORE = 'flights = pl.DataFrame({"a": [3]})'
ELSE = 'other = pl.DataFrame({"b": [3]})'


@pytest.mark.parametrize(
    ("body", "change", "seen"),
    [
        ("return pl.sql('select * from flights')", MORE, True),
        ("return pl.sql('select * from flights')", ELSE, False),
        ("return pl.SQLContext.execute_global('select * from flights')", MORE, True),
        ("return pl.sql(x)", MORE, True),
        ("return pl.sql(f'select {x} from flights')", MORE, True),
        ("return pl.SQLContext(register_globals=True).execute(x)", MORE, True),
        ("c = pl.SQLContext(); c.register_globals(); return c.execute(x)", MORE, True),
        ("return pl.SQLContext(flights=x).execute('select * from flights')", MORE, False),
        ("return x.sql('select * from self')", MORE, False),
        ("return pl.sql('select * from late')", 'late = pl.DataFrame({"a": [3]})', True),
        ("return x.query('a > @limit')", "limit = 2", True),
        ("return x.query('a > @limit')", ELSE, False),
        ("return x.eval()", MORE, False),
        ("import pandas; return pandas.eval('limit + 1')", "limit = 2", True),
    ],
)
def test_names_that_are_looked_up_in_the_callers_frame_are_reached(
    tmp_path: Path, body: str, change: str, seen: bool
) -> None:
    out = in_process(FRAME.format(body=body, change=change), tmp_path)
    assert out == f"{seen} {not seen}"


# -- what may name anything of the project's


@pytest.mark.parametrize(
    "body",
    [
        "import pickle\ndef node(x): return pickle.loads(x)",
        "from pickle import loads\ndef node(x): return loads(x)",
        "from pickle import Unpickler\ndef node(x): return Unpickler(x).load()",
        "import pandas as pd\ndef node(x): return pd.read_pickle(x)",
        "import joblib\ndef node(x): return joblib.load(x)",
        "from sys import _getframe\ndef node(x): return _getframe(x).f_globals",
        "from importlib.metadata import entry_points\ndef node(x): return entry_points()",
        "def f(): pass\ndef node(x): return f.__globals__[x]",
        "def f(): pass\ndef node(x): return '{0.__globals__[K]}'.format(f)",
        "def node(x):\n    try: 1 / 0\n    except Exception as e: return e.__traceback__.tb_frame.f_globals[x]",
    ],
)
def test_what_may_name_anything_widens_however_it_is_reached(project: Project, body: str) -> None:
    assert "all project source" in look(project.load(body, unseen="A = 1").node).leaves


def test_a_computed_query_may_name_anything_in_the_module_around_it(project: Project) -> None:
    module = project.load("K = 1\ndef node(x): return x.query(x)")
    before = look(module.node)
    assert before.is_current()
    module.K = 2
    assert not before.is_current()
    assert look(module.node).digest != before.digest
