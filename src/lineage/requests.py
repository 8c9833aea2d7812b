"""One request, carried out: begun in the index, run under fixed settings, ended and recorded however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lineage import capture
from lineage.asked import answers
from lineage.collector import graph_at_rest
from lineage.content.tree import Tree, holes
from lineage.crossing import check_crossings
from lineage.engine import Engine, Replan
from lineage.errors import ReadOnlyStoreError
from lineage.executors.base import Executor
from lineage.failures import with_others
from lineage.git import GitState
from lineage.graph import Call, shown
from lineage.interrupts import Stops, insistently
from lineage.limits import fanout
from lineage.options import Options, RunOptions
from lineage.planning import FAILED, HIT, NEEDED, Graph, Step
from lineage.progress import Progress
from lineage.settings import alone, fixed_settings

if TYPE_CHECKING:
    from lineage.names import Pins
    from lineage.node import Node
    from lineage.session import Session

__all__ = ["carried_out", "conditions", "note_run"]


def note_run(session: Session, tree: Tree, pins: Pins) -> None:
    """Record a run in which there was nothing to do."""
    index = session.store.index
    if index.writable:
        facts = _facts(session)
        run = index.begin_run(_name(tree), session.user, os.uname().nodename, _shown_roots(tree), facts)
        index.end_run(run, "ok", {"hit": sum(1 for _ in holes(tree))}, {**facts, **pins.facts()})


def carried_out(session: Session, graph: Graph, tree: Tree, options: RunOptions, pins: Pins) -> Engine:
    """Have all that `tree` needs made, and return the engine that did it.

    Raises:
        NodeError: a call failed, and `tree` can't be had.
        Replan: start over with a new graph.
    """
    index = session.store.index
    options_of = _options_of(session, options)
    counts: dict[str, int] = {}
    work = any(step.state == NEEDED and step.is_call for step in graph.order)
    facts = _facts(session)
    if work and not index.writable:
        raise ReadOnlyStoreError(
            f"the store in {session.root} is read-only, and {sum(s.state == NEEDED and s.is_call for s in graph.order)} "
            "calls are not in it yet; open one that can be written"
        )
    if work:
        check_crossings(graph)
    git = GitState() if work else None
    with Stops() if work else contextlib.nullcontext(_never) as stops:
        run = 0
        if index.writable:
            run = index.begin_run(_name(tree), session.user, os.uname().nodename, _shown_roots(tree), facts)
        status = "interrupted"
        try:
            progress = Progress(session.progress, graph)
            tell = _teller(session.on_event, counts, progress)
            engine = Engine(
                session.store, graph, run, _executor_of(session, options), tell,
                options.on_failure or "finish", options_of, stops.check,
            )  # fmt: skip
            progress.running = engine.dispatch.running
            session.engines.append(engine)
            _tell_hits(session.on_event, progress.wanted, graph, counts, tell)
            roots = map(graph.step, holes(tree))
            if work:
                with conditions(session, graph, options_of, progress):
                    engine.carry_out(roots)
            else:
                engine.carry_out(roots)
            status = "failed" if engine.failures else "ok"
        except Replan:
            raise
        except Exception:
            status = "failed"
            raise
        finally:
            session.engines[:] = [other for other in session.engines if other.run != run]
            facts |= {**(git.facts() if git else {}), **answers(graph, tree), **pins.facts()}
            insistently(lambda: _end(session, run, status, counts, facts))
    if options.on_failure != "continue":
        _raise_failures(engine, tree)
    return engine


_never = Stops()
"""For requests in which there is nothing to stop."""


def _end(session: Session, run: int, status: str, counts: dict[str, int], facts: dict[str, Any]) -> None:
    if session.store.index.writable:
        session.store.index.end_run(run, status, counts, facts)
        session.store.flush()


@contextlib.contextmanager
def conditions(
    session: Session, graph: Graph, options_of: Callable[[Any], Options], progress: Progress | None = None
) -> Iterator[None]:
    """Hold what nodes may rely on while they run: settings, captured output, the limit of a map."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(alone())
        if progress is not None:
            stack.enter_context(progress)
        stack.enter_context(capture.capturing())
        stack.enter_context(fixed_settings(_packages(graph), _cpus(graph, options_of)))
        stack.enter_context(fanout(session.max_fanout))
        if progress is not None:
            stack.enter_context(graph_at_rest(len(graph.order)))
        yield


def _options_of(session: Session, options: RunOptions) -> Callable[[Any], Options]:
    """Return what gives the options of a node that hold in this run: its own, the run's, those of the text that names its executor."""
    known: dict[int, Options] = {}

    def options_of(node: Any) -> Options:
        found = known.get(id(node))
        if found is None:
            filled = options.filling(node.given)
            asked = session.executors.resources(node.given.executor or _default(options))
            found = known[id(node)] = RunOptions(resources=asked).filling(filled) if asked is not None else filled
        return found

    return options_of


def _default(options: RunOptions) -> Any:
    return options.executor or os.environ.get("LINEAGE_EXECUTOR") or "default"


def _facts(session: Session) -> dict[str, Any]:
    return {"project": session.project, "branch": session.branch, "process": os.getpid()}


def _tell_hits(
    on_event: Any, shows: bool, graph: Graph, counts: dict[str, int], tell: Callable[[str, Step], None]
) -> None:
    hits = [step for step in graph.order if step.state == HIT]
    if on_event is None and not shows:
        counts["hit"] = len(hits)
        return
    for step in hits:
        tell("hit", step)


def _teller(
    on_event: Callable[[str, str, str], None] | None, counts: dict[str, int], progress: Progress
) -> Callable[[str, Step], None]:
    def count(verdict: str, step: Step) -> None:
        if verdict != "running":
            counts[verdict] = counts.get(verdict, 0) + 1

    def tell(verdict: str, step: Step) -> None:
        if progress.wanted:
            progress.tell(verdict, step)
        if verdict == "running":
            return
        count(verdict, step)
        if on_event is not None and step.is_call and verdict != "retried":
            on_event(verdict, step.node.name, shown(step.hole))

    return tell if progress.wanted or on_event is not None else count


def _executor_of(session: Session, options: RunOptions) -> Callable[[Node[..., Any]], Executor]:
    default = session.executors.find(_default(options))
    attached: dict[Any, Executor] = {}

    def executor_of(node: Node[..., Any]) -> Executor:
        name = node.given.executor
        environment = node.environment()
        if environment is not None:
            beside = default if name is None else session.executors.find(name)
            pool = session.executors.pinned(environment, getattr(beside, "workers", 1))
            if id(pool) not in attached:
                attached[id(pool)] = pool
                pool.attach(session.store)
            return pool
        found = attached.get(name)
        if found is None:
            found = attached[name] = default if name is None else session.executors.find(name)
            if not any(found is other for key, other in attached.items() if key != name):
                found.attach(session.store)  # once a run, since it forgets what waits
        return found

    return executor_of


def _raise_failures(engine: Engine, tree: Tree) -> None:
    failed = next((step for step in map(engine.graph.step, holes(tree)) if step.state == FAILED), None)
    if not engine.failures or failed is None:
        return
    error = failed.error
    assert error is not None
    others = [step for step in engine.failures if step.error is not error]
    listed = ((shown(step.hole), step.error) for step in others if step.error is not None)
    raise with_others(error, listed, len(others), engine.run)


def _packages(graph: Graph) -> frozenset[str]:
    nodes = {id(step.node): step.node for step in graph.order if step.is_call}
    return frozenset(name for node in nodes.values() if node.environment() is None for name in node.packages())


def _cpus(graph: Graph, options_of: Callable[[Any], Options]) -> int:
    """Return the most cores that a node of the graph asks for."""
    nodes = {id(step.node): step.node for step in graph.order if step.is_call}
    asked = [options_of(node).resources for node in nodes.values()]
    return max(1, int(max((resources.cpus for resources in asked if resources is not None), default=1)))


def _name(tree: Tree) -> str:
    first = next(holes(tree), None)
    return first._lineage_node.name if isinstance(first, Call) else "materialize"


def _shown_roots(tree: Tree) -> str:
    return ", ".join(shown(root) for root, _ in zip(holes(tree), range(3), strict=False))
