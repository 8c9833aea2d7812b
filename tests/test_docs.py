"""Every Python block of the user's documentation runs, in the order in which it stands."""

from __future__ import annotations

import linecache
import re
import types
from pathlib import Path

import polars as pl
import pytest

import lineage as ln

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md", "docs/how-to.md"])
def test_every_block_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for month in (1, 2):
        table = pl.DataFrame({"carrier": ["UA", "B6", "UA"], "dep_delay": [20, 3, 40 + month]})
        table.write_parquet(tmp_path / "data" / f"{month:02}.parquet")
    text = (ROOT / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    module = types.ModuleType("documentation")
    monkeypatch.setitem(__import__("sys").modules, "documentation", module)
    with ln.Session(tmp_path / "store"):
        for number, block in enumerate(blocks):
            name = f"<{page} block {number}>"
            linecache.cache[name] = (len(block), None, block.splitlines(keepends=True), name)
            exec(compile(block, name, "exec", dont_inherit=True), module.__dict__)
    ln.configure(tmp_path / "end").close()


@pytest.mark.parametrize("name", ln.__all__)
def test_the_reference_names_every_public_name(name: str) -> None:
    assert f"{name}" in (ROOT / "docs" / "reference.md").read_text()
