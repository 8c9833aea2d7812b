"""The fingerprint of a live function: one digest for it and for everything of the project's that it
reaches.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any, Protocol

import attrs

from lineage.code.claims import Claims
from lineage.code.compiled import refresh_compiled
from lineage.code.describe import DESCRIBE, resolve_names
from lineage.code.distributions import Distribution, closure, package_digest
from lineage.code.guards import MISSING, Guards
from lineage.code.origin import distributions_of, module_named
from lineage.code.parts import lineage_function
from lineage.code.source import definition_of, type_checking_imports
from lineage.code.walk import DigestConstant, Walk
from lineage.digest import Digest, digest_of

__all__ = ["CodeFingerprint", "DigestConstant", "Pinned", "fingerprint", "identify", "source_of"]

_REMEMBERED = 4096


class Pinned(Protocol):
    """An environment of its own that code runs in: what stands for it in a fingerprint, and its packages' versions."""

    @property
    def leaves(self) -> Mapping[str, Digest]: ...
    @property
    def packages(self) -> Mapping[str, str]: ...
    @property
    def allow_undeclared(self) -> bool: ...


@attrs.frozen(eq=False)
class CodeFingerprint:
    """What a function was, and all that it reached, when it was looked at.

    `leaves` has a digest for each part ("function norm", "constant LIMIT", "package polars 2.1.0"),
    so that two fingerprints can be compared part by part; `sources` has their text where it could
    be had. For code with an environment of its own, `claims` is what a process in that environment
    must find too, and `value_claims` the same for a function that travels there by value.
    """

    digest: Digest
    leaves: Mapping[str, Digest]
    sources: Mapping[str, str]
    packages: Mapping[str, str]
    files: Mapping[str, Digest]
    _guards: Guards = attrs.field(repr=False)
    claims: tuple[str, ...] = ()
    value_claims: tuple[str, ...] = ()

    def is_current(self, *, sources: bool = True) -> bool:
        """Say whether nothing that was seen has been rebound, replaced or changed in place since.

        False means only "look again": the next fingerprint may well be equal. Without `sources`, edits on disk of what
        is loaded are not looked for, which is the dearest part.
        """
        return self._guards.hold(sources=sources)


def fingerprint(
    target: object,
    *,
    digest_constant: DigestConstant,
    extra_types: Iterable[object] = (),
    allow_ambient: bool = False,
    polars_engine: str | None = None,
    pinned: Pinned | None = None,
) -> CodeFingerprint:
    """Fingerprint `target` and all that it reaches, and compile anew what numba compiled under
    another fingerprint.

    Args:
        target: A function, a class, or anything that is made of those (a partial, a method, a
            node).
        digest_constant: Digests plain values.
        extra_types: The types of parameters, which are reached too.
        allow_ambient: Let reached code read clocks, unseeded randomness and the environment as it
            likes.
        polars_engine: The engine that polars runs with; by default what POLARS_ENGINE_AFFINITY
            says, or "in-memory".
        pinned: The environment that it runs in, where that is not this process's: its packages
            count then, whatever is installed here.

    Raises:
        UnstableIdentityError: it reaches a value that has no identity, or code that assigns a
            global.
        StaleCodeError: a source file changed after the code in it was loaded.
        UndeclaredReadError: it reaches a clock, unseeded randomness or a computed name in the
            environment.

    """
    found = _walk(target, digest_constant, extra_types, allow_ambient, polars_engine, is_node=True, pinned=pinned)
    if found[1]:
        refresh_compiled(
            (dispatcher, _walk(dispatcher.py_func, digest_constant, (), True, None)[0].digest)
            for dispatcher in found[1]
        )
    return found[0]


def _walk(
    target: object,
    digest_constant: DigestConstant,
    extra_types: Iterable[object],
    allow_ambient: bool,
    polars_engine: str | None,
    *,
    is_node: bool = False,
    pinned: Pinned | None = None,
) -> tuple[CodeFingerprint, list[Any]]:
    walk = Walk(digest_constant, DESCRIBE, allow_ambient, is_node)
    walk.claims = Claims() if pinned is not None else None
    walk.start(target)
    for annotation in extra_types:
        walk.item(annotation, walk.root, "type", tolerant=True)
    _unresolved_types(walk, target)
    walk.drain()
    value_claims = walk.claims.of_values(walk.leaves) if walk.claims is not None else ()
    walk.finish()
    packages, outside = _outside(walk.distributions.values(), pinned)
    leaves = {**walk.leaves, **outside}
    if "polars" in packages:
        engine = polars_engine or os.environ.get("POLARS_ENGINE_AFFINITY") or "in-memory"
        leaves["polars engine"] = digest_of("polars engine", engine.encode())
        if polars_engine is None:
            walk.guards.check(lambda: os.environ.get("POLARS_ENGINE_AFFINITY"))
    fingerprint = CodeFingerprint(
        digest=_total(walk.root, leaves),
        leaves=leaves,
        sources=walk.sources,
        packages=packages,
        files={path: state.digest for path, state in walk.files.items()},
        guards=walk.guards,
        claims=walk.claims.said(leaves, walk.sources) if walk.claims is not None else (),
        value_claims=value_claims,
    )
    return fingerprint, walk.dispatchers


def _outside(reached: Iterable[Distribution], pinned: Pinned | None) -> tuple[dict[str, str], dict[str, Digest]]:
    """Return versions and leaves of the packages that code runs among: those that it reaches here, or those of its own
    environment, and of these here then only what that lacks and the code may use all the same.
    """
    here = closure(reached) if pinned is None or pinned.allow_undeclared else []
    if pinned is not None:
        here = [package for package in here if package.name not in pinned.packages]
    leaves = {f"package {package.name} {package.version}": package_digest(package) for package in here}
    packages = {package.name: package.version for package in here}
    if pinned is None:
        leaves[f"python {sys.version_info[0]}.{sys.version_info[1]}"] = digest_of("python")
        return packages, leaves
    return {**packages, **pinned.packages}, {**leaves, **pinned.leaves}


def _total(root: str, leaves: Mapping[str, Digest]) -> Digest:
    """Digest all leaves. A target's own label is left out: to rename a function is not to change
    it.
    """
    parts: list[bytes] = [b"" if root in leaves else root.encode("utf-8", "surrogatepass")]
    for label, digest in leaves.items():
        parts += [b"" if label == root else label.encode("utf-8", "surrogatepass"), digest]
    return digest_of("code fingerprint", *parts)


def _unresolved_types(walk: Walk, target: object) -> None:
    """Reach the types that the target's annotations name and that only a type checker imports."""
    plain = lineage_function(target)
    fn = target if plain is MISSING else plain
    if not isinstance(fn, FunctionType):
        return
    texts = [text for text in fn.__annotations__.values() if isinstance(text, str)]
    imports = type_checking_imports(fn) if texts else {}
    for text in texts:
        for name, imported in imports.items():
            if name not in text.replace(".", " ").replace("[", " ").replace("]", " ").split():
                continue
            if distributions_of(imported):
                walk.foreign(imported)
            elif (module := module_named(imported)) is not None:
                resolve_names(walk, walk.root, module, name)


_identified: dict[tuple[int, int], tuple[object, DigestConstant, CodeFingerprint, Digest]] = {}


def identify(thing: object, *, digest_constant: DigestConstant) -> Digest:
    """Return the digest of code met inside a value: a function, class, method, partial or module.

    The project's is its whole fingerprint and its name; a package's, its version, what it installed
    and its name there; the standard library's its name. Remembered for as long as the fingerprint
    is current.
    """
    plain = lineage_function(thing)
    thing = thing if plain is MISSING else plain
    key = (id(thing), id(digest_constant))
    known = _identified.get(key)
    if known is not None and known[0] is thing and known[2].is_current():
        return known[3]
    found, dispatchers = _walk(thing, digest_constant, (), True, None)
    name = getattr(thing, "__qualname__", type(thing).__qualname__).rpartition("<locals>.")[2]
    digest = digest_of("identity", name.encode("utf-8", "surrogatepass"), found.digest)
    if dispatchers:
        fingerprint(thing, digest_constant=digest_constant, allow_ambient=True)
    if len(_identified) >= _REMEMBERED:
        _identified.clear()
    _identified[key] = (thing, digest_constant, found, digest)
    return digest


def source_of(fn: object) -> str | None:
    """Return the source of a function as it is loaded; None where that can't be had.

    Raises:
        StaleCodeError: its file changed after it was loaded.
    """
    plain = lineage_function(fn)
    fn = fn if plain is MISSING else plain
    definition = definition_of(fn) if isinstance(fn, FunctionType) else None
    return definition.text if definition is not None else None
