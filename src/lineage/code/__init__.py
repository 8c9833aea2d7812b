"""What a function *is*: the fingerprint of its code and of everything of the project's that it
reaches.

found = fingerprint(clean, digest_constant=digest_value) found.digest             # changes when
anything that `clean` reaches changes meaning found.leaves             # part by part: "function
clean", "constant LIMIT", "package polars 2.1.0" found.is_current()       # in microseconds: has
anything that it saw been rebound or changed since?
"""

from lineage.code.classes import hides_state
from lineage.code.compiled import refresh_compiled
from lineage.code.declaration import check_declaration
from lineage.code.fingerprint import (
    CodeFingerprint,
    DigestConstant,
    fingerprint,
    identify,
    source_of,
)

__all__ = [
    "CodeFingerprint",
    "DigestConstant",
    "check_declaration",
    "fingerprint",
    "hides_state",
    "identify",
    "refresh_compiled",
    "source_of",
]
