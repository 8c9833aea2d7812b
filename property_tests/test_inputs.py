"""Two inputs have one digest exactly when a node can't tell them apart, but for where they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lineage as ln
from lineage import partitions
from lineage.digest import Digest
from lineage.fingerprints import Fingerprints

names = st.sampled_from(["a", "b", "ab", "a.txt", "é"])
contents = st.sampled_from([b"", b"a", b"b", b"folder"])
trees: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(names, contents, max_size=3),
    lambda inner: st.dictionaries(names, st.one_of(contents, inner), max_size=3),
    max_leaves=6,
)
values = st.one_of(
    st.sampled_from(["1", "12", "01", "x", "", "2013-01-31", "__HIVE_DEFAULT_PARTITION__"]), st.text(max_size=3)
)
rows = st.lists(st.dictionaries(st.sampled_from("xyz"), values, max_size=3), max_size=4)


class Memory:
    """An index and a place for copies that keep nothing."""

    def stamps(self, paths: Any) -> dict[str, tuple[str, Digest]]:
        return {}

    def note_stamps(self, rows: Any) -> None: ...

    def temporary(self) -> Path:
        raise AssertionError

    def put_file(self, path: Path) -> Digest:
        raise AssertionError


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def digest(one: Any) -> Digest:
    return Fingerprints(Memory(), Memory()).leaf(one).digest


def build(place: Path, tree: dict[str, Any]) -> Path:
    place.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            build(place / name, content)
        else:
            (place / name).write_bytes(content)
    return place


@given(trees, trees)
def test_folders_have_one_digest_exactly_when_they_hold_the_same(
    folder: Path, one: dict[str, Any], other: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        digests = [
            digest(ln.Directory(build(Path(place) / name, tree)))
            for name, tree in (("1", one), ("2", other), ("3", one))
        ]
    assert (digests[0] == digests[1]) is (one == other)
    assert digests[0] == digests[2]


@given(*[st.tuples(names, contents, st.sampled_from(["", "x=1", "x=a", "y=1", "x=1/y=2"]))] * 2)
def test_files_have_one_digest_exactly_when_name_bytes_and_partition_values_are_equal(
    folder: Path, one: tuple[str, bytes, str], other: tuple[str, bytes, str]
) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        digests = []
        for number, (name, content, parts) in enumerate((one, other)):
            path = Path(place) / str(number) / parts / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
            digests.append((digest(ln.File(path)), digest(ln.File(path, content_only=True))))
    assert (digests[0][0] == digests[1][0]) is (one == other)
    assert (digests[0][1] == digests[1][1]) is (one[1] == other[1])


@given(rows)
def test_partition_values_come_back_from_their_text_with_their_types(rows: list[dict[str, str]]) -> None:
    for row, values in zip(rows, partitions.typed(rows), strict=True):
        assert partitions.read(partitions.plain(values)) == values
        assert [type(value) for _, value in sorted(values.items())] == [
            type(value) for _, value in sorted(partitions.read(partitions.plain(values)).items())
        ]
        for name, value in values.items():
            assert value is None if row[name] == "__HIVE_DEFAULT_PARTITION__" else str(value) == row[name]


@given(rows)
def test_the_values_of_one_name_in_a_list_have_one_type(rows: list[dict[str, str]]) -> None:
    typed = partitions.typed(rows)
    for name in "xyz":
        found = {type(row[name]) for row in typed if name in row} - {type(None)}
        assert len(found) <= 1
