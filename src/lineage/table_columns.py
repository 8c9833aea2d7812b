"""Column lineage: from which columns of which datasets each column of a dataset came, through chains of nodes.

Asked of a call when somebody wants to know, and not when it runs: what polars' plan says follows from the code, the constants and the
schemas, all of which are in the call's key. So nothing is paid for it by those who don't ask, and nothing is hashed. The
answer is that of the recorded call or none: where the code has changed since, the call is opaque.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from lineage.codecs.text import load_tree
from lineage.codecs.thaw import Thawer
from lineage.content.tree import Branch, Leaf, Tree, leaves
from lineage.datasets import MADE_OF
from lineage.derivations import Trace, traced
from lineage.errors import LineageError, NotFoundError
from lineage.identity import identify
from lineage.node import Node
from lineage.query.points import point
from lineage.recorded import RecordedCall, sources_of, walked
from lineage.running import Current, inside
from lineage.session import Session
from lineage.signatures import split_annotated
from lineage.storage.store import Store

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SCHEMA", "ColumnEdge", "columns_frame", "edges_of", "schema_of"]

SCHEMA = {
    "node": ("String", "the node that made the column"),
    "execution": ("Int64", "the execution that did"),
    "column": ("String", "the column"),
    "kind": (
        "String",
        "`value`: its values come from there; `rows`: that decides which rows there are; `either`: one of them or both; `begins`: no "
        "table was given; `opaque`: it can't be said",
    ),
    "parameter": ("String", "the parameter that was given the table it came from"),
    "from_node": ("String", "the node that made that table; null where it was given as a value"),
    "from_execution": ("Int64", "the execution that did: of several tables read as one, the first"),
    "from_column": ("String", "the column it came from"),
    "reason": ("String", "why it can't be said"),
}


class ColumnEdge(NamedTuple):
    """A row of `SCHEMA`."""

    node: str
    execution: int
    column: str
    kind: str
    parameter: str | None = None
    from_node: str | None = None
    from_execution: int | None = None
    from_column: str | None = None
    reason: str | None = None


def columns_frame(session: Session, x: Any, column: str | None = None) -> pl.DataFrame:
    """Return the edges between columns that led to `x` as a frame. See `lineage.columns`."""
    import polars as pl

    roots = point(session, x).executions
    edges = list(_all_edges(session.store, roots))
    if column is not None:
        edges = _that_led_to(edges, {row["id"] for row in walked(session.store.index, roots, upstream=False)}, column)
    schema = {name: getattr(pl, kind) for name, (kind, _) in SCHEMA.items()}
    return pl.DataFrame([edge._asdict() for edge in edges], schema=schema)


def _that_led_to(edges: list[ColumnEdge], roots: set[int], column: str) -> list[ColumnEdge]:
    known = {edge.column for edge in edges if edge.execution in roots}
    if column not in known:
        raise NotFoundError(f"there is no column {column!r}; there are {', '.join(sorted(known)) or 'none'}")
    wanted = {(root, column) for root in roots}
    found = []
    for edge in edges:  # nearest first
        if (edge.execution, edge.column) in wanted:
            found.append(edge)
            if edge.from_execution is not None and edge.from_column is not None:
                wanted.add((edge.from_execution, edge.from_column))
    return found


def _all_edges(store: Store, roots: tuple[int, ...]) -> Iterator[ColumnEdge]:
    """Yield the edges of all calls that led to `roots`, consumers before what they consume."""
    rows = {row["id"]: row for row in walked(store.index, roots, upstream=True)}
    known: dict[tuple[Any, ...], Trace] = {}
    for number in sorted(rows, reverse=True):  # what is consumed was executed before
        yield from edges_of(store, rows[number], known)


def edges_of(store: Store, row: dict[str, Any], known: dict[tuple[Any, ...], Trace]) -> list[ColumnEdge]:
    """Return the edges of one execution; none where its result is no table. `known` keeps what equal calls gave."""
    names = list(schema_of(store, row))
    if not names:
        return []
    call = RecordedCall(store, row, None)
    head = (row["node_name"], row["id"])
    try:
        return list(_traced_edges(call, head, names, known))
    except (LineageError, LookupError) as error:
        return [ColumnEdge(*head, name, "opaque", reason=str(error)) for name in names]


def schema_of(store: Store, row: dict[str, Any]) -> dict[str, str]:
    """Return the columns of the table that an execution gave, and their types; none where it gave something else."""
    return {} if row["value"] is None else _schema_in(store, load_tree(store.unspill(row["value"]))) or {}


def _schema_in(store: Store, tree: Tree) -> dict[str, str] | None:
    """Return the columns of a table, or of several as one, as text."""
    if isinstance(tree, Leaf) and tree.family == "table":
        return store.index.info(tree.content).get("schema")
    if isinstance(tree, Branch) and tree.kind in ("scan", "joined"):
        return _schema_in(store, next(iter(leaves(tree))))
    return None


def _traced_edges(
    call: RecordedCall, head: tuple[str, int], names: list[str], known: dict[tuple[Any, ...], Trace]
) -> Iterator[ColumnEdge]:
    node = call.node()
    trees = call.trees(node)
    tables = {name: tree for name, tree in trees.items() if _has_table(tree)}
    if not tables:
        yield from (ColumnEdge(*head, name, "begins") for name in names)
        return
    reason = _not_lazy(node, tables)
    trace = Trace({}, reason) if reason else _trace(call, node, trees, tables, known)
    for name in names:
        if trace.opaque is not None or name not in trace.columns:
            yield ColumnEdge(*head, name, "opaque", reason=trace.opaque or "the plan has no such column")
            continue
        found = trace.columns[name]
        if not found:
            yield ColumnEdge(*head, name, "begins")
        for source in found:
            origin = _origin(call, source.parameter)
            yield ColumnEdge(*head, name, source.kind, source.parameter, *origin, source.column)


def _has_table(tree: Tree) -> bool:
    return isinstance(tree, (Leaf, Branch)) and any(leaf.family == "table" for leaf in leaves(tree))


def _not_lazy(node: Node[..., Any], tables: dict[str, Tree]) -> str | None:
    """Return why a node's plan says nothing of its columns: it takes, or returns, tables that are no lazy frames."""
    hints = dict(zip(node.signature.names, node.signature.hints, strict=True))
    for name in tables:
        if not _is_lazy(hints[name]):
            return f"it takes `{name}` as a whole, not as a LazyFrame"
    return None if _is_lazy(node.signature.returns) else "it returns a whole table, not a LazyFrame"


def _is_lazy(hint: Any) -> bool:
    import polars as pl

    return split_annotated(hint)[0] is pl.LazyFrame


def _trace(
    call: RecordedCall,
    node: Node[..., Any],
    trees: dict[str, Tree],
    tables: dict[str, Tree],
    known: dict[tuple[Any, ...], Trace],
) -> Trace:
    thawer = Thawer(call.store.read, identify)
    schemas = {name: thawer.thaw(tree).collect_schema() for name, tree in tables.items()}
    others = {name: tree for name, tree in trees.items() if name not in tables}
    key = (call.row["code_digest"], repr(schemas), repr(others))
    if key not in known:
        known[key] = traced(_composing(call, node, {name: thawer.thaw(tree) for name, tree in others.items()}), schemas)
    return known[key]


def _composing(call: RecordedCall, node: Node[..., Any], others: dict[str, Any]) -> Any:
    def compose(frames: dict[str, Any]) -> Any:
        args, kwargs = node.signature.spread([{**others, **frames}[name] for name in node.signature.names])
        token = inside.set(Current(call.row["run"], node.name, call.row["call_key"].hex(), 1, call.store.place))
        try:
            return node.fn(*args, **kwargs)
        finally:
            inside.reset(token)

    return compose


def _origin(call: RecordedCall, parameter: str) -> tuple[str | None, int | None]:
    """Return the node and the execution that made the table given as `parameter`, the first of several."""
    import json

    index = call.store.index
    numbers = sources_of(call.arguments.get(parameter))
    while numbers:
        row = index.execution(numbers[0])
        below = sources_of(json.loads(row["arguments"]).get(MADE_OF, {}))
        if not below:
            return row["node_name"], row["id"]
        numbers = below
    return None, None
