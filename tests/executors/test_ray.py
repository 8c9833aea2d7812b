"""Calls on a Ray cluster of this machine alone. All tests of the module share the cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lineage as ln
import ray_nodes as nodes
from lineage.errors import ExecutorError, NodeError
from lineage.executors.chosen import Executors
from lineage.executors.ray import Ray
from lineage.testing import EventLog

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    executor = Ray(cpus=2, custom={"telescope": 0})
    yield executor
    executor.close()


class _Kept:
    """An executor that outlives the sessions that use it."""

    def __init__(self, executor: Ray) -> None:
        self._executor = executor

    def __getattr__(self, name: str) -> object:
        return getattr(self._executor, name)

    def close(self) -> None:
        self._executor.cancel()


@pytest.fixture
def on_ray(ray: Ray, tmp_path: Path, log: EventLog) -> Iterator[ln.Session]:
    with ln.Session(tmp_path / "store", executors={"default": _Kept(ray)}, on_event=log) as session:  # type: ignore[dict-item]
        yield session


def marks(folder: Path) -> dict[str, int]:
    return {path.name: len(path.read_text()) for path in folder.iterdir()}


def test_results_and_digests_are_those_of_serial(on_ray: ln.Session, tmp_path: Path) -> None:
    wanted = [nodes.add(nodes.increment(x), nodes.wide(x)) for x in range(50)]
    there = on_ray.materialize(*wanted)
    with ln.Session(tmp_path / "other") as serial:
        here = serial.materialize(*wanted)
    assert [one.digest for one in there] == [one.digest for one in here]
    assert there[7].value == 78


def test_many_small_calls_take_few_messages(on_ray: ln.Session, ray: Ray) -> None:
    on_ray.compute(ln.map(nodes.increment, list(range(100, 105))))
    before = ray.messages
    assert on_ray.compute(ln.map(nodes.increment, list(range(1000, 3000))))[-1] == 3000
    assert ray.messages - before < 400


def test_a_worker_that_dies_costs_nothing_but_what_it_had_begun(on_ray: ln.Session, tmp_path: Path) -> None:
    folder = tmp_path / "marks"
    folder.mkdir()
    assert on_ray.compute([nodes.dies_once(x, str(folder)) for x in range(40)]) == list(range(40))
    assert marks(folder)["7"] >= 2
    assert on_ray.compute([nodes.dies_once(x, str(folder)) for x in range(40)]) == list(range(40))


def test_a_call_that_ends_each_worker_fails_after_its_retries(on_ray: ln.Session) -> None:
    with pytest.raises(NodeError, match=r"always_dies.*2 by failures of what carried it out") as caught:
        on_ray.compute([nodes.always_dies(1), nodes.increment(1)])
    assert caught.value.platform_attempts == 2  # type: ignore[attr-defined]
    assert on_ray.compute(nodes.increment(1)) == 2


def test_a_time_limit_ends_native_code(on_ray: ln.Session) -> None:
    with pytest.raises(NodeError, match=r"TimeoutError: stuck_in_native_code ran for more than 0.5 s"):
        on_ray.compute(nodes.stuck_in_native_code(1))


def test_a_time_limit_interrupts_python_where_it_is_and_keeps_the_log(on_ray: ln.Session) -> None:
    with pytest.raises(NodeError, match=r"stuck_in_python ran for more than 0.5 s") as caught:
        on_ray.compute(nodes.stuck_in_python(1))
    assert caught.value.log == "on my way\n"  # type: ignore[attr-defined]


def test_calls_of_other_sizes_take_turns_on_the_same_cores(on_ray: ln.Session) -> None:
    wanted = [nodes.add(nodes.wide(x), nodes.increment(nodes.wide(x + 100))) for x in range(6)]
    assert on_ray.compute(wanted) == [10 * x + 10 * (x + 100) + 1 for x in range(6)]


def test_more_cores_than_there_are_means_all_of_them(on_ray: ln.Session) -> None:
    assert on_ray.compute(nodes.wider_than_there_is(3)) == 3


def test_what_can_never_be_had_fails_at_once_with_the_numbers(on_ray: ln.Session) -> None:
    with pytest.raises(
        (ExecutorError, NodeError), match=r"larger_than_there_is needs 1 cores, 1.049e\+06 GiB of memory"
    ):
        on_ray.compute(nodes.larger_than_there_is(1))
    with pytest.raises((ExecutorError, NodeError), match=r"needs 1 cores, 1 telescope on one machine.* 0 telescope"):
        on_ray.compute(nodes.needs_a_telescope(1))


def test_workers_run_in_the_surroundings_that_keys_rely_on(on_ray: ln.Session) -> None:
    found = on_ray.compute(nodes.surroundings())
    assert found == {"hash": "fixed", "zone": "UTC", "encoding": "utf-8", "python": sys.executable}


def test_variables_that_code_reads_come_with_it(on_ray: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINEAGE_TEST_COLOUR", "green")
    assert on_ray.compute(nodes.reads_a_variable()) == "green"
    monkeypatch.delenv("LINEAGE_TEST_COLOUR")
    assert on_ray.compute(nodes.reads_a_variable()) == "none"


def test_a_worker_whose_code_is_another_refuses(on_ray: ln.Session) -> None:
    with pytest.raises(
        NodeError,
        match=r"depends_on_where can't be carried out as it was planned: a worker has other code or packages .*OFFSET",
    ):
        on_ray.compute(nodes.depends_on_where.options(retries=ln.Retry(platform=0))(1))


def test_a_function_that_no_file_has_travels_by_value(on_ray: ln.Session) -> None:
    offset = 40

    @ln.node
    def local(x: int) -> int:
        return x + offset

    assert on_ray.compute(local(2)) == 42


def test_a_large_input_is_mapped_from_the_store_and_not_sent(on_ray: ln.Session) -> None:
    values = nodes.numbers(1 << 20)
    found = on_ray.compute([nodes.mapped_from(values, position) for position in (0, 5, 1000)])
    assert [value for value, _ in found] == [0.0, 5.0, 1000.0]
    files = {file for _, file in found}
    assert len(files) == 1
    assert files.pop().startswith(str(on_ray.root))


def test_what_a_call_prints_is_kept_with_it(on_ray: ln.Session) -> None:
    handle = on_ray.materialize(nodes.talks(3))
    record = on_ray.store.index.execution(
        handle.origin.execution if hasattr(handle.origin, "execution") else handle._execution
    )
    assert "hello 3" in record["log"]
    assert "careful 3" in record["log"]


def test_the_cluster_listens_on_loopback_only(on_ray: ln.Session) -> None:
    on_ray.compute(nodes.increment(8))
    assert listening_addresses(os.getpid()) == {"127.0.0.1"}


def listening_addresses(pid: int) -> set[str]:
    """Return where this process and all below it listen, of the sockets of the internet."""
    from ipaddress import IPv4Address

    sockets = {link for process in below(pid) for link in links(process)}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                number = bytes.fromhex(fields[1].partition(":")[0])[-4:]
                found.add(str(IPv4Address(number[::-1])))
    return found


def below(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += below(int(child))
    return found


def links(pid: int) -> Iterator[str]:
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(handle)
        except OSError:
            continue


def test_a_text_names_the_cluster() -> None:
    made = [Executors({}).find(text) for text in ("ray", "ray:auto", "ray://head:10001", "ray:auto,workers=4")]
    assert [repr(one) for one in made] == ["Ray()", "Ray('auto')", "Ray('ray://head:10001')", "Ray('auto')"]


def test_without_ray_the_error_names_the_extra(tmp_path: Path) -> None:
    code = "import sys; sys.modules['ray'] = None\nimport lineage as ln\nln.Ray().attach(ln.Session('.').store)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "lineage.errors.ExecutorError" in done.stderr
    assert "install lineage-graph[ray]" in done.stderr
