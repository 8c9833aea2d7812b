"""Recorded runs as OpenLineage events, to a file and over HTTP."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import lineage as ln
from lineage.errors import LineageError, NodeError, NotFoundError


@ln.node
def read(file: ln.File) -> pl.LazyFrame:
    return pl.scan_csv(file.path)


@ln.node
def large(table: pl.LazyFrame, least: int) -> pl.LazyFrame:
    return table.filter(pl.col("size") > least).select(twice=pl.col("weight") * 2)


@ln.node
def breaks(table: pl.LazyFrame) -> int:
    raise ValueError("no way")


@pytest.fixture
def file(tmp_path: Path) -> ln.File:
    (tmp_path / "in.csv").write_text("size,weight\n1,2.0\n3,4.0\n")
    return ln.File(tmp_path / "in.csv")


def told(path: Path, **options: Any) -> list[dict[str, Any]]:
    count = ln.openlineage(path, **options)
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(events) == count
    return events


def test_a_run_is_told_call_by_call(session: ln.Session, file: ln.File, tmp_path: Path) -> None:
    handle = ln.materialize(large(read(file), 2))
    events = told(tmp_path / "events.jsonl")
    name = f"{large.fn.__module__}.large"
    told_of = [(event["eventType"], event["job"]["name"].rpartition(".")[2]) for event in events]
    assert told_of == [
        ("START", "large"),
        *[("START", "read"), ("COMPLETE", "read")],
        *[("START", "large"), ("COMPLETE", "large")],
        ("COMPLETE", "large"),
    ]
    (given,) = events[1]["inputs"]
    assert (given["namespace"], given["name"]) == ("file", str(tmp_path / "in.csv"))
    end = events[4]
    (output,) = end["outputs"]
    assert (output["name"], output["facets"]["version"]["datasetVersion"]) == (name, handle.digest.hex())
    fields = [(field["name"], field["type"]) for field in output["facets"]["schema"]["fields"]]
    assert fields == list((handle.schema or {}).items())
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 1
    assert [dataset["name"].rpartition(".")[2] for dataset in end["inputs"]] == ["read"]
    parent = end["run"]["facets"]["parent"]
    assert parent["run"]["runId"] == events[0]["run"]["runId"] == events[-1]["run"]["runId"]
    assert end["run"]["runId"] == events[3]["run"]["runId"] != events[1]["run"]["runId"]
    assert events[3]["eventTime"] <= end["eventTime"]


def test_columns_are_told_with_what_they_came_from(session: ln.Session, file: ln.File, tmp_path: Path) -> None:
    ln.materialize(large(read(file), 2))
    facet = told(tmp_path / "events.jsonl")[4]["outputs"][0]["facets"]["columnLineage"]
    sources = facet["fields"]["twice"]["inputFields"]
    assert [(source["field"], source["transformations"][0]["type"]) for source in sources] == [
        ("weight", "DIRECT"),
        ("size", "INDIRECT"),
    ]
    assert sources[0]["name"].endswith(".read")
    without = told(tmp_path / "without.jsonl", columns=False)
    assert "columnLineage" not in without[4]["outputs"][0]["facets"]


def test_a_failure_is_told_with_its_error(session: ln.Session, file: ln.File, tmp_path: Path) -> None:
    with pytest.raises(NodeError):
        ln.compute(breaks(read(file)))
    events = told(tmp_path / "events.jsonl")
    assert [event["eventType"] for event in events] == ["START", "START", "COMPLETE", "START", "FAIL", "FAIL"]
    error = events[4]["run"]["facets"]["errorMessage"]
    assert error["message"] == "ValueError: no way"
    assert "Traceback" in error["stackTrace"]


def test_any_run_can_be_told_again_and_is_the_same(session: ln.Session, file: ln.File, tmp_path: Path) -> None:
    ln.compute(large(read(file), 2))
    ln.compute(large(read(file), 2))
    first, second = told(tmp_path / "1", run=1), told(tmp_path / "2", run=1)
    assert first == second
    assert [event["eventType"] for event in told(tmp_path / "3")] == ["START", "COMPLETE"]  # all was cached
    with pytest.raises(NotFoundError, match="no run 9"):
        ln.openlineage(tmp_path / "4", run=9)


class _Listener(http.server.BaseHTTPRequestHandler):
    got: list[dict[str, Any]] = []  # noqa: RUF012
    status = 201

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append({"path": self.path, **json.loads(body)})
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def listener() -> Iterator[http.server.HTTPServer]:
    _Listener.got, _Listener.status = [], 201
    server = http.server.HTTPServer(("127.0.0.1", 0), _Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_events_go_to_an_address(session: ln.Session, file: ln.File, listener: http.server.HTTPServer) -> None:
    ln.compute(large(read(file), 2))
    count = ln.openlineage(f"http://127.0.0.1:{listener.server_port}")
    assert count == len(_Listener.got) == 6
    assert {event["path"] for event in _Listener.got} == {"/api/v1/lineage"}
    assert _Listener.got[4]["outputs"][0]["facets"]["schema"]["fields"][0]["name"] == "twice"


def test_an_address_that_refuses_is_a_clear_error(
    session: ln.Session, file: ln.File, listener: http.server.HTTPServer
) -> None:
    ln.compute(large(read(file), 2))
    _Listener.status = 403
    with pytest.raises(LineageError, match="did not take the events"):
        ln.openlineage(f"http://127.0.0.1:{listener.server_port}")


def test_without_the_client_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["openlineage"] = None
sys.modules["openlineage.client"] = None
import lineage as ln
with ln.Session({str(tmp_path)!r}):
    try:
        ln.openlineage("events.jsonl")
    except ln.LineageError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'lineage-graph[openlineage]'" in done.stdout
