"""What checkers infer: mypy (strict) and pyright accept right wiring and refuse wrong wiring, line by line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "typing_cases"
FILES = ("good.py", "bad.py")


def _marked(name: str, checker: str) -> list[int]:
    lines = (CASES / name).read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if re.search(rf"# E: (both|{checker})\b", line)]


@cache
def _mypy() -> dict[str, list[tuple[int, str]]]:
    arguments = ["--config-file=", "--strict", "--no-error-summary", "--show-error-codes", "--cache-dir=/dev/null"]
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments, *(str(CASES / name) for name in FILES)],
        capture_output=True, text=True, timeout=600, cwd=CASES.parent,
        env={"MYPYPATH": f"{CASES}:{CASES.parents[1] / 'src'}", "PATH": ""},
    )  # fmt: skip
    result: dict[str, list[tuple[int, str]]] = {name: [] for name in FILES}
    for line in found.stdout.splitlines():
        match = re.match(r"(.*?):(\d+): error: (.*)", line)
        assert match or ": note: " in line, line
        if match:
            result[Path(match[1]).name].append((int(match[2]), match[3]))
    assert found.returncode in (0, 1), found.stdout + found.stderr
    return result


@cache
def _pyright() -> dict[str, list[tuple[int, str]]]:
    found = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(CASES)],
        capture_output=True, text=True, timeout=600, cwd=CASES,
    )  # fmt: skip
    result: dict[str, list[tuple[int, str]]] = {name: [] for name in FILES}
    for each in json.loads(found.stdout)["generalDiagnostics"]:
        if each["severity"] == "error":
            result[Path(each["file"]).name].append((each["range"]["start"]["line"] + 1, each["message"]))
    return result


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_mypy_strict_refuses_the_marked_lines_and_no_others(name: str) -> None:
    _compare(_mypy()[name], _marked(name, "mypy"))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_pyright_refuses_the_marked_lines_and_no_others(name: str) -> None:
    _compare(_pyright()[name], _marked(name, "pyright"))


def _compare(found: list[tuple[int, str]], marked: list[int]) -> None:
    unexpected = [(line, message) for line, message in found if line not in marked]
    assert unexpected == []
    assert sorted({line for line, _ in found}) == marked


def test_the_cases_cover_what_they_should() -> None:
    assert len(_marked("bad.py", "mypy")) > 30
    assert _marked("good.py", "mypy") == []
