from __future__ import annotations

import functools
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import attrs
import polars as pl
import pytest

import lineage as ln
from lineage.errors import DeclarationError, LazyValueError, NodeError, WiringError
from lineage.testing import EventLog

# -- declaring


@ln.node
def double(x: int) -> int:
    """Twice `x`."""
    return 2 * x


@ln.node(retries=2, timeout=60, executor="default")
def patient(x: int, *, times: int = 3) -> int:
    return x * times


@attrs.frozen
class Model:
    slope: float

    @ln.node
    def predict(self, x: float) -> float:
        """A prediction."""
        return self.slope * x

    @staticmethod
    @ln.node
    def zero(x: float) -> float:
        return 0.0 * x

    @classmethod
    @ln.node
    def named(cls, x: int) -> str:
        return f"{cls.__name__} {x}"


def test_a_bare_node_composes_and_runs_nothing(session: ln.Session, log: EventLog) -> None:
    call = double(4)
    assert repr(call) == "<double(x=4) -> int, not computed>"
    assert log.names() == []
    assert ln.compute(call) == 8


def test_a_node_with_options_composes_as_a_bare_one(session: ln.Session) -> None:
    assert patient.given.retries == ln.Retry(2)
    assert patient.given.timeout == 60
    assert ln.compute(patient(2, times=5)) == 10


def test_a_node_keeps_the_signature_name_and_docstring() -> None:
    assert str(inspect.signature(double)) == "(x: 'int') -> 'int'"
    assert double.__wrapped__ is double.fn  # type: ignore[attr-defined]
    assert double.__doc__ == "Twice `x`."
    assert double.__name__ == "double"  # type: ignore[attr-defined]
    assert double.__module__ == __name__
    assert repr(double) == "<node double(x: int) -> int>"


def test_fn_is_the_plain_function() -> None:
    assert double.fn(4) == 8
    assert inspect.isfunction(double.fn)


def test_attributes_of_the_function_do_not_shadow_those_of_the_node() -> None:
    def plain(x: int) -> int:
        return x

    plain.options = "mine"  # type: ignore[attr-defined]
    declared = ln.node(plain)
    assert declared.options(version="1").given.version == "1"


def test_options_return_the_same_node_with_other_options() -> None:
    quick = patient.options(timeout=1)
    assert (quick.given.timeout, quick.given.retries) == (1, ln.Retry(2))
    assert patient.given.timeout == 60
    assert quick.fn is patient.fn
    assert quick.name == patient.name


def test_options_that_do_not_change_the_result_are_no_part_of_the_key(session: ln.Session, log: EventLog) -> None:
    ln.compute(patient(2))
    ln.compute(patient.options(retries=5, timeout=3, resources=ln.Resources(cpus=2))(2))
    assert log.names() == ["executed patient", "hit patient"]


def test_a_misspelt_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="retry"):
        ln.node(retry=3)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retries": -1}, "retries is a count"),
        ({"timeout": 0}, "above 0"),
        ({"compare": "fuzzy"}, "compare='fuzzy' is not known"),
        ({"every": "sometimes"}, "not a period"),
    ],
)
def test_an_option_that_makes_no_sense_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        ln.node(**options)


def test_a_closure_is_a_node_and_what_it_closes_over_is_part_of_its_identity(
    session: ln.Session, log: EventLog
) -> None:
    def times(factor: int) -> ln.Node[[int], int]:
        @ln.node
        def scaled(x: int) -> int:
            return factor * x

        return scaled

    assert ln.compute(times(2)(5)) == 10
    assert ln.compute(times(3)(5)) == 15
    assert ln.compute(times(2)(5)) == 10
    assert log.names() == ["executed scaled", "executed scaled", "hit scaled"]


def test_a_lambda_with_a_name_is_a_node(session: ln.Session) -> None:
    triple = ln.node(lambda x: 3 * x, name="triple")
    assert repr(triple(2)).startswith("<triple(x=2)")
    assert ln.compute(triple(2)) == 6


def test_a_lambda_without_a_name_is_refused() -> None:
    with pytest.raises(DeclarationError, match="needs a name"):
        ln.node(lambda x: x)


def test_a_wrapped_function_is_a_node(session: ln.Session) -> None:
    def announced(fn: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> int:
            return fn(*args, **kwargs) + 1

        return wrapper

    @ln.node
    @announced
    def plain(x: int) -> int:
        return x

    assert inspect.signature(plain).return_annotation == "int"
    assert ln.compute(plain(3)) == 4
    with pytest.raises(WiringError):
        plain("3")


def test_an_lru_cached_function_is_a_node(session: ln.Session) -> None:
    @ln.node
    @functools.lru_cache
    def slow(x: int, y: Missing | None = None) -> int:  # type: ignore[name-defined]  # noqa: F821
        return x + 1

    assert ln.compute(slow(3)) == 4
    with pytest.raises(WiringError):
        slow("3")


def test_an_async_function_is_refused_with_a_reason() -> None:
    with pytest.raises(DeclarationError, match=r"asynchronous.*asyncio\.run"):

        @ln.node
        async def fetch(x: int) -> int:
            return x


def test_a_generator_is_refused_with_a_reason() -> None:
    with pytest.raises(DeclarationError, match=r"generator.*return a list"):

        @ln.node
        def numbers(n: int) -> Any:
            yield from range(n)


def test_an_async_generator_is_refused_with_a_reason() -> None:
    with pytest.raises(DeclarationError, match="asynchronous"):

        @ln.node
        async def numbers(n: int) -> Any:
            yield n


@pytest.mark.parametrize("thing", [len, int, functools.partial(print, 1), 3, "double"])
def test_what_is_no_plain_function_is_refused(thing: Any) -> None:
    with pytest.raises(DeclarationError, match="a node is a plain function"):
        ln.node(thing)


def test_a_node_of_a_node_is_refused() -> None:
    with pytest.raises(DeclarationError, match="is a node already"):
        ln.node(double)


def test_staticmethod_below_node_is_refused_with_the_right_order() -> None:
    with pytest.raises(DeclarationError, match="put @staticmethod or @classmethod above"):
        ln.node(staticmethod(double.fn))


# -- methods


def test_a_method_takes_its_instance_as_first_argument(session: ln.Session, log: EventLog) -> None:
    assert ln.compute(Model(2.0).predict(3.0)) == 6.0
    assert ln.compute(Model(2.0).predict(3.0)) == 6.0
    assert ln.compute(Model(4.0).predict(3.0)) == 12.0
    assert log.names() == ["executed Model.predict", "hit Model.predict", "executed Model.predict"]


def test_a_method_keeps_its_signature_and_plain_function() -> None:
    assert list(inspect.signature(Model(2.0).predict).parameters) == ["x"]
    assert Model.predict.fn(Model(2.0), 3.0) == 6.0


def test_a_static_method_is_a_node(session: ln.Session) -> None:
    assert ln.compute(Model.zero(3.0)) == 0.0
    assert ln.compute(Model(1.0).zero(3.0)) == 0.0  # type: ignore[call-arg]  # mypy binds it


def test_a_class_method_is_a_node(session: ln.Session) -> None:
    assert ln.compute(Model.named(3)) == "Model 3"  # type: ignore[call-arg,arg-type]  # so too


def test_a_method_of_a_computed_instance_is_called_in_a_node(session: ln.Session) -> None:
    @ln.node
    def fit(slope: float) -> Model:
        return Model(slope)

    with pytest.raises(LazyValueError, match="no lazy field `predict`"):
        fit(2.0).predict(3.0)
    assert ln.compute(Model.predict(fit(2.0), 3.0)) == 6.0


# -- binding


@ln.node
def many(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> str:
    return f"{a} {b} {rest} {c} {list(more.items())}"


def test_one_meaning_is_one_key_however_it_is_spelt(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def add(x: int, y: int = 2) -> int:
        return x + y

    for call in (add(1), add(1, 2), add(1, y=2), add(x=1, y=2), add(y=2, x=1)):
        assert ln.compute(call) == 3
    assert log.names() == ["executed add"] + ["hit add"] * 4


def test_the_order_of_keyword_arguments_says_nothing(session: ln.Session, log: EventLog) -> None:
    first = ln.compute(many(1, 2, x=1, y=2, c=4))
    second = ln.compute(many(1, y=2, c=4, b=2, x=1))
    assert first == second == "1 2 () 4 [('x', 1), ('y', 2)]"
    assert log.names() == ["executed many", "hit many"]


def test_variadics_are_bound_in_order(session: ln.Session) -> None:
    assert ln.compute(many(1, 2, 3, 4)) == "1 2 (3, 4) 3 []"


def test_calls_may_stand_among_variadics(session: ln.Session) -> None:
    assert ln.compute(many(1, 2, double(1), z=double(2))) == "1 2 (2,) 3 [('z', 4)]"


def test_variadics_are_checked_item_by_item() -> None:
    @ln.node
    def text(x: int) -> str:
        return str(x)

    with pytest.raises(WiringError, match=r"rest.*`text\(x=1\)` -> str.*str is not int"):
        many(1, 2, text(1))  # type: ignore[arg-type]
    with pytest.raises(WiringError, match=r"more.*str is not int"):
        many(1, 2, z=text(1))  # type: ignore[arg-type]


def test_a_parameter_may_be_called_dict_or_sorted(session: ln.Session) -> None:
    @ln.node
    def odd(dict: int, sorted: int, **more: int) -> int:
        return dict + sorted + sum(more.values())

    assert ln.compute(odd(1, 2, b=3, a=4)) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), {}), "missing a required argument: 'a'"),
        (((1, 2), {"a": 1}), None),
        (((1,), {}), "missing a required argument: 'b'"),
    ],
)
def test_arguments_that_do_not_bind_are_named(arguments: Any, message: str | None) -> None:
    args, kwargs = arguments
    if message is None:
        many(*args, **kwargs)  # a positional-only name is free for **more
        return
    with pytest.raises(WiringError, match=message):
        many(*args, **kwargs)


def test_an_extra_argument_is_refused() -> None:
    with pytest.raises(WiringError, match="too many positional arguments"):
        double(1, 2)  # type: ignore[call-arg]


def test_a_misspelt_argument_is_refused_with_the_likely_name() -> None:
    with pytest.raises(WiringError, match="did you mean `times`"):
        patient(1, tmies=2)  # type: ignore[call-arg]


# Fails in lineage/code/describe.py: the fingerprint takes a default that is a call for a constant, and refuses it.
def test_a_default_that_is_a_call_is_an_input_like_any_other(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def plus(x: int, y: int = double(5)) -> int:
        return x + y

    assert log.names() == []
    assert ln.compute(plus(1)) == 11
    assert ln.compute(plus(1, double(5))) == 11
    assert log.names() == ["executed double", "executed plus", "hit plus"]


def test_an_added_default_argument_is_a_new_key(session: ln.Session, log: EventLog) -> None:
    def before() -> ln.Node[..., int]:
        @ln.node
        def f(x: int) -> int:
            return x

        return f

    def after() -> ln.Node[..., int]:
        @ln.node
        def f(x: int, y: int = 0) -> int:
            return x

        return f

    ln.compute(before()(1))
    ln.compute(after()(1))
    assert log.names() == ["executed f", "executed f"]


# -- Unhashed


@ln.node
def threaded(x: int, threads: Annotated[Any, ln.Unhashed] = 1, *, loud: Annotated[bool, ln.Unhashed()] = False) -> int:
    return x + 1


def test_an_unhashed_argument_is_no_part_of_the_key(session: ln.Session, log: EventLog) -> None:
    ln.compute(threaded(1, 1))
    ln.compute(threaded(1, 8, loud=True))
    assert log.names() == ["executed threaded", "hit threaded"]


def test_an_unhashed_argument_is_recorded(session: ln.Session) -> None:
    origin = ln.materialize(threaded(1, 8)).origin
    assert origin is not None
    assert origin.arguments["threads"] == 8


def test_an_unhashed_parameter_refuses_a_call() -> None:
    with pytest.raises(WiringError, match=r"Unhashed.*`double\(x=1\)`.*plain value"):
        threaded(1, double(1))


@pytest.mark.parametrize("wrap", [lambda c: [c], lambda c: {"a": (c,)}, lambda c: Model(c)])
def test_an_unhashed_parameter_refuses_a_nested_call(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(WiringError, match="Unhashed"):
        threaded(1, wrap(double(1)))


def test_an_unhashed_variadic_is_no_part_of_the_key(session: ln.Session, log: EventLog) -> None:
    @ln.node
    def noisy(x: int, *marks: Annotated[str, ln.Unhashed]) -> int:
        return x

    ln.compute(noisy(1, "a"))
    ln.compute(noisy(1, "b", "c"))
    assert log.names() == ["executed noisy", "hit noisy"]


def test_another_unhashed_parameter_is_another_key(session: ln.Session) -> None:
    def before() -> ln.Node[..., int]:
        @ln.node
        def f(a: Annotated[int, ln.Unhashed], b: int) -> int:
            return 10 * a + b

        return f

    def after() -> ln.Node[..., int]:
        @ln.node
        def f(a: int, b: Annotated[int, ln.Unhashed]) -> int:
            return 10 * a + b

        return f

    assert ln.compute(before()(1, 5)) == 15
    assert ln.compute(after()(5, 9)) == 59


def test_a_result_that_was_checked_against_another_type_is_no_hit(session: ln.Session) -> None:
    def before() -> ln.Node[..., Any]:
        @ln.node
        def f(x: int) -> Any:
            return str(x)

        return f

    def after() -> ln.Node[..., Any]:
        @ln.node
        def f(x: int) -> int:
            return str(x)  # type: ignore[return-value]

        return f

    assert ln.compute(before()(1)) == "1"
    with pytest.raises(NodeError, match="returned something else than it declares"):
        ln.compute(after()(1))


# -- where nodes are called


def test_a_node_called_inside_a_node_is_refused_with_advice(session: ln.Session) -> None:
    @ln.node
    def outer(x: int) -> int:
        return double(x)

    with pytest.raises(NodeError, match=r"double was called inside the node outer.*double\.fn") as caught:
        ln.compute(outer(1))
    assert isinstance(caught.value.__cause__, LazyValueError)


def test_the_plain_function_may_be_called_inside_a_node(session: ln.Session) -> None:
    @ln.node
    def outer(x: int) -> int:
        return double.fn(x)

    assert ln.compute(outer(1)) == 2


def _script(tmp_path: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, str(path), *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=120,
        env={"LINEAGE_STORE": str(tmp_path / "store"), "PATH": ""},
    )


_PIPELINE = """
    import lineage as ln

    @ln.node
    def double(x: int) -> int:
        return 2 * x

    @ln.dynamic
    def until(x: int, limit: int) -> int:
        return x if x > limit else until(double(x), limit)
"""


def test_nodes_in_main_run_and_are_hits_in_the_next_process(tmp_path: Path) -> None:
    text = textwrap.dedent(_PIPELINE) + textwrap.dedent("""
        flow = until(double(1), 100)
        print(ln.plan(flow).counts().get("execute", 0), ln.compute(flow))
    """)
    first, second = _script(tmp_path, text), _script(tmp_path, text)
    assert (first.stdout, first.stderr) == ("2 128\n", "")
    assert (second.stdout, second.stderr) == ("0 128\n", "")


@pytest.mark.slow
def test_nodes_in_notebook_cells_follow_what_is_typed_last(tmp_path: Path) -> None:
    result = _script(
        tmp_path,
        """
        from IPython.core.interactiveshell import InteractiveShell

        shell = InteractiveShell.instance()

        def cell(text):
            shell.run_cell(text, store_history=True).raise_error()

        cell("import lineage as ln\\nfrom lineage.testing import EventLog")
        cell("log = EventLog()\\n_ = ln.configure(on_event=log)")
        cell("def helper(x: int) -> int:\\n    return x + 1")
        cell("@ln.node\\ndef f(x: int) -> int:\\n    return helper(x)")
        cell("print(ln.compute(f(1)))")
        cell("@ln.node\\ndef f(x: int) -> int:\\n    # said otherwise\\n    return helper(x)")
        cell("print(ln.compute(f(1)))")
        cell("def helper(x: int) -> int:\\n    return x + 10")
        cell("print(ln.compute(f(1)))")
        cell("print(log.names())")
        """,
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == ["2", "2", "11", "['executed f', 'hit f', 'executed f']"]


# -- the reminder


_BUILD = "import lineage as ln\n@ln.node\ndef double(x: int) -> int:\n    return 2 * x\ncall = double(double(1))\n"


def test_calls_that_a_script_builds_and_never_computes_are_mentioned_at_exit(tmp_path: Path) -> None:
    result = _script(tmp_path, _BUILD)
    assert "the last of them of `double`, and none was computed" in result.stderr
    assert "lineage.compute(...)" in result.stderr
    assert (result.stdout, result.returncode) == ("", 0)


@pytest.mark.parametrize("ask", ["ln.compute(call)", "ln.plan(call)", "ln.materialize(call)"])
def test_a_script_that_asked_for_something_is_left_alone(tmp_path: Path, ask: str) -> None:
    assert _script(tmp_path, _BUILD + ask).stderr == ""


def test_a_script_that_built_nothing_is_left_alone(tmp_path: Path) -> None:
    assert _script(tmp_path, _BUILD.replace("call = double(double(1))", "")).stderr == ""


def test_a_script_that_failed_hears_of_its_failure_only(tmp_path: Path) -> None:
    result = _script(tmp_path, _BUILD + "1 / 0")
    assert "ZeroDivisionError" in result.stderr
    assert "lineage:" not in result.stderr


# -- the command line


_REPORT = """
    import lineage as ln

    @ln.node
    def double(x: int) -> int:
        return 2 * x

    def report(n: int = 3) -> int:
        return double(n)

    if __name__ == "__main__":
        ln.main(report)
"""


@pytest.mark.slow
def test_main_runs_a_composing_function_with_its_parameters_as_options(tmp_path: Path) -> None:
    def run(*options: str) -> tuple[int, str]:
        found = _script(tmp_path, _REPORT, *options)
        return found.returncode, found.stdout

    assert run() == (0, "6\n")
    assert run("--n", "5") == (0, "10\n")
    assert run("--n", "7", "--plan") == (0, "Plan: 1 execute\n  execute   double(x=7)   (argument x: 5 → 7)\n")
    assert run("--n", "x")[0] == run("--m", "3")[0] == 2


def test_a_streaming_call_in_an_exact_node_is_flagged() -> None:
    with pytest.warns(UserWarning, match="streamed float sums"):

        @ln.node
        def total(frame: pl.LazyFrame) -> pl.DataFrame:
            return frame.sum().collect(engine="streaming")

    @ln.node(compare="unordered")
    def fine(frame: pl.LazyFrame) -> pl.DataFrame:
        return frame.sum().collect(engine="streaming")
