"""The first file that an interpreter of a pinned environment runs, before it knows of `lineage`: no import of ours here.

`python bootstrap.py FOLDER MODULE [ARGUMENT ...]` runs `main(ARGUMENTS)` of MODULE with the `lineage` in FOLDER, which is the
driver's. Only that package is taken from there, and nothing of what is installed beside it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types

__all__ = ["Ours", "main"]


class Ours:
    """Finds `lineage` in its folder; what is within is found from there."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != "lineage":
            return None
        file = os.path.join(self._folder, "__init__.py")
        return importlib.util.spec_from_file_location(name, file, submodule_search_locations=[self._folder])


def main(arguments: list[str]) -> None:
    """Make `lineage` importable and hand over to the worker."""
    folder, module, *rest = arguments
    sys.meta_path.insert(0, Ours(folder))  # type: ignore[arg-type]
    sys.modules["lineage.started_by"] = sys.modules["__main__"]  # held; what is called main here is the user's
    sys.modules["__main__"] = types.ModuleType("__main__")
    importlib.import_module(module).main(rest)


if __name__ == "__main__":
    del sys.path[0]  # this file's folder, whose modules are no modules of their own
    main(sys.argv[1:])
