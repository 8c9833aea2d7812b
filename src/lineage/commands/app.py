"""The `lineage` command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from lineage.commands.asking import ASKING
from lineage.commands.flows import flow_app
from lineage.commands.found import flow_at
from lineage.commands.keeping import KEEPING
from lineage.commands.outcome import completed
from lineage.environments.command import env_app

__all__ = ["app", "main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Carry out the command line `argv` (default: that of this process) and exit with its code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with completed():
        if words[:1] in (["run"], ["plan"]) and len(words) > 1 and not words[1].startswith("-"):
            _run(words[0], words[1], words[2:])
        else:
            code = app()(words, exit_on_error=False, print_error=False)
            if isinstance(code, int) and code:
                raise SystemExit(code)


def _run(verb: str, target: str, options: list[str]) -> None:
    """Parse what follows a target as the parameters of the function that it names."""
    parser = flow_app(flow_at(target), name=f"lineage {verb} {target}")
    if verb == "plan" and "--plan" not in options:
        options = ["--plan", *options]
    parser(options, exit_on_error=False, print_error=False)


def app() -> Any:
    """Return the parser of the whole command."""
    from importlib.metadata import version

    from cyclopts import App, Group

    found = App(
        name="lineage",
        help="Run graphs of pure functions, and ask what made what.",
        help_format="plaintext",
        help_epilogue=(
            "X is a run (run:3), a call (execution:12), a digest or its first letters, a tag, the name of a node, or the path of "
            "a file; tag:, node:, digest: or file: before it says which. Every command takes --store and, where it prints, --json. Exit codes: 0 done; "
            "1 failed; 2 wrong command line; 130 interrupted."
        ),
        version=lambda: version("lineage-graph"),
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    groups = {
        "Running": [run, plan],
        "Asking": ASKING,
        "Keeping": KEEPING,
    }
    for position, (title, commands) in enumerate(groups.items()):
        group = Group(title, sort_key=position)
        for command in commands:
            found.command(command, name=_name(command), group=group)
    environments = env_app()
    environments.group = group
    found.command(environments)
    found.register_install_completion_command()
    return found


def _name(command: Callable[..., Any]) -> str:
    return command.__name__.strip("_").replace("_", "-")


def run(target: str) -> None:
    """Run a composing function: `lineage run flights.py:model --alpha 0.1`. Its typed parameters become options.

    `lineage run TARGET --help` lists them. They may also come from the environment, as LINEAGE_PARAM_ALPHA.

    Args:
        target: module:function or path/to/file.py:function; the function may be left out where there is only one
    """
    _run("run", target, [])


def plan(target: str) -> None:
    """Show what running a composing function would do, call by call, and why. Runs nothing.

    Args:
        target: module:function or path/to/file.py:function, and the function's own options after it
    """
    _run("plan", target, [])
