"""Composing functions as commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

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


# -- the `lineage` command

FLOWS = """
    import datetime
    import enum
    from typing import Literal

    import lineage as ln
    from attrs import frozen

    @frozen
    class Settings:
        depth: int = 3
        name: str = "x"

    class Color(enum.Enum):
        RED = 1
        BLUE = 2

    @ln.node
    def build(n: int, settings: Settings, color: Color, day: datetime.date) -> str:
        return f"{n} {settings.name} {settings.depth} {color.name} {day}"

    @ln.node
    def join(texts: list[str], weights: dict[str, float], files: list[ln.File]) -> str:
        return " + ".join([*texts, *(file.path.read_text() for file in files), str(weights)])

    def report(
        n: int,
        *,
        settings: Settings = Settings(),
        color: Color = Color.RED,
        day: datetime.date = datetime.date(2020, 1, 1),
        mode: Literal["a", "b"] = "a",
        weights: dict[str, float] | None = None,
        files: list[ln.File] = [],
        plan: bool = False,
    ) -> str:
        '''Report on things.

        Args:
            n: how many there are
        '''
        built = [build(i, settings, color, day) for i in range(n)]
        return join(built, weights or {"plan": float(plan)}, files)

    def broken() -> str:
        raise RuntimeError("composed wrongly")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows.py").write_text(textwrap.dedent(FLOWS))
    return tmp_path


def lineage(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    where = {**os.environ, "LINEAGE_STORE": str(folder / "store"), **environment}
    return subprocess.run(
        [sys.executable, "-m", "lineage", *words], cwd=folder, env=where, capture_output=True, text=True
    )


def test_a_flow_of_a_file_and_of_a_module_is_one_flow(folder: Path) -> None:
    first = lineage(folder, "run", "flows.py:report", "2")
    assert first.stdout == "0 x 3 RED 2020-01-01 + 1 x 3 RED 2020-01-01 + {'plan': 0.0}\n"
    assert first.stderr == "run 1: 3 executed\n"
    assert lineage(folder, "run", "flows:report", "--n", "2").stderr == "run 2: 1 cached\n"


def test_options_have_the_types_of_parameters(folder: Path) -> None:
    (folder / "a.txt").write_text("A")
    (folder / "b.txt").write_text("B")
    options = ["--settings", '{"depth": 5}', "--color", "blue", "--day", "2024-02-03", "--weights", '{"a": 1}']
    done = lineage(folder, "run", "flows:report", "1", *options, "--files", "a.txt", "b.txt")
    assert done.stdout == "0 x 5 BLUE 2024-02-03 + A + B + {'a': 1.0}\n", done.stderr


def test_json_may_stand_in_a_file(folder: Path) -> None:
    (folder / "settings.json").write_text('{"name": "filed"}')
    assert "0 filed 3" in lineage(folder, "run", "flows:report", "1", "--settings", "@settings.json").stdout


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "n"),
        (["x"], "int"),
        (["1", "--settings", '{"depht": 5}'], "extra fields found (depht)"),
        (["1", "--settings", "abc"], "write JSON"),
        (["1", "--color", "green"], "green"),
        (["1", "--mode", "c"], "c"),
        (["1", "--nope", "2"], "--nope"),
    ],
)
def test_what_does_not_fit_is_refused_with_code_2(folder: Path, options: list[str], complaint: str) -> None:
    done = lineage(folder, "run", "flows:report", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "store").exists()


def test_parameters_may_come_from_the_environment_and_the_command_line_wins(folder: Path) -> None:
    given = {"LINEAGE_PARAM_N": "1", "LINEAGE_PARAM_SETTINGS": '{"name": "env"}'}
    assert lineage(folder, "run", "flows:report", **given).stdout.startswith("0 env 3 RED 2020-01-01 + {")
    assert lineage(folder, "run", "flows:report", "0", **given).stdout.startswith("{")


def test_a_parameter_named_as_an_option_of_every_flow_is_reached_by_another_name(folder: Path) -> None:
    assert "{'plan': 1.0}" in lineage(folder, "run", "flows:report", "0", "--param-plan").stdout


def test_help_shows_what_the_documentation_says_of_parameters(folder: Path) -> None:
    shown = lineage(folder, "run", "flows:report", "--help").stdout
    for text in ("Report on things.", "how many there are", "LINEAGE_PARAM_N", "red, blue", "--with", "--param-plan"):
        assert text in shown


def test_a_plan_of_a_flow_runs_nothing(folder: Path) -> None:
    assert lineage(folder, "plan", "flows:report", "2").stdout.startswith("Plan: 3 execute")
    planned = json.loads(lineage(folder, "plan", "flows:report", "2", "--json").stdout)
    assert [call["verdict"] for call in planned] == ["execute"] * 3


def test_a_run_as_json(folder: Path) -> None:
    found = json.loads(lineage(folder, "run", "flows:report", "0", "--json").stdout)
    assert found["run"] == 1
    assert found["counts"]["executed"] == 1
    assert found["results"][0]["value"] == "{'plan': 0.0}"
    assert len(found["results"][0]["digest"]) == 64


def test_nodes_are_refreshed_by_name_and_a_misspelt_one_is_named(folder: Path) -> None:
    lineage(folder, "run", "flows:report", "2")
    assert "2 executed" in lineage(folder, "run", "flows:report", "2", "--refresh", "build").stderr
    wrong = lineage(folder, "run", "flows:report", "2", "--refresh", "buidl")
    assert wrong.returncode == 1
    assert "did you mean 'build'?" in wrong.stderr


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("flows", "it has broken, report"),
        ("flows:repotr", "did you mean 'report'?"),
        ("none.py:report", "there is no file"),
        ("nowhere:report", "no module 'nowhere'"),
        ("flows:broken", "RuntimeError: composed wrongly"),
    ],
)
def test_a_target_that_is_not_there_is_one_message(folder: Path, target: str, complaint: str) -> None:
    done = lineage(folder, "run", target)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") <= 2


def test_an_error_of_composing_code_says_where(folder: Path) -> None:
    assert "flows.py:" in lineage(folder, "run", "flows:broken").stderr
    assert "Traceback" in lineage(folder, "run", "flows:broken", LINEAGE_TRACEBACK="1").stderr


def test_an_interrupted_command_ends_with_its_own_code(folder: Path) -> None:
    (folder / "slow.py").write_text(
        "import time\nimport lineage as ln\n"
        "@ln.node(version='1')\ndef wait(n: int) -> int:\n    print('begun', flush=True)\n    time.sleep(60)\n    return n\n"
        "def flow() -> int:\n    return wait(1)\n"
    )
    words = [sys.executable, "-m", "lineage", "run", "slow:flow", "--store", "store"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.endswith("error: interrupted; what was finished is kept\n")


# -- asking


@pytest.fixture
def ran(folder: Path) -> Path:
    assert lineage(folder, "run", "flows:report", "2", "--tag", "first").returncode == 0
    settings = ["--settings", '{"depth": 5}']
    assert lineage(folder, "run", "flows:report", "2", *settings, "--tag", "second").returncode == 0
    return folder


def rows(folder: Path, *words: str) -> list[dict[str, Any]]:
    done = lineage(folder, *words, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_runs_calls_and_datasets_are_listed(ran: Path) -> None:
    assert [(run["run"], run["executed"]) for run in rows(ran, "log")] == [(2, 3), (1, 3)]
    assert [call["node"] for call in rows(ran, "calls", "--run", "1")] == ["join", "build", "build"]
    assert len(rows(ran, "datasets", "--node", "build")) == 4
    assert lineage(ran, "log", "--limit", "1").stdout.splitlines()[1].split()[:3] == ["2", "join", "ok"]


def test_lineage_goes_up_and_down(ran: Path) -> None:
    assert [row["node"] for row in rows(ran, "lineage", "second")] == ["join", "build", "build"]
    assert {row["node"] for row in rows(ran, "lineage", "execution:1", "--down")} == {"build", "join"}


def test_a_dataset_is_shown_by_name_by_node_by_digest_and_by_run(ran: Path) -> None:
    assert "0 x 5 RED" in lineage(ran, "show", "second").stdout
    assert "0 x 5 RED" in lineage(ran, "show", "join").stdout
    digest = rows(ran, "datasets", "second")[0]["digest"]
    assert "0 x 5 RED" in lineage(ran, "show", digest[:10]).stdout
    assert "run 2 (join): ok" in lineage(ran, "show", "run:2").stdout
    assert rows(ran, "show", "second")[0]["value"].startswith("0 x 5 RED")


def test_why_a_run_executed_and_what_differs(ran: Path) -> None:
    assert "argument settings" in lineage(ran, "why", "run:2").stdout
    assert any(change["name"] == "settings" for call in rows(ran, "why", "run:2") for change in call["changes"])
    assert "execution 1" in lineage(ran, "diff", "run:1", "run:2").stdout
    assert "no difference" in lineage(ran, "diff", "second", "second").stdout


def test_source_and_verdicts(ran: Path) -> None:
    assert 'return " + ".join(' in lineage(ran, "source", "second").stdout
    done = lineage(ran, "verify", "second", "--sample", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 deterministic" in done.stdout


def test_verify_exits_with_1_where_something_differs(folder: Path) -> None:
    (folder / "odd.py").write_text(
        "import os\nimport lineage as ln\n"
        "@ln.node(version='1')\ndef process(n: int) -> int:\n    return os.getpid()\n"
        "def flow() -> int:\n    return process(1)\n"
    )
    lineage(folder, "run", "odd:flow", "--tag", "odd")
    done = lineage(folder, "verify", "odd")
    assert done.returncode == 1
    assert "differs" in done.stdout


def test_logs_show_what_was_printed_and_what_failed(folder: Path) -> None:
    (folder / "loud.py").write_text(
        "import lineage as ln\n"
        "@ln.node\ndef half(n: int) -> float:\n    print(f'halving {n}')\n    return 1 / n\n"
        "def flow(n: int) -> float:\n    return half(n)\n"
    )
    failed = lineage(folder, "run", "loud:flow", "0")
    assert failed.returncode == 1
    assert "division by zero" in failed.stderr
    shown = lineage(folder, "logs", "run:1")
    assert "halving 0" in shown.stdout
    assert "ZeroDivisionError" in shown.stdout
    assert rows(folder, "calls", "--status", "failed")[0]["node"] == "half"


def test_names_are_given_and_moved(ran: Path) -> None:
    assert lineage(ran, "tag", "first", "branch:prod/report").returncode == 0
    assert lineage(ran, "tag", "second", "branch:prod/report").returncode == 0
    assert [row["execution"] for row in rows(ran, "tags", "branch:prod/report")] == [6, 3]


def test_what_is_forgotten_is_executed_again(ran: Path) -> None:
    lineage(ran, "forget", "first")
    assert "1 executed" in lineage(ran, "run", "flows:report", "2").stderr


def test_options_of_a_run_fill_what_nodes_leave_open(folder: Path) -> None:
    (folder / "flaky.py").write_text(
        "import pathlib\nimport lineage as ln\n"
        "@ln.node(version='1')\ndef once(place: str) -> int:\n    path = pathlib.Path(place)\n"
        "    if not path.exists():\n        path.touch()\n        raise OSError('not yet')\n    return 1\n"
        "def flow(place: str) -> int:\n    return once(place)\n"
    )
    assert lineage(folder, "run", "flaky:flow", "a").returncode == 1
    assert lineage(folder, "run", "flaky:flow", "b", "--retries", "1").stdout == "1\n"


def test_where_there_is_no_store_questions_make_none(folder: Path) -> None:
    done = lineage(folder, "log")
    assert done.returncode == 1
    assert "there is no store" in done.stderr
    assert not (folder / "store").exists()


def test_the_doctor_says_what_is_wrong(ran: Path) -> None:
    found = {finding["subject"]: finding for finding in rows(ran, "doctor")}
    assert found["store"]["found"].endswith("last run 2: ok")
    (ran / "store" / "index.sqlite").write_bytes(b"no index" * 1000)
    done = lineage(ran, "doctor")
    assert done.returncode == 1
    assert "WRONG  store" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_on_request(folder: Path, shell: str) -> None:
    done = lineage(folder, "--install-completion", "--shell", shell, HOME=str(folder))
    assert done.returncode == 0, done.stderr
