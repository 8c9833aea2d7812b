"""Composing functions as commands: typed parameters become options."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from lineage.errors import LineageError
from lineage.files import Directory, File
from lineage.session import current_session

__all__ = ["run_flow"]


def run_flow(flow: Callable[..., Any], argv: Sequence[str] | None = None) -> None:
    """Parse `argv` (default: the command line) as the parameters of `flow`, compute its result and print it.

    Exits with 0, or with 1 and one message when something fails, or with 2 when the options are wrong.
    """
    from cyclopts import App

    app = App(
        name=flow.__name__, help=inspect.getdoc(flow) or "", result_action="return_value", help_format="plaintext"
    )
    app.default(_command(flow))
    try:
        app(list(argv) if argv is not None else None, exit_on_error=True, print_error=True)
    except (LineageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def _command(flow: Callable[..., Any]) -> Callable[..., None]:
    """Return a function with the parameters of `flow` and `--plan`, for the parser to read."""
    from cyclopts import Parameter

    signature = inspect.signature(flow, eval_str=True)

    def command(*args: Any, plan: bool = False, explain: bool = False, **kwargs: Any) -> None:
        import lineage

        made = flow(*args, **kwargs)
        if plan or explain:
            print(lineage.plan(made), flush=True)
        if plan:
            return
        handle = lineage.materialize(made)
        if explain:
            print(_what_happened(), flush=True)
        print(handle.value if not isinstance(handle, tuple) else [one.value for one in handle])

    parameters = [_as_option(parameter, Parameter) for parameter in signature.parameters.values()]
    parameters += [
        _flag("plan", "show what would run, and why; run nothing", Parameter),
        _flag("explain", "show what will run, and why; then run it", Parameter),
    ]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=None
    )
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _what_happened() -> str:
    """Return one line that counts what the last run did."""
    (run,) = current_session().store.index.runs(1)
    names = {"cutoff": "unchanged"}
    return "Ran: " + ", ".join(f"{count} {names.get(verdict, verdict)}" for verdict, count in run.counts.items())


def _flag(name: str, text: str, option: Any) -> inspect.Parameter:
    annotation = Annotated[bool, option(help=text, negative="")]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)


def _as_option(parameter: inspect.Parameter, option: Any) -> inspect.Parameter:
    cls = parameter.annotation
    if cls is File or cls is Directory:
        return parameter.replace(annotation=Annotated[cls, option(converter=lambda _, tokens: cls(tokens[0].value))])
    return parameter
