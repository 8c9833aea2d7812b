"""What can't be kept is refused with a reason, what has changed since is a miss, and nothing is changed in silence."""

from __future__ import annotations

import collections
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import lineage as ln
from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import Thawer
from lineage.errors import CodecError, LineageError, UnstableIdentityError, UntrustedPickleError
from lineage.identity import digest_value, freezer, identify
from lineage.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store", freezer)
    yield store
    store.close()


def stored(store: Store, value: Any) -> Any:
    tree = freezer.freeze(value)
    store.keep(tree)
    return Thawer(store.read, identify).thaw(load_tree(dump_tree(tree)))


@pytest.mark.parametrize(
    "value",
    [
        pl.DataFrame({"x": [object()]}),
        pa.table({"x": pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])])}),
        pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
        (number for number in range(3)),
        iter([1]),
        sys,
        open,
        pl.LazyFrame({"x": [1]}),
    ],
    ids=[
        "objects in polars",
        "union",
        "twin columns",
        "generator",
        "iterator",
        "module",
        "function of io",
        "lazy frame",
    ],
)
def test_what_has_no_identity_or_no_codec_is_refused(store: Store, value: Any) -> None:
    if value is open:
        assert stored(store, value) is open  # code is known by its name
        return
    with pytest.raises((CodecError, UnstableIdentityError)):
        stored(store, value)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a", None], dtype=object),
        np.array(["a", "bc"], dtype=np.dtypes.StringDType()),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([(1, 2.0)], dtype=np.dtype((np.record, [("a", "i4"), ("b", "f8")]))),
    ],
    ids=["object", "strings", "recarray", "record dtype"],
)
def test_unusual_arrays_survive_or_are_refused(store: Store, value: Any) -> None:
    try:
        back = stored(store, value)
    except (CodecError, UnstableIdentityError):
        return
    assert type(back) is type(value)
    assert back.dtype == value.dtype
    assert digest_value(back) == digest_value(value)
    assert (back == value).all()


@pytest.mark.skipif(np.finfo(np.longdouble).nmant != 63, reason="only the long doubles of x86 have gaps")
def test_what_lies_in_the_gap_of_a_long_double_is_no_part_of_it() -> None:
    data = np.longdouble("0.1").tobytes()
    one, other = (np.frombuffer(data[:10] + gap * 6, np.longdouble)[0] for gap in (b"\0", b"\xff"))
    assert one == other
    assert digest_value(one) == digest_value(other)


def test_a_container_with_attributes_of_its_own_keeps_them(store: Store) -> None:
    value = collections.OrderedDict(a=1)
    value.extra = [1]  # type: ignore[attr-defined]
    back = stored(store, value)
    assert back == value
    assert back.extra == [1]
    assert digest_value(value) != digest_value(collections.OrderedDict(a=1))


def test_a_dtype_with_metadata_is_not_changed_in_silence(store: Store) -> None:
    value = np.zeros(3, dtype=np.dtype("f8", metadata={"unit": "m"}))
    assert stored(store, value).dtype == value.dtype  # numpy holds them equal, and so does the digest


def test_zero_columns_with_rows_survive(store: Store) -> None:
    assert stored(store, pl.DataFrame(height=3)).height == 3
    assert stored(store, pa.table({"x": [1, 2]}).select([])).num_rows == 2


def test_huge_memory_mapped_arrays_are_stored_without_being_loaded(store: Store, tmp_path: Path) -> None:
    """A gigabyte that takes no room on disk: its store entry does, so a tenth is enough here."""
    np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype="f8", shape=(12_000_000,)).flush()
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r").view(np.ndarray)
    back = stored(store, mapped)
    assert back.shape == mapped.shape
    assert not back.flags.writeable


# -- classes that change (rule 25)


CLASS = """
import attrs, dataclasses, enum
from typing import NamedTuple

@attrs.frozen
class Attrs:
    x: int

@dataclasses.dataclass
class Data:
    x: int

class Named(NamedTuple):
    x: int

class Colour(enum.Enum):
    RED = 1

class Plain:
    def __init__(self, x):
        self.x = x

class Outer:
    def __init__(self, inner):
        self.inner = inner
"""

MAKERS: dict[str, Any] = {
    "attrs": lambda module: module.Attrs(1),
    "dataclass": lambda module: module.Data(1),
    "namedtuple": lambda module: module.Named(1),
    "enum": lambda module: module.Colour.RED,
    "plain": lambda module: module.Plain(1),
    "inside": lambda module: collections.UserList([module.Plain(1)]),
    "in a list": lambda module: [module.Attrs(1), module.Colour.RED],
}
EDITS: dict[str, Callable[[str], str]] = {
    "changed": lambda text: (
        text.replace("x: int", "x: int = 0").replace("RED = 1", "RED = 2").replace("self.x = x", "self.x = x + 0")
    ),
    "gone": lambda text: "VALUE = 1\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"changing_{tmp_path.name.replace('-', '_')}"
    path = tmp_path / f"{name}.py"
    path.write_text(CLASS)
    yield path
    sys.modules.pop(name, None)


def loaded(path: Path) -> ModuleType:
    sys.modules.pop(path.stem, None)
    importlib.invalidate_caches()
    return importlib.import_module(path.stem)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", MAKERS)
def test_an_instance_of_a_class_that_changed_or_vanished_is_a_miss(
    store: Store, project: Path, kind: str, edit: str
) -> None:
    tree = freezer.freeze(MAKERS[kind](loaded(project)))
    store.keep(tree)
    plain = load_tree(dump_tree(tree))
    Thawer(store.read, identify).thaw(plain)
    project.write_text(EDITS[edit](CLASS) + "\n# an edit\n")
    loaded(project)
    with pytest.raises(LineageError, match=r"has changed|can't be read"):
        Thawer(store.read, identify).thaw(plain)


# -- trust


@ln.node
def counter() -> collections.UserList[int]:
    return collections.UserList([1, 2])


@ln.node
def plain() -> list[int]:
    return [1]


def test_a_pickle_is_refused_by_a_session_that_does_not_trust_its_store(tmp_path: Path) -> None:
    with ln.Session(tmp_path / "store") as session:
        assert session.compute(counter()) == collections.UserList([1, 2])
        assert session.compute(plain()) == [1]
    with ln.Session(tmp_path / "store", trusted=False) as session:
        assert session.compute(plain()) == [1]
        handle = session.materialize(counter())
        assert handle.type == "UserList"
        assert handle.origin is not None
        with pytest.raises(UntrustedPickleError, match=r"trusted=True"):
            _ = handle.value
        with pytest.raises(UntrustedPickleError):
            session.compute(counter())


def test_reading_anything_else_runs_no_code_from_the_store(tmp_path: Path) -> None:
    code = f"""
import sys, pickle
import lineage as ln
import numpy as np, polars as pl
pickle.loads = pickle.Unpickler = None
with ln.Session({str(tmp_path / "store")!r}, trusted=False) as session:
    handle = session.dataset(sys.argv[1])
    print(type(handle.value).__name__)
"""
    with ln.Session(tmp_path / "store") as session:
        for name, value in {"array": [1.0], "frame": {"x": [1]}}.items():
            session.tag(session.materialize(made(name, value)), name)
    for name in ("array", "frame"):
        done = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=True)
        assert done.stdout.strip() in ("ndarray", "DataFrame")


@ln.node
def made(kind: str, value: Any) -> Any:
    return np.array(value) if kind == "array" else pl.DataFrame(value)
