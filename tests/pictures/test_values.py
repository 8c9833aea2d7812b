"""What is shown of a dataset's value, and what is not read for it."""

from __future__ import annotations

import os
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from attrs import frozen

import lineage as ln
from lineage.pictures import values
from lineage.pictures.display import html
from lineage.pictures.values import head, value_text


class Mode(Enum):
    FAST = 1


@frozen
class Scores:
    model: float
    mode: Mode


class Pair(NamedTuple):
    left: int
    right: str


class Bomb:
    """Leaves a trace wherever it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        Path(self.path).touch()


@ln.node
def bomb(path: str) -> Bomb:
    return Bomb(path)


@ln.node
def table(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"n": range(rows), "text": ["<b>"] * rows})


@ln.node
def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"n": range(rows)})


@ln.node
def arrow(rows: int) -> pa.Table:
    return pa.table({"n": list(range(rows))})


@ln.node
def zeros(rows: int) -> np.ndarray[Any, Any]:
    return np.zeros((rows, 3))


@ln.node
def value(which: str) -> Any:
    return {
        "dict": {"a": [1, 2.5, None], "b": ("x", True)},
        "attrs": Scores(0.5, Mode.FAST),
        "pair": Pair(1, "two"),
        "set": {3},
        "counter": Counter("aab"),
        "long": list(range(1000)),
        "text": "x" * 10_000,
        "nested": [[[[[[[[1]]]]]]]],
        "tables": [pl.DataFrame({"n": [1, 2]}), np.zeros(3)],
    }[which]


@pytest.mark.parametrize("node", [table, frame, arrow])
def test_the_head_of_a_table_is_its_first_rows(session: ln.Session, node: Any) -> None:
    found = head(ln.materialize(node(100)), 4)
    assert found["n"].to_list() == [0, 1, 2, 3]


def test_the_head_of_a_list_of_tables_seen_as_one_is_that_of_the_first(session: ln.Session) -> None:
    handle = ln.materialize(ln.scan([table(3), table(2)]))
    assert head(handle, 4)["n"].to_list() == [0, 1, 2, 0]


def test_a_large_table_that_cannot_be_read_in_part_is_not_read(
    session: ln.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, parquet = ln.materialize(frame(100)), ln.materialize(table(100))
    monkeypatch.setattr(values, "MOST_BYTES", 10)
    assert head(large, 5) is None
    assert head(parquet, 2)["n"].to_list() == [0, 1]


@pytest.mark.parametrize(
    ("which", "text"),
    [
        ("dict", "{'a': [1, 2.5, None], 'b': ('x', True)}"),
        ("attrs", "Scores(model=0.5, mode=Mode.FAST)"),
        ("pair", "Pair(1, 'two')"),
        ("set", "{3}"),
        ("counter", "Counter({'a': 2, 'b': 1})"),
        ("nested", "[[[[[[…]]]]]]"),
        ("tables", "[<polars.DataFrame, 2 rows × 1 columns>, <numpy.ndarray 3, <f8>]"),
    ],
)
def test_plain_values_are_shown_as_they_are_written(session: ln.Session, which: str, text: str) -> None:
    assert value_text(ln.materialize(value(which))) == text


def test_long_values_are_cut(session: ln.Session) -> None:
    assert value_text(ln.materialize(value("long"))) == f"[{', '.join(map(str, range(20)))}, …]"
    assert len(value_text(ln.materialize(value("text"))) or "") <= 2000


def test_an_array_is_shown_by_shape_and_type(session: ln.Session) -> None:
    assert value_text(ln.materialize(zeros(4))) == "<numpy.ndarray 4 × 3, <f8>"


@pytest.mark.parametrize("trusted", [True, False])
def test_nothing_is_unpickled_to_be_shown(tmp_path: Path, trusted: bool) -> None:
    trace = tmp_path / "trace"
    with ln.Session(tmp_path / "store") as session:
        handle = session.materialize(bomb(str(trace)))
        record = session.store.index.execution(1)
    trace.unlink(missing_ok=True)
    with ln.Session(tmp_path / "store", trusted=trusted) as session:
        handle = session.dataset(bomb)
        assert record
        assert "Bomb" in html(handle)
        assert not trace.exists()
        if trusted:
            assert handle.value.path == str(trace)
            assert trace.exists()


def test_a_dataset_tells_schema_rows_size_digest_and_origin(session: ln.Session) -> None:
    handle = ln.materialize(table(1234))
    text = html(handle)
    for told in (
        "1,234 rows × 2 columns",
        handle.digest.hex(),
        "int64",
        "table(rows=1234)",
        "run 1",
        "1,229 more rows",
    ):
        assert told in text
    assert "&lt;b&gt;" in text
    assert "<td><b>" not in text


def test_a_damaged_dataset_is_shown_with_what_is_wrong(session: ln.Session) -> None:
    handle = ln.materialize(table(50))
    manifest = session.store.index.manifest(handle._tree.content)  # type: ignore[union-attr]
    assert manifest is not None
    path = session.store.objects.path(manifest.blobs[0].digest)
    os.chmod(path, 0o600)
    path.unlink()
    assert "it can't be read" in html(handle)
    assert handle.digest.hex() in html(handle)


def test_a_collection_of_datasets_is_shown_by_its_items(session: ln.Session) -> None:
    text = html(ln.materialize([table(2), table(3)]))
    assert "&lt;polars.DataFrame, 2 rows × 2 columns&gt;, &lt;polars.DataFrame, 3 rows × 2 columns&gt;" in text
