"""Whether recorded results come out again: calls are carried out once more under other circumstances, and compared.

What is compared with what is the node's contract: `exact` by digest, `unordered` in its canonical order, `approx` to its tolerance.
The verdict is recorded with the execution; what the second process computed is thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

from lineage.approx import deviation
from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import Thawer
from lineage.content.tree import SCALARS, Hole, Tree, fill, holes
from lineage.differences import Difference, first_difference
from lineage.digest import Digest, digest_of
from lineage.environments.current import run_env
from lineage.errors import CompositionError, NotFoundError
from lineage.identity import identify
from lineage.options import Approx
from lineage.planning import HIT, Graph, call_key
from lineage.query.points import point
from lineage.recorded import RecordedCall, walked
from lineage.records import Outcome, Verdict
from lineage.replays import Answer, Ask, ask_of, circumstances, replayed
from lineage.session import Session
from lineage.storage.store import Store

__all__ = ["Checked", "Verification", "verify"]

_LINES = 20


@frozen
class Checked:
    """What became of one call: `deterministic`, `differs` or `cannot be run`; why not, or where it differs first."""

    call: str
    node: str
    execution: int
    verdict: Outcome
    reason: str = ""
    difference: Difference | None = None

    def __str__(self) -> str:
        text = f"{self.verdict:<14} {self.call}"
        if self.difference is not None:
            text += f": {self._place()}{self.difference.one} was recorded, {self.difference.other} came out"
        return text + (f" ({self.reason})" if self.reason else "")

    def _place(self) -> str:
        found = str(self.difference).rpartition(": " + self.difference.one)[0] if self.difference else ""
        return found + ": " if found and found != "the value" else ""


class Verification(Sequence[Checked]):
    """What `verify` found, call by call. True where every call that was looked at is deterministic.

    `circumstances` are those under which the calls ran again.
    """

    def __init__(self, checked: Sequence[Checked], under: dict[str, Any]) -> None:
        self.checked = tuple(checked)
        self.circumstances = under

    def __getitem__(self, position: Any) -> Any:
        return self.checked[position]

    def __len__(self) -> int:
        return len(self.checked)

    def __iter__(self) -> Iterator[Checked]:
        return iter(self.checked)

    def counts(self) -> dict[str, int]:
        """Return how many calls there are of each verdict."""
        found: dict[str, int] = {}
        for one in self.checked:
            found[one.verdict] = found.get(one.verdict, 0) + 1
        return found

    @property
    def ok(self) -> bool:
        return bool(self.checked) and all(one.verdict == "deterministic" for one in self.checked)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items()) or "no call to look at"
        ordered = sorted(self.checked, key=lambda one: one.verdict == "deterministic")
        lines = [f"Verification: {counts}", *(f"  {one}" for one in ordered[:_LINES])]
        if len(ordered) > _LINES:
            lines.append(f"  … and {len(ordered) - _LINES} more")
        return "\n".join(lines)


def verify(session: Session, x: Any, *, sample: int | float | None = None) -> Verification:
    """Carry out the calls behind `x` once more and say whether they gave the same. See `lineage.verify`."""
    _check_sample(sample)
    given: dict[Digest, tuple[str, ...]] = {}
    if isinstance(x, (Hole, list, tuple, dict)):
        x, given = session.materialize(x), _arguments_in(session, x)
    index = session.store.index
    rows = _chosen(session, point(session, x).executions, sample)
    recorded = [_Recorded(session.store, row, given.get(row["call_key"])) for row in rows]
    asks, checked = [], {}
    for one in recorded:
        try:
            asks.append(one.ask())
        except NotFoundError as error:
            checked[one.number] = one.checked("cannot be run", str(error))
    under = circumstances()
    if asks:
        by_number = {one.number: one for one in recorded}
        with replayed(session.store, asks, under) as (answers, results):
            for answer in answers:
                checked[answer.number] = by_number[answer.number].compared(answer, results)
    found = [checked[one.number] for one in recorded]
    if index.writable:
        for outcome in found:
            index.note_verdict(_verdict_of(outcome, under, session.user))
        index.flush()
    return Verification(found, under)


def _verdict_of(one: Checked, under: dict[str, Any], user: str) -> Verdict:
    difference = str(one.difference) if one.difference is not None else None
    return Verdict(one.execution, one.verdict, one.reason, difference, under, user)


# -- which calls


def _check_sample(sample: int | float | None) -> None:
    whole = isinstance(sample, int) and not isinstance(sample, bool) and sample >= 1
    share = isinstance(sample, float) and 0 < sample <= 1
    if sample is not None and not whole and not share:
        raise CompositionError(f"sample={sample!r}: give a number of calls from 1 on, or a share of them up to 1.0")


def _chosen(session: Session, roots: Sequence[int], sample: int | float | None) -> list[dict[str, Any]]:
    """Return the executions to look at, in the order in which they were executed.

    Calls that compose are looked through: what they composed is executed by calls of their own.
    """
    if sample is None:
        return _in_order(walked(session.store.index, roots, upstream=False))
    everything = _in_order(walked(session.store.index, roots, upstream=True))
    count = sample if isinstance(sample, int) else math.ceil(sample * len(everything))
    ranked = sorted(everything, key=lambda row: _rank(session, row))
    return _in_order(ranked[:count])


def _in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: int(row["id"]))


def _rank(session: Session, row: dict[str, Any]) -> tuple[int, bytes]:
    """Return what puts those first that were looked at least often, and else leaves it to chance that is always the same."""
    seen = len(session.store.index.verdicts(row["id"]))
    return seen, digest_of("sample", row["call_key"], str(seen).encode())


# -- a recorded call


class _Recorded(RecordedCall):
    """An execution that is to be carried out once more."""

    def checked(self, verdict: Outcome, reason: str = "", difference: Difference | None = None) -> Checked:
        return Checked(self.shown(), self.row["node_name"], self.number, verdict, reason, difference)

    def ask(self) -> Ask:
        """Return what a new process needs.

        Raises:
            NotFoundError: the call can't be carried out again; the error says why.
        """
        node = self.node()
        self.compare = node.given.compare
        if node.kind == "sink":
            raise NotFoundError("it is an effect on the outside world")
        if node.kind in ("dynamic", "spread"):
            raise NotFoundError("it composes other calls, which are looked at themselves")
        if node.given.every is not None:
            raise NotFoundError("it is a source: another time gives another value")
        given = self.given or tuple(dump_tree(tree) for tree in self.trees(node).values())
        return ask_of(self.number, node, self.row["code_digest"], given, self.row["call_key"], self.row["run"])

    # -- what came out

    def compared(self, answer: Answer, results: Store) -> Checked:
        """Return what to say of a call that gave `answer`, whose leaves are in `results`."""
        if answer.digest is None:
            return self.checked("cannot be run", answer.why or "")
        if answer.digest == self.row["result"]:
            return self.checked("deterministic")
        try:
            before = Thawer(self.store.read, identify).thaw(load_tree(self.store.unspill(self.row["value"])))
            now = Thawer(results.read, identify).thaw(load_tree(answer.text))
        except Exception as error:
            return self.checked("differs", f"where, can't be shown: {type(error).__name__}: {error}")
        if isinstance(self.compare, Approx):
            off = deviation(now, before, self.compare)
            if off is not None and off <= 1:
                return self.checked("deterministic", f"{off:.3g} of the tolerance")
        return self.checked("differs", "", first_difference(before, now))


# -- a call that was given, with its arguments as they are


def _arguments_in(session: Session, x: Any) -> dict[Digest, tuple[str, ...]]:
    """Return the arguments of all calls in the graph of `x` that have a result, by call key."""
    with run_env(session.options.env):
        graph: Graph = session._composed(session._frozen(x), ())
        graph.demand(graph.order)
    found: dict[Digest, tuple[str, ...]] = {}
    for step in graph.order:
        if not all(graph.complete(made_from) for made_from in step.inputs):
            continue
        if step.is_call:
            key = call_key(graph, step)
            if step.state != HIT:
                record = graph.index.by_call([key]).get(key)
                if record is None:
                    continue
                step.state, step.record = HIT, record
                step.digest, step.execution = record.result, record.execution
            found[key] = tuple(_whole(graph, argument) for argument in step.hole._lineage_arguments)  # type: ignore[attr-defined]
        else:
            graph.complete(step)
    return found


def _whole(graph: Graph, argument: Tree) -> str:
    if type(argument) in SCALARS or next(holes(argument), None) is None:
        return dump_tree(argument)
    return dump_tree(fill(argument, lambda hole: graph.tree(graph.step(hole))))
