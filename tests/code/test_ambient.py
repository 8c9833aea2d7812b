"""What code reads from outside its arguments is a leaf where it is named literally, and refused
elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from code_project import Project, look
from lineage.code import check_declaration
from lineage.code.files import FileState, file_state
from lineage.digest import digest_of
from lineage.errors import DeclarationError, UndeclaredReadError, UnstableIdentityError


@pytest.mark.parametrize(
    "body",
    [
        "time.time()",
        "time.time_ns()",
        "datetime.datetime.now()",
        "datetime.datetime.utcnow()",
        "datetime.date.today()",
        "random.random()",
        "random.choice([1])",
        "random.Random()",
        "np.random.default_rng()",
        "np.random.default_rng(None)",
        "np.random.default_rng(seed=None)",
        "np.random.RandomState()",
        "np.random.rand(3)",
        "uuid.uuid1()",
        "uuid.uuid4()",
        "secrets.token_hex()",
        "secrets.choice([1])",
        "os.urandom(4)",
        "list(map(time.time, []))",
        "os.environ[x]",
        "os.environ['A' + x]",
        "os.environ.get(x)",
        "os.getenv(f'A{x}')",
        "dict(os.environ)",
        "list(os.environ.items())",
        "imported_now()",
        "imported_random()",
    ],
)
def test_undeclared_reads_are_refused_and_can_be_allowed(project: Project, body: str) -> None:
    module = project.load(
        "import datetime, os, random, secrets, time, uuid\nimport numpy as np\n"
        "from time import time as imported_now\nfrom random import random as imported_random\n"
        f"def helper(x):\n    return {body}\ndef node(x): return helper(x)"
    )
    with pytest.raises(UndeclaredReadError, match=r"node -> helper, line 6: .*; .*version="):
        look(module.node)
    look(module.node, allow_ambient=True)


@pytest.mark.parametrize(
    "body",
    [
        "time.perf_counter()",
        "time.monotonic()",
        "time.sleep(0)",
        "random.Random(3)",
        "np.random.default_rng(3)",
        "np.random.default_rng(seed=x)",
        "np.random.RandomState(x)",
        "(random.seed(x), random.random())",
        "(np.random.seed(x), np.random.rand())",
        "datetime.datetime(2020, 1, 1)",
        "uuid.uuid5(uuid.NAMESPACE_DNS, 'a')",
        "logging.getLogger(__name__).info('x')",
        "log.info('x')",
    ],
)
def test_declared_or_harmless_reads_are_fine(project: Project, body: str) -> None:
    module = project.load(
        "import datetime, logging, random, time, uuid\nimport numpy as np\n"
        f"log = logging.getLogger('a')\ndef node(x):\n    return {body}"
    )
    assert look(module.node).is_current()


@pytest.mark.parametrize(
    "body",
    [
        "os.environ['LINEAGE_X']",
        "os.environ.get('LINEAGE_X')",
        "os.environ.get('LINEAGE_X', x if x else None)",
        "os.getenv('LINEAGE_X', 'b')",
        "'LINEAGE_X' in os.environ",
        "os.environ[NAME]",
        "env['LINEAGE_X']",
    ],
)
def test_a_literal_environment_variable_is_a_leaf(project: Project, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = project.load(
        f"import os\nfrom os import environ as env\nNAME = 'LINEAGE_X'\ndef node(x=0):\n    return {body}"
    )
    monkeypatch.delenv("LINEAGE_X", raising=False)
    unset = look(module.node)
    monkeypatch.setenv("LINEAGE_X", "")
    empty = look(module.node)
    monkeypatch.setenv("LINEAGE_X", "1")
    one = look(module.node)
    assert "environment variable LINEAGE_X" in one.leaves
    assert len({unset.digest, empty.digest, one.digest}) == 3
    assert one.is_current()
    assert not empty.is_current()


def test_setting_a_variable_is_no_read(project: Project) -> None:
    module = project.load("import os\ndef node(x):\n    os.environ['A'] = x")
    assert look(module.node).is_current()


@pytest.mark.parametrize(
    "body",
    [
        "open('PATH').read()",
        "open('PATH', 'rb').read()",
        "open(file='PATH')",
        "Path('PATH').read_text()",
        "Path('PATH').read_bytes()",
        "Path('PATH').open()",
        "(Path('FOLDER') / 'x.sql').read_text()",
        "open(os.path.join('FOLDER', 'x.sql'))",
        "open(NAME)",
        "pl.read_csv('PATH')",
        "pl.scan_parquet('PATH')",
        "read_csv('PATH')",
        "np.load('PATH')",
    ],
)
def test_a_file_named_literally_is_a_leaf(project: Project, tmp_path: Path, body: str) -> None:
    file = tmp_path / "x.sql"
    code = body.replace("PATH", str(file)).replace("FOLDER", str(tmp_path))
    module = project.load(
        "import os\nfrom pathlib import Path\nimport numpy as np\nimport polars as pl\n"
        f"from polars import read_csv\nNAME = {str(file)!r}\ndef node():\n    return {code}"
    )
    missing = look(module.node)
    file.write_text("select 1")
    one = look(module.node)
    assert f"file {file}" in one.leaves
    assert list(one.files) == [str(file)]
    assert one.is_current()
    file.write_text("select 2")
    assert not one.is_current()
    assert len({missing.digest, one.digest, look(module.node).digest}) == 3


def test_a_file_beside_the_module_is_a_leaf_and_its_folder_is_not(project: Project, tmp_path: Path) -> None:
    module = project.load(
        "from pathlib import Path\ndef node():\n    return (Path(__file__).parent / 'x.sql').read_text()"
    )
    Path(str(module.__file__)).with_name("x.sql").write_text("select 1")
    found = look(module.node)
    assert len(found.files) == 1
    again = project.load(Path(str(module.__file__)).read_text())
    Path(str(again.__file__)).with_name("x.sql").write_text("select 1")
    assert look(again.node).digest == found.digest


def test_a_file_that_was_read_soon_after_it_changed_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "x.sql"
    file.write_text("select 1")
    state = file_state(str(file))
    changed = state.stamps[0][1][2]
    for seconds, trusted in ((1, False), (5, True)):
        wrong = FileState(digest_of("wrong"), state.stamps, changed + seconds * 10**9)
        assert (file_state(str(file), wrong).digest == wrong.digest) == trusted


def test_writing_a_file_is_no_read(project: Project, tmp_path: Path) -> None:
    module = project.load("def node():\n    return open('/tmp/nothing-here', 'w')")
    assert not look(module.node).files


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("sqlite3.connect(':memory:')", "sqlite3.Connection"),
        ("threading.Lock()", "lock"),
        ("open(os.devnull)", "TextIOWrapper"),
        ("(i for i in 'a')", "generator"),
        ("iter([1])", "list_iterator"),
        ("random.Random(1)", "random.Random"),
        ("np.random.default_rng(1)", "Generator"),
    ],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_global_without_identity_is_refused_naming_the_chain(project: Project, value: str, kind: str) -> None:
    module = project.load(
        "import os, random, sqlite3, threading\nimport numpy as np\n"
        f"conn = {value}\ndef helper(): return conn\ndef node(): return helper()"
    )
    with pytest.raises(UnstableIdentityError) as caught:
        look(module.node)
    assert str(caught.value).startswith("node -> helper -> constant `conn`: ")
    assert kind in str(caught.value)
    assert "pass it as an argument" in str(caught.value)
    getattr(module.conn, "close", lambda: None)()


def test_a_helper_that_assigns_a_global_is_refused(project: Project) -> None:
    module = project.load("n = 0\ndef count():\n    global n\n    n = n + 1\ndef node(): return count()")
    with pytest.raises(UnstableIdentityError, match="node -> count, line 4: assigns the global `n`"):
        look(module.node)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("async def node(): return 1", "asynchronous"),
        ("async def node():\n    yield 1", "asynchronous"),
        ("def node():\n    yield 1", "generator"),
        ("def node():\n    global x\n    x = 1", "global `x`"),
        ("def node():\n    global x\n    del x", "global `x`"),
        ("def node():\n    def inner():\n        global x\n        x = 1", "global `x`"),
    ],
)
def test_what_can_not_be_a_node_is_refused_with_advice(project: Project, source: str, says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        check_declaration(project.load(source).node)


def test_an_ordinary_function_can_be_a_node(project: Project) -> None:
    check_declaration(project.load("def node(x):\n    return (y for y in x)").node)
