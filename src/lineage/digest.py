"""The name of anything: a BLAKE3-256 digest, taken under a kind.

No two different sequences of parts feed the hasher the same bytes, because the kind and every part are preceded by
their length. Everything that `lineage` compares, stores or looks up goes through `digest_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType, Protocol, cast

from blake3 import blake3

__all__ = ["Digest", "digest_of", "short"]

Digest = NewType("Digest", bytes)
"""32 raw bytes. Shown to people as hexadecimal, usually the first twelve characters (`short`)."""


class _Hasher(Protocol):
    def digest(self) -> Digest: ...


_hash = cast(Callable[[bytes], _Hasher], blake3)


def digest_of(kind: str, *parts: bytes) -> Digest:
    """Hash `parts` under `kind`.

    >>> digest_of("pair", b"ab", b"c") == digest_of("pair", b"a", b"bc")
    False
    """
    framed = [_headers[kind]]
    for part in parts:
        framed += (_lengths[len(part)], part)
    return _hash(b"".join(framed)).digest()


class _Headers(dict[str, bytes]):
    """The frames of kinds, remembered: kinds are few."""

    def __missing__(self, kind: str) -> bytes:
        header = len(kind.encode()).to_bytes(4, "little") + kind.encode()
        if len(self) < 4096:
            self[kind] = header
        return header


class _Lengths(dict[int, bytes]):
    """The frames of parts by their length; those of short ones are there."""

    def __missing__(self, length: int) -> bytes:
        return length.to_bytes(8, "little")


_headers = _Headers()
_lengths = _Lengths({length: length.to_bytes(8, "little") for length in range(257)})


def short(digest: bytes) -> str:
    """Return the twelve characters by which people know a digest.

    >>> short(digest_of("example"))
    'c7a6f4107d19'
    """
    return digest.hex()[:12]
