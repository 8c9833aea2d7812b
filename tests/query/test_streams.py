"""What something was made of and what came of it: executions joined by edges, whatever is pointed at."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import pytest

import lineage as ln
from lineage.errors import AmbiguousError, CompositionError, NotFoundError
from lineage.storage import derived


@ln.node
def rows_of(file: ln.File) -> list[str]:
    return file.path.read_text().split()


@ln.node
def how_many(items: list[str]) -> int:
    return len(items)


@ln.node
def is_even(x: int) -> bool:
    return x % 2 == 0


@ln.node
def double(x: int) -> int:
    return 2 * x


@ln.node
def add(a: int, b: int) -> int:
    return a + b


@ln.node
def biggest(folder: ln.Directory) -> str:
    return max(folder.path.iterdir(), key=lambda path: path.stat().st_size).name


@ln.node
def total(xs: list[int]) -> int:
    return sum(xs)


@ln.node
def model(rows: list[str], seed: int) -> str:
    return f"{len(rows)} {seed}"


def executions(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return frame.select("distance", "node", "execution").rows()


def test_upstream_lists_what_a_dataset_was_made_of_nearest_first(session: ln.Session) -> None:
    handle = ln.materialize(add(double(1), double(double(1))))
    found = ln.upstream(handle)
    assert executions(found) == [(0, "add", 3), (1, "double", 1), (1, "double", 2)]
    assert found["inputs"].to_list() == [[1, 2], [], [1]]
    assert found["via"].to_list() == ["made"] * 3


def test_two_calls_of_one_digest_have_their_own_pasts(session: ln.Session) -> None:
    two, four = ln.materialize(is_even(double(1)), is_even(double(2)))
    assert two.digest == four.digest
    assert ln.upstream(two)["execution"].to_list() != ln.upstream(four)["execution"].to_list()
    assert ln.upstream(two)["arguments"].to_list()[-1] == '{"x": 1}'
    assert ln.upstream(four)["arguments"].to_list()[-1] == '{"x": 2}'


def test_a_bare_digest_stands_for_all_that_gave_it(session: ln.Session) -> None:
    two, four = ln.materialize(is_even(2), is_even(4))
    for written in (two.digest, two.digest.hex(), two.digest.hex()[:9], f"digest:{two.digest.hex()[:30].upper()}"):
        assert ln.datasets(written)["execution"].to_list() == [2, 1]
        assert ln.upstream(written)["execution"].to_list() == [1, 2]
    assert four.digest == two.digest


def test_the_beginning_of_several_digests_is_an_error(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [handle.digest.hex() for handle in ln.materialize(ln.map(double, range(60)))]
    monkeypatch.setattr("lineage.query.points._SHORTEST", 1)
    begin = next(digest[0] for digest in digests if sum(other[0] == digest[0] for other in digests) > 1)
    with pytest.raises(AmbiguousError, match=f"digests begin with {begin}"):
        ln.upstream(begin)


def test_a_short_beginning_is_not_looked_for(session: ln.Session) -> None:
    handle = ln.materialize(double(1))
    with pytest.raises(NotFoundError, match=r"nothing in .* is a tag, a node, a file or a digest"):
        ln.upstream(handle.digest.hex()[:3])


def test_downstream_of_a_file_are_the_models_that_saw_it(session: ln.Session, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(name * 3)
    handles = ln.materialize(ln.map(lambda file: model(rows_of(file), 7), ln.files(str(tmp_path / "*.txt"))))
    for pointed in (tmp_path / "a.txt", str(tmp_path / "a.txt"), ln.File(tmp_path / "a.txt"), f"file:{tmp_path}/a.txt"):
        found = ln.downstream(pointed)
        assert found.select("distance", "node").rows() == [(1, "rows_of"), (2, "model")]
        assert found["execution"].to_list() == ln.upstream(handles[0])["execution"].to_list()[::-1]
    assert found["files"].to_list() == [[str(tmp_path / "a.txt")], []]


def test_a_file_in_a_folder_that_was_an_input_is_found(session: ln.Session, tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "a.txt").write_text("a")
    (tmp_path / "data" / "b.txt").write_text("b")
    ln.compute(biggest(ln.Directory(tmp_path / "data")))
    assert ln.downstream(tmp_path / "data" / "deep" / "a.txt")["node"].to_list() == ["biggest"]


def test_a_file_that_nothing_was_given_is_an_error(session: ln.Session, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no recorded call was given the file"):
        ln.downstream(tmp_path / "a.txt")


def test_a_call_that_was_found_equal_is_downstream_and_said_to_be_equal(session: ln.Session, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("one two")
    first = ln.materialize(how_many(rows_of(ln.File(tmp_path / "a.txt"))))
    again = ln.materialize(how_many(rows_of(ln.File(tmp_path / "b.txt"))))
    assert first.origin is not None
    assert again.origin is not None
    assert again.origin.execution == first.origin.execution
    came = ln.downstream(tmp_path / "b.txt")
    assert came.select("node", "execution", "via").rows() == [("rows_of", 3, "made"), ("how_many", 2, "equal")]
    assert ln.upstream(again)["files"].to_list() == [[], [str(tmp_path / "a.txt")]]  # what it was really made of


def test_a_lazy_call_stands_for_the_execution_that_answers_it(session: ln.Session) -> None:
    ln.compute(double(double(3)))
    assert executions(ln.upstream(double(double(3)))) == [(0, "double", 2), (1, "double", 1)]
    with pytest.raises(NotFoundError, match=r"double\(x=5\) has no result yet"):
        ln.upstream(double(5))


def test_a_call_whose_inputs_met_this_code_before_is_answered_by_content(session: ln.Session) -> None:
    ln.compute(is_even(4))
    ln.compute(double(2))
    assert ln.upstream(is_even(double(2)))["execution"].to_list() == [1]


def test_a_node_is_its_latest_success_upstream_and_all_of_them_downstream(session: ln.Session) -> None:
    ln.compute(is_even(double(1)), is_even(double(2)))
    assert ln.upstream(is_even).select("distance", "arguments").rows()[-1] == (1, '{"x": 2}')
    for node in (double, "double", "node:double"):
        assert ln.downstream(node)["node"].to_list() == ["double", "double", "is_even", "is_even"]


def test_a_tag_and_a_run_can_be_pointed_at(session: ln.Session) -> None:
    ln.tag(ln.materialize(double(1)), "small")
    ln.compute(is_even(double(2)))
    assert ln.upstream("small")["execution"].to_list() == [1]
    assert ln.upstream(2)["node"].to_list() == ["double", "is_even"]
    assert set(ln.downstream("run:1")["execution"]) == {1}
    with pytest.raises(NotFoundError, match="there is no run 9"):
        ln.upstream(9)


def test_a_text_that_may_mean_several_things_is_an_error(session: ln.Session) -> None:
    ln.tag(ln.materialize(double(1)), "is_even")
    ln.compute(is_even(2))
    with pytest.raises(AmbiguousError, match="may be a tag or a node; say which: tag:is_even, node:is_even"):
        ln.upstream("is_even")
    assert ln.upstream("tag:is_even")["node"].to_list() == ["double"]


def test_what_points_at_nothing_is_an_error(session: ln.Session) -> None:
    with pytest.raises(CompositionError, match="a float points at nothing recorded"):
        ln.upstream(1.5)


def test_items_of_a_collection_are_upstream_of_it(session: ln.Session) -> None:
    handle = ln.materialize(total(ln.map(double, [1, 2])))
    assert ln.upstream(handle)["node"].to_list() == ["total", "double", "double"]


@ln.node
def counted(xs: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"x": xs})


@ln.node
def highest(table: pl.LazyFrame) -> int:
    return int(table.select(pl.col("x").max()).collect().item())


def test_the_parts_of_a_table_that_is_scanned_as_one_are_upstream_of_what_reads_it(session: ln.Session) -> None:
    parts = [counted([1, 2]), counted([3])]
    assert ln.upstream(ln.materialize(highest(ln.scan(parts))))["node"].to_list() == ["highest", "counted", "counted"]
    assert ln.downstream(parts[1])["node"].to_list() == ["counted", "highest"]


def test_a_text_argument_that_looks_like_a_source_is_none(session: ln.Session) -> None:
    text = '{"from": [1, 2]} "each": [3]'
    ln.compute(double(1))
    handle = ln.materialize(ln.node(lambda text: str(text), name="echo")(text))
    assert ln.upstream(handle)["inputs"].to_list() == [[]]


def test_a_store_that_can_not_be_written_is_asked_all_the_same(session: ln.Session, tmp_path: Path) -> None:
    digest = ln.materialize(add(double(1), double(double(1)))).digest
    session.close()
    with ln.Session(tmp_path / "store", read_only=True) as reader:
        assert ln.upstream(digest)["execution"].to_list() == [3, 1, 2]
        assert reader.store.index.ask("SELECT count(*) FROM edges") == [(0,)]
    with ln.Session(tmp_path / "store") as writer:  # what was derived so far is kept, the rest is added
        assert ln.upstream(digest)["execution"].to_list() == [3, 1, 2]
        assert writer.store.index.ask("SELECT count(*) FROM edges") == [(3,)]
        more = ln.materialize(double(add(double(1), double(double(1))))).digest
    with ln.Session(tmp_path / "store", read_only=True) as reader:
        assert ln.upstream(more)["execution"].to_list() == [4, 3, 1, 2]
        assert reader.store.index.ask("SELECT target FROM late_edges") == [(4,)]


def test_edges_are_derived_piece_by_piece(session: ln.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "_CHUNK", 2)
    x = double(1)
    for _ in range(6):
        x = double(x)
    assert len(ln.upstream(ln.materialize(x))) == 7


def test_a_long_chain_is_walked(session: ln.Session) -> None:
    x = add(0, 1)
    for _ in range(1500):
        x = add(x, 1)
    found = ln.upstream(ln.materialize(x))
    assert found["distance"].to_list() == list(range(1501))


def test_ignored_arguments_show_what_was_asked_and_what_was_executed(session: ln.Session) -> None:
    ln.compute(chatty(1, "loud"))
    ln.compute(chatty(1, "quiet"))
    found = ln.calls(run=2)
    assert found.select("verdict", "arguments", "asked").rows() == [
        ("hit", '{"x": 1, "manner": "loud"}', '{"manner": "quiet"}')
    ]
    ln.compute(chatty(1, "loud"))
    assert ln.calls(run=3)["asked"].to_list() == [None]


@ln.node
def chatty(x: int, manner: Annotated[str, ln.Unhashed]) -> int:
    return x


SCRIPT = """
import sys
import lineage as ln
@ln.node
def slow(x: int) -> int:
    if x == 3:
        sys.__stdout__.write("ready\\n")
        sys.__stdout__.flush()
        sys.stdin.readline()
    return x
with ln.Session(sys.argv[1]):
    ln.compute(ln.map(slow, range(5)))
"""


def test_a_run_of_another_process_is_seen_while_it_goes_on(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with ln.Session(tmp_path / "store"):
        with subprocess.Popen(
            [sys.executable, script, tmp_path / "store"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert other.stdout.readline() == "ready\n"
            until = time.monotonic() + 30
            while len(ln.calls(node="slow", status="ok")) < 3 and time.monotonic() < until:
                time.sleep(0.01)
            (run,) = ln.runs().rows(named=True)
            other.stdin.write("\n")
            other.stdin.close()
        assert (run["status"], run["executed"], run["wall"]) == ("running", 3, None)
        assert ln.runs()["executed"].to_list() == [5]


def test_a_run_is_seen_from_within_while_it_goes_on(session: ln.Session) -> None:
    seen: list[list[Any]] = []

    def watch(verdict: str, node: str, call: str) -> None:
        seen.append(ln.runs()["executed"].to_list())

    session.on_event = watch
    ln.compute(ln.map(double, range(3)))
    assert seen == [[1], [2], [3]]


@ln.node
def picky(x: int) -> int:
    if x > 1:
        raise ValueError("too large")
    return x


@ln.node
def pair(x: int) -> tuple[int, str]:
    return x, str(x)


def test_latest_means_latest_successful(session: ln.Session) -> None:
    ln.compute(picky(1))
    with pytest.raises(ln.LineageError):
        ln.compute(picky(2))
    assert ln.upstream(picky)["execution"].to_list() == [1]
    assert ln.dataset(picky).value == 1


def test_a_field_and_a_reference_stand_for_the_execution_behind_them(session: ln.Session) -> None:
    handle = ln.materialize(pair(1))
    assert ln.upstream(pair(1)[1])["execution"].to_list() == [1]
    assert ln.upstream(ln.ref(handle))["execution"].to_list() == [1]
    assert ln.source(pair(1)[1]).node == "pair"


def test_what_a_reader_derived_and_a_writer_after_it_is_listed_once(session: ln.Session, tmp_path: Path) -> None:
    handle = ln.materialize(add(double(1), double(2)))
    session.store.flush()
    with ln.Session(tmp_path / "store", read_only=True) as reader:
        first = ln.upstream(handle.digest)["inputs"].to_list()
        assert reader.store.index.ask("SELECT count(*) FROM late_edges") == [(2,)]
        with session:
            assert ln.upstream(handle.digest)["inputs"].to_list() == first
        assert ln.upstream(handle.digest)["inputs"].to_list() == first == [[1, 2], [], []]


@ln.sink
def publish(x: int) -> int:
    return x


def test_what_was_made_of_something_stays_so_when_it_is_found_equal_to_itself(session: ln.Session) -> None:
    for _ in range(2):  # what depends on an effect is decided by content each time
        ln.compute(double(publish(3)))
        assert ln.downstream(publish).select("node", "via").rows() == [("publish", "made"), ("double", "made")]
    assert ln.runs()["unchanged"].to_list() == [1, 0]
    assert ln.upstream(double)["node"].to_list() == ["double", "publish"]
