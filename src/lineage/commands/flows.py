"""Composing functions as commands: typed parameters become options."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

from attrs import frozen

from lineage.commands.found import nodes_behind
from lineage.commands.outcome import completed
from lineage.commands.printed import as_json, printed, told
from lineage.files import Directory, File
from lineage.graph import type_name
from lineage.node import Node
from lineage.session import Session, current_session, state

__all__ = ["flow_app", "run_flow"]

ENVIRONMENT = "LINEAGE_PARAM_"
"""Before the name of a parameter, in capitals: the environment variable that gives it where the command line does not."""


@frozen
class Wishes:
    """How a flow is run: what the options say that are not its own parameters."""

    plan: bool = False
    explain: bool = False
    executor: str | None = None
    tag: str | None = None
    store: str | None = None
    refresh: tuple[str, ...] = ()
    retries: int | None = None
    timeout: float | None = None
    on_failure: str | None = None
    json: bool = False


_OPTIONS: dict[str, tuple[Any, Any, str, str]] = {
    "plan": (bool, False, "--plan", "show what would run, and why; run nothing"),
    "explain": (bool, False, "--explain", "show what will run, and why; then run it"),
    "executor": (str | None, None, "--with", "where calls run unless their node says: serial, processes:4, ray, …"),
    "tag": (str | None, None, "--tag", "give the result this name"),
    "store": (str | None, None, "--store", "the store's folder or URL; also LINEAGE_STORE"),
    "refresh": (list[str] | None, None, "--refresh", "execute the calls of this node again; may be repeated"),
    "retries": (int | None, None, "--retries", "how often failed calls are tried again whose node does not say"),
    "timeout": (float | None, None, "--timeout", "seconds that a call may take whose node does not say"),
    "on_failure": (
        Literal["finish", "stop"] | None,
        None,
        "--on-failure",
        "finish what can be finished, or stop at once",
    ),
    "json": (bool, False, "--json", "print JSON"),
}
"""The options of every flow beside its parameters: type, default, name and help."""


def run_flow(flow: Callable[..., Any], argv: Sequence[str] | None = None, *, name: str | None = None) -> None:
    """Parse `argv` (default: the command line) as the parameters of `flow`, compute its result and print it.

    Exits with 0, or with 1 and one message when something fails, or with 2 when the options are wrong.
    """
    with completed():
        flow_app(flow, name=name)(list(argv) if argv is not None else None, exit_on_error=False, print_error=False)


def flow_app(flow: Callable[..., Any], *, name: str | None = None) -> Any:
    """Return a parser with the parameters of `flow`, and with the options of every flow, that runs it."""
    from cyclopts import App

    plain = flow.fn if isinstance(flow, Node) else flow
    app = App(
        name=name or plain.__name__,
        help=_first_lines(plain),
        result_action="return_value",
        help_format="plaintext",
        version_flags=[],
        suppress_keyboard_interrupt=False,
    )
    app.default(_command(flow, plain))
    return app


def _first_lines(flow: Callable[..., Any]) -> str:
    """Return what the documentation says before it comes to parameters, which stand beside the options."""
    text = inspect.getdoc(flow) or ""
    return text.partition("\nArgs:")[0].partition("\nParameters\n")[0].strip()


def _command(flow: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., None]:
    """Return a function with the parameters of `flow` and the options of every flow, for the parser to read."""
    signature = inspect.signature(plain, eval_str=True)
    clashes = {name for name in signature.parameters if f"--{name.replace('_', '-')}" in _names()}
    renamed = {f"_{name}" if name in _OPTIONS else name: name for name in signature.parameters}

    def command(*args: Any, **given: Any) -> None:
        wishes = {wish.removeprefix("wish_"): given.pop(wish) for wish in list(given) if wish.startswith("wish_")}
        refresh = tuple(wishes.pop("refresh", None) or ())
        values = {renamed.get(key, key): value for key, value in given.items()}
        _carry_out(flow, args, values, Wishes(refresh=refresh, **wishes))

    documented = _documented(plain)
    parameters = [
        _as_option(one, documented.get(name, ""), f"--param-{name.replace('_', '-')}" if name in clashes else None)
        for name, one in signature.parameters.items()
    ]
    wishes = [_wish(name) for name in _OPTIONS]
    last = [one for one in parameters if one.kind is one.VAR_KEYWORD]
    ordered = [one for one in parameters if one.kind is not one.VAR_KEYWORD] + wishes + last
    command.__signature__ = signature.replace(parameters=ordered, return_annotation=None)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in ordered}
    command.__doc__ = None
    return command


def _names() -> set[str]:
    return {option[2] for option in _OPTIONS.values()} | {"--help"}


def _wish(name: str) -> inspect.Parameter:
    from cyclopts import Group, Parameter

    cls, default, option, text = _OPTIONS[name]
    group = Group("Running", sort_key=1)
    annotation = Annotated[
        cls,  # type: ignore[valid-type]
        Parameter(name=option, help=text, negative="", group=group, consume_multiple=False, show_default=False),
    ]
    return inspect.Parameter(f"wish_{name}", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _as_option(parameter: inspect.Parameter, text: str, name: str | None) -> inspect.Parameter:
    """Return a parameter of a flow as the parser is to read it: files by their paths, structures as JSON."""
    from cyclopts import Parameter

    hint = parameter.annotation
    options: dict[str, Any] = {"name": name} if name else {}
    if text and not _has_help(hint):
        options["help"] = text
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return parameter.replace(annotation=Annotated[hint, Parameter(**options)])
    options["env_var"] = ENVIRONMENT + parameter.name.upper()
    bare = _without_annotations(hint)
    if bare is File or bare is Directory:
        options["converter"] = _from_path(bare)
    elif bare == list[File] or bare == list[Directory]:
        options |= {"converter": _from_paths(typing.get_args(bare)[0]), "n_tokens": 1, "consume_multiple": True}
    elif _is_structure(bare):
        options |= {"converter": _from_json(bare), "n_tokens": 1, "accepts_keys": False, "metavar": "JSON"}
    return parameter.replace(annotation=Annotated[hint, Parameter(**options)])


def _without_annotations(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


def _has_help(hint: Any) -> bool:
    return any(getattr(one, "help", None) for one in getattr(hint, "__metadata__", ()))


def _is_structure(hint: Any) -> bool:
    """Say whether values of `hint` are written as JSON: dicts and records, which may be None."""
    options = [one for one in typing.get_args(hint) if one is not type(None)]
    if typing.get_origin(hint) in (types.UnionType, typing.Union) and len(options) == 1:
        return _is_structure(options[0])
    origin = typing.get_origin(hint) or hint
    if not isinstance(origin, type):
        return False
    is_record = hasattr(origin, "__attrs_attrs__") or hasattr(origin, "__dataclass_fields__")
    return issubclass(origin, dict) or typing.is_typeddict(origin) or is_record


def _from_path(cls: type) -> Callable[..., Any]:
    def convert(_: Any, tokens: Sequence[Any]) -> Any:
        return cls(tokens[0].value)

    return convert


def _from_paths(cls: type) -> Callable[..., Any]:
    def convert(_: Any, tokens: Sequence[Any]) -> Any:
        return [cls(token.value) for token in tokens]

    return convert


def _from_json(cls: Any) -> Callable[..., Any]:
    """Return a converter of JSON, or of `@path` of a file with JSON, to `cls`."""

    def convert(_: Any, tokens: Sequence[Any]) -> Any:
        import json
        from pathlib import Path

        from cattrs.preconf.json import make_converter

        text = tokens[0].value
        try:
            found = json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
            return make_converter(forbid_extra_keys=True).structure(found, cls)
        except json.JSONDecodeError as error:
            raise ValueError(f"write JSON, or @ and the path of a file with JSON ({error})") from error
        except Exception as error:
            raise ValueError(f"the JSON does not fit {type_name(cls)}: {'; '.join(_reasons(error))}") from error

    return convert


def _reasons(error: BaseException) -> Iterable[str]:
    from cattrs import transform_error

    try:
        return transform_error(error)
    except Exception:
        return [str(error)]


def _documented(flow: Callable[..., Any]) -> dict[str, str]:
    """Return what the documentation of `flow` says of its parameters."""
    from docstring_parser import parse

    return {
        one.arg_name: (one.description or "").replace("\n", " ") for one in parse(inspect.getdoc(flow) or "").params
    }


# -- running


def _carry_out(flow: Callable[..., Any], args: tuple[Any, ...], values: dict[str, Any], wishes: Wishes) -> None:
    if wishes.store is None:
        _in_session(flow, args, values, wishes)
        return
    with Session(wishes.store):
        _in_session(flow, args, values, wishes)


def _in_session(flow: Callable[..., Any], args: tuple[Any, ...], values: dict[str, Any], wishes: Wishes) -> None:
    import lineage

    made = flow(*args, **values)
    state["asked"] += 1  # whatever becomes of it, nobody forgot to ask
    refresh = nodes_behind(made, flow, wishes.refresh)
    if wishes.plan or wishes.explain:
        plan = lineage.plan(made, refresh=refresh)
        if wishes.plan:
            printed(plan, json=wishes.json)
            return
        print(plan, flush=True)
    asked: Any = {name: getattr(wishes, name) for name in ("executor", "retries", "timeout", "on_failure")}
    handle = lineage.materialize(made, refresh=refresh, **asked)
    handles = handle if isinstance(handle, tuple) else (handle,)
    if wishes.tag is not None:
        for one in handles:
            lineage.tag(one, wishes.tag)
    run = next(iter(current_session().store.index.runs(1)))
    if wishes.json:
        printed({"run": run.id, "counts": dict(run.counts), "results": [as_json(one) for one in handles]}, json=True)
        return
    told(f"run {run.id}: {_counted(run.counts)}")
    values_of = [one.value for one in handles]
    printed(values_of[0] if len(values_of) == 1 else values_of, json=False)


def _counted(counts: Any) -> str:
    names = {"cutoff": "unchanged", "hit": "cached"}
    return (
        ", ".join(f"{count} {names.get(verdict, verdict)}" for verdict, count in counts.items() if count)
        or "nothing to do"
    )
