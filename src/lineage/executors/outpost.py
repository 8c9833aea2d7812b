"""The store as a worker sees it: its objects, and of its index what came along with the work.

What a worker stores is noted here and handed to the driver, the only one to write the index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lineage.codecs.base import Manifest
from lineage.digest import Digest
from lineage.errors import ReadOnlyStoreError
from lineage.executors.base import Kept
from lineage.identity import freezer
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
    }


class Outpost(Store):
    """A store without an index of its own."""

    def __init__(self, description: Description) -> None:
        super().__init__(
            Path(description["root"]),
            freezer,
            verify=description["verify"],
            trusted=description["trusted"],
            downloads=description["downloads"],
            index=_Carried(),
        )

    def learn(self, kept: Iterable[Kept]) -> None:
        """Take in how the store keeps what a parcel speaks of."""
        self.index.known.update({one.content: one for one in kept})

    def handed_over(self) -> tuple[Kept, ...]:
        """Return what was stored since this was last asked."""
        kept = tuple(self.index.new.values())
        self.index.new = {}
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
