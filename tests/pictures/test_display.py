"""What notebooks get, and pictures as files."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter

import lineage as ln
from lineage.errors import CompositionError, StoreError
from lineage.pictures.display import html
from picture_pipeline import clean, load, months, pipeline, report

SVG = "{http://www.w3.org/2000/svg}"


def shown(x: Any) -> dict[str, Any]:
    formatter: Any = DisplayFormatter()
    data, _ = formatter.format(x)
    return dict(data)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_notebook_shows_a_call_as_its_graph(session: ln.Session, tmp_path: Path) -> None:
    data = shown(pipeline(tmp_path / "data", 2))
    assert "<svg" in data["text/html"]
    assert "would execute" in data["text/html"]
    assert data["text/plain"].startswith("<report(")


def test_fields_and_views_of_calls_are_shown_too(session: ln.Session, tmp_path: Path) -> None:
    (month,) = months(tmp_path / "data", 1)
    assert "<svg" in shown(ln.scan([load(month)]))["text/html"]
    assert "<svg" in shown(ln.attempt(load)(month))["text/html"]


def test_a_call_keeps_its_fields_to_itself(session: ln.Session, tmp_path: Path) -> None:
    call: Any = pipeline(tmp_path / "data", 1)
    assert not hasattr(call, "_ipython_display_")
    assert not hasattr(call, "_ipython_canary_method_should_not_exist_")
    assert not hasattr(call, "html")


def test_a_notebook_shows_a_plan_with_its_graph_and_reasons(session: ln.Session, tmp_path: Path) -> None:
    text = shown(ln.plan(pipeline(tmp_path / "data", 1)))["text/html"]
    assert "<svg" in text
    assert "never ran before" in text


def test_a_notebook_shows_a_dataset_with_what_made_it(session: ln.Session, tmp_path: Path) -> None:
    text = shown(ln.materialize(clean(load(months(tmp_path / "data", 1)[0]))))["text/html"]
    assert "dep_delay" in text
    assert "what made it" in text
    assert "000.parquet" in text
    assert str(tmp_path) not in text


def test_a_display_that_fails_raises_nothing(session: ln.Session, tmp_path: Path) -> None:
    handle = ln.materialize(clean(load(months(tmp_path / "data", 1)[0])))
    session.close()
    with pytest.raises(StoreError):
        html(handle)
    assert handle._repr_html_() is None
    assert "text/html" not in shown(handle)


def test_displays_fetch_nothing_and_run_nothing(session: ln.Session, tmp_path: Path) -> None:
    call = pipeline(tmp_path / "data", 2)
    for text in (html(call), html(ln.plan(call)), html(ln.materialize(call))):
        assert "<script" not in text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "url(" not in text
        assert "@import" not in text


def test_a_graph_is_written_as_svg(session: ln.Session, tmp_path: Path) -> None:
    path = ln.picture(pipeline(tmp_path / "data", 2), tmp_path / "graph.svg")
    found = texts(path.read_text())
    assert {"load", "clean", "split", "fit", "score", "report", "000.parquet"} <= set(found)
    assert "prefers-color-scheme:dark" in path.read_text()


@pytest.mark.parametrize("dark", [False, True])
def test_a_graph_is_written_as_png(session: ln.Session, tmp_path: Path, dark: bool) -> None:
    path = ln.picture(pipeline(tmp_path / "data", 2), tmp_path / "graph.png", dark=dark)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    width = int.from_bytes(data[16:20], "big")
    assert width > 1000
    assert len(data) > 5000


def test_plans_lists_datasets_and_runs_have_pictures(session: ln.Session, tmp_path: Path) -> None:
    call = pipeline(tmp_path / "data", 1)
    assert "report" in texts(ln.picture(ln.plan(call), tmp_path / "a.svg").read_text())
    assert "report" in texts(ln.picture([call, call], tmp_path / "b.svg").read_text())
    handle = ln.materialize(call)
    past = texts(ln.picture(handle, tmp_path / "c.svg").read_text())
    assert {"000.parquet", "load", "clean", "split", "fit", "score", "report", "executed"} <= set(past)
    assert any("busy" in text for text in texts(ln.picture(1, tmp_path / "d.svg").read_text()))


def test_the_past_of_mapped_calls_leads_through_what_composed_them(session: ln.Session, tmp_path: Path) -> None:
    @ln.node
    def sizes(table: Any) -> list[int]:
        return [table.height, table.width]

    @ln.node
    def double(x: int) -> int:
        return 2 * x

    handle = ln.materialize(ln.map(double, sizes(load(months(tmp_path / "data", 1)[0]))))
    past = texts(ln.picture(handle, tmp_path / "past.svg").read_text())
    assert past.count("double") == 2
    assert "000.parquet" in past


def test_a_past_of_many_executions_is_shown_by_node(session: ln.Session, tmp_path: Path) -> None:
    handle = ln.materialize(pipeline(tmp_path / "data", 50))
    past = texts(ln.picture(handle, tmp_path / "past.svg").read_text())
    assert {"clean", "×50", "50 executed", "files"} <= set(past)


@pytest.mark.parametrize(("x", "name"), [("a text", "a.svg"), ([1, 2], "a.svg"), ("call", "a.jpg"), ("call", "a")])
def test_what_has_no_picture_is_a_named_error(session: ln.Session, tmp_path: Path, x: Any, name: str) -> None:
    with pytest.raises(CompositionError):
        ln.picture(report([1.0]) if x == "call" else x, tmp_path / name)


def test_show_prints_plans_and_datasets_where_no_notebook_listens(
    session: ln.Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = clean(load(months(tmp_path / "data", 1)[0]))
    ln.show(ln.plan(call))
    assert capsys.readouterr().out.startswith("Plan: 2 execute")
    ln.show(call, rows=2)
    out = capsys.readouterr().out
    assert out.startswith("<Dataset ")
    assert "shape: (2, 2)" in out
