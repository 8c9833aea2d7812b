"""Names of datasets, and the namespaces that keep people out of each other's way.

A *full name* is a namespace and a name: `user:ann/prod/model`. Everybody writes to a namespace of their own, and a name without
a namespace is looked for there: what a colleague tags changes nothing of mine. Others' names are read by their full names.

    user:ann            what ann's sessions write, unless they name a branch
    branch:prod         what sessions with branch="prod" write, whoever's they are
    flights:branch:prod the same inside a project: a session with project="flights" sees the names of its project first

A name is resolved once in a run, to a digest that is recorded with the run and with the calls that were given it: a tag that is
moved meanwhile changes nothing that the run reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import frozen

from lineage.errors import CompositionError, ForeignNameError, NotFoundError, UnknownNameError
from lineage.graph import LatestOf, Pinned
from lineage.node import Node
from lineage.records import Record, Tag

if TYPE_CHECKING:
    import polars as pl

    from lineage.storage.base import Index

__all__ = [
    "EVERYBODY",
    "Namespace",
    "Pins",
    "Resolved",
    "chosen",
    "find_latest",
    "find_tagged",
    "full_name",
    "tags_table",
]

EVERYBODY = "*"
"""In place of a namespace: the latest of a node, whoever ran it."""

_KINDS = ("user", "branch")


@frozen
class Namespace:
    """Whose names and runs are meant: a user's, or a branch's that many share; inside a project or in none.

    >>> Namespace.of("ann", branch=None, project=None).text
    'user:ann'
    >>> Namespace.of("ann", branch="feature/x", project="flights").text
    'flights:branch:feature%2Fx'
    >>> Namespace.parse("user:bob", project="flights").text
    'flights:user:bob'
    """

    kind: str
    who: str
    project: str | None = None

    @staticmethod
    def of(user: str, *, branch: str | None, project: str | None) -> Namespace:
        """Return the namespace that a session writes to."""
        return Namespace("branch", branch, project) if branch is not None else Namespace("user", user, project)

    @staticmethod
    def parse(text: str, *, project: str | None) -> Namespace:
        """Return the namespace that a text means to a session of `project`.

        Raises:
            CompositionError: it is none.
        """
        parts = [_unquoted(part) for part in text.split(":")]
        if len(parts) == 2 and parts[0] in _KINDS and parts[1]:
            return Namespace(parts[0], parts[1], project)
        if len(parts) == 3 and parts[1] in _KINDS and parts[2]:
            return Namespace(parts[1], parts[2], parts[0] or None)
        raise CompositionError(
            f"{text!r} is no namespace; one is `user:NAME` or `branch:NAME`, or `PROJECT:user:NAME` in another project "
            "(`:user:NAME` in none)"
        )

    @property
    def text(self) -> str:
        own = f"{self.kind}:{_quoted(self.who)}"
        return own if self.project is None else f"{_quoted(self.project)}:{own}"

    def admits(self, other: Namespace) -> bool:
        """Say whether a session that writes here may write to `other`: itself, and branches of its project."""
        return other == self or (other.kind == "branch" and other.project == self.project)


def _quoted(part: str) -> str:
    for mark, code in (("%", "%25"), (":", "%3A"), ("/", "%2F")):
        part = part.replace(mark, code)
    return part


def _unquoted(part: str) -> str:
    for mark, code in (("/", "%2F"), (":", "%3A"), ("%", "%25")):
        part = part.replace(code, mark)
    return part


def full_name(name: str, here: Namespace) -> tuple[Namespace, str]:
    """Return the namespace and the name in it that a text means to somebody whose own namespace is `here`.

    >>> space, name = full_name("branch:prod/model", Namespace("user", "ann"))
    >>> space.text, name
    ('branch:prod', 'model')

    Raises:
        CompositionError: it is no name.
    """
    if not isinstance(name, str):
        raise CompositionError(f"a name is a text, not {name!r:.60}")
    first, slash, rest = name.partition("/")
    space = Namespace.parse(first, project=here.project) if slash and ":" in first else here
    own = rest if space is not here else name
    if not own or own != own.strip() or any(not part for part in own.split("/")) or ":" in own:
        raise CompositionError(
            f"{name!r} is no name; one is words with slashes between them, such as 'prod/model', after a namespace if "
            "it is somebody else's: 'user:ann/prod/model'"
        )
    if not own.isprintable() or len(own) > 200 or own == EVERYBODY:
        raise CompositionError(f"{name!r:.80} is no name: it is printable and has up to 200 characters")
    return space, own


class Resolved(NamedTuple):
    """What a reference led to; the full name, where it was a name."""

    record: Record
    name: str | None = None


def find_tagged(index: Index, name: str, here: Namespace, back: int = 0) -> Resolved:
    """Return what `name` leads to for somebody whose own namespace is `here`, or led to `back` moves ago.

    A name that was given before there were namespaces is everybody's: it is found where one's own is not.

    Raises:
        ForeignNameError: only others have it.
        UnknownNameError: nobody has.
    """
    space, own = full_name(name, here)
    known = [f"{space.text}/{own}", *([own] if space == here else [])]
    for candidate in known:
        if back:
            moves = index.tags(candidate)
            if moves and back >= len(moves):
                raise NotFoundError(
                    f"{candidate!r} was moved {len(moves) - 1} times, so it led to nothing {back} moves ago"
                )
            if moves:
                return Resolved(moves[back].record, candidate)
        else:
            record = index.tagged(candidate)
            if record is not None:
                return Resolved(record, candidate)
    raise _not_found(index, space, own, here)


def _not_found(index: Index, space: Namespace, own: str, here: Namespace) -> NotFoundError:
    everything = index.tags()
    wanted = own if space == here else f"{space.text}/{own}"
    foreign = [tag for tag in everything if tag.name != own and _bare(tag.name) == own]
    if foreign and space == here:
        owners = "; ".join(f"{tag.name!r} ({_given_by(tag)})" for tag in foreign[:3])
        return ForeignNameError(
            f"no dataset of {space.text} is named {own!r}, but of others: {owners}. Name the one that you mean in full",
            name=wanted,
            owners=[tag.name for tag in foreign],
        )
    near = _near(own, [tag.name for tag in everything], space)
    shown = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
    return UnknownNameError(
        f"no dataset of {space.text} is named {own!r}, nor of anybody else{shown} Give one the name with "
        f"lineage.tag(dataset, {own!r})",
        name=wanted,
        near=near,
    )


def _given_by(tag: Tag) -> str:
    import datetime

    day = datetime.datetime.fromtimestamp(tag.at, datetime.UTC).date().isoformat()
    return f"given by {tag.user} on {day}" if tag.user else f"given on {day}"


def _near(own: str, names: Iterable[str], space: Namespace) -> list[str]:
    """Return names that look like `own`: one's own in short, those of others in full, one's own first."""
    import difflib

    found: dict[str, str] = {}
    for name in sorted(names, key=lambda name: not name.startswith(space.text + "/")):
        found.setdefault(_bare(name), name.removeprefix(space.text + "/"))
    close = difflib.get_close_matches(own, list(found), n=3)
    return sorted((found[name] for name in close), key=lambda name: ":" in name)


def _bare(name: str) -> str:
    """Return a name without its namespace."""
    first, slash, rest = name.partition("/")
    return rest if slash and ":" in first else name


def find_latest(index: Index, node: Node[..., Any], here: Namespace | None, place: object) -> Record:
    """Return the latest successful result of a node in the runs of a namespace, or in all runs.

    Raises:
        ForeignNameError: only runs of others have one.
        NotFoundError: none has.
    """
    whose = None if here is None else (here.kind, here.who, here.project)
    found = index.latest_of(node.reference, whose)
    if found is not None:
        return found
    other = index.latest_of(node.reference) if here is not None else None
    if other is None or here is None:
        raise NotFoundError(f"no dataset of node {node.name} in {place}; materialise one first")
    run = index.run_of(other.execution)
    owner = Namespace.of(run.user, branch=run.facts.get("branch"), project=run.facts.get("project"))
    raise ForeignNameError(
        f"no run of {here.text} executed {node.name}; the latest that did is run {run.id} of {owner.text}. "
        f"Ask for it by namespace={owner.text!r}, or for anybody's by namespace={EVERYBODY!r}",
        name=node.name,
        owners=[owner.text],
    )


class Pins:
    """What the references of one run lead to, each found once.

    `names` are the full names that were resolved, with what they led to.
    """

    def __init__(self, index: Index, reads: Namespace, place: object) -> None:
        self.names: dict[str, Record] = {}
        self._index = index
        self._reads = reads
        self._place = place
        self._latest: dict[tuple[str, str], Record] = {}

    def facts(self) -> dict[str, Any]:
        """Return what the names led to, as a run records it: full name to digest and execution."""
        found = {
            name: {"digest": record.result.hex(), "execution": record.execution} for name, record in self.names.items()
        }
        return {"names": found} if found else {}

    def resolve(self, pinned: Pinned) -> Resolved:
        """Return what a reference leads to, the same for the whole run.

        Raises:
            NotFoundError: nothing.
        """
        given = pinned._lineage_record
        if isinstance(given, Record):
            return Resolved(given)
        if isinstance(given, LatestOf):
            return Resolved(self._latest_of(given))
        return self._tagged(given)

    def _tagged(self, name: str) -> Resolved:
        space, own = full_name(name, self._reads)
        for candidate in (f"{space.text}/{own}", own) if space == self._reads else (f"{space.text}/{own}",):
            if candidate in self.names:
                return Resolved(self.names[candidate], candidate)
        found = find_tagged(self._index, name, self._reads)
        assert found.name is not None
        self.names[found.name] = found.record
        return found

    def _latest_of(self, wanted: LatestOf) -> Record:
        key = (wanted.node.reference, wanted.namespace or "")
        if key not in self._latest:
            here = chosen(wanted.namespace, self._reads)
            self._latest[key] = find_latest(self._index, wanted.node, here, self._place)
        return self._latest[key]


def chosen(namespace: str | None, reads: Namespace) -> Namespace | None:
    """Return the namespace that somebody asked for: their own where they didn't, None for everybody's."""
    if namespace is None:
        return reads
    return None if namespace == EVERYBODY else Namespace.parse(namespace, project=reads.project)


def tags_table(tags: Iterable[Tag]) -> pl.DataFrame:
    """Return tags as a table, one row for each time that a name was moved."""
    import polars as pl

    rows = [
        {
            "name": tag.name,
            "digest": tag.record.result.hex(),
            "at": tag.at,
            "user": tag.user,
            "node": tag.node,
            "run": tag.run,
            "execution": tag.record.execution,
        }
        for tag in tags
    ]
    schema = {
        "name": pl.String, "digest": pl.String, "at": pl.Float64, "user": pl.String, "node": pl.String,
        "run": pl.Int64, "execution": pl.Int64,
    }  # fmt: skip
    table = pl.DataFrame(rows, schema=schema)
    return table.with_columns(pl.from_epoch(pl.col("at") * 1e6, time_unit="us").dt.replace_time_zone("UTC"))
