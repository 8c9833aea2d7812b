"""Column lineage through chains of recorded calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lineage as ln
from lineage import table_columns
from lineage.errors import NotFoundError


@ln.node
def flights(rows: int) -> pl.LazyFrame:
    return pl.LazyFrame({"carrier": ["AA"] * rows, "delay": range(rows), "distance": [1.5] * rows})


@ln.node
def carriers(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"carrier": ["AA"] * rows, "name": ["American"] * rows})


@ln.node
def late(flights: pl.LazyFrame, more_than: int) -> pl.LazyFrame:
    with ln.span("filtering"):
        return flights.filter(pl.col("delay") > more_than).with_columns(km=pl.col("distance") * 1.6)


@ln.node
def named(flights: pl.LazyFrame, carriers: pl.LazyFrame) -> pl.LazyFrame:
    return flights.join(carriers, on="carrier").select("name", "km")


@ln.node
def eager(flights: pl.DataFrame) -> pl.LazyFrame:
    return flights.lazy()


@ln.node
def collecting(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.collect().lazy()


@ln.node
def hidden(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.map_batches(lambda frame: frame)


def of(call: Any, column: str | None = None) -> pl.DataFrame:
    return ln.columns(ln.materialize(call), column=column)


def shown(frame: pl.DataFrame) -> set[tuple[Any, ...]]:
    return set(frame.select("node", "column", "kind", "from_node", "from_column").rows())


def test_columns_are_followed_through_a_chain_of_nodes(session: ln.Session) -> None:
    call = named(late(flights(5), 2), ln.view(carriers(2), pl.LazyFrame))
    handle = ln.materialize(call)
    executed = ln.calls().height
    found = ln.columns(handle, column="km")
    assert shown(found) == {
        ("named", "km", "value", "late", "km"),
        ("named", "km", "rows", "late", "carrier"),
        ("named", "km", "rows", "carriers", "carrier"),
        ("late", "km", "value", "flights", "distance"),
        ("late", "km", "rows", "flights", "delay"),
        ("late", "carrier", "value", "flights", "carrier"),
        ("late", "carrier", "rows", "flights", "delay"),
        ("flights", "distance", "begins", None, None),
        ("flights", "delay", "begins", None, None),
        ("flights", "carrier", "begins", None, None),
        ("carriers", "carrier", "begins", None, None),
    }
    assert handle.origin is not None
    assert found["execution"][0] == handle.origin.execution
    assert ("named", "name", "value", "carriers", "name") in shown(ln.columns(call))
    assert ln.calls().height == executed


def test_a_frame_names_the_executions_that_made_the_tables(session: ln.Session) -> None:
    call = late(flights(5), 2)
    (edge,) = of(call, "km").filter(node="late", kind="value").rows(named=True)
    origin = ln.materialize(flights(5)).origin
    assert origin is not None
    assert (edge["from_execution"], edge["parameter"]) == (origin.execution, "flights")


@pytest.mark.parametrize(
    ("node", "reason"),
    [(eager, "as a whole"), (collecting, "collects a frame"), (hidden, "whole frame")],
)
def test_what_hides_its_columns_is_opaque_and_never_guessed(session: ln.Session, node: Any, reason: str) -> None:
    source = ln.view(flights(3), pl.DataFrame) if node is eager else flights(3)
    found = of(late(node(source), 1))
    own = found.filter(pl.col("node") == node.name)
    assert own["kind"].unique().to_list() == ["opaque"]
    assert own["from_column"].null_count() == own.height == 3
    assert reason in own["reason"][0]
    assert ("late", "km", "value", node.name, "distance") in shown(found)


def test_what_leads_to_an_opaque_column_ends_there(session: ln.Session) -> None:
    found = of(late(hidden(flights(3)), 1), "km")
    assert set(found["node"]) == {"late", "hidden"}


def test_several_tables_as_one_are_followed_to_the_first(session: ln.Session) -> None:
    call = late(ln.scan(ln.map(flights, [2, 3])), 1)
    assert ("late", "km", "value", "flights", "distance") in shown(of(call))
    made = ln.calls(node="flights")["execution"].min()
    assert ln.columns(call).filter(node="late")["from_execution"].unique().to_list() == [made]


def test_what_is_no_table_has_no_columns(session: ln.Session) -> None:
    @ln.node
    def count(flights: pl.LazyFrame) -> int:
        return int(flights.select(pl.len()).collect().item())

    found = of(count(flights(3)))
    assert set(found["node"]) == {"flights"}
    with pytest.raises(NotFoundError, match="no column 'km'"):
        ln.columns(count(flights(3)), column="km")


def test_code_that_has_changed_since_is_opaque(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(factor: float) -> ln.Node[[pl.LazyFrame], pl.LazyFrame]:
        @ln.node
        def scaled(flights: pl.LazyFrame) -> pl.LazyFrame:
            return flights.select(km=pl.col("distance") * factor)

        return scaled

    with ln.Session(tmp_path):
        handle = ln.materialize(made(1.6)(flights(3)))
        from lineage.graph import latest

        latest.node = None
        import gc

        gc.collect()
        keep = made(1.7)
        found = ln.columns(handle).filter(node="scaled")
        assert found["kind"].to_list() == ["opaque"]
        assert "has changed since" in found["reason"][0]
        del keep


def test_equal_calls_are_traced_once(session: ln.Session) -> None:
    composed.clear()
    calls = [noted(flights(rows)) for rows in (2, 3, 4)]
    ln.compute(calls)
    composed.clear()
    ln.columns(ln.materialize(calls))
    assert len(composed) == 1


composed: list[int] = []


@ln.node(version="1")
def noted(flights: pl.LazyFrame) -> pl.LazyFrame:
    composed.append(1)
    return flights.select("delay")


@pytest.mark.parametrize("name", table_columns.SCHEMA)
def test_the_reference_says_what_each_column_means(name: str) -> None:
    kind, meaning = table_columns.SCHEMA[name]
    text = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()
    assert f"| `{name}` | {kind} | {meaning} |" in text
    assert name in table_columns.ColumnEdge._fields
