"""The notebooks run from a clean kernel, show what they promise, and are saved without outputs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> Any:
    formats: Any = nbformat  # which has no types
    return formats.read(path, as_version=4)


def code(notebook: Any) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def executed(path: Path, folder: Path) -> Any:
    notebook = read(path)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


def shown(notebook: Any) -> list[str]:
    """Return what front ends show of the outputs of executed cells, as HTML where there is some."""
    return [
        output.data.get("text/html", output.data.get("text/plain", ""))
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type in ("execute_result", "display_data")
    ]


def test_there_are_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["first-tour", "tracing-a-prediction"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of the Jupyter client are not ours
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_a_clean_kernel_and_shows_graphs_tables_and_timelines(path: Path, tmp_path: Path) -> None:
    found = shown(executed(path, tmp_path))
    assert any("<svg" in text and "would execute" in text for text in found)
    assert any("Plan: " in text for text in found)
    assert any("what made it" in text for text in found)
    assert any("busy" in text and "<svg" in text for text in found)
    assert not [text for text in found if "<script" in text]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_uses_public_names_only(path: Path) -> None:
    for source in code(read(path)):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_"), node.attr
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("lineage"), node.module
            if isinstance(node, ast.Import):
                assert all(name.name == "lineage" or not name.name.startswith("lineage") for name in node.names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_saved_without_outputs_and_without_paths_of_a_machine(path: Path) -> None:
    notebook = read(path)
    for cell in notebook.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
    assert not re.search(r"/(home|root|tmp|Users|work)/", path.read_text())
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
