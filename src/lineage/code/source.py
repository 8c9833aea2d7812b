"""The source of loaded code, and the proof that it is its source.

Text on disk is not what is loaded: a module may have been edited since its import. So a file's text
is compiled and the code object looked for in it; only a definition that compiles to the live code
is taken for its source.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
import textwrap
import time
import tokenize
import warnings
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

import attrs

from lineage.code.bytecode import signature
from lineage.code.memo import Memo
from lineage.code.normalise import definition_digest, statements_digest
from lineage.digest import Digest, digest_of
from lineage.errors import StaleCodeError

__all__ = [
    "Definition",
    "SourceFile",
    "Stamp",
    "class_definition",
    "definition_of",
    "file_of_code",
    "source_file",
    "stamp_of",
    "type_checking_imports",
]

Stamp = tuple[int, int, int, int, int]
"""Size, mtime_ns, ctime_ns, inode and device: what a change of a file shows in."""

_Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@attrs.frozen(eq=False)
class Definition:
    """A function's verified source: `digest` is that of its normalised syntax tree."""

    digest: Digest
    text: str


class SourceFile:
    """One text, parsed and compiled once: its tree, and the functions in it by what they compile
    to.
    """

    def __init__(self, name: str, text: str) -> None:
        self.lines = text.splitlines(keepends=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were shown when the code was imported
            self.tree = ast.parse(text, name)
            # a notebook's cell may await at its top level
            compiled = compile(text, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        self._codes: dict[str, list[CodeType]] = {}
        for code in _nested(compiled):
            self._codes.setdefault(code.co_qualname, []).append(code)
        self._nodes: dict[tuple[str, int], list[_Node]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, _Node):
                self._nodes.setdefault((_name(node), _first_line(node)), []).append(node)
        self._definitions: dict[_Node, Definition] = {}

    def find(self, code: CodeType) -> Definition | None:
        """Return the definition that compiles to `code`, exactly or moved; None where there is
        none.
        """
        candidates = self._codes.get(code.co_qualname, [])
        exact = [one for one in candidates if one == code]  # columns included
        if not exact:
            wanted = signature(code)
            exact = [one for one in candidates if signature(one) == wanted]
        for one in exact:
            node = self._node_of(one)
            if node is not None:
                return self._define(node)
        return None

    def find_class(self, qualname: str) -> Definition | None:
        """Return the class of that name, whose methods are left to be found one by one."""
        body: list[ast.stmt] = self.tree.body
        node: ast.stmt | None = None
        for part in qualname.replace("<locals>.", "").split("."):
            node = next((n for n in body if isinstance(n, _Scope) and n.name == part), None)
            if node is None:
                return None
            body = node.body
        if not isinstance(node, ast.ClassDef):
            return None
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        text = textwrap.dedent("".join(self.lines[first - 1 : node.end_lineno]))
        fields = [child for child in node.body if not isinstance(child, _Scope)]
        return Definition(statements_digest(fields), text)

    def _node_of(self, code: CodeType) -> _Node | None:
        nodes = self._nodes.get((code.co_name, code.co_firstlineno), [])
        if len(nodes) < 2:
            return nodes[0] if nodes else None
        spans = [span for span in code.co_positions() if span[0] is not None and span[3]]
        if not spans:
            return None
        start = min((line, column) for line, _, column, _ in spans if line and column is not None)
        end = max((line, column) for _, line, _, column in spans if line and column is not None)
        around = [node for node in nodes if _starts(node) <= start and end <= _ends(node)]
        return min(around, key=lambda node: _size(node), default=None)

    def _define(self, node: _Node) -> Definition:
        known = self._definitions.get(node)
        if known is None:
            lines = self.lines[_first_line(node) - 1 : node.end_lineno]
            text = textwrap.dedent("".join(lines))
            known = self._definitions[node] = Definition(definition_digest(node), text)
        return known


def _name(node: _Node) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _first_line(node: _Node) -> int:
    if isinstance(node, ast.Lambda):
        return node.lineno
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _body(node: _Node) -> tuple[ast.AST, ast.AST]:
    return (node.body, node.body) if isinstance(node, ast.Lambda) else (node.body[0], node.body[-1])


def _starts(node: _Node) -> tuple[int, int]:
    first: Any = _body(node)[0]
    return first.lineno, first.col_offset


def _ends(node: _Node) -> tuple[int, int]:
    last: Any = _body(node)[1]
    return last.end_lineno, last.end_col_offset


def _size(node: _Node) -> tuple[int, int]:
    (first, start), (last, end) = _starts(node), _ends(node)
    return last - first, end - start


def _nested(code: CodeType) -> Iterator[CodeType]:
    waiting = [code]
    while waiting:
        code = waiting.pop()
        yield code
        waiting.extend(const for const in reversed(code.co_consts) if isinstance(const, CodeType))


_files: dict[str, tuple[object, SourceFile | None]] = {}


def source_file(file: str, module_globals: dict[str, Any] | None = None) -> SourceFile | None:
    """Return the source that `file` holds now, from disk, a notebook's cell or a doctest; None
    where there is none.
    """
    stamp: object = stamp_of(file)
    text: str | None = None
    if stamp is None:
        text = "".join(linecache.getlines(file, module_globals))
        stamp = digest_of("text", text.encode("utf-8", "surrogatepass"))
        if not text:
            return None
    known = _files.get(file)
    if known is not None and known[0] == stamp:
        return known[1]
    found: SourceFile | None
    try:
        found = SourceFile(file, _decoded(file) if text is None else text)
    except (OSError, SyntaxError, ValueError, RecursionError):
        found = None
    _files[file] = (stamp, found)
    return found


def stamp_of(file: str) -> Stamp | None:
    """Return the stamp of `file`; None where it is missing."""
    try:
        stat = os.stat(file)
    except (OSError, ValueError):
        return None
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)


def _decoded(file: str) -> str:
    with tokenize.open(file) as stream:  # honours a coding cookie, as import does
        return stream.read()


_found: Memo[tuple[object, Definition | None]] = Memo()


def definition_of(fn: FunctionType) -> Definition | None:
    """Return the verified source of the code that is loaded in `fn`; None where it can't be had.

    Raises:
        StaleCodeError: its file changed after this process started, and no longer holds this code.
    """
    code = fn.__code__
    file = file_of_code(fn)
    stamp: object = stamp_of(file)
    known = _found.get(code)
    if known is not None and known[0] == stamp:
        return known[1]
    source = source_file(file, fn.__globals__)
    definition = source.find(code) if source is not None else None
    if definition is None and stamp is not None:
        _refuse_if_stale(fn, file)
    _found.put(code, (stamp, definition))
    return definition


def file_of_code(fn: FunctionType) -> str:
    """Return the file that `fn` was compiled from; absolute, where it is a script named by a
    relative path.
    """
    file = fn.__code__.co_filename
    if not os.path.isabs(file) and not file.startswith("<"):
        loaded = fn.__globals__.get("__file__")
        if isinstance(loaded, str) and os.path.basename(loaded) == os.path.basename(file):
            return os.path.abspath(loaded)
    return file


def _refuse_if_stale(fn: FunctionType, file: str) -> None:
    if "@pytest_ar" in fn.__globals__:  # pytest rewrote the asserts of this module: no source compiles to it
        return
    if os.stat(file).st_ctime > _process_start:
        name = fn.__code__.co_qualname
        raise StaleCodeError(
            f"{name}: {file} changed on disk after it was imported, and no longer holds the "
            f"code that is loaded; "
            "reload the module or restart",
            name=name,
            file=file,
        )


def _started() -> float:
    """Return when this process started; where the system does not say, when this module was
    imported.
    """
    try:
        with open("/proc/self/stat", "rb") as stream:
            ticks = int(stream.read().rpartition(b")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.time() - age
    except (OSError, ValueError, IndexError, AttributeError):
        return time.time()


_process_start = _started()


def class_definition(cls: type) -> Definition | None:
    """Return the source of a class as its module's file holds it; None where it can't be had.

    There is no code object of a class body to compare it with, so this is for display and for what
    no live object shows.
    """
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    methods = (getattr(member, "__code__", None) for member in vars(cls).values())
    files = [code.co_filename for code in methods if code is not None]
    for name in (file, *files):
        source = source_file(name) if isinstance(name, str) else None
        found = source.find_class(cls.__qualname__) if source is not None else None
        if found is not None:
            return found
    return None


def type_checking_imports(fn: FunctionType) -> dict[str, str]:
    """Return the names that the module of `fn` imports for type checkers only, and the modules that
    they are from.
    """
    source = source_file(file_of_code(fn), fn.__globals__)
    found: dict[str, str] = {}
    for node in source.tree.body if source is not None else ():
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for statement in node.body:
                if isinstance(statement, ast.Import):
                    found.update((a.asname or a.name.partition(".")[0], a.name) for a in statement.names)
                elif isinstance(statement, ast.ImportFrom) and statement.module:
                    found.update((a.asname or a.name, statement.module) for a in statement.names)
    return found
