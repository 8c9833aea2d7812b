"""Functions of notebook cells have fingerprints like any other."""

from __future__ import annotations

from pathlib import Path

from code_project import in_process

SHELL = """
from IPython.core.interactiveshell import InteractiveShell
from code_project import look
shell = InteractiveShell.instance()
def run(cell):
    done = shell.run_cell(cell, store_history=True)
    if done.error_before_exec or done.error_in_exec:
        raise SystemExit(repr(done.error_before_exec or done.error_in_exec))
def digest(name="node"):
    found = look(shell.user_ns[name])
    assert found.is_current()
    return found.digest.hex()
run("from code_project import look\\nimport numpy as np")
"""


def ask(tmp_path: Path, script: str) -> list[str]:
    return in_process(SHELL + script, tmp_path, IPYTHONDIR=str(tmp_path / "ipython")).splitlines()


def test_a_cell_a_script_and_a_rerun_agree(tmp_path: Path) -> None:
    source = "LIMIT = 2\ndef h(x):\n    return x * LIMIT\ndef node(x):\n    return h(x)\n"
    script = "import numpy as np\n" + source + "from code_project import look\nprint(look(node).digest.hex())"
    plain = in_process(script, tmp_path)
    answers = ask(
        tmp_path,
        f"""
run({source!r})
print(digest())
run("# a comment\\n" + {source!r})
print(digest())
run({source!r}.replace("* LIMIT", "+ LIMIT"))
print(digest())
print("\\n".join(look(shell.user_ns["node"]).sources))
""",
    )
    assert answers[0] == answers[1] == plain
    assert answers[2] != plain
    assert answers[3:] == ["function node", "function h", "constant LIMIT"]


def test_helpers_of_other_cells_are_followed_when_redefined(tmp_path: Path) -> None:
    answers = ask(
        tmp_path,
        """
run("def h(x): return x")
run("def node(x): return h(x)")
before = look(shell.user_ns["node"])
run("def h(x): return -x")
print(before.is_current(), before.digest == look(shell.user_ns["node"]).digest)
""",
    )
    assert answers == ["False False"]


def test_looking_at_things_in_cells_changes_nothing_and_settings_do(tmp_path: Path) -> None:
    answers = ask(
        tmp_path,
        """
run("def node(x): return x")
first = digest()
run("node(1)")
run("np.mean([1, 2])")
run("x = np.mean([1, 2])\\nprint(x)\\nx")
print(digest() == first)
run("np.seterr(all='ignore')")
second = digest()
print(second == first)
run("np.seterr(all='ignore')")
print(digest() == second)
""",
    )
    assert [line for line in answers if line in ("True", "False")] == ["True", "False", "True"]


def test_classes_of_cells_are_followed(tmp_path: Path) -> None:
    answers = ask(
        tmp_path,
        """
head = "import attrs\\n@attrs.frozen\\nclass T:\\n    x: int = 1\\n"
cell = head + "    def go(self):\\n        return self.x\\n"
run(cell)
run("def node(): return T().go()")
first = digest()
run(cell)
print(digest() == first)
run(cell.replace("self.x", "-self.x"))
print(digest() == first)
""",
    )
    assert answers == ["True", "False"]
