"""Recorded calls carried out once more, in a new process under other circumstances. Nothing that it computes is recorded.

A new interpreter starts with another hash seed, other numbers of threads, another time zone and an empty working folder; its
clock is shifted while a node runs, and calls run in the opposite order, one after another. What must not matter is thus
made different; what a node's contract fixes (the in-memory engine, one BLAS thread, seeds made from the key) stays as it was.

A node travels by the name of its module, and where a new process can't import that (a notebook, a script, a closure), by value.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lineage.codecs.plain import find_by_name
from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import Thawer
from lineage.content.tree import digest_tree
from lineage.digest import Digest
from lineage.errors import NotFoundError
from lineage.executors.canonical import in_canonical_order
from lineage.executors.timeouts import in_time
from lineage.identity import freezer, identify
from lineage.node import Node
from lineage.running import Current, inside
from lineage.settings import fixed_settings, seeded
from lineage.signatures import Signature
from lineage.storage.store import Store

__all__ = ["Answer", "Ask", "ask_of", "circumstances", "main", "replayed"]

_SHIFT = 400 * 86400 + 5 * 3600 + 17
"""Seconds by which the clock is ahead."""

_ZONE = "LNG-12:45"
"""A time zone that nobody is in."""


class Ask(NamedTuple):
    """A call to carry out once more. `by_value` is its function as bytes, for where the name leads nowhere."""

    number: int
    reference: str
    by_value: bytes | None
    code: Digest
    compare: Any
    timeout: float | None
    packages: frozenset[str]
    cpus: int
    arguments: tuple[str, ...]
    key: Digest
    run: int


class Answer(NamedTuple):
    """What a call gave: digest and text of its tree; or why it could not be carried out."""

    number: int
    digest: Digest | None = None
    text: str = ""
    why: str | None = None


# -- the process that asks


def circumstances() -> dict[str, Any]:
    """Return circumstances that differ from those of this process: what `replayed` takes, and what a verdict records."""
    polars = os.environ.get("POLARS_MAX_THREADS") or str(os.cpu_count() or 1)
    seed = str(random.SystemRandom().randrange(1, 1 << 32))
    return {
        "hash seed": int(seed) if seed != os.environ.get("PYTHONHASHSEED") else int(seed) // 2 + 1,
        "threads of polars": 3 if polars == "1" else 1,
        "threads of OpenMP": "one more than asked for",
        "order of calls": "the opposite",
        "working folder": "an empty one",
        "clock": f"{_SHIFT} s ahead",
        "time zone": _ZONE if os.environ.get("TZ") != _ZONE else "UTC",
    }


def ask_of(number: int, node: Node[..., Any], code: Digest, arguments: Sequence[str], key: Digest, run: int) -> Ask:
    """Return what a new process needs to carry out a call of `node`, whose code has the digest `code`."""
    resources = node.given.resources
    return Ask(
        number, node.reference, _by_value(node), code, node.given.compare, node.given.timeout,
        frozenset(node.packages()), 1 + max(1, int(resources.cpus if resources else 1)), tuple(arguments), key, run,
    )  # fmt: skip


def _by_value(node: Node[..., Any]) -> bytes | None:
    """Return the function as bytes with all of its module that it uses; None where it can't be written so."""
    import cloudpickle

    module = sys.modules.get(node.fn.__module__)
    registered = module is not None and module.__name__ != "__main__"
    try:
        if registered:
            cloudpickle.register_pickle_by_value(module)
        written = io.BytesIO()
        _pickler()(written).dump(node.fn)
        return written.getvalue()
    except Exception:  # whatever its globals and closures say when they are pickled
        return None
    finally:
        if registered:
            with contextlib.suppress(ValueError):
                cloudpickle.unregister_pickle_by_value(module)


@functools.cache
def _pickler() -> Any:
    """Return a pickler for which a node is its plain function: that is all that a node may use of another one."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        def reducer_override(self, thing: Any) -> Any:
            if isinstance(thing, Node):
                return types.SimpleNamespace, (), {"fn": thing.fn, "name": thing.name}
            return super().reducer_override(thing)

    return Pickler


@contextlib.contextmanager
def replayed(store: Store, asks: Sequence[Ask], given: dict[str, Any]) -> Iterator[tuple[list[Answer], Store]]:
    """Carry out `asks` under the circumstances `given`; yield the answers, and the store that holds what they speak of.

    A process that dies takes one call with it: the others go on in a new one.
    """
    with tempfile.TemporaryDirectory(prefix="lineage-replay-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "here").mkdir()
        store.flush()
        left, answers = list(reversed(asks)), []
        while left:
            found = _round(folder, store, left, given)
            answers += found
            done = {answer.number for answer in found}
            left = [ask for ask in left if ask.number not in done]
        results = Store(folder / "results", freezer)
        try:
            yield answers, results
        finally:
            results.close()


def _round(folder: Path, store: Store, asks: list[Ask], given: dict[str, Any]) -> list[Answer]:
    """Start a process and return what it answered; for the call at which it died, that it did."""
    path = [os.path.abspath(entry) for entry in sys.path]
    (folder / "asks").write_bytes(pickle.dumps((path, store.place, store.trusted, [tuple(ask) for ask in asks])))
    for stale in folder.glob("answer-*"):
        stale.unlink()
    (folder / "at").write_text(str(asks[0].number))
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", f"from lineage.replays import main; main({str(folder)!r})"],
            env=_environment(given), cwd=folder / "here", stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            status = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    answers = [Answer(*pickle.loads(found.read_bytes())) for found in folder.glob("answer-*")]
    if len(answers) < len(asks):
        at = int((folder / "at").read_text())
        if at not in {answer.number for answer in answers}:
            answers.append(Answer(at, why=f"the process that ran it {_ending(status)}{_last_words(folder / 'said')}"))
    return answers


def _environment(given: dict[str, Any]) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONHASHSEED": str(given["hash seed"]),
        "POLARS_MAX_THREADS": str(given["threads of polars"]),
        "RAYON_NUM_THREADS": str(given["threads of polars"]),
        "TZ": given["time zone"],
    }


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-status).name}"
    return f"was killed by signal {-status}"


def _last_words(said: Path) -> str:
    lines = said.read_text(errors="replace").strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""


# -- the process that answers


def main(folder: str) -> None:
    """Answer what is asked in `folder`, call by call."""
    place = Path(folder)
    path, root, trusted, asks = pickle.loads((place / "asks").read_bytes())
    sys.path[:] = path
    store = Store(Path(root), freezer, trusted=trusted, read_only=True)
    results = Store(place / "results", freezer)
    try:
        for plain in asks:
            ask = Ask(*plain)
            (place / "at").write_text(str(ask.number))
            answer = _answer(ask, store, results)
            results.flush()
            (place / "draft").write_bytes(pickle.dumps(tuple(answer)))
            os.replace(place / "draft", place / f"answer-{ask.number}")
    finally:
        results.close()
        store.close()


def _answer(ask: Ask, store: Store, results: Store) -> Answer:
    try:
        fn = _function(ask)
        thawer = Thawer(store.read, identify)
        values = [thawer.thaw(load_tree(text)) for text in ask.arguments]
    except Exception as error:
        return Answer(ask.number, why=_reason(error))
    try:
        tree = _carried_out(ask, fn, values, results)
        results.keep(tree)
        return Answer(ask.number, digest_tree(tree), dump_tree(tree))
    except Exception as error:
        return Answer(ask.number, why=f"it failed: {_reason(error)}")


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _function(ask: Ask) -> Callable[..., Any]:
    """Return the function of a call, by the name of its module if that leads to the code that was asked for.

    Raises:
        NotFoundError: there is none, or it has other code.
    """
    found: Any = None
    if not ask.reference.startswith("__main__:"):
        with contextlib.suppress(NotFoundError):
            found = find_by_name(ask.reference)
    if isinstance(found, Node):
        if found.code_digest() == ask.code:
            return found.fn
        if ask.by_value is None:
            raise NotFoundError(f"{ask.reference}, imported anew, has other code than the process that asked")
    if ask.by_value is None:
        raise NotFoundError(f"{ask.reference} can't be imported in a new process, nor sent to it by value")
    return pickle.loads(ask.by_value)  # type: ignore[no-any-return]


def _carried_out(ask: Ask, fn: Callable[..., Any], values: list[Any], results: Store) -> Any:
    current = Current(ask.run, fn.__name__, ask.key.hex(), 1, results.place)
    args, kwargs = Signature(fn).spread(values)
    token = inside.set(current)
    try:
        with fixed_settings(ask.packages, ask.cpus), contextlib.ExitStack() as stack:
            if "numpy" in ask.packages:
                stack.enter_context(seeded(ask.key))
            stack.enter_context(in_time(ask.timeout, fn.__name__))
            stack.enter_context(_shifted_clock())
            value = fn(*args, **kwargs)
            if ask.compare == "unordered":
                value = in_canonical_order(value)
            return freezer.freeze(value, scratch=current.scratch_folder or Path(os.devnull))
    finally:
        inside.reset(token)


def _shifted_clock() -> Any:
    """Let `time` and `datetime` tell another time, to code that imported their functions before as well."""
    import time

    import time_machine

    return time_machine.travel(time.time() + _SHIFT, tick=True)  # a time without a zone leaves the zone alone
