"""A session binds a store and executors; `compute`, `materialize` and `plan` are its three questions."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar, Token
from pathlib import Path
from typing import Any, TypeVar, Unpack

from attrs import evolve

from lineage.codecs.text import load_tree
from lineage.codecs.thaw import ClassChangedError, Thawer
from lineage.collector import collector_at_rest
from lineage.content.tree import Branch, Hole, Tree, fill, holes, leaves
from lineage.crossing import unreadable_here
from lineage.datasets import Dataset, record_of
from lineage.defaults import default_namespace, default_store, default_user
from lineage.digest import Digest
from lineage.engine import Engine, Replan
from lineage.environments.current import run_env
from lineage.environments.request import Env
from lineage.errors import (
    CompositionError,
    CorruptObjectError,
    LazyValueError,
    NodeError,
    ObjectMissingError,
    ReadOnlyStoreError,
)
from lineage.executors.base import Executor
from lineage.executors.chosen import Executors
from lineage.failures import as_failed
from lineage.fingerprints import Fingerprints
from lineage.graph import Call, result_hint
from lineage.identity import freezer, identify
from lineage.incomplete import Incomplete
from lineage.limits import default_fanout, fanout
from lineage.names import Namespace, Pins, chosen, find_latest, find_tagged, full_name
from lineage.node import Node
from lineage.options import Asked, OnFailure, Resources, Retry, RunOptions
from lineage.outcomes import Failed
from lineage.planning import FAILED, Graph, Step, call_key, calls_behind
from lineage.plans import Plan, planned
from lineage.progress import Mode
from lineage.records import Tag
from lineage.reliance import Reliance
from lineage.remembered import collection_key, note_collection, recalled
from lineage.requests import carried_out, conditions, note_run
from lineage.running import inside
from lineage.storage.downloads import LIMIT
from lineage.storage.objects import Verify
from lineage.storage.store import Store

__all__ = ["Session", "configure", "current_session"]

T = TypeVar("T")

_REPAIRS = 3
"""How often a run may find something damaged and start over."""

state = {"asked": 0}
"""How often this process asked for a result or a plan, for the reminder at exit."""


class Session:
    """A store and executors, bound together. As a context manager it is the default inside the `with` block.

    `store` is a folder (default: `LINEAGE_STORE`, else `.lineage/` beside the nearest `pyproject.toml`); `executors` binds
    names to executors (or to texts such as `"processes:4"`), `"default"` among them; `retries`, `timeout`, `resources` hold for
    nodes that do not say their own, `on_failure` for runs that do not; `env` is what all nodes inherit of their
    environment, and add to; `user`, `branch` and `project` say whose names and
    runs are one's own, and `namespace` whose are read in place of them (default: `LINEAGE_NAMESPACE`; see
    `lineage.names`); `verify` says when stored bytes are checked (`always`, `first`, `never`); a store that is not
    `trusted` reads no pickles; with `read_only` what the store has is served, work is refused, and nothing in its folder
    changes; `progress` is `"bar"`, `"lines"` (plain lines, for logs) or `"off"` (default: a bar on a terminal);
    `downloads` is how many bytes of copies of remote inputs may lie beside the store; `max_fanout` (100,000)
    is how many calls one `map` may make, inside the block and in this session's runs;
    `on_event` is told `(verdict, node name, call text)` of what happens.

    >>> import tempfile
    >>> with Session(tempfile.mkdtemp()) as session:
    ...     session.compute(41 + 1)
    42
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | None = None,
        *,
        executors: Mapping[str, Executor | str] | None = None,
        project: str | None = None,
        branch: str | None = None,
        user: str | None = None,
        namespace: str | None = None,
        verify: Verify = "first",
        trusted: bool = True,
        read_only: bool = False,
        retries: int | Retry | None = None,
        timeout: float | None = None,
        resources: Resources | None = None,
        on_failure: OnFailure | None = None,
        env: Env | None = None,
        progress: Mode = None,
        downloads: int = LIMIT,
        max_fanout: int | None = None,
        on_event: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self.root = Path(store) if store is not None else default_store()
        self.executors = Executors(executors or {})
        self.options = RunOptions(retries=retries, timeout=timeout, resources=resources, on_failure=on_failure, env=env)
        """What is said of every run of this session."""
        self.project = project
        self.branch = branch
        self.user = user or default_user()
        self.own = Namespace.of(self.user, branch=branch, project=project)
        reads = namespace or default_namespace()
        self.reads = self.own if reads is None else Namespace.parse(reads, project=project)
        self.progress = progress
        self.max_fanout = max_fanout
        self.on_event = on_event
        self._verify: Verify = verify
        self._trusted = trusted
        self._downloads = downloads
        self._read_only = read_only
        self._store: Store | None = None
        self._opening = threading.Lock()
        self.engines: list[Engine] = []
        self._tokens: list[tuple[Token[Session | None], contextlib.ExitStack]] = []

    @property
    def store(self) -> Store:
        """The open store. Opened at first use."""
        found = self._store
        if found is None:
            with self._opening:  # a thread that shows calls may come while another begins a run
                found = self._store
                if found is None:
                    found = self._store = Store(
                        self.root,
                        freezer,
                        verify=self._verify,
                        trusted=self._trusted,
                        read_only=self._read_only,
                        downloads=self._downloads,
                    )
        return found

    @property
    def has_store(self) -> bool:
        """Whether there is a store, so that opening it makes nothing."""
        return self._store is not None or (self.root / "index.sqlite").exists()

    def in_flight(self) -> set[Digest]:
        """Return the recipe keys of the calls that this session's runs have in hand now."""
        return {key for engine in list(self.engines) for key in engine.in_flight()}

    def __enter__(self) -> Session:
        held = contextlib.ExitStack()
        held.enter_context(fanout(self.max_fanout))
        self._tokens.append((_session.set(self), held))
        return self

    def __exit__(self, *_: object) -> None:
        token, held = self._tokens.pop()
        held.close()
        _session.reset(token)
        self.close()

    def close(self) -> None:
        """Make everything durable and close the store."""
        self.executors.close()
        if self._store is not None:
            self._store.close()
            self._store = None

    def __repr__(self) -> str:
        return f"Session({str(self.root)!r}, executors={self.executors!r})"

    # -- the three questions

    def compute(self, *values: Any, **asked: Unpack[Asked]) -> Any:
        """Return the value of each lazy in `values`, computing only what is missing. See `lineage.compute`."""
        if not values:
            raise CompositionError("compute needs something to compute")
        single = len(values) == 1
        wanted = values[0] if single else values
        tree = self._frozen(wanted)
        if next(holes(tree), None) is None:
            return wanted
        options = RunOptions(**asked).over(self.options)
        if options.on_failure == "continue":  # a value can't be half there
            options = evolve(options, on_failure="finish")
        with run_env(options.env):
            return self._answer(tree, options, lambda engine: self._value(engine, tree), remember=True)

    def materialize(self, *values: Any, **asked: Unpack[Asked]) -> Any:
        """Return the handle of each lazy in `values`, computing only what is missing. See `lineage.materialize`."""
        if not values:
            raise CompositionError("materialize needs something to materialise")
        trees = [self._frozen(value) for value in values]
        for value, tree in zip(values, trees, strict=True):
            if next(holes(tree), None) is None:
                raise CompositionError(f"{value!r:.80} is a plain value, not a call; there is nothing to materialise")
        options = RunOptions(**asked).over(self.options)
        with run_env(options.env):
            handles = self._answer(self._frozen(list(values)), options, lambda engine: self._handles(engine, trees))
        return handles[0] if len(handles) == 1 else tuple(handles)

    def plan(self, *values: Any, refresh: Iterable[Any] = (), env: Env | None = None) -> Plan:
        """Return what materialising `values` would do, and why. Runs nothing."""
        state["asked"] += 1
        return planned(self.looked_up(self._frozen(list(values)), refresh, env))

    def looked_up(self, tree: Tree, refresh: Iterable[Any] = (), env: Env | None = None) -> Graph:
        """Return the graph of the calls in `tree`, looked up. Runs nothing."""
        with run_env(RunOptions(env=env).over(self.options).env):
            return self._look_up(self._composed(tree, refresh), tree)

    def key_of(self, call: Call) -> Digest | None:
        """Return the key of a call by code and content; None while the results that it takes are not there."""
        with run_env(self.options.env):
            graph = self.looked_up(call)
        step = graph.step(call)
        if step.record is not None:
            return step.record.call_key
        known = all(graph.complete(made_from) for made_from in step.inputs)
        return call_key(graph, step) if known else None

    def _frozen(self, value: Any) -> Tree:
        running = inside.get()
        if running is not None:
            raise LazyValueError(
                f"results can't be asked for inside the node {running.node}; take them as its arguments"
            )
        return freezer.freeze(value)

    # -- running

    def _pins(self) -> Pins:
        return Pins(self.store.index, self.reads, self.root)

    def _composed(
        self, tree: Tree, refresh: Iterable[Any], *, pins: Pins | None = None, persist: bool = False
    ) -> Graph:
        """Return the graph of `tree`, every vertex with its key, nothing looked up."""
        again: frozenset[Any] = frozenset(_nodes(refresh))
        graph = Graph(
            self.store.index,
            Fingerprints(self.store.index, self.store.downloads),
            refresh=again,
            is_current=Reliance(node.declared.reference for node in again),
            unspill=self.store.unspill,
            resolve=(pins or self._pins()).resolve,
        )
        with collector_at_rest():
            graph.add(holes(tree))
        if persist:
            graph.raise_generations()
        return graph

    def _look_up(self, graph: Graph, tree: Tree) -> Graph:
        with collector_at_rest():
            graph.demand(graph.step(root) for root in holes(tree))
            graph.settle()
        return graph

    def _answer(self, tree: Tree, options: RunOptions, read: Callable[[Engine], T], *, remember: bool = False) -> T:
        """Resolve `tree` and return what `read` makes of it, starting over where a repair upset the plan.

        With `remember`, the answer for a large collection is kept, and found again as soon as its keys are there.
        """
        state["asked"] += 1
        refresh = list(options.refresh)
        pins = self._pins()  # for all attempts: a name leads to one dataset in a run
        for _ in range(_REPAIRS):
            graph = self._composed(tree, refresh, pins=pins, persist=True)
            key = collection_key(graph, tree) if remember else None
            if key is not None and not refresh and self.on_event is None:
                for known in recalled(self.store, key, graph):
                    note_run(self, tree, pins)
                    return known  # type: ignore[no-any-return]
            try:
                self._look_up(graph, tree)
                engine = carried_out(self, graph, tree, options, pins)
                answer = read(engine)
                if key is not None and engine.answer is not None:
                    note_collection(self.store, key, graph, tree, engine.answer)
                return answer
            except Replan:
                refresh = []
        raise NodeError("results keep differing from one execution to the next; look for randomness without a seed")

    # -- values and handles

    def _value(self, engine: Engine, tree: Tree) -> Any:
        thawer = Thawer(self.store.read, identify)
        for attempt in range(_REPAIRS):
            filled = self._filled(engine, tree)
            try:
                return thawer.thaw(filled)
            except (ObjectMissingError, CorruptObjectError, ClassChangedError) as error:
                origins = _origins(engine.graph, tree)
                foreign = unreadable_here(error, origins) if isinstance(error, ClassChangedError) else None
                if foreign is not None:
                    raise foreign from error
                if attempt == _REPAIRS - 1:
                    raise
                self._mend(engine, origins, read=True)
        raise AssertionError("unreachable")

    def _filled(self, engine: Engine, tree: Tree) -> Tree:
        """Return a request with what its calls gave. Heavy values that were given in it are kept as results are."""
        filled = engine.answer = fill(tree, lambda hole: engine.graph.tree(engine.graph.step(hole)))
        given = [leaf for leaf in leaves(filled) if leaf.value is not None and not leaf.is_inline]
        if given:
            for leaf in given:
                self.store.keep(leaf)
            self.store.index.flush()
        return filled

    def _mend(self, engine: Engine, origins: list[Step], *, read: bool) -> None:
        """Execute again the calls whose results are damaged or gone."""
        broken = [
            step
            for step in origins
            if not (engine.repairs.is_whole(step) if read else self.store.has(engine.graph.tree(step)))
        ]
        if broken and not self.store.index.writable:
            raise ReadOnlyStoreError(
                f"the store in {self.root} is read-only, and the result of {broken[0].node.name} is damaged or gone; "
                "open one that can be written"
            )
        if broken:
            with conditions(self, engine.graph, engine.options_of):
                engine.repair(broken)
            self.store.index.flush()
            for step in broken:
                if step.error is not None:
                    raise step.error

    def _handles(self, engine: Engine, trees: list[Tree]) -> list[Dataset[Any] | Failed]:
        graph = engine.graph
        made = [step for tree in trees for step in _origins(graph, tree) if step.state != FAILED]
        self._mend(engine, made, read=False)
        return [self._handle(engine, tree) for tree in trees]

    def _handle(self, engine: Engine, tree: Tree) -> Dataset[Any] | Failed:
        graph = engine.graph
        if isinstance(tree, Hole):
            step = graph.step(tree)
            if step.state == FAILED:
                return as_failed(step.error)
            return Dataset[Any](self.store, graph.tree(step), result_hint(tree), step.execution)
        parts: dict[int | str, Any] | None = None
        if isinstance(tree, Branch) and tree.kind in ("list", "tuple"):
            parts = {position: self._handle(engine, item) for position, item in enumerate(tree.items)}
        elif isinstance(tree, Branch) and tree.kind == "dict":
            pairs = zip(tree.items[::2], tree.items[1::2], strict=True)
            parts = {key: self._handle(engine, item) for key, item in pairs if isinstance(key, str)}
        if engine.failures:
            failed = next((step for step in map(graph.step, holes(tree)) if step.state == FAILED), None)
            if failed is not None:
                return as_failed(failed.error) if parts is None else Incomplete(self.store, parts)
        return Dataset[Any](self.store, self._filled(engine, tree), Any, None, parts)

    # -- names

    def tag(self, dataset: Any, name: str) -> None:
        """Let `name` lead to `dataset` (a handle, or a call that is materialised) from now on. See `lineage.tag`."""
        space, own = full_name(name, self.own)
        if not self.own.admits(space):
            raise CompositionError(
                f"{name!r} is a name of {space.text}, and this session writes to {self.own.text}, or to branches of its "
                "project. Tag it under a name of your own"
            )
        handle = dataset if isinstance(dataset, Dataset) else self.materialize(dataset)
        if not isinstance(handle, Dataset):
            raise CompositionError(f"one dataset is tagged at a time, not {len(handle)}")
        self.store.index.tag(f"{space.text}/{own}", record_of(handle), None, user=self.user)
        self.store.index.flush()

    def tags(self, name: str | None = None) -> list[Tag]:
        """Return every move of `name`, the latest first; without it, what each name of everybody's leads to."""
        if name is None:
            return self.store.index.tags()
        found = find_tagged(self.store.index, name, self.reads).name
        assert found is not None
        return self.store.index.tags(found)

    def dataset(self, wanted: str | Node[..., Any], *, namespace: str | None = None, back: int = 0) -> Dataset[Any]:
        """Return the dataset behind a name, or the latest successful one of a node. See `lineage.dataset`.

        Raises:
            NotFoundError: there is none.
        """
        index = self.store.index
        if isinstance(wanted, Node):
            record, hint = (
                find_latest(index, wanted, chosen(namespace, self.reads), self.root),
                wanted.signature.returns,
            )
        else:
            name = wanted if namespace is None else f"{namespace}/{wanted}"
            record, hint = find_tagged(index, name, self.reads, back).record, Any
        return Dataset(self.store, load_tree(self.store.unspill(record.value)), hint, record.execution)

    def forget(self, wanted: Any) -> None:
        """Forget the records of a call (or of a dataset's call): next time it is executed again.

        History and objects stay; what was computed from it is decided anew, by content.
        """
        index = self.store.index
        if isinstance(wanted, Dataset):
            if wanted._execution is None:
                raise CompositionError("a collection of datasets has no call of its own to forget")
            index.forget_call(index.execution(wanted._execution)["call_key"])
            index.forget_recipes(wanted._execution)
        elif isinstance(wanted, Call):
            with run_env(self.options.env):
                graph = self._composed(wanted, ())
            step = graph.step(wanted)
            record = index.by_recipe([step.key]).get(step.key)
            if record is not None:
                index.forget_call(record.call_key)
            index.raise_generation(step.base or step.key)
        else:
            raise CompositionError(f"forget takes a call or a dataset, not {type(wanted).__name__}")
        index.flush()


def _origins(graph: Graph, tree: Tree) -> list[Step]:
    """Return the calls whose results stand in `tree`."""
    return calls_behind(graph.step(hole) for hole in holes(tree))


def _nodes(refresh: Iterable[Any]) -> Iterator[Node[..., Any]]:
    for wanted in refresh:
        if isinstance(wanted, Call):
            wanted = wanted._lineage_node
        if not isinstance(wanted, Node):
            raise CompositionError(f"refresh takes nodes, not {wanted!r:.60}")
        yield wanted


_session: ContextVar[Session | None] = ContextVar("lineage_session", default=None)
_default: Session | None = None


def current_session() -> Session:
    """Return the session that module-level functions use: the innermost `with Session(...)`, else the default one."""
    global _default
    found = _session.get()
    if found is not None:
        return found
    if _default is None:
        _default = Session()
    return _default


def configure(store: str | os.PathLike[str] | None = None, **options: Any) -> Session:
    """Make the default session anew with these options (those of `Session`) and return it."""
    global _default
    if _default is not None:
        _default.close()
    _default = Session(store, **options)
    default_fanout(_default.max_fanout)
    return _default
