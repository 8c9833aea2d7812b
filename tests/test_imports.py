"""The shape of the package: which way imports go, what is exported, what importing it loads."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

import lineage

PACKAGE = Path(lineage.__file__).parent

LAYERS = [
    {"collector", "defaults", "digest", "displays", "errors", "interrupts"},
    {"content", "environments"},
    {"records", "outcomes", "options", "running"},
    {"reads"},
    {"capture", "limits", "settings"},
    {"code"},
    {"partitions", "remote"},
    {"codecs", "files"},
    {"fingerprints"},
    {"identity"},
    {"graph", "schema", "signatures", "wiring", "structure", "approx", "git", "streaming", "derivations"},
    {"node"},
    {"fold", "spread"},
    {"combinators", "mapping", "reduction", "reliance", "pieces", "names"},
    {"shards"},
    {"storage"},
    {"datasets", "planning", "places"},
    {"incomplete"},
    {"crossing", "arguments", "changes", "remembered"},
    {"asked", "nearest"},
    {"reasons"},
    {"plans"},
    {"executors", "differences"},
    {"replays", "progress"},
    {"expansion", "failures", "dispatch", "payloads", "recording", "repairs"},
    {"engine"},
    {"requests"},
    {"session"},
    {"query"},
    {"recorded"},
    {"verification", "table_columns"},
    {"events"},
    {"pictures"},
    {"api", "asking", "doctor", "logs"},
    {"commands"},
    {"__main__"},
    {"testing"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> set[str]:
    """Return the parts of the package that a module imports when it is imported (not later, inside functions)."""
    found: set[str] = set()
    stack: list[ast.AST] = [ast.parse(path.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "lineage":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lineage."):
            found.add(part_of(node.module or ""))
        stack.extend(ast.iter_child_nodes(node))
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    above = {name for name in imports_of(path) if RANK[name] > RANK[own]}
    assert not above, f"{own} imports {above}, which stand above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_exports_what_it_says(path: Path) -> None:
    name = ".".join(("lineage", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None)
    if path.name == "__init__.py" and exported is None:
        return
    assert exported is not None, f"{name} has no __all__"
    assert len(set(exported)) == len(exported), f"{name}.__all__ repeats itself"
    for public in exported:
        assert hasattr(module, public), f"{name}.{public} is not there"


@pytest.mark.parametrize("public", lineage.__all__)
def test_every_public_name_has_a_docstring(public: str) -> None:
    found = getattr(lineage, public)
    if isinstance(found, (type, types.FunctionType)):
        assert inspect.getdoc(found)


def test_importing_lineage_loads_nothing_heavy() -> None:
    heavy = "numpy polars pyarrow pandas sklearn fsspec beartype typeguard cattrs rich cyclopts importlib.metadata"
    code = f"import sys, lineage; print([name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
