"""Source with everything taken out that can't change what a function returns.

Comments and formatting are gone once parsed; here go docstrings, annotations, the outermost
decorators (they are seen as the live objects that they made), the outermost name and defaults (seen
as live values), and line numbers. The annotations in the body of a nested class stay, as they make
the fields of a dataclass.
"""

from __future__ import annotations

import ast
from typing import TypeVar

from lineage.digest import Digest, digest_of

__all__ = ["definition_digest", "statements_digest"]

N = TypeVar("N")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def definition_digest(node: _Function | ast.Lambda) -> Digest:
    """Digest a function by its normalised syntax tree."""
    node = _copied(node)
    node = _Normaliser().visit(node)
    node.args.defaults = []
    node.args.kw_defaults = []
    if isinstance(node, ast.Lambda):
        # a lambda and a function of one statement are told apart: they differ in their `__name__`
        return digest_of("lambda", _dump(node.args), _dump(node.body))
    node.name = ""
    node.decorator_list = []
    return digest_of("function", _dump(node))


def statements_digest(statements: list[ast.stmt]) -> Digest:
    """Digest statements by their normalised syntax trees, in order."""
    return digest_of("statements", *(_dump(_Normaliser().visit(_copied(node))) for node in statements))


def _copied(part: N) -> N:
    """Copy a tree without its places in the source, which count for nothing: less than half of the time of `copy.deepcopy`."""
    if isinstance(part, ast.AST):
        made = type(part)()
        for name in part._fields:
            if hasattr(part, name):
                setattr(made, name, _copied(getattr(part, name)))
        return made
    if isinstance(part, list):
        return [_copied(item) for item in part]  # type: ignore[return-value]
    return part


def _dump(node: ast.AST) -> bytes:
    return ast.dump(node).encode("utf-8", "surrogatepass")


class _Normaliser(ast.NodeTransformer):
    def __init__(self) -> None:
        self._fields: set[int] = set()  # annotated assignments of class bodies

    def _function(self, node: _Function) -> _Function:
        node.returns = None
        node.type_comment = None
        node.body = _without_docstring(node.body)
        if hasattr(node, "type_params"):
            node.type_params = []
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        node.type_comment = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        for child in node.body:
            if isinstance(child, ast.AnnAssign):
                self._fields.add(id(child))
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if id(node) in self._fields:
            return node
        if node.value is None:  # `x: int` makes x a local: the target stays
            node.annotation = ast.Constant(None)
            return node
        return ast.Assign(targets=[node.target], value=node.value, lineno=0)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        node.kind = None
        return node


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return body
