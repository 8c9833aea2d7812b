"""Recorded runs as OpenLineage events, through the official client (`pip install 'lineage-graph[openlineage]'`).

Told from the records and not while a run goes on, so that no run waits for, or fails with, whoever listens. Run and event
numbers follow from the store and the record: telling a run twice gives the same run twice.
"""

from __future__ import annotations

import datetime
import json
import os
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from lineage.codecs.text import load_tree
from lineage.datasets import MADE_OF, Dataset
from lineage.derivations import Trace
from lineage.errors import LineageError, NotFoundError
from lineage.files import is_url
from lineage.recorded import sources_of
from lineage.records import Run
from lineage.session import Session
from lineage.table_columns import edges_of, schema_of

__all__ = ["events_of", "told"]

_PRODUCER = "urn:python:lineage-graph"
_ENDS = {"ok": "COMPLETE", "failed": "FAIL", "interrupted": "ABORT"}
_MISSING = "OpenLineage events need its client: pip install 'lineage-graph[openlineage]'"


def told(session: Session, to: Any, run: int | None = None, *, columns: bool = True) -> int:
    """Send the events of a run and return how many there were. See `lineage.openlineage`."""
    client = _client(to)
    count = 0
    try:
        for event in events_of(session, run, columns=columns):
            client.emit(event)
            count += 1
    except OSError as error:  # errors of requests are among them
        raise LineageError(f"{to} did not take the events of OpenLineage: {error}") from error
    return count


def _client(to: Any) -> Any:
    try:
        from openlineage.client import OpenLineageClient
        from openlineage.client.transport.file import FileConfig, FileTransport
        from openlineage.client.transport.http import HttpConfig, HttpTransport
    except ImportError as error:
        raise LineageError(_MISSING) from error
    if isinstance(to, OpenLineageClient):
        return to
    place = os.fspath(to)
    if place.startswith(("http://", "https://")):
        return OpenLineageClient(transport=HttpTransport(HttpConfig(url=place)))
    if is_url(place):
        raise LineageError(
            f"events go to a file or to an http(s) address, not to {place!r}; or give an OpenLineageClient"
        )
    return OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=place, append=True)))


def events_of(session: Session, number: int | None = None, *, columns: bool = True) -> Iterator[Any]:
    """Yield the events of a run, the latest if none is said: its start, those of each call that it executed, and its end.

    Raises:
        LineageError: the client is not installed.
        NotFoundError: there is no such run.
    """
    try:
        yield from _Teller(session, _run(session, number), columns).events()
    except ImportError as error:
        raise LineageError(_MISSING) from error


def _run(session: Session, number: int | None) -> Run:
    for run in session.store.index.runs(1 if number is None else 1 << 40):
        if number in (None, run.id):
            return run
    raise NotFoundError(
        f"there is no run {number} in {session.root}" if number else f"nothing has run in {session.root}"
    )


class _Teller:
    """Tells of one run."""

    def __init__(self, session: Session, run: Run, columns: bool) -> None:
        self.store = session.store
        self.run = run
        self.columns = columns
        self.namespace = f"lineage://{run.host}{self.store.place}"
        self.known: dict[tuple[Any, ...], Trace] = {}

    def events(self) -> Iterator[Any]:
        own = self._event_of(f"run {self.run.id} {self.run.started}", self.run.name)
        yield own("START", self.run.started)
        rows = self.store.index.ask("SELECT id FROM executions WHERE run = ? ORDER BY id", (self.run.id,))
        for (number,) in rows:
            yield from self._of_call(self.store.index.execution(number))
        if self.run.finished is not None:
            yield own(_ENDS[self.run.status], self.run.finished)

    def _event_of(self, what: str, job: str, **facets: Any) -> Any:
        from openlineage.client.event_v2 import Job, RunEvent, RunState
        from openlineage.client.event_v2 import Run as OwnRun

        def event(state: str, at: float, more: dict[str, Any] | None = None, **sets: Any) -> Any:
            run = OwnRun(self._id(what), {**facets, **(more or {})})
            time = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()
            job_of = Job(self.namespace, job)
            return RunEvent(eventTime=time, producer=_PRODUCER, run=run, job=job_of, eventType=RunState[state], **sets)

        return event

    def _id(self, what: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.namespace}#{what}"))

    def _of_call(self, row: dict[str, Any]) -> Iterator[Any]:
        from openlineage.client.facet_v2 import error_message_run, parent_run

        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(self._id(f"run {self.run.id} {self.run.started}")),
            job=parent_run.Job(self.namespace, self.run.name),
            producer=_PRODUCER,
        )
        event = self._event_of(f"execution {row['id']} {row['started']}", _name(row), parent=parent)
        inputs, end = self._inputs(row), row["started"] + row["wall"]
        yield event("START", row["started"], inputs=inputs)
        if row["status"] == "ok":
            yield event("COMPLETE", end, inputs=inputs, outputs=[self._output(row)])
        else:
            said, _, trace = (row["error"] or "").partition("\n")
            error = error_message_run.ErrorMessageRunFacet(said, "PYTHON", trace, producer=_PRODUCER)
            yield event("FAIL", end, {"errorMessage": error}, inputs=inputs)

    # -- datasets

    def _inputs(self, row: dict[str, Any]) -> list[Any]:
        from openlineage.client.event_v2 import InputDataset

        found: dict[tuple[str, str], Any] = {}
        for name, entry in json.loads(row["arguments"]).items():
            for number in sources_of(entry) if name != MADE_OF else ():
                made = self.store.index.execution(number)
                found.setdefault(
                    (self.namespace, f"{_name(made)} {number}"),
                    InputDataset(self.namespace, _name(made), facets=self._facets(made)),
                )
            for path in entry.get("files", ()) if isinstance(entry, dict) else ():
                found.setdefault(_place(path), InputDataset(*_place(path)))
        return list(found.values())

    def _output(self, row: dict[str, Any]) -> Any:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

        counts = statistics.OutputStatisticsOutputDatasetFacet(
            rowCount=self._rows(row), size=row["bytes_out"], producer=_PRODUCER
        )
        facets = self._facets(row)
        lineage = self._column_lineage(row) if self.columns else None
        if lineage is not None:
            facets["columnLineage"] = lineage
        return OutputDataset(self.namespace, _name(row), {"outputStatistics": counts}, facets=facets)

    def _rows(self, row: dict[str, Any]) -> int | None:
        return Dataset[Any](self.store, load_tree(self.store.unspill(row["value"])), Any, row["id"]).rows

    def _facets(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return which version of the dataset an execution made, by digest, and its columns."""
        from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

        version = dataset_version_dataset.DatasetVersionDatasetFacet(row["result"].hex(), producer=_PRODUCER)
        facets: dict[str, Any] = {"version": version}
        columns = schema_of(self.store, row)
        if columns:
            fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in columns.items()]
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields, producer=_PRODUCER)
        return facets

    def _column_lineage(self, row: dict[str, Any]) -> Any:
        """Return where each column came from, as far as that is known: what is opaque is left out."""
        from openlineage.client.facet_v2 import column_lineage_dataset as facet

        fields: dict[str, list[Any]] = {}
        for edge in edges_of(self.store, row, self.known):
            if edge.from_execution is None or edge.from_column is None:
                continue
            kind = {"value": "DIRECT", "rows": "INDIRECT"}.get(edge.kind)
            transformations = [facet.Transformation(kind)] if kind else []
            made = _name(self.store.index.execution(edge.from_execution))
            source = facet.InputField(self.namespace, made, edge.from_column, transformations)
            fields.setdefault(edge.column, []).append(source)
        if not fields:
            return None
        lineage = {column: facet.Fields(sources) for column, sources in fields.items()}
        return facet.ColumnLineageDatasetFacet(lineage, producer=_PRODUCER)


def _name(row: dict[str, Any]) -> str:
    return str(row["node_reference"]).replace(":", ".")


def _place(path: str) -> tuple[str, str]:
    if not is_url(path):
        return "file", path
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or "/"
