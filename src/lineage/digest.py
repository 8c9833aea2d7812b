"""The name of anything: a BLAKE3-256 digest, taken under a kind.

No two different sequences of parts feed the hasher the same bytes, because the kind and every part are preceded by
their length. Everything that `lineage` compares, stores or looks up goes through `digest_of`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType, cast

from blake3 import blake3

__all__ = ["Digest", "digest_of", "short"]

Digest = NewType("Digest", bytes)
"""32 raw bytes. Shown to people as hexadecimal, usually the first twelve characters (`short`)."""

_hash = cast(Callable[[bytes], "blake3"], blake3)


def digest_of(kind: str, *parts: bytes) -> Digest:
    """Hash `parts` under `kind`.

    >>> digest_of("pair", b"ab", b"c") == digest_of("pair", b"a", b"bc")
    False
    """
    framed = [_headers.get(kind) or _header(kind)]
    for part in parts:
        framed.append(_lengths.get(len(part)) or len(part).to_bytes(8, "little"))
        framed.append(part)
    return cast(Digest, _hash(b"".join(framed)).digest())


_headers: dict[str, bytes] = {}
_lengths = {length: length.to_bytes(8, "little") for length in range(257)}


def _header(kind: str) -> bytes:
    """Return the frame of `kind`, remembered: kinds are few."""
    header = len(kind.encode()).to_bytes(4, "little") + kind.encode()
    if len(_headers) < 4096:
        _headers[kind] = header
    return header


def short(digest: bytes) -> str:
    """Return the twelve characters by which people know a digest.

    >>> short(digest_of("example"))
    'c7a6f4107d19'
    """
    return digest.hex()[:12]
