"""The store as a worker sees it: its objects, and of its index what came along with the work.

What a worker stores is noted here and handed to the driver, the only one to write the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lineage.codecs.base import Codec, Manifest
from lineage.codecs.registry import standard_codecs
from lineage.digest import Digest
from lineage.errors import ReadOnlyStoreError
from lineage.executors.base import Kept
from lineage.executors.by_value import closed, opened
from lineage.identity import codecs, freezer
from lineage.storage.store import Store

__all__ = ["Description", "Outpost", "described"]

Description = dict[str, Any]
"""What a worker opens a store by: plain values."""


def described(store: Store) -> Description:
    """Return what opens `store` in another process."""
    return {
        "root": str(store.root),
        "verify": store.objects.verify,
        "trusted": store.trusted,
        "downloads": store._download_limit,
        "codecs": closed(added) if (added := _registered()) else b"",
    }


def _registered() -> list[tuple[Codec, dict[tuple[str, str], str]]]:
    """Return the codecs that were added to those that come with lineage, and for which types."""
    usual = standard_codecs().families
    return [
        (codec, {key: kind.partition(":")[2] for key, kind in codecs.kinds.items() if kind.partition(":")[0] == family})
        for family, codec in codecs.families.items()
        if family not in usual
    ]


class Outpost(Store):
    """A store without an index of its own."""

    def __init__(self, description: Description) -> None:
        super().__init__(
            Path(description["root"]),
            freezer,
            verify=description["verify"],
            trusted=description["trusted"],
            downloads=description["downloads"],
            index=(carried := _Carried()),
        )
        self._carried = carried
        self._codecs: bytes = description.get("codecs", b"")

    def register(self, folder: str | None) -> None:
        """Add the codecs that the driver has, once: their code may lie in the package in `folder`, or know how to add itself."""
        for codec, types in opened(self._codecs, folder) if self._codecs else ():
            if codec.family not in codecs.families:
                codecs.add(codec, types)
        self._codecs = b""

    def learn(self, kept: Iterable[Kept]) -> None:
        """Take in how the store keeps what a parcel speaks of."""
        self._carried.known.update({one.content: one for one in kept})

    def handed_over(self) -> tuple[Kept, ...]:
        """Return what was stored since this was last asked."""
        kept = tuple(self._carried.new.values())
        self._carried.new = {}
        return kept


class _Carried:
    """As much of an index as carrying out a call needs."""

    writable = True

    def __init__(self) -> None:
        self.known: dict[Digest, Kept] = {}
        self.new: dict[Digest, Kept] = {}

    def manifest(self, content: Digest) -> Manifest | None:
        found = self.known.get(content)
        return None if found is None else found.manifest

    def info(self, content: Digest) -> dict[str, Any]:
        found = self.known.get(content)
        return {} if found is None else found.info

    def add_manifest(self, content: Digest, manifest: Manifest, info: Mapping[str, Any]) -> None:
        self.known[content] = self.new[content] = Kept(content, manifest, dict(info))

    def drop_manifest(self, content: Digest) -> None:
        self.known.pop(content, None)

    def stamp(self, path: str) -> None:
        return None

    def stamps(self, paths: Any) -> dict[str, Any]:
        return {}

    def note_stamp(self, path: str, stamp: str, digest: Digest) -> None: ...

    def note_stamps(self, rows: Any) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def __getattr__(self, name: str) -> Any:
        raise ReadOnlyStoreError(f"a worker has no index to ask for {name}; take what is needed as an argument")
