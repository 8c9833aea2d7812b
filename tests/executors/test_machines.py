"""What machines have, and what calls ask of them."""

from __future__ import annotations

import pytest

import lineage as ln
from lineage.errors import ExecutorError
from lineage.executors.machines import asked, check_possible, how_many_fit, left_over, within_cores


def test_a_call_that_says_nothing_needs_a_core() -> None:
    assert asked(None) == {"CPU": 1.0}


def test_all_that_is_asked_for_must_be_on_one_machine() -> None:
    wanted = asked(ln.Resources(cpus=2, gpus=1, custom={"licence": 1}))
    assert how_many_fit(wanted, [{"CPU": 8, "GPU": 1}, {"CPU": 1, "GPU": 4, "licence": 3}]) == 0
    assert how_many_fit(wanted, [{"CPU": 8, "GPU": 3, "licence": 2}]) == 2


def test_what_no_machine_has_is_refused_with_the_numbers_of_the_nearest() -> None:
    machines = [{"CPU": 4, "memory": 8 << 30}, {"CPU": 16, "memory": 4 << 30}]
    with pytest.raises(
        ExecutorError, match=r"fit needs 8 cores, 6 GiB of memory .* most .* its 2 has is 16 cores, 4 GiB"
    ):
        check_possible("fit", asked(ln.Resources(cpus=8, memory=6 << 30)), machines)


def test_what_the_cluster_may_grow_to_is_waited_for() -> None:
    check_possible("fit", {"GPU": 1}, [{"CPU": 4}], may_grow_to=[{"CPU": 8, "GPU": 4}])
    with pytest.raises(ExecutorError, match="8 GPUs"):
        check_possible("fit", {"GPU": 8}, [{"CPU": 4}], may_grow_to=[{"CPU": 8, "GPU": 4}])


def test_a_cluster_without_machines_says_so() -> None:
    with pytest.raises(ExecutorError, match="has no machine"):
        check_possible("fit", {"CPU": 1}, [])


def test_what_is_used_is_not_left() -> None:
    left = left_over(
        {"a": {"CPU": 2.0}, "b": {"CPU": 1.0}}, [("b", {"CPU": 1}), (None, {"CPU": 1}), ("gone", {"CPU": 1})]
    )
    assert left == {"a": {"CPU": 1.0}, "b": {"CPU": 0.0}}


def test_cores_beyond_those_of_the_largest_machine_are_let_go() -> None:
    assert within_cores({"CPU": 64, "GPU": 1}, [{"CPU": 2}]) == {"CPU": 2, "GPU": 1}
