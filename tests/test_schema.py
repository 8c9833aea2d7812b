from __future__ import annotations

import datetime
from typing import Annotated, Any

import attrs
import polars as pl
import pyarrow as pa
import pytest

import lineage as ln
from lineage.errors import DeclarationError, NodeError, SchemaError, WiringError
from lineage.schema import check_table


@attrs.frozen
class Flight:
    carrier: str
    delay: float | None
    day: datetime.date


@attrs.frozen
class Small:
    carrier: str


Flights = Annotated[pl.DataFrame, ln.Schema(Flight)]
Carriers = Annotated[pl.DataFrame, ln.Schema(Small)]
Delays = Annotated[pl.DataFrame, ln.Schema({"delay": float})]
Whole = Annotated[pl.DataFrame, ln.Schema({"delay": pl.Int64})]
Strict = Annotated[pl.DataFrame, ln.Schema({"delay": pl.Int64}, strict=True)]


@ln.node
def flights(n: int) -> Flights:
    return pl.DataFrame({"carrier": ["AA"] * n, "delay": [1.5] * n, "day": [datetime.date(2013, 1, 1)] * n})


@ln.node
def carriers(frame: Carriers) -> list[str]:
    return frame["carrier"].to_list()


@ln.node
def delays(frame: Delays) -> float:
    return float(frame["delay"].sum())


@ln.node
def whole(frame: Whole) -> int:
    return int(frame["delay"].sum())


@ln.node
def passed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


def test_a_schema_is_an_attrs_class_or_a_mapping() -> None:
    assert repr(ln.Schema(Flight)) == "Schema(carrier: String not null, delay: Float64, day: Date not null)"
    assert repr(ln.Schema({"a": pl.Int8, "b": bytes})) == "Schema(a: Int8, b: Binary)"
    assert ln.Schema({"a": int}) == ln.Schema({"a": pl.Int64})
    assert ln.Schema({"a": int}) != ln.Schema({"a": int}, strict=True)
    assert repr(ln.Schema({"a": int}, strict=True)) == "Schema(a: Int64, strict)"


def test_columns_may_hold_lists() -> None:
    assert repr(ln.Schema({"a": list[int]})) == "Schema(a: List(Int64))"


@pytest.mark.parametrize("columns", [3, int, {}, {"a": object}, {"a": int | str}])
def test_what_is_no_schema_is_refused(columns: Any) -> None:
    with pytest.raises(DeclarationError):
        ln.Schema(columns).columns  # noqa: B018


def test_a_producer_may_promise_more_than_its_consumer_needs(session: ln.Session) -> None:
    assert ln.compute(carriers(flights(2))) == ["AA", "AA"]
    assert ln.compute(delays(flights(2))) == 3.0


def test_a_missing_column_clashes_when_composed() -> None:
    @ln.node
    def few(n: int) -> Carriers:
        return pl.DataFrame({"carrier": ["AA"] * n})

    with pytest.raises(
        WiringError, match=r"delays\(\): parameter `frame.*`few\(n=1\)`.*'delay' is needed and not promised"
    ):
        delays(few(1))


def test_another_type_of_column_clashes_when_composed() -> None:
    with pytest.raises(WiringError, match="column 'delay' is promised as Float64 and needed as Int64"):
        whole(flights(1))


def test_a_strict_schema_refuses_further_columns() -> None:
    @ln.node
    def only(frame: Strict) -> int:
        return 1

    @ln.node
    def more(n: int) -> Annotated[pl.DataFrame, ln.Schema({"delay": int, "extra": int})]:
        return pl.DataFrame()

    with pytest.raises(WiringError, match="'extra' is promised, and no further columns are allowed"):
        only(more(1))
    with pytest.raises(SchemaError, match="'extra' is not in the schema, which is strict"):
        only(pl.DataFrame({"delay": [1], "extra": [1]}))


def test_schemas_clash_inside_lists_too() -> None:
    @ln.node
    def merged(frames: list[Whole]) -> int:
        return len(frames)

    @ln.node
    def parts(n: int) -> list[Flights]:
        return []

    with pytest.raises(WiringError, match="'delay' is promised as Float64"):
        merged(parts(1))
    with pytest.raises(WiringError, match=r"'delay' is promised as Float64.*\(at \[0\]\)"):
        merged([flights(1)])


def test_a_table_without_a_schema_is_checked_at_the_door(session: ln.Session) -> None:
    frame = pl.DataFrame({"delay": ["a", "b"]})
    with pytest.raises(
        NodeError, match=r"whole\(\): argument 'frame': column 'delay' is String, not Int64 \(row 0: 'a'\)"
    ):
        ln.compute(whole(passed(frame)))
    with pytest.raises(NodeError, match="column 'delay' is missing; found x"):
        ln.compute(whole(passed(pl.DataFrame({"x": [1]}))))


def test_a_literal_table_is_checked_when_composed() -> None:
    with pytest.raises(SchemaError, match=r"whole\(\): parameter `frame.*column 'delay' is String") as caught:
        whole(pl.DataFrame({"delay": ["a"]}))
    assert (caught.value.column, caught.value.row, caught.value.value) == ("delay", 0, "a")  # type: ignore[attr-defined]


def test_a_null_where_none_may_be_is_named_by_its_row(session: ln.Session) -> None:
    frame = pl.DataFrame({"carrier": ["AA", None, None]})
    with pytest.raises(
        NodeError, match=r"column 'carrier' has no value in row 1 \(2 in all\), and may not be null"
    ) as caught:
        ln.compute(carriers(passed(frame)))
    assert isinstance(caught.value, SchemaError)


def test_nulls_are_fine_in_optional_columns_and_in_mappings() -> None:
    check_table(pl.DataFrame({"delay": [None, 1.0]}), ln.Schema({"delay": float}), "here")
    frame = pl.DataFrame({"carrier": ["AA"], "delay": [None], "day": [datetime.date(2013, 1, 1)]})
    check_table(frame.cast({"delay": pl.Float64}), ln.Schema(Flight), "here")


def test_a_result_is_checked_at_the_door(session: ln.Session) -> None:
    @ln.node
    def wrong(n: int) -> Flights:
        return pl.DataFrame({"carrier": ["AA"], "delay": [None], "day": ["2013-01-01"]}).cast({"delay": pl.Float64})

    with pytest.raises(NodeError, match=r"wrong\(\): result: column 'day' is String, not Date \(row 0: '2013-01-01'\)"):
        ln.compute(wrong(1))


def test_tables_in_a_result_are_checked_one_by_one(session: ln.Session) -> None:
    @ln.node
    def wrong(n: int) -> list[Whole]:
        return [pl.DataFrame({"delay": [1]}), pl.DataFrame({"delay": ["a"]})]

    with pytest.raises(NodeError, match=r"result\[1\]: column 'delay' is String"):
        ln.compute(wrong(1))


def test_lazy_frames_and_arrow_tables_are_checked(session: ln.Session) -> None:
    @ln.node
    def lazy(n: int) -> Annotated[pl.LazyFrame, ln.Schema(Small)]:
        return pl.LazyFrame({"carrier": ["AA", None]})

    @ln.node
    def wants(frame: Annotated[pl.LazyFrame, ln.Schema(Small)]) -> int:
        return 1

    with pytest.raises(NodeError, match="'carrier' has no value in row 1"):
        ln.compute(lazy(1))
    with pytest.raises(NodeError, match="'carrier' is Int64, not String"):
        ln.compute(wants(ln.scan(passed(pl.DataFrame({"carrier": [1]})))))
    with pytest.raises(SchemaError, match="'a' is Int64, not String"):
        check_table(pa.table({"a": [1]}), ln.Schema({"a": str}), "here")


def test_a_schema_in_a_union_is_checked(session: ln.Session) -> None:
    @ln.node
    def maybe(frame: Whole | None) -> int:
        return 0 if frame is None else 1

    assert ln.compute(maybe(None)) == 0
    with pytest.raises(SchemaError, match="is String, not Int64"):
        maybe(pl.DataFrame({"delay": ["a"]}))
    with pytest.raises(WiringError, match="promised as Float64"):
        maybe(flights(1))


def test_tables_in_an_argument_are_checked_when_they_arrive(session: ln.Session) -> None:
    @ln.node
    def merged(frames: list[Whole]) -> int:
        return len(frames)

    with pytest.raises(NodeError, match="is String, not Int64"):
        ln.compute(merged([passed(pl.DataFrame({"delay": ["a"]}))]))


def test_an_empty_table_fits_and_shows_no_value() -> None:
    check_table(pl.DataFrame(schema={"delay": pl.Int64}), ln.Schema({"delay": int}), "here")
    with pytest.raises(SchemaError, match=r"is String, not Int64 \(no rows\)"):
        check_table(pl.DataFrame(schema={"delay": pl.String}), ln.Schema({"delay": int}), "here")


def test_a_stricter_schema_is_no_hit(session: ln.Session) -> None:
    def before() -> Any:
        @ln.node
        def f(n: int) -> Annotated[pl.DataFrame, ln.Schema({"a": str})]:
            return pl.DataFrame({"a": ["x", None]})

        return f

    def after() -> Any:
        @ln.node
        def f(n: int) -> Annotated[pl.DataFrame, ln.Schema(Named)]:
            return pl.DataFrame({"a": ["x", None]})

        return f

    assert ln.compute(before()(1)).height == 2
    with pytest.raises(NodeError, match="may not be null"):
        ln.compute(after()(1))


@attrs.frozen
class Named:
    a: str
