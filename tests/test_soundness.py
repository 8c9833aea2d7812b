"""Ways in which a cache lies, tried end to end: each test changes one thing that could change a value and asks what ran.

Projects are written to a folder and run in processes of their own, as a user's would be.
"""

from __future__ import annotations

import copyreg
import dataclasses
import json
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lineage as ln
from lineage.errors import NodeError
from lineage.testing import EventLog


class Project:
    """A folder of modules, run with `main.py` in a new process each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").write_text("")

    def write(self, name: str, source: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))

    def edit(self, name: str, old: str, new: str) -> None:
        source = (self.folder / name).read_text()
        assert old in source
        (self.folder / name).write_text(source.replace(old, new))

    def run(self, call: str = "main.flow()", seed: str = "0") -> tuple[object, list[str]]:
        """Return the value of `call` as JSON gives it, and what happened."""
        code = textwrap.dedent(f"""
            import json, sys
            sys.path.insert(0, {str(self.folder)!r})
            import lineage as ln, main
            log = []
            with ln.Session({str(self.folder / "store")!r}, on_event=lambda v, n, c: log.append(f"{{v}} {{n}}")):
                value = ln.compute({call})
            print(json.dumps([value, log]))
        """)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.folder),
                "PYTHONHASHSEED": seed,
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        value, log = json.loads(done.stdout.splitlines()[-1])
        return value, log


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project(tmp_path)
    found.write(
        "main.py",
        """
        import lineage as ln
        from helpers import scale, LIMIT

        @ln.node
        def measure(x: int) -> int:
            return min(scale(x), LIMIT)

        @ln.node
        def label(x: int) -> str:
            return f"{x}!"

        def flow(x: int = 3):
            return label(measure(x))
        """,
    )
    found.write(
        "helpers.py",
        """
        LIMIT = 100
        FACTOR = 2

        def factor():
            return FACTOR

        def scale(x):
            return x * factor()

        def unreached(x):
            return x + 1
        """,
    )
    assert found.run() == ("6!", ["executed measure", "executed label"])
    assert found.run() == ("6!", ["hit label"])
    return found


@pytest.mark.parametrize(
    ("old", "new", "value", "log"),
    [
        ("return x * factor()", "return x * factor() + 1", "7!", ["executed measure", "executed label"]),
        ("FACTOR = 2", "FACTOR = 4", "12!", ["executed measure", "executed label"]),
        ("return FACTOR", "return FACTOR + 1", "9!", ["executed measure", "executed label"]),
        ("LIMIT = 100", "LIMIT = 5", "5!", ["executed measure", "executed label"]),
        ("LIMIT = 100", "LIMIT = 50", "6!", ["executed measure", "cutoff label"]),
        ("return x + 1", "return x + 2", "6!", ["hit label"]),
        ("FACTOR = 2", "FACTOR = 2  # doubled", "6!", ["hit label"]),
        ("    return FACTOR", '    """Say how much."""\n\n    return (\n        FACTOR\n    )', "6!", ["hit label"]),
        ("def factor():\n    return FACTOR\n\ndef scale(x):\n    return x * factor()",
         "def scale(x):\n    return x * factor()\n\ndef factor():\n    return FACTOR", "6!", ["hit label"]),
    ],
)  # fmt: skip
def test_an_edit_runs_what_it_reaches_and_nothing_else(
    project: Project, old: str, new: str, value: str, log: list[str]
) -> None:
    project.edit("helpers.py", old, new)
    assert project.run() == (value, log)


def test_going_back_to_old_code_hits_its_old_results(project: Project) -> None:
    project.edit("helpers.py", "FACTOR = 2", "FACTOR = 4")
    project.run()
    project.edit("helpers.py", "FACTOR = 4", "FACTOR = 2")
    assert project.run() == ("6!", ["hit label"])


def test_a_module_that_moves_does_not_matter_and_one_that_is_swapped_does(project: Project) -> None:
    project.write("other.py", (project.folder / "helpers.py").read_text())
    project.edit("main.py", "from helpers import", "from other import")
    assert project.run() == ("6!", ["hit label"])
    project.edit("other.py", "FACTOR = 2", "FACTOR = 3")
    assert project.run()[0] == "9!"


def test_swapping_the_names_of_two_helpers_is_seen(project: Project) -> None:
    project.write(
        "main.py",
        """
        import lineage as ln

        def one(x):
            return x + 1

        def two(x):
            return x * 10

        first, second = one, two

        @ln.node
        def both(x: int) -> list[int]:
            return [first(x), second(x)]

        def flow():
            return both(3)
        """,
    )
    assert project.run()[0] == [4, 30]
    project.edit("main.py", "first, second = one, two", "first, second = two, one")
    assert project.run() == ([30, 4], ["executed both"])


def test_a_value_carries_the_code_of_its_class(project: Project) -> None:
    project.write(
        "main.py",
        """
        import attrs
        import lineage as ln
        from shapes import Square

        @ln.node
        def area(shape: object) -> int:
            return shape.area()

        def flow():
            return area(Square(3))
        """,
    )
    project.write(
        "shapes.py",
        """
        import attrs

        @attrs.frozen
        class Square:
            side: int

            def area(self):
                return self.side ** 2
        """,
    )
    assert project.run()[0] == 9
    project.edit("shapes.py", "** 2", "** 2 + 1")
    assert project.run() == (10, ["executed area"])


def test_an_instance_of_a_plain_class_carries_the_code_of_its_class(project: Project) -> None:
    project.write(
        "main.py",
        """
        import lineage as ln
        from shapes import Square

        @ln.node
        def area(shape: object) -> int:
            return shape.area()

        def flow():
            return area(Square(3))
        """,
    )
    project.write(
        "shapes.py",
        """
        class Square:
            def __init__(self, side):
                self.side = side

            def area(self):
                return self.side ** 2
        """,
    )
    assert project.run()[0] == 9
    project.edit("shapes.py", "** 2", "** 2 + 1")
    assert project.run() == (10, ["executed area"])


def test_a_stored_instance_of_an_edited_class_is_a_miss(project: Project) -> None:
    project.write(
        "main.py",
        """
        import lineage as ln
        from shapes import Square, make

        @ln.node(version="1")
        def square(side: int) -> object:
            return make(side)

        @ln.node
        def area(shape: object) -> int:
            return shape.area()

        def flow(extra: int = 0):
            return [area(square(3)), extra]
        """,
    )
    project.write(
        "shapes.py",
        """
        class Square:
            def __init__(self, side):
                self.side = side

            def area(self):
                return self.side ** 2

        def make(side):
            return Square(side)
        """,
    )
    assert project.run()[0] == [9, 0]
    project.edit("shapes.py", "return self.side ** 2", "return self.side ** 3")
    project.edit("main.py", "return shape.area()", "return shape.area() + 0 * len(str(shape))")
    assert project.run()[0] == [27, 0]


def test_a_node_reached_only_through_a_value_counts_below_a_dynamic_node(project: Project) -> None:
    project.write(
        "main.py",
        """
        import lineage as ln
        import steps

        @ln.dynamic
        def choose(name: str) -> int:
            return steps.ALL[name](1)

        @ln.node
        def show(x: int) -> str:
            return str(x)

        def flow():
            return show(choose("inc"))
        """,
    )
    project.write(
        "steps.py",
        """
        import lineage as ln

        @ln.node
        def inc(x: int) -> int:
            return x + 1

        ALL = {"inc": inc}
        """,
    )
    assert project.run()[0] == "2"
    assert project.run() == ("2", ["hit show"])
    project.edit("steps.py", "return x + 1", "return x + 5")
    assert project.run()[0] == "6"


@pytest.fixture
def chooser(project: Project) -> Project:
    """A dynamic node whose own code stays as it is while a node that it makes calls of gets another version."""
    project.write(
        "main.py",
        """
        import lineage as ln
        import steps

        @ln.node
        def word(n: int) -> str:
            return "inc"

        @ln.dynamic
        def choose(name: str) -> int:
            return steps.ALL[name](1)

        def flow():
            return choose(word(1))
        """,
    )
    project.write(
        "steps.py",
        """
        import lineage as ln

        @ln.node(version="1")
        def inc(x: int) -> int:
            return x + 1

        ALL = {"inc": inc}
        """,
    )
    assert project.run() == (2, ["executed word", "executed inc", "executed choose"])
    assert project.run() == (2, ["hit choose"])
    project.edit("steps.py", 'version="1"', 'version="2"')
    return project


def test_another_version_of_a_node_below_a_dynamic_node_is_no_hit_by_recipe(chooser: Project) -> None:
    assert "executed inc" in chooser.run()[1]


def test_another_version_of_a_node_below_a_dynamic_node_is_no_hit_by_content(chooser: Project) -> None:
    chooser.edit("main.py", 'return "inc"', 'return "in" + "c"')
    value, log = chooser.run()
    assert (value, log[0]) == (2, "executed word")
    assert "executed inc" in log


@pytest.fixture
def meeting(project: Project) -> Project:
    """A project in which a call below a dynamic node of a fixed version and a plain call come to one content."""
    project.write(
        "main.py",
        """
        import lineage as ln

        @ln.node
        def inc(x: int) -> int:
            return x + 1

        @ln.node
        def neg(x: int) -> int:
            return -x

        def chosen(x: int) -> int:
            return inc(x)

        chosen = ln.dynamic(chosen).options(version="1")
        """,
    )
    return project


def test_content_that_was_met_before_does_not_hide_an_edit_below_a_dynamic_node(meeting: Project) -> None:
    assert meeting.run("main.neg(2)")[0] == -2
    assert meeting.run("main.neg(main.chosen(1))")[0] == -2
    meeting.edit("main.py", "x + 1", "x + 2")
    assert meeting.run("main.neg(main.chosen(1))")[0] == -3


def test_two_calls_of_one_run_that_come_to_one_content_keep_each_their_past(meeting: Project) -> None:
    assert meeting.run("[main.neg(2), main.neg(main.chosen(1))]")[0] == [-2, -2]
    meeting.edit("main.py", "x + 1", "x + 2")
    assert meeting.run("[main.neg(2), main.neg(main.chosen(1))]")[0] == [-2, -3]


def test_an_edit_below_a_dynamic_node_is_nothing_to_an_equal_call_beside_it(meeting: Project) -> None:
    assert meeting.run("main.neg(main.chosen(1))")[0] == -2
    meeting.edit("main.py", "x + 1", "x + 2")
    assert meeting.run("main.neg(2)") == (-2, ["cutoff neg"])


def test_a_changed_default_is_a_new_key_and_a_spelled_out_one_is_not(project: Project) -> None:
    project.write(
        "main.py",
        """
        import lineage as ln

        @ln.node
        def power(x: int, n: int = 2) -> int:
            return x ** n

        def flow(*args, **kwargs):
            return power(3, *args, **kwargs)
        """,
    )
    assert project.run() == (9, ["executed power"])
    assert project.run("main.flow(2)") == (9, ["hit power"])
    assert project.run("main.flow(n=2)") == (9, ["hit power"])
    project.edit("main.py", "n: int = 2", "n: int = 3")
    assert project.run()[0] == 27


def test_a_closure_and_a_partial_count_by_what_they_hold(project: Project) -> None:
    project.write(
        "main.py",
        """
        import functools
        import lineage as ln

        def adder(n):
            def add(x):
                return x + n
            return add

        ADD = adder(1)
        TIMES = functools.partial(lambda factor, x: factor * x, 2)

        @ln.node
        def both(x: int) -> list[int]:
            return [ADD(x), TIMES(x)]

        def flow():
            return both(5)
        """,
    )
    assert project.run()[0] == [6, 10]
    project.edit("main.py", "adder(1)", "adder(2)")
    assert project.run()[0] == [7, 10]
    project.edit("main.py", "factor * x, 2)", "factor * x, 3)")
    assert project.run()[0] == [7, 15]


def test_a_base_class_a_method_and_a_class_attribute_count(project: Project) -> None:
    project.write(
        "main.py",
        """
        import lineage as ln

        class Base:
            start = 1

            def begin(self):
                return self.start

        class Counter(Base):
            def count(self, x):
                return self.begin() + x

        @ln.node
        def counted(x: int) -> int:
            return Counter().count(x)

        def flow():
            return counted(1)
        """,
    )
    assert project.run()[0] == 2
    project.edit("main.py", "return self.start", "return self.start * 10")
    assert project.run()[0] == 11
    project.edit("main.py", "start = 1", "start = 2")
    assert project.run()[0] == 21


def test_an_undeclared_clock_is_refused_by_name(project: Project) -> None:
    project.write(
        "main.py",
        """
        import time
        import lineage as ln

        @ln.node
        def now() -> float:
            return time.time()

        def flow():
            return now()
        """,
    )
    with pytest.raises(AssertionError, match=r"time\.time"):
        project.run()


def test_equal_sets_are_one_argument_whatever_the_hash_seed(project: Project) -> None:
    project.write(
        "main.py",
        """
        import lineage as ln

        @ln.node
        def size(xs: set[str]) -> int:
            return len(xs)

        def flow():
            return size({"a", "b", "c", "d", "e"})
        """,
    )
    assert project.run(seed="1") == (5, ["executed size"])
    for seed in ("2", "3", "random"):
        assert project.run(seed=seed) == (5, ["hit size"])


# -- tables, in this process


def test_a_lazy_result_holds_rows_and_no_pointer_to_a_file(session: ln.Session, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pl.DataFrame({"a": [1, 2]}).write_parquet(path)

    @ln.node
    def scan(file: ln.File) -> pl.LazyFrame:
        return pl.scan_parquet(file.path)

    handle = ln.materialize(scan(ln.File(path)))
    pl.DataFrame({"a": [7, 8, 9]}).write_parquet(path)
    assert handle.value.collect()["a"].to_list() == [1, 2]


def test_one_digest_made_by_two_calls_keeps_two_origins(session: ln.Session) -> None:
    @ln.node
    def yes(x: int) -> bool:
        return x > 0

    @ln.node
    def also(x: int) -> bool:
        return x > 1

    first, second = ln.materialize(yes(5), also(5))
    assert first.digest == second.digest
    assert (first.origin.node, second.origin.node) == ("yes", "also")  # type: ignore[union-attr]


def test_a_lost_result_that_comes_out_different_is_a_new_generation(
    session: ln.Session, log: EventLog, tmp_path: Path
) -> None:
    source = tmp_path / "n"
    source.write_text("1")

    @ln.node(version="1")
    def table() -> pl.DataFrame:
        return pl.DataFrame({"n": [int(source.read_text())]})

    @ln.node(version="1")
    def first(t: pl.DataFrame) -> int:
        return int(t["n"][0])

    made = table()
    assert ln.compute(first(made)) == 1
    for path in (session.root / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    source.write_text("2")
    with pytest.warns(RuntimeWarning, match="not deterministic"):
        value, again = ln.compute(table(), first(table()))
    assert value["n"].to_list() == [2]
    assert again == 2


def test_a_request_never_mixes_two_generations(session: ln.Session, tmp_path: Path) -> None:
    source = tmp_path / "n"
    source.write_text("1")

    @ln.node(version="1")
    def read() -> int:
        return int(source.read_text())

    @ln.node(version="1")
    def inc(x: int) -> int:
        return x + 1

    assert ln.compute(inc(inc(read())), read()) == (3, 1)
    source.write_text("10")
    assert ln.compute(inc(inc(read())), read(), refresh=[read]) == (12, 10)
    assert ln.compute(inc(inc(read())), inc(read()), read()) == (12, 11, 10)


def test_a_hit_that_was_made_from_another_result_than_this_plan_resolves_is_decided_anew(
    session: ln.Session, log: EventLog
) -> None:
    @ln.node
    def one(x: int) -> int:
        return x

    @ln.node
    def inc(x: int) -> int:
        return x + 1

    @ln.node
    def twice(x: int) -> int:
        return 2 * x

    other = ln.materialize(one(10))
    assert ln.compute(inc(one(1)), twice(one(1))) == (2, 2)
    first = ln.materialize(one(1))
    session.close()
    index = sqlite3.connect(session.root / "index.sqlite")  # as if two processes had recorded `one(1)` differently
    for table in ("recipes", "young_recipes"):
        index.execute(f"UPDATE {table} SET execution = ? WHERE execution = ?", (other._execution, first._execution))
    index.commit()
    index.close()
    log.clear()
    assert ln.compute(one(1), inc(one(1))) == (10, 11)
    assert log.names() == ["hit one", "executed inc"]


class Model:
    def __init__(self, weight: int) -> None:
        self.weight = weight


def test_the_order_of_a_dict_is_part_of_an_argument_and_of_a_result(session: ln.Session) -> None:
    @ln.node
    def first(d: dict[str, int]) -> str:
        return next(iter(d))

    @ln.node
    def made(reverse: bool) -> dict[str, int]:
        return {"b": 2, "a": 1} if reverse else {"a": 1, "b": 2}

    assert ln.compute(first({"a": 1, "b": 2}), first({"b": 2, "a": 1})) == ("a", "b")
    assert ln.compute(first(made(False)), first(made(True))) == ("a", "b")


class Growing:
    """A field that is more each time it is set, so that what is read back is not what was stored."""

    def __get__(self, owner: Any, _: Any = None) -> int:
        return 0 if owner is None else int(owner.__dict__["size"])

    def __set__(self, owner: Any, value: int) -> None:
        owner.__dict__["size"] = value + 1


@dataclasses.dataclass
class Grown:
    size: Any = Growing()


def test_a_result_that_reads_back_as_something_else_is_refused(session: ln.Session) -> None:
    @ln.node
    def grow() -> Grown:
        return Grown(1)

    with pytest.raises(NodeError, match="does not survive being stored"):
        ln.compute(grow())


class Hiding:
    def __init__(self, weight: int = 0) -> None:
        self.weight = weight
        self.lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def read(self) -> int:
        return self.weight


class Rebuilt(Hiding):
    def __reduce__(self) -> Any:
        return (Rebuilt, ())


class Slotted:
    __slots__ = ("weight",)

    def __init__(self, weight: int) -> None:
        self.weight = weight

    def __reduce_ex__(self, _: Any) -> Any:
        return (Slotted, (0,))


class Registered:
    def __init__(self, weight: int) -> None:
        self.weight = weight


copyreg.pickle(Registered, lambda _: (Registered, (0,)))


@pytest.mark.parametrize("cls", [Hiding, Rebuilt, Slotted, Registered])
def test_a_global_counts_by_all_that_it_holds_whatever_its_pickle_leaves_out(session: ln.Session, cls: Any) -> None:
    def made(weight: int) -> Any:
        held = {"inside": [cls(weight)]}

        @ln.node
        def weigh() -> int:
            return int(held["inside"][0].weight)

        return weigh()

    assert ln.compute(made(1)) == 1
    assert ln.compute(made(2)) == 2
    assert ln.plan(made(1)).counts() == {"hit": 1}


def test_a_method_of_an_instance_that_hides_its_state_counts_by_it(session: ln.Session) -> None:
    def made(weight: int) -> Any:
        read = Hiding(weight).read

        @ln.node
        def weigh() -> int:
            return read()

        return weigh()

    assert ln.compute(made(1), made(2)) == (1, 2)


def test_an_instance_of_a_plain_class_travels_between_nodes(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def fit(n: int) -> Model:
        return Model(n)

    @ln.node
    def use(model: Model) -> int:
        return model.weight

    assert ln.compute(use(fit(1))) == 1
    log.clear()
    assert ln.compute(use(fit(1))) == 1
    assert log.names() == ["hit use"]


def test_a_field_of_a_lost_result_is_made_again(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def many(n: int) -> list[str]:
        return [f"{i:0100}" for i in range(n)]

    @ln.node
    def one(x: str) -> int:
        return int(x)

    ln.compute(many(11_000))
    for path in (session.root / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    log.clear()
    assert ln.compute(one(many(11_000)[7])) == 7
    assert "executed many" in log.names()


def test_a_scratch_folder_that_is_kept_outlives_the_next_session(tmp_path: Path) -> None:
    @ln.node(version="1")
    def work() -> str:
        folder = ln.scratch(keep=True)
        (folder / "note").write_text("looked at later")
        return str(folder)

    with ln.Session(tmp_path / "store"):
        folder = ln.compute(work())
    with ln.Session(tmp_path / "store") as again:
        _ = again.store
        assert (Path(folder) / "note").read_text() == "looked at later"


def test_blas_has_one_thread_inside_nodes_and_its_own_number_outside(session: ln.Session) -> None:
    before = _blas_threads()

    @ln.node
    def threads(n: int) -> list[int]:
        return _blas_threads()

    assert set(ln.compute(threads(1))) == {1}
    assert _blas_threads() == before


def _blas_threads() -> list[int]:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    return [int(pool["num_threads"]) for pool in threadpool_info() if pool["user_api"] == "blas"]
