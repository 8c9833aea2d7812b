"""Commands that look after what is kept: names, the machine and the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lineage.commands.chosen import As, In, handles, opened
from lineage.commands.printed import printed, told
from lineage.session import Session

__all__ = ["KEEPING"]


def tag(x: str, name: str, /, *, store: In = None, json: As = False) -> None:
    """Let a name lead to the dataset behind X from now on. What it led to stays in its history.

    Args:
        x: a tag, a node, a digest, a call (execution:12)
        name: candidate (your own), or branch:prod/model
    """
    import lineage as ln

    with opened(store) as session:
        (handle, *others) = handles(session, x)
        if others and any(other.digest != handle.digest for other in others):
            told(f"{x} is {1 + len(others)} datasets; the name leads to the latest")
            handle = others[-1]
        ln.tag(handle, name)
        printed({"name": name, "digest": handle.digest}, json=True) if json else printed(repr(handle), json=False)


def tags(name: str | None = None, /, *, store: In = None, json: As = False) -> None:
    """Show where names lead; of one name, its history.

    Args:
        name: the name whose history is asked for
    """
    import lineage as ln

    with opened(store):
        printed(ln.tags(name), json=json)


def forget(x: str, /, *, store: In = None) -> None:
    """Forget the record of the call behind X: next time it is executed again. Its history stays.

    Args:
        x: a tag, a node, a digest, a call (execution:12)
    """
    import lineage as ln

    with opened(store) as session:
        for handle in handles(session, x):
            ln.forget(handle)
            told(f"forgotten: {handle!r}")


def doctor(*, store: In = None, json: As = False) -> None:
    """Look whether this machine and the store are fit, and say what to do where they are not. Exits with 1 if anything is wrong."""
    from lineage.doctor import doctor as looked_at

    session = Session(store)
    try:
        found = looked_at(session)
    finally:
        session.close()
    if json:
        printed(found, json=True)
    else:
        marks = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}
        for one in found:
            printed(f"{marks[one.state]}  {one.subject}: {one.found}", json=False)
    if any(one.state == "wrong" for one in found):
        raise SystemExit(1)


KEEPING: list[Callable[..., Any]] = [tag, tags, forget, doctor]
