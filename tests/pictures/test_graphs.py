"""What a picture of calls says of each, and that looking changes nothing."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

import lineage as ln
from lineage.errors import LineageError
from lineage.pictures.diagram import Box, Diagram
from lineage.pictures.graphs import MOST_BYTES, MOST_VERTICES, diagram_of, diagram_of_plan
from lineage.testing import EventLog
from picture_pipeline import broken, clean, fit, interrupted, load, months, patient, pipeline, report, score


def seen(call: Any, session: ln.Session) -> Diagram:
    return diagram_of(session._frozen(call), session)


def box(diagram: Diagram, title: str) -> Box:
    (found,) = [box for box in diagram.boxes if box.title == title]
    return found


def state(call: Any, session: ln.Session, title: str) -> str:
    return box(seen(call, session), title).state


def test_a_call_is_missing_then_cached(session: ln.Session, tmp_path: Path) -> None:
    (month,) = months(tmp_path / "data", 1)
    assert state(load(month), session, "load") == "missing"
    ln.compute(load(month))
    assert state(load(month), session, "load") == "cached"
    assert state(clean(load(month)), session, "clean") == "missing"


def test_calls_below_a_hit_are_cached_too(session: ln.Session, tmp_path: Path) -> None:
    (month,) = months(tmp_path / "data", 1)
    ln.compute(clean(load(month)))
    assert state(clean(load(month)), session, "load") == "cached"


def test_a_call_below_a_hit_that_was_forgotten_is_not_needed(session: ln.Session, tmp_path: Path) -> None:
    x = fit(load(months(tmp_path / "data", 1)[0]), 0.5)
    ln.compute(x)
    with ln.Session(tmp_path / "other") as other:
        ln.compute(x)
        row = other.store.index.latest(load.reference)
        assert row is not None
        other.store.index._groups.write("DELETE FROM recipes WHERE execution = ?", row[0])
        other.store.index._groups.write("DELETE FROM young_recipes WHERE execution = ?", row[0])
        assert state(x, other, "load") == "unneeded"
        assert state(x, other, "fit") == "cached"


def test_equal_inputs_under_known_code_are_unchanged(session: ln.Session, tmp_path: Path) -> None:
    first, second = months(tmp_path / "data", 2)
    second.path.write_bytes(first.path.read_bytes())
    ln.compute(clean(load(first)))
    ln.compute(load(second))
    assert state(clean(load(second)), session, "clean") == "unchanged"


def test_a_call_that_failed_last_time_says_so_and_why(session: ln.Session) -> None:
    with pytest.raises(ln.LineageError):
        ln.compute(report([1.0], broken(2.0)))
    diagram = seen(report([1.0], broken(2.0)), session)
    assert box(diagram, "broken").state == "failed"
    assert box(diagram, "report").state == "missing"
    assert any("no <number> & no way: True" in line for line in box(diagram, "broken").details)
    assert seen(broken(3.0), session).boxes[0].state == "missing"


def test_a_call_that_another_thread_has_in_hand_is_running(session: ln.Session, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    call = patient(str(gate))
    run = threading.Thread(target=session.compute, args=(call,))
    run.start()
    try:
        until = time.monotonic() + 20
        while (found := state(call, session, "patient")) != "running" and time.monotonic() < until:
            time.sleep(0.01)
        assert found == "running"
    finally:
        gate.touch()
        run.join()
    assert state(call, session, "patient") == "cached"
    assert session.in_flight() == set()


def test_a_call_of_a_run_that_was_interrupted_is_running_no_more(session: ln.Session) -> None:
    with pytest.raises(KeyboardInterrupt):
        ln.compute(interrupted(1))
    assert state(interrupted(1), session, "interrupted") == "missing"


def test_looking_executes_nothing_and_makes_no_store(tmp_path: Path) -> None:
    log = EventLog()
    with ln.Session(tmp_path / "none", on_event=log) as session:
        call = pipeline(tmp_path / "data", 3)
        diagram = seen(call, session)
        assert call._repr_html_()  # type: ignore[attr-defined]
    assert {box.state for box in diagram.boxes} == {"missing", "source"}
    assert diagram.remarks == ("there is no store yet",)
    assert log.names() == []
    assert not (tmp_path / "none").exists()


def test_looking_leaves_the_plan_as_it_was(session: ln.Session, log: EventLog, tmp_path: Path) -> None:
    call = pipeline(tmp_path / "data", 2)
    before = [(one.call, one.verdict) for one in ln.plan(call)]
    seen(call, session)
    assert [(one.call, one.verdict) for one in ln.plan(call)] == before
    assert log.names() == []


def test_large_files_are_not_read_to_show_a_graph(session: ln.Session, tmp_path: Path) -> None:
    session.store  # noqa: B018 (opened, so that there is one)
    big = tmp_path / "big.parquet"
    with big.open("wb") as file:
        file.truncate(MOST_BYTES + 1)  # takes no room on the disk
    diagram = seen(load(ln.File(big)), session)
    assert box(diagram, "load").state == "unknown"
    assert "0.3 GB of inputs are not read" in diagram.remarks[0]
    assert session.store.index.stamp(str(big)) is None


def test_nothing_is_asked_of_the_network_to_show_a_graph(session: ln.Session) -> None:
    session.store  # noqa: B018
    diagram = seen(load(ln.File("https://192.0.2.1/a.parquet")), session)  # an address that leads nowhere
    assert box(diagram, "load").state == "unknown"
    assert "remote inputs are not asked for" in diagram.remarks[0]


def test_a_graph_that_cannot_be_looked_up_is_shown_with_the_reason(session: ln.Session, tmp_path: Path) -> None:
    session.store  # noqa: B018
    diagram = seen(load(ln.File(tmp_path / "gone.parquet")), session)
    assert box(diagram, "load").state == "unknown"
    assert "gone.parquet" in diagram.remarks[0]


def test_hovering_tells_call_node_verdict_reason_digest_and_seconds(session: ln.Session, tmp_path: Path) -> None:
    (month,) = months(tmp_path / "data", 1)
    handle = ln.materialize(clean(load(month)))
    text = "\n".join(box(seen(clean(load(month)), session), "clean").details)
    assert "clean(flights=load(…), min_minutes=15)" in text
    assert "picture_pipeline" in text
    assert handle.digest.hex()[:12] in text
    assert " s by serial on " in text
    missing = "\n".join(box(seen(clean(load(month), 20), session), "clean").details)
    assert "would execute: argument min_minutes: 15 → 20" in missing


def test_a_picture_tells_no_path_of_the_machine(session: ln.Session, tmp_path: Path) -> None:
    call = pipeline(tmp_path / "data", 2)
    assert str(tmp_path) not in repr(seen(call, session))
    ln.compute(call)
    assert str(tmp_path) not in repr(seen(call, session))


def test_fields_are_written_on_arrows_and_views_passed_through(session: ln.Session, tmp_path: Path) -> None:
    diagram = seen(pipeline(tmp_path / "data", 2), session)
    titles = [box.title for box in diagram.boxes]
    arrows = {(titles[arrow.source], titles[arrow.target], arrow.label) for arrow in diagram.arrows}
    assert ("split", "fit", "[0]") in arrows
    assert ("split", "score", "[1]") in arrows
    assert ("clean", "split", "") in arrows
    assert len([arrow for arrow in diagram.arrows if titles[arrow.target] == "split"]) == 2


def test_equal_calls_are_one_box(session: ln.Session, tmp_path: Path) -> None:
    (month,) = months(tmp_path / "data", 1)
    session.store  # noqa: B018
    for _ in range(2):
        diagram = seen([clean(load(month)), clean(load(ln.File(month.path)))], session)
        assert [box.title for box in diagram.boxes] == ["000.parquet", "load", "clean"]
        ln.compute(clean(load(month)))


def test_a_graph_of_five_hundred_calls_is_shown_by_node(session: ln.Session, tmp_path: Path) -> None:
    ln.compute(ln.map(clean, ln.map(load, months(tmp_path / "data", 240))))
    diagram = seen(pipeline(tmp_path / "data", 246, alphas=(0.1, 0.2)), session)
    assert box(diagram, "clean").note == "240 cached, 6 execute"
    assert box(diagram, "clean").beside == "×246"
    assert [one.title for one in diagram.boxes] == ["files", "load", "clean", "scan", "split", "fit", "score", "report"]
    assert diagram.counts() == {"cached": 480, "missing": 12 + 1 + 4 + 1}


def test_more_calls_than_can_be_looked_up_quickly_are_not(session: ln.Session) -> None:
    session.store  # noqa: B018
    diagram = seen(ln.map(broken, [float(number) for number in range(MOST_VERTICES + 50)]), session)
    assert [box.title for box in diagram.boxes] == ["broken"]
    assert diagram.boxes[0].state == "unknown"
    assert "more than 20,000 calls" in diagram.remarks[0]


def test_a_plan_looks_as_things_stood_when_it_was_made(session: ln.Session, tmp_path: Path) -> None:
    (month,) = months(tmp_path / "data", 1)
    ln.compute(load(month))
    plan = ln.plan(clean(load(month)))
    ln.compute(clean(load(month)))
    diagram = diagram_of_plan(plan, session)
    assert {box.title: box.state for box in diagram.boxes} == {
        "000.parquet": "source",
        "load": "cached",
        "clean": "missing",
    }
    assert any("never ran before" in line for line in box(diagram, "clean").details)


def test_a_reference_is_an_input(session: ln.Session, tmp_path: Path) -> None:
    handle = ln.materialize(fit(load(months(tmp_path / "data", 1)[0]), 0.5))
    ln.tag(handle, "prod/model")
    model = ln.ref("prod/model", of=fit)
    diagram = seen(score(model, load(months(tmp_path / "data", 1)[0])), session)
    assert box(diagram, "prod/model").state == "source"
    with pytest.raises(LineageError):
        ln.compute(ln.ref("prod/none"))
    none = score(ln.ref("prod/none", of=fit), load(months(tmp_path / "data", 1)[0]))
    assert "prod/none" in seen(none, session).remarks[0]
