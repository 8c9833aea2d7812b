"""What a node may ask of its environment, and how what a run asks and what a node asks become one."""

from __future__ import annotations

import pytest

import lineage as ln
from lineage import Env
from lineage.errors import DeclarationError


def test_packages_are_in_order_of_names_whatever_order_they_were_given_in() -> None:
    assert Env(packages=["scipy", "numpy>=2"]) == Env(packages=["numpy>=2", "scipy"])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"packages": "numpy"}, "a list of requirements"),
        ({"packages": ["numpy>="]}, "is not a requirement"),
        ({"packages": ["numpy==1", "NumPy==2"]}, "asks for numpy twice"),
        ({"packages": ["numpy @ file:///somewhere/numpy.whl"]}, "names a place"),
        ({"python": "3.9"}, "write a version from '3.11' on"),
        ({"python": "3"}, "write a version from '3.11' on"),
        ({"extras": "train"}, "a list of names"),
    ],
)
def test_what_can_not_be_pinned_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        Env(**given)  # type: ignore[arg-type]


def test_a_node_adds_to_what_its_run_asks_for_and_wins() -> None:
    run = Env(python="3.11", packages=["numpy>=2", "polars"], extras=["base"])
    both = run.plus(Env(python="3.12", packages=["NumPy==2.1"], extras=["train"], allow_undeclared=True))
    assert both.packages == ("NumPy==2.1", "polars")
    assert (both.python, both.extras, both.allow_undeclared) == ("3.12", ("base", "train"), True)
    assert both.replaced == ("numpy>=2 gave way to NumPy==2.1", "Python 3.11 gave way to 3.12")


def test_the_lock_of_a_run_is_not_that_of_a_node_that_asks_for_more() -> None:
    run = Env(packages=["numpy"], lock="envs/run.lock")
    assert run.plus(Env()).lock == "envs/run.lock"
    assert run.plus(Env(packages=["scipy"])).lock is None
    assert run.plus(Env(packages=["scipy"], lock="envs/more.lock")).lock == "envs/more.lock"


def test_a_node_takes_an_env_and_nothing_else_for_one() -> None:
    def plain(x: int) -> int:
        return x

    with pytest.raises(DeclarationError, match=r"env is a lineage\.Env"):
        ln.node(env="envs/train.lock")(plain)  # type: ignore[call-overload]


def test_a_dynamic_node_has_no_environment_since_it_composes_in_the_driver() -> None:
    @ln.dynamic
    def choose(x: int) -> int:
        return x

    with pytest.raises(DeclarationError, match="happens in the driver"):
        choose.options(env=Env(packages=["numpy"]))
