"""What crosses from one environment to another: data. Two versions of a library never meet in one process.

Tables, arrays and plain values are read by whatever version is there. What is kept as a pickle of a package's class is read
by the version that wrote it, and by no other. Where that shows in types, it is refused before anything runs.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lineage.code.distributions import installed
from lineage.code.origin import distributions_of
from lineage.errors import EnvError
from lineage.graph import result_hint, shown
from lineage.identity import freezer
from lineage.planning import NEEDED, Graph, Step, calls_behind

__all__ = ["check_crossings", "unreadable_here"]


def check_crossings(graph: Graph) -> None:
    """Refuse calls that are to be executed and can't be given what they take, or can't give what they say.

    Raises:
        EnvError: a node's environment lacks the package of a type in its signature, or has another version of it than the
            environment that pickled it.
    """
    if not any(node.environment() is not None for node in _nodes(graph)):
        return
    for node in _nodes(graph):
        _check_signature(node)
    for step in graph.order:
        if step.is_call and step.state == NEEDED:
            for made_from in step.inputs:
                _check_input(step, made_from)


def _nodes(graph: Graph) -> list[Any]:
    return list({id(step.node): step.node for step in graph.order if step.is_call and step.state == NEEDED}.values())


def _check_signature(node: Any) -> None:
    environment = node.environment()
    if environment is None or environment.allow_undeclared:
        return
    hints = [*zip(node.signature.names, node.signature.hints, strict=True), ("its result", node.signature.returns)]
    for name, hint in hints:
        for cls, packages in _packaged(hint):
            if not any(package in environment.packages for package in packages):
                what = "gives" if name == "its result" else "takes"
                raise EnvError(
                    f"{node.name} {what} {_named(cls)} ({name}), and its environment lacks {packages[0]}. "
                    f"Add it: packages=[..., {packages[0]!r}], then lineage env lock {node.reference}",
                    node=node.reference,
                    package=packages[0],
                )


def _check_input(step: Step, made_from: Step) -> None:
    """Refuse pickles of a package of which the two ends have different versions."""
    for origin in calls_behind([made_from]):
        if origin.node.environment() == step.node.environment() or origin.node.kind in ("dynamic", "spread"):
            continue
        there, here = _versions(origin.node), _versions(step.node)
        for cls, packages in _packaged(result_hint(made_from.hole)):
            if freezer.kind_of(cls) is not None:
                continue  # data
            for package in packages:
                if there.get(package) != here.get(package):
                    raise EnvError(
                        f"{shown(origin.hole)} gives {_named(cls)}, a pickle of {package} {there.get(package)}; "
                        f"{step.node.name} runs with {_having(package, here)} and can't read it. "
                        "Give it as data (arrays, tables, plain values), or give both nodes one environment",
                        node=step.node.reference,
                        package=package,
                    )


def _having(package: str, versions: Mapping[str, str]) -> str:
    return f"{package} {versions[package]}" if package in versions else f"no {package}"


def _versions(node: Any) -> Mapping[str, str]:
    environment = node.environment()
    if environment is not None:
        return environment.packages  # type: ignore[no-any-return]
    return {name: found.version for name, found in installed().by_name.items()}


def _packaged(hint: Any) -> Iterator[tuple[type, tuple[str, ...]]]:
    """Yield the classes of packages that a type names, and the distributions that they are of."""
    for cls in _classes(hint):
        top = cls.__module__.partition(".")[0]
        if top != "lineage":
            names = tuple(found.name for found in distributions_of(top))
            if names:
                yield cls, names


def _classes(hint: Any) -> Iterator[type]:
    waiting = [hint]
    while waiting:
        found = waiting.pop()
        origin = typing.get_origin(found)
        if isinstance(origin, type) and freezer.kind_of(origin) is not None:
            yield origin  # data: what its parameters name is no part of it
        elif origin is not None:
            waiting += [origin, *typing.get_args(found)]
        elif isinstance(found, type):
            yield found


def _named(cls: type) -> str:
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def unreadable_here(error: Exception, origins: Iterable[Step]) -> EnvError | None:
    """Return an error that says why a result can't be read by this process, if it was made in an environment of its own."""
    for origin in origins:
        if origin.node.environment() is not None:
            return EnvError(
                f"{shown(origin.hole)} was made in an environment of its own, and what it gave can't be read here: {error}. "
                "Return data (arrays, tables, plain values), or take what you need of it in a node with that environment",
                node=origin.node.reference,
            )
    return None
