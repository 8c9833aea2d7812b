"""The codecs that a session holds, filled by visible calls."""

from __future__ import annotations

from lineage.codecs.arrays import ArrayCodec
from lineage.codecs.base import Codec
from lineage.codecs.paths import PathCodec
from lineage.codecs.pickles import PickleCodec
from lineage.codecs.plain import BytesCodec
from lineage.codecs.tables import TableCodec
from lineage.errors import CodecError

__all__ = ["Codecs", "standard_codecs"]


class Codecs:
    """Families of codecs by name, and the types that each serves.

    Types are given by top-level package and class name, so that a heavy library is not imported to be known.
    """

    def __init__(self) -> None:
        self.families: dict[str, Codec] = {}
        self.kinds: dict[tuple[str, str], str] = {}

    def add(self, codec: Codec, types: dict[tuple[str, str], str]) -> None:
        """Add `codec` for `types`: (package, class name) to the name that readers see.

        Raises:
            CodecError: a type or the family has a codec already.
        """
        if codec.family in self.families and self.families[codec.family] is not codec:
            raise CodecError(f"there is a codec for the family {codec.family!r} already")
        for key in types:
            if key in self.kinds:
                raise CodecError(f"{'.'.join(key)} has a codec already: {self.kinds[key]}")
        self.families[codec.family] = codec
        for key, name in types.items():
            self.kinds[key] = f"{codec.family}:{name}"

    def register(self, cls: type, codec: Codec) -> None:
        """Keep values of exactly `cls` with `codec`."""
        self.add(codec, {(cls.__module__.partition(".")[0], cls.__qualname__): cls.__qualname__})


def standard_codecs() -> Codecs:
    """Return the codecs that come with `lineage`."""
    codecs = Codecs()
    codecs.add(
        TableCodec(),
        {
            ("polars", "DataFrame"): "polars.DataFrame",
            ("polars", "LazyFrame"): "polars.LazyFrame",
            ("polars", "Series"): "polars.Series",
            ("pyarrow", "Table"): "pyarrow.Table",
            ("pandas", "DataFrame"): "pandas.DataFrame",
        },
    )
    codecs.add(ArrayCodec(), {("numpy", "ndarray"): "numpy.ndarray", ("numpy", "MaskedArray"): "numpy.MaskedArray"})
    codecs.add(PickleCodec(), {})
    codecs.add(BytesCodec(), {})
    codecs.add(PathCodec(), {})
    return codecs
