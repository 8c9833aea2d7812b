"""What importing a module does besides making names: patches, registrations, settings.

Such statements belong to the fingerprint of every function that reaches the module. Definitions,
imports and plain bindings don't: what they made is seen as live objects, where it is reached.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from types import CodeType, ModuleType
from typing import Any

import attrs

from lineage.code.facts import fact
from lineage.code.normalise import statements_digest
from lineage.code.origin import (
    Origin,
    file_of_module,
    module_named,
    origin_of_module,
    origin_of_module_name,
)
from lineage.code.source import source_file
from lineage.digest import Digest

__all__ = ["Effects", "cells", "effects_of"]

_QUIET = frozenset(["print", "display", "help", "show", "input", "exit", "quit", "get_ipython"])
_SETTER = re.compile(
    r"^(set|un?reg|reg|enable|disable|use|seed|patch|install|config|update|option|filterwarnings|simplefilter|"
    r"insert|append|add|load_ext|overload|intrinsic|lower|type_callable|typeof|box|unbox|infer|implements)"
)
"""Names of what changes something elsewhere, called in a statement of its own or as a decorator."""

_SETS = re.compile(
    r"^(set|un?register|register|enable|disable|use_|seed|un?patch|install|config|update_|filterwarnings|simplefilter|"
    r"push|activate|load_ext)"
)
"""Those of them that are taken for such even where what they return is bound to a name."""


@attrs.frozen(eq=False)
class Effects:
    """The effects of one module: their digest and the code to find what they call in; and the
    modules it imports.
    """

    digest: Digest | None
    code: CodeType | None
    imports: tuple[str, ...]
    text: str


_known: dict[str, tuple[object, Effects]] = {}


def effects_of(module: ModuleType) -> Effects:
    """Return the effects of importing `module`, read once for each time that it was (re)loaded."""
    name = module.__name__
    notebook = name == "__main__" and file_of_module(module) is None
    state: object = (len(linecache.cache), len(cells())) if notebook else module.__spec__ or module
    known = _known.get(name)
    if known is not None and (known[0] == state if notebook else known[0] is state):
        return known[1]
    effects = _of_cells(module) if notebook else _of_file(module)
    _known[name] = (state, effects)
    return effects


def cells() -> list[str]:
    """Return the names under which the cells of a notebook or prompt are kept, in the order in
    which they ran.
    """
    return [name for name in linecache.cache if _is_cell(name)]


def _is_cell(name: str) -> bool:
    return name.startswith("<ipython-input-") or "ipykernel_" in name


def _of_file(module: ModuleType) -> Effects:
    file = file_of_module(module)
    source = source_file(file, vars(module)) if file and file.endswith((".py", ".pyw")) else None
    if source is None:
        return Effects(None, None, (), "")
    main = module.__name__ == "__main__"
    found = _Finder(module, main)
    found.block(source.tree.body)
    return found.effects()


def _of_cells(module: ModuleType) -> Effects:
    found = _Finder(module, main=True)
    for name in cells():
        source = source_file(name)
        if source is not None:
            found.cell(source.tree.body)
    return found.effects()


class _Finder:
    """Sorts the statements of a module."""

    def __init__(self, module: ModuleType, main: bool) -> None:
        self.module = module
        self.main = main
        self.statements: list[ast.stmt] = []
        self.imports: dict[str, None] = {}

    def effects(self) -> Effects:
        kept = self.statements
        if not kept:
            return Effects(None, None, tuple(self.imports), "")
        tree = ast.Module(body=kept, type_ignores=[])
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(ast.unparse(tree), "<effects>", "exec", flags=flags, dont_inherit=True)
        return Effects(statements_digest(kept), code, tuple(self.imports), ast.unparse(tree))

    def cell(self, body: list[ast.stmt]) -> None:
        """Sort a notebook's cell. Its last expression is shown, so it is looked at, unless it is
        named as a setting.
        """
        if body and isinstance(body[-1], ast.Expr):
            call = body[-1].value
            if not (isinstance(call, ast.Call) and _SETTER.match(_last_name(call.func))):
                body = body[:-1]
        self.block(body)
        # a cell that ran again counts once, where it first ran
        self.statements = list({ast.dump(node): node for node in self.statements}.values())

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self.imported(node)
        elif isinstance(node, ast.If):
            if not _is_guard(node.test):
                self.compound(node, [node.body, node.orelse])
        elif isinstance(node, ast.Try):
            handlers = [handler.body for handler in node.handlers]
            self.compound(node, [node.body, node.orelse, node.finalbody, *handlers])
        elif isinstance(node, ast.With):
            self.compound(node, [node.body])
        elif isinstance(node, ast.For | ast.While):
            self.compound(node, [node.body, node.orelse])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.definition(node)
        elif not self.is_binding(node) or self.sets(node):
            self.statements.append(node)

    def sets(self, node: ast.AST) -> bool:
        """Say whether an expression in `node` changes a setting of others while it is evaluated (`old = np.seterr(...)`)."""
        waiting = [node]
        while waiting:
            part = waiting.pop()
            if isinstance(part, ast.Call):
                name, root = _last_name(part.func), _root(part.func)
                if name in ("setattr", "delattr") and name == root:
                    return True
                if _SETS.match(name) and _is_theirs(vars(self.module).get(root)):
                    return True
            if not isinstance(part, ast.Lambda):
                waiting.extend(ast.iter_child_nodes(part))
        return False

    def definition(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        """Take a definition that a package's decorator registers
        (`@pl.api.register_dataframe_namespace`).

        It is reached without its name from then on, so it counts as if it had been passed in a
        call. The statements of a class body run too, and so do the defaults of parameters.
        """
        if isinstance(node, ast.ClassDef):
            self.block(node.body)
        else:
            defaults = [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]
            for value in (*defaults, *node.decorator_list):
                if self.sets(value):
                    self.statements.append(ast.fix_missing_locations(ast.Expr(value)))
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            owner = vars(self.module).get(_root(called))
            if _SETTER.match(_last_name(called)) and _is_packaged(owner):
                name = ast.Name(node.name, ast.Load())
                for value in (decorator, name):
                    self.statements.append(ast.fix_missing_locations(ast.Expr(value)))

    def compound(self, node: ast.stmt, blocks: list[list[ast.stmt]]) -> None:
        """Take a conditional whole, if there is any effect in it."""
        before = len(self.statements)
        for block in blocks:
            self.block(block)
        if len(self.statements) > before:
            del self.statements[before:]
            self.statements.append(node)

    def imported(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            parent = node.module or ""
            if node.level:
                package: str = vars(self.module).get("__package__") or ""
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                parent = f"{above}.{parent}" if parent else above
            names = [parent, *(f"{parent}.{alias.name}" for alias in node.names)]
        for name in names:
            module = module_named(name)
            if module is not None and origin_of_module(module) is Origin.PROJECT:
                self.imports[name] = None

    def is_binding(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.Pass | ast.Assert | ast.Global):
            return True
        if isinstance(node, ast.Assign | ast.Delete):
            return all(_is_plain(target) for target in node.targets)
        if isinstance(node, ast.AnnAssign | ast.AugAssign):
            return _is_plain(node.target)
        if isinstance(node, ast.Expr):
            return self.is_quiet(node.value)
        return type(node).__name__ == "TypeAlias"

    def is_quiet(self, node: ast.expr) -> bool:
        """Say whether an expression statement leaves things as they were."""
        if isinstance(node, ast.Await):
            node = node.value
        if not isinstance(node, ast.Call):
            return True
        root = _root(node.func)
        if root in _QUIET or _last_name(node.func) in ("show", "display"):
            return True
        owner = vars(self.module).get(root)
        if isinstance(owner, ModuleType):
            origin = origin_of_module(owner)
            return origin is Origin.LINEAGE or owner.__name__ == "logging"
        if not self.main:
            return type(owner).__name__ == "Logger"
        return _is_ours(owner)


def _is_ours(owner: Any) -> bool:
    """Say whether a name at the top of a script stands for something of the project's, whose bare
    call is an entry.

    A name that came from a package (`from polars import Config`) is that package's.
    """
    owner = owner if isinstance(owner, type) or hasattr(owner, "__globals__") else type(owner)
    name = getattr(owner, "__globals__", {}).get("__name__", getattr(owner, "__module__", None))
    if name is None or name == "builtins":
        return True
    module = sys.modules.get(str(name))
    return module is None or origin_of_module(module) in (Origin.PROJECT, Origin.LINEAGE)


def _is_theirs(owner: Any) -> bool:
    """Say whether a name stands for something of a package's or the standard library's, logging aside."""
    if owner is None:
        return False
    if isinstance(owner, ModuleType):
        return origin_of_module(owner) in (Origin.PACKAGE, Origin.STDLIB) and owner.__name__ != "logging"
    name = fact(owner, "__module__") or type(owner).__module__
    return origin_of_module_name(str(name)) in (Origin.PACKAGE, Origin.STDLIB) and name != "builtins"


def _is_packaged(owner: Any) -> bool:
    if isinstance(owner, ModuleType):
        return origin_of_module(owner) is Origin.PACKAGE
    name = fact(owner, "__module__") or type(owner).__module__
    return origin_of_module_name(str(name)) is Origin.PACKAGE


def _is_plain(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(_is_plain(item) for item in target.elts)
    if isinstance(target, ast.Starred):
        return _is_plain(target.value)
    return isinstance(target, ast.Name)


def _is_guard(test: ast.expr) -> bool:
    text = ast.unparse(test)
    return text in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or text.startswith(("__name__ ==", "'__main__' =="))


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
