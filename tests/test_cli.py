"""Composing functions as commands."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = """
    import lineage as ln

    @ln.node
    def read(file: ln.File, upper: bool) -> str:
        text = file.path.read_text().strip()
        return text.upper() if upper else text

    @ln.node
    def repeat(text: str, times: int) -> str:
        if times < 0:
            raise ValueError("times is negative")
        return text * times

    def report(file: ln.File, times: int = 2, upper: bool = False) -> str:
        '''Repeat what a file says.'''
        return repeat(read(file, upper), times)

    if __name__ == "__main__":
        ln.main(report)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(SCRIPT))
    (tmp_path / "word.txt").write_text("ab\n")
    return path


def run(script: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LINEAGE_STORE": str(script.parent / "store")}
    return subprocess.run(
        [sys.executable, script.name, *options], cwd=script.parent, env=environment, capture_output=True, text=True
    )


def test_parameters_become_options(script: Path) -> None:
    assert run(script, "--file", "word.txt").stdout == "abab\n"
    assert run(script, "--file", "word.txt", "--times", "3", "--upper").stdout == "ABABAB\n"


def test_a_plan_runs_nothing_and_an_explanation_runs_too(script: Path) -> None:
    planned = run(script, "--file", "word.txt", "--plan")
    assert planned.stdout.startswith("Plan: 2 execute")
    explained = run(script, "--file", "word.txt", "--explain")
    assert explained.stdout.startswith("Plan: 2 execute")
    assert explained.stdout.endswith("abab\n")
    assert run(script, "--file", "word.txt", "--explain").stdout.startswith("Plan: 1 hit")


def test_help_lists_parameters_and_defaults(script: Path) -> None:
    shown = run(script, "--help").stdout
    assert "Repeat what a file says." in shown
    assert "--times" in shown
    assert "2" in shown


def test_a_wrong_option_is_refused_before_anything_runs(script: Path) -> None:
    done = run(script, "--file", "word.txt", "--times", "many")
    assert done.returncode != 0
    assert "times" in done.stderr + done.stdout


def test_a_failure_is_one_message_without_a_traceback(script: Path) -> None:
    done = run(script, "--file", "word.txt", "--times=-1")
    assert done.returncode == 1
    assert "repeat" in done.stderr
    assert "times is negative" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_one_message(script: Path) -> None:
    done = run(script, "--file", "none.txt")
    assert done.returncode == 1
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_is_an_option(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            import lineage as ln

            @ln.node
            def count(folder: ln.Directory) -> int:
                return sum(1 for _ in folder.path.iterdir())

            def report(folder: ln.Directory) -> int:
                return count(folder)

            if __name__ == "__main__":
                ln.main(report)
        """)
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").touch()
    done = run(script, "--folder", "data")
    assert done.stdout.strip() == "1", done.stderr
