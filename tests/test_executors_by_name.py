"""Executors are bound to names, and made from texts."""

from __future__ import annotations

from pathlib import Path

import pytest

import lineage as ln
from lineage.errors import ExecutorError, NotFoundError
from lineage.executors.chosen import Chosen, Executors, choice, memory_in_bytes
from threads_executor import Threads


@ln.node
def plain(x: int) -> int:
    return x


@ln.node(executor="gpu")
def on_gpu(x: int) -> int:
    return x + 1


def test_a_node_runs_where_it_asks_to_and_the_rest_where_the_run_says(tmp_path: Path) -> None:
    gpu, other, default = Threads(1), Threads(1), Threads(1)
    with ln.Session(tmp_path, executors={"gpu": gpu, "other": other, "default": default}):
        ln.compute(plain(1), on_gpu(1), executor="other")
        ln.compute(plain(2))
    assert (gpu.submitted, other.submitted, default.submitted) == (["on_gpu"], ["plain"], ["plain"])


def test_the_environment_names_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = Threads(1), Threads(1)
    monkeypatch.setenv("LINEAGE_EXECUTOR", "mine")
    with ln.Session(tmp_path, executors={"mine": mine, "other": other}):
        ln.compute(plain(1))
        ln.compute(plain(2), executor=other)
    assert (mine.submitted, other.submitted) == (["plain"], ["plain"])


def test_a_name_may_stand_for_a_text_or_for_another_name(tmp_path: Path) -> None:
    with ln.Session(tmp_path, executors={"gpu": "mine", "mine": "serial", "serial": "serial"}) as session:
        assert ln.compute(on_gpu(1)) == 2
        found = session.executors.find("gpu")
        assert isinstance(found, ln.Serial)
        assert session.executors.find("serial") is found


def test_names_that_lead_nowhere_are_clear_errors(session: ln.Session) -> None:
    with pytest.raises(
        NotFoundError, match="no executor is bound to 'gpu'; bound: default; known: serial, processes, ray"
    ):
        ln.compute(on_gpu(1))
    with pytest.raises(NotFoundError, match="'proceses:4'"):
        ln.compute(plain(1), executor="proceses:4")
    with pytest.raises(ExecutorError, match="lead back to themselves"):
        Executors({"a": "b", "b": "a"}).find("a")


def test_a_setting_that_an_executor_does_not_take_is_a_clear_error() -> None:
    with pytest.raises(ExecutorError, match="Serial can't be made from 'colour=red'"):
        Executors({}).find("serial:colour=red")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("serial", Chosen("serial")),
        ("processes:4", Chosen("processes", "4")),
        ("ray:auto", Chosen("ray", "auto")),
        ("ray:ray://head:10001", Chosen("ray", "ray://head:10001")),
        ("ray://head:10001", Chosen("ray", "ray://head:10001")),
        ("batch:queue=high", Chosen("batch", None, {"queue": "high"})),
        ("batch:queue=high,memory=10GB,cpu=8,gpu=1",
         Chosen("batch", None, {"queue": "high"}, ln.Resources(cpus=8, memory=10**10, gpus=1))),
        ("processes:2,memory=1024", Chosen("processes", "2", {}, ln.Resources(memory=1 << 30))),
        ("gpu", None),
    ],
)  # fmt: skip
def test_texts_are_read(text: str, expected: Chosen | None) -> None:
    assert choice(text) == expected


@pytest.mark.parametrize("text", ["processes:4,5", "batch:memory=much", "batch:cpu=few"])
def test_texts_that_can_not_be_read_are_refused(text: str) -> None:
    with pytest.raises(ExecutorError):
        choice(text)


def test_memory_is_mebibytes_or_what_it_says() -> None:
    assert [memory_in_bytes(text) for text in ("1", "1B", "1 kB".upper(), "2MiB", "1.5G")] == [
        1 << 20, 1, 1000, 2 << 20, 1_500_000_000,
    ]  # fmt: skip


def test_what_a_text_says_of_needs_holds_for_nodes_that_say_nothing(tmp_path: Path) -> None:
    with ln.Session(tmp_path, executors={"lab": "serial:memory=900000000"}):
        with pytest.raises(ExecutorError, match="plain asks for"):
            ln.compute(plain(1), executor="lab")
        assert ln.compute(plain.options(resources=ln.Resources(memory=1))(1), executor="lab") == 1


def test_the_text_behind_a_node_s_executor_says_what_the_node_needs(tmp_path: Path) -> None:
    with ln.Session(tmp_path, executors={"gpu": "serial:memory=900000000"}):
        assert ln.compute(plain(1)) == 1
        with pytest.raises(ExecutorError, match="on_gpu asks for"):
            ln.compute(on_gpu(1))
