"""Timed blocks inside nodes."""

from __future__ import annotations

import json
import time

import pytest

import lineage as ln
from lineage.errors import LineageError, NodeError


@ln.node
def nested(x: int) -> int:
    with ln.span("fit"):
        time.sleep(0.01)
        with ln.span("load"):
            time.sleep(0.01)
        with ln.span("load"):
            pass
    with ln.span("score"):
        pass
    return x


@ln.node
def recovers(x: int) -> int:
    try:
        with ln.span("outer"), ln.span("inner"):
            raise ValueError("no")
    except ValueError:
        pass
    with ln.span("after"):
        return x


@ln.node
def fails(x: int) -> int:
    with ln.span("before"):
        pass
    with ln.span("broken"):
        raise ValueError("no")


def test_blocks_in_blocks_are_named_after_both_and_stand_in_their_order(session: ln.Session) -> None:
    origin = ln.materialize(nested(1)).origin
    assert origin is not None
    assert [name for name, _, _ in origin.spans] == ["fit", "fit/load", "fit/load", "score"]
    (_, fit_start, fit_seconds), (_, load_start, load_seconds), *_ = origin.spans
    assert 0 <= fit_start <= load_start
    assert load_start + load_seconds <= fit_start + fit_seconds <= origin.wall
    assert "fit/load" in repr(origin)


def test_a_block_that_fails_is_timed_and_leaves_nothing_open(session: ln.Session) -> None:
    origin = ln.materialize(recovers(1)).origin
    assert origin is not None
    assert [name for name, _, _ in origin.spans] == ["outer", "outer/inner", "after"]


def test_the_blocks_of_a_call_that_fails_are_recorded(session: ln.Session) -> None:
    with pytest.raises(NodeError):
        ln.compute(fails(1))
    ((spans,),) = session.store.index.ask("SELECT spans FROM executions WHERE status = 'failed'")
    assert [name for name, _, _ in json.loads(spans)] == ["before", "broken"]


def test_a_block_outside_a_node_is_refused() -> None:
    with pytest.raises(LineageError, match="no node runs here"), ln.span("outside"):
        pass
