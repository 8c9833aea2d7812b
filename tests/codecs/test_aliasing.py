"""Nobody's later writing changes what was stored, and every reader gets a value of its own (rules 4 and 26)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lineage as ln
from lineage.codecs.text import dump_tree, load_tree
from lineage.codecs.thaw import Thawer
from lineage.errors import LineageError, MutationError, NodeError
from lineage.identity import freezer, identify
from lineage.storage.store import Store

EVENTS: list[tuple[str, str]] = []


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ln.Session]:
    EVENTS.clear()
    with ln.Session(tmp_path / "store", on_event=lambda verdict, node, _: EVENTS.append((verdict, node))) as session:
        yield session


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store", freezer)
    yield store
    store.close()


def kept(store: Store, value: Any) -> Any:
    """Store a value and return a function that reads it."""
    tree = freezer.freeze(value)
    store.keep(tree)
    text = dump_tree(tree)
    return lambda: Thawer(store.read, identify).thaw(load_tree(text))


# -- after storing


def test_a_series_that_shares_its_memory_with_an_array_is_what_it_was_when_it_was_stored(store: Store) -> None:
    array = np.arange(5.0)
    read = kept(store, pl.DataFrame({"x": pl.Series(array)}))
    array[:] = -1
    assert read()["x"].to_list() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_array_that_is_written_to_later_is_what_it_was(store: Store, size: int) -> None:
    array = np.arange(size)
    read = kept(store, array)
    array[:] = -1
    assert read().tolist() == list(range(size))


def test_a_memory_map_that_is_edited_in_place_is_what_it_was(store: Store, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(100_000))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r+")
    read = kept(store, mapped.view(np.ndarray))
    mapped[:] = -1
    mapped.flush()
    assert read().tolist() == list(range(100_000))


# -- between digest and storing


@pytest.mark.parametrize(
    "value",
    [
        np.arange(5.0),
        pl.DataFrame({"x": [1.0, 2.0]}),
        np.ma.MaskedArray([1.0, 2.0], mask=[True, False]),
        bytearray(10_000),
    ],
    ids=["array", "frame", "masked", "bytearray"],
)
def test_what_changes_between_its_digest_and_the_store_is_refused(store: Store, value: Any) -> None:
    if isinstance(value, pl.DataFrame):
        shared = np.arange(5.0)
        value = pl.DataFrame({"x": pl.Series(shared)})
    else:
        shared = value
    tree = freezer.freeze(value)
    shared[1] = 77
    with pytest.raises(MutationError, match="changed after its digest was taken"):
        store.keep(tree)


@ln.node
def total(values: np.ndarray) -> float:
    return float(values.sum())


def test_an_argument_that_is_changed_before_it_is_computed_is_refused(session: ln.Session) -> None:
    array = np.arange(5.0)
    call = total(array)
    array[0] = 100
    with pytest.raises(LineageError, match=r"changed after its (digest was taken|call was built)"):
        session.compute(call)
    assert session.compute(total(np.arange(5.0))) == 10.0


# -- readers


VALUES: dict[str, Callable[[], Any]] = {
    "small array": lambda: np.arange(5.0),
    "large array": lambda: np.arange(100_000.0),
    "masked": lambda: np.ma.MaskedArray([1.0, 2.0], mask=[True, False]),
    "list": lambda: [1, [2]],
    "dict": lambda: {"a": [1]},
    "set": lambda: {1, 2},
    "bytearray": lambda: bytearray(b"abc"),
    "large bytearray": lambda: bytearray(10_000),
}


@pytest.mark.parametrize("kind", VALUES)
def test_what_one_reader_does_another_does_not_see(store: Store, kind: str) -> None:
    read = kept(store, VALUES[kind]())
    before = repr(read())
    _spoil(read())
    assert repr(read()) == before


def _spoil(value: Any) -> None:
    if isinstance(value, np.ndarray):
        for target in (value, np.asarray(value)):
            with pytest.raises(ValueError, match="read-only"):
                target[:] = -1
    elif isinstance(value, dict):
        value["a"].append(9)
    elif isinstance(value, list):
        value[1].append(9)
    elif isinstance(value, set):
        value.add(9)
    else:
        value[0] = 9


def test_what_pandas_gives_may_be_written_to_and_nobody_sees_it(store: Store) -> None:
    import pandas as pd

    read = kept(store, pd.DataFrame({"x": [1.0, 2.0], "y": ["a", "b"], "z": pd.Categorical(["a", "b"])}))
    mine = read()
    mine.loc[0, "x"] = -1
    mine.iloc[0, 1] = "spoilt"
    assert read().iloc[0].tolist() == [1.0, "a", "a"]


def test_what_a_model_holds_out_of_band_is_not_shared(store: Store) -> None:
    from fault_pipeline import Model

    read = kept(store, Model(np.arange(100_000.0)))
    mine = read()
    with pytest.raises(ValueError, match="read-only"):
        mine.weights[0] = 5
    mine.weights = np.zeros(1)
    assert read().score() == float(np.arange(100_000.0).sum())


# -- paths


@ln.node
def folder() -> Path:
    place = ln.scratch() / "out"
    (place / "empty").mkdir(parents=True)
    (place / "a.txt").write_text("a")
    return place


@ln.node
def file() -> Path:
    place = ln.scratch() / "a.txt"
    place.write_text("a")
    return place


@ln.node
def spoils(place: Path, how: str) -> int:
    """Do what only root can, or the owner after a chmod."""
    if how == "adds":
        (place / "b.txt").write_text("b")
    elif how == "removes":
        (place / "a.txt").unlink()
    elif how == "writes":
        (place / "a.txt").chmod(0o644)
        (place / "a.txt").write_text("A")
    elif how == "replaces":
        (place / "a.txt").unlink()
        (place / "a.txt").write_text("A")
    return 0


@ln.node
def contents(place: Path, after: int) -> dict[str, str | None]:
    return {path.name: path.read_text() if path.is_file() else None for path in sorted(place.iterdir())}


def test_paths_are_read_only_for_readers(session: ln.Session) -> None:
    place = session.compute(folder())
    assert {path.stat().st_mode & 0o222 for path in (place, *place.rglob("*"))} == {0}
    assert session.compute(file()).stat().st_mode & 0o222 == 0


@pytest.mark.parametrize("how", ["adds", "removes", "writes", "replaces"])
def test_what_one_reader_does_to_a_folder_another_does_not_see(session: ln.Session, how: str) -> None:
    place = folder()
    try:
        spoilt = session.compute(spoils(place, how))
    except NodeError as error:  # nobody but root gets so far
        assert "ermission" in str(error)
        spoilt = 0
    assert session.compute(contents(place, spoilt)) == {"a.txt": "a", "empty": None}


@ln.node
def links() -> Path:
    place = ln.scratch() / "out"
    place.mkdir()
    (place / "link").symlink_to("/etc/hostname")
    return place


@ln.node
def whole_scratch() -> Path:
    (ln.scratch() / "a").write_text("a")
    return ln.scratch()


@ln.node
def elsewhere() -> Path:
    return Path("/etc/hostname")


@pytest.mark.parametrize(
    ("node", "match"),
    [
        (links, "a link or a special file"),
        (whole_scratch, "scratch folder itself"),
        (elsewhere, "not a file in this call's scratch"),
    ],
)
def test_paths_that_would_not_survive_are_refused(session: ln.Session, node: Any, match: str) -> None:
    with pytest.raises(NodeError, match=match):
        session.compute(node())
