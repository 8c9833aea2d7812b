"""What a function reaches is part of it; what it does not reach is not."""

from __future__ import annotations

import pytest

from code_project import Project, look

CHANGES = {
    "a helper": (
        "def helper(x):\n    return x + 1\ndef node(x):\n    return helper(x)",
        "def helper(x):\n    return x + 2\ndef node(x):\n    return helper(x)",
    ),
    "a nested helper": (
        "def a(x):\n    return b(x)\ndef b(x):\n    return x\ndef node(x):\n    return a(x)",
        "def a(x):\n    return b(x)\ndef b(x):\n    return -x\ndef node(x):\n    return a(x)",
    ),
    "a constant": (
        "LIMIT = 1\ndef node(x):\n    return x > LIMIT",
        "LIMIT = 2\ndef node(x):\n    return x > LIMIT",
    ),
    "the type of a constant": (
        "LIMIT = 1\ndef node(x):\n    return x > LIMIT",
        "LIMIT = True\ndef node(x):\n    return x > LIMIT",
    ),
    "a constant of the helpers' module": (
        "from PKG import helpers\ndef node(x):\n    return x > helpers.LIMIT === LIMIT = 1",
        "from PKG import helpers\ndef node(x):\n    return x > helpers.LIMIT === LIMIT = 2",
    ),
    "a default": ("def node(x=1):\n    return x", "def node(x=2):\n    return x"),
    "a default made elsewhere": (
        "D = 1\ndef node(x=D):\n    return x",
        "D = 2\ndef node(x=D):\n    return x",
    ),
    "a keyword's default": ("def node(*, x=1):\n    return x", "def node(*, x=2):\n    return x"),
    "a default that is a function": (
        "def f(): return 1\ndef node(x=f):\n    return x()",
        "def f(): return 2\ndef node(x=f):\n    return x()",
    ),
    "a helper's default": (
        "def h(x=1):\n    return x\ndef node():\n    return h()",
        "def h(x=2):\n    return x\ndef node():\n    return h()",
    ),
    "whether there is a default": ("def node(x=None): return x", "def node(x): return x"),
    "a closure's value": (
        "def make(k):\n    def inner(x):\n        return x * k\n    return inner\nnode = make(2)",
        "def make(k):\n    def inner(x):\n        return x * k\n    return inner\nnode = make(3)",
    ),
    "a function in a closure": (
        "def f(x): return x\ndef make(g):\n    return lambda x: g(x)\nnode = make(f)",
        "def f(x): return -x\ndef make(g):\n    return lambda x: g(x)\nnode = make(f)",
    ),
    "a class's method": (
        "class T:\n    def go(self):\n        return 1\ndef node():\n    return T().go()",
        "class T:\n    def go(self):\n        return 2\ndef node():\n    return T().go()",
    ),
    "a class's attribute": (
        "class T:\n    k = 1\ndef node():\n    return T.k",
        "class T:\n    k = 2\ndef node():\n    return T.k",
    ),
    "a base class": (
        "class B:\n    def go(self): return 1\nclass T(B): pass\ndef node():\n    return T().go()",
        "class B:\n    def go(self): return 2\nclass T(B): pass\ndef node():\n    return T().go()",
    ),
    "what a method calls": (
        "def h(): return 1\nclass T:\n    def go(self): return h()\ndef node(): return T().go()",
        "def h(): return 2\nclass T:\n    def go(self): return h()\ndef node(): return T().go()",
    ),
    "a metaclass": (
        "class M(type):\n    def __call__(c): return 1\nclass T(metaclass=M): pass\ndef node(): return T()",
        "class M(type):\n    def __call__(c): return 2\nclass T(metaclass=M): pass\ndef node(): return T()",
    ),
    "__init_subclass__": (
        "class B:\n    def __init_subclass__(c): c.k = 1\nclass T(B): pass\ndef node(): return T.k",
        "class B:\n    def __init_subclass__(c): c.k = 2\nclass T(B): pass\ndef node(): return T.k",
    ),
    "a property": (
        "class T:\n    @property\n    def k(self): return 1\ndef node(): return T().k",
        "class T:\n    @property\n    def k(self): return 2\ndef node(): return T().k",
    ),
    "a cached property": (
        "import functools\nclass T:\n    @functools.cached_property\n    def k(self): return 1\n"
        "def node(): return T().k",
        "import functools\nclass T:\n    @functools.cached_property\n    def k(self): return 2\n"
        "def node(): return T().k",
    ),
    "a static method": (
        "class T:\n    @staticmethod\n    def k(): return 1\ndef node(): return T.k()",
        "class T:\n    @staticmethod\n    def k(): return 2\ndef node(): return T.k()",
    ),
    "a class method": (
        "class T:\n    @classmethod\n    def k(cls): return 1\ndef node(): return T.k()",
        "class T:\n    @classmethod\n    def k(cls): return 2\ndef node(): return T.k()",
    ),
    "a descriptor": (
        "class D:\n    def __get__(self, o, t): return 1\nclass T:\n    d = D()\ndef node(): return T.d",
        "class D:\n    def __get__(self, o, t): return 2\nclass T:\n    d = D()\ndef node(): return T.d",
    ),
    "an operator of a global instance": (
        "class V:\n    def __add__(self, o): return 1\nv = V()\ndef node(): return v + 1",
        "class V:\n    def __add__(self, o): return 2\nv = V()\ndef node(): return v + 1",
    ),
    "the state of a global instance": (
        "class V:\n    def __init__(s, k): s.k = k\nv = V(1)\ndef node(): return v.k",
        "class V:\n    def __init__(s, k): s.k = k\nv = V(2)\ndef node(): return v.k",
    ),
    "a decorator with __wrapped__": (
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(x): return f(x)\n"
        "    return w\n@d\ndef node(x): return x",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(x): return -f(x)\n"
        "    return w\n@d\ndef node(x): return x",
    ),
    "what a decorator wraps": (
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(x): return f(x)\n"
        "    return w\n@d\ndef node(x): return x",
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(x): return f(x)\n"
        "    return w\n@d\ndef node(x): return -x",
    ),
    "what lru_cache wraps": (
        "import functools\n@functools.lru_cache\ndef h(x): return x\ndef node(x): return h(x)",
        "import functools\n@functools.lru_cache\ndef h(x): return -x\ndef node(x): return h(x)",
    ),
    "what contextmanager wraps": (
        "import contextlib\n@contextlib.contextmanager\ndef h(): yield 1\ndef node():\n    with h() as x: return x",
        "import contextlib\n@contextlib.contextmanager\ndef h(): yield 2\ndef node():\n    with h() as x: return x",
    ),
    "an import inside a body": (
        "def node(x):\n    from PKG.helpers import f\n    return f(x) === def f(x): return x",
        "def node(x):\n    from PKG.helpers import f\n    return f(x) === def f(x): return -x",
    ),
    "a module imported inside a body": (
        "def node(x):\n    import PKG.helpers as h\n    return h.f(x) === def f(x): return x",
        "def node(x):\n    import PKG.helpers as h\n    return h.f(x) === def f(x): return -x",
    ),
    "a relative import inside a body": (
        "def node(x):\n    from . import helpers\n    return helpers.f(x) === def f(x): return x",
        "def node(x):\n    from . import helpers\n    return helpers.f(x) === def f(x): return -x",
    ),
    "a module in a local variable": (
        "from PKG import helpers\ndef node(x):\n    m = helpers\n    return m.f(x) === def f(x): return x",
        "from PKG import helpers\ndef node(x):\n    m = helpers\n    return m.f(x) === def f(x): return -x",
    ),
    "a module used by a nested function": (
        "def node(x):\n    from PKG import helpers\n    return [helpers.f(y) for y in x] === def f(x): return x",
        "def node(x):\n    from PKG import helpers\n    return [helpers.f(y) for y in x] === def f(x): return -x",
    ),
    "one of two modules": (
        "import math\nfrom PKG import helpers\ndef node(x):\n    m = math if x else helpers\n"
        "    return m.f(x) === def f(x): return x",
        "import math\nfrom PKG import helpers\ndef node(x):\n    m = math if x else helpers\n"
        "    return m.f(x) === def f(x): return -x",
    ),
    "anything in a module that is passed on": (
        "from PKG import helpers\ndef node(x):\n    return list(vars(helpers)) === A = 1",
        "from PKG import helpers\ndef node(x):\n    return list(vars(helpers)) === A = 2",
    ),
    "the function of a partial": (
        "import functools\ndef f(x, y): return x\nnode = functools.partial(f, 1)",
        "import functools\ndef f(x, y): return y\nnode = functools.partial(f, 1)",
    ),
    "the argument of a partial": (
        "import functools\ndef f(x, y): return x\nnode = functools.partial(f, 1)",
        "import functools\ndef f(x, y): return x\nnode = functools.partial(f, 2)",
    ),
    "a bound method": (
        "class T:\n    def go(self): return 1\nnode = T().go",
        "class T:\n    def go(self): return 2\nnode = T().go",
    ),
    "a lambda": ("node = lambda x: x + 1", "node = lambda x: x + 2"),
    "one of two lambdas on a line": (
        "a, node = lambda x: x + 1, lambda x: x + 2",
        "a, node = lambda x: x + 1, lambda x: x + 3",
    ),
    "a function in a dict": (
        "def f(): return 1\nT = {'f': f}\ndef node(): return T['f']()",
        "def f(): return 2\nT = {'f': f}\ndef node(): return T['f']()",
    ),
    "which function a dict's key has": (
        "def f(): return 1\ndef g(): return 2\nT = {'a': f, 'b': g}\ndef node(): return T['a']()",
        "def f(): return 1\ndef g(): return 2\nT = {'a': g, 'b': f}\ndef node(): return T['a']()",
    ),
    "which closure comes first": (
        "def m(k):\n    return lambda: k\np, q = m(1), m(2)\nT = [p, q]\ndef node(): return T",
        "def m(k):\n    return lambda: k\np, q = m(1), m(2)\nT = [q, p]\ndef node(): return T",
    ),
    "which closure is there twice": (
        "def m(k):\n    return lambda: k\np, q = m(1), m(2)\nT = [p, p, q]\ndef node(): return T",
        "def m(k):\n    return lambda: k\np, q = m(1), m(2)\nT = [p, q, q]\ndef node(): return T",
    ),
    "which helper has which name": (
        "def f(): return 1\ndef g(): return 2\na, b = f, g\ndef node(): return a() - b()",
        "def f(): return 1\ndef g(): return 2\nb, a = f, g\ndef node(): return a() - b()",
    ),
    "the name of a function in a list": (
        "def f(): return 1\nT = [f]\ndef node(): return T[0].__name__",
        "def g(): return 1\nT = [g]\ndef node(): return T[0].__name__",
    ),
    "an attribute of a function": (
        "def d(f):\n    f.table = {1: 2}\n    return f\n@d\ndef f(): return 1\ndef node(): return f.table",
        "def d(f):\n    f.table = {1: 3}\n    return f\n@d\ndef f(): return 1\ndef node(): return f.table",
    ),
    "a registered handler": (
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n@h.register\n"
        "def _(x: int): return 1\ndef node(x): return h(x)",
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n@h.register\n"
        "def _(x: int): return 2\ndef node(x): return h(x)",
    ),
    "a field of a dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass T:\n    x: int\n    y: int = 1\ndef node(): return T(1)",
        "import dataclasses\n@dataclasses.dataclass\nclass T:\n    x: int\n    y: int = 2\ndef node(): return T(1)",
    ),
    "the order of fields": (
        "import dataclasses\n@dataclasses.dataclass\nclass T:\n    x: int\n    y: int\ndef node(): return T(1, 2)",
        "import dataclasses\n@dataclasses.dataclass\nclass T:\n    y: int\n    x: int\ndef node(): return T(1, 2)",
    ),
    "an option of a dataclass": (
        "import dataclasses\n@dataclasses.dataclass\nclass T:\n    x: int\ndef node(): return T(1)",
        "import dataclasses\n@dataclasses.dataclass(order=True)\nclass T:\n    x: int\ndef node(): return T(1)",
    ),
    "a default factory": (
        "import dataclasses\ndef f(): return 1\n@dataclasses.dataclass\nclass T:\n"
        "    x: int = dataclasses.field(default_factory=f)\ndef node(): return T()",
        "import dataclasses\ndef f(): return 2\n@dataclasses.dataclass\nclass T:\n"
        "    x: int = dataclasses.field(default_factory=f)\ndef node(): return T()",
    ),
    "a converter of attrs": (
        "import attrs\ndef c(v): return v\n@attrs.frozen\nclass T:\n"
        "    x: int = attrs.field(converter=c)\ndef node(): return T(1)",
        "import attrs\ndef c(v): return -v\n@attrs.frozen\nclass T:\n"
        "    x: int = attrs.field(converter=c)\ndef node(): return T(1)",
    ),
    "a default of attrs": (
        "import attrs\n@attrs.frozen\nclass T:\n    x: int = 1\ndef node(): return T()",
        "import attrs\n@attrs.frozen\nclass T:\n    x: int = 2\ndef node(): return T()",
    ),
    "a method of attrs": (
        "import attrs\n@attrs.frozen\nclass T:\n    x: int\n    def go(self): return 1\ndef node(): return T(1)",
        "import attrs\n@attrs.frozen\nclass T:\n    x: int\n    def go(self): return 2\ndef node(): return T(1)",
    ),
    "the type of a field": (
        "import attrs\n@attrs.frozen\nclass I:\n    k = 1\n@attrs.frozen\nclass T:\n    x: I\ndef node(): return T",
        "import attrs\n@attrs.frozen\nclass I:\n    k = 2\n@attrs.frozen\nclass T:\n    x: I\ndef node(): return T",
    ),
    "the type of a field, as text": (
        "from __future__ import annotations\nimport attrs\nclass I:\n    k = 1\n@attrs.frozen\n"
        "class T:\n    x: list[I]\ndef node(): return T",
        "from __future__ import annotations\nimport attrs\nclass I:\n    k = 2\n@attrs.frozen\n"
        "class T:\n    x: list[I]\ndef node(): return T",
    ),
    "a member of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\ndef node(): return E.A",
        "import enum\nclass E(enum.Enum):\n    A = 2\ndef node(): return E.A",
    ),
    "the order of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\ndef node(): return list(E)",
        "import enum\nclass E(enum.Enum):\n    B = 2\n    A = 1\ndef node(): return list(E)",
    ),
    "a method of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    def go(self): return 1\ndef node(): return E.A.go()",
        "import enum\nclass E(enum.Enum):\n    A = 1\n    def go(self): return 2\ndef node(): return E.A.go()",
    ),
    "a property of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    @property\n    def k(self): return 1\n"
        "def node(): return E.A.k",
        "import enum\nclass E(enum.Enum):\n    A = 1\n    @property\n    def k(self): return 2\n"
        "def node(): return E.A.k",
    ),
    "a default of a named tuple": (
        "from typing import NamedTuple\nclass T(NamedTuple):\n    x: int = 1\ndef node(): return T()",
        "from typing import NamedTuple\nclass T(NamedTuple):\n    x: int = 2\ndef node(): return T()",
    ),
    "how a named tuple is shown": (
        "from typing import NamedTuple\nclass T(NamedTuple):\n    x: int = 1\n"
        "    def __repr__(self): return 'a'\ndef node(): return repr(T())",
        "from typing import NamedTuple\nclass T(NamedTuple):\n    x: int = 1\n"
        "    def __repr__(self): return 'b'\ndef node(): return repr(T())",
    ),
    "a key of a TypedDict": (
        "from typing import TypedDict\nclass T(TypedDict):\n    x: int\ndef node(): return T",
        "from typing import TypedDict\nclass T(TypedDict):\n    y: int\ndef node(): return T",
    ),
    "a field of a class in a body": (
        "import dataclasses\ndef node():\n    @dataclasses.dataclass\n    class T:\n        x: int\n    return T",
        "import dataclasses\ndef node():\n    @dataclasses.dataclass\n    class T:\n        y: int\n    return T",
    ),
    "the type of a field of a class in a body": (
        "import dataclasses\nfrom typing import ClassVar\ndef node(v=ClassVar):\n"
        "    @dataclasses.dataclass\n    class T:\n        x: 'int' = 1\n    return T()",
        "import dataclasses\nfrom typing import ClassVar\ndef node(v=ClassVar):\n"
        "    @dataclasses.dataclass\n    class T:\n        x: 'ClassVar[int]' = 1\n    return T()",
    ),
    "which default is which of two functions": (
        "def f(): return 1\ndef g(): return 2\ndef node(a=f, b=g): return f(), g(), a() - b()",
        "def f(): return 1\ndef g(): return 2\ndef node(a=g, b=f): return f(), g(), a() - b()",
    ),
    "a name given to a function at run time": (
        "def d(f):\n    return f\n@d\ndef f(): return 1\ndef node(): return f.__name__",
        "def d(f):\n    f.__name__ = 'g'\n    return f\n@d\ndef f(): return 1\ndef node(): return f.__name__",
    ),
    "what is found by __wrapped__ only": (
        "import inspect\ndef d(f):\n    def w(x): return inspect.unwrap(w)(x)\n"
        "    w.__wrapped__ = f\n    return w\n@d\ndef node(x): return x",
        "import inspect\ndef d(f):\n    def w(x): return inspect.unwrap(w)(x)\n"
        "    w.__wrapped__ = f\n    return w\n@d\ndef node(x): return -x",
    ),
    "how a module's __getattr__ finds what it finds": (
        "from PKG import helpers\ndef node(x): return helpers.lazy === def __getattr__(name): return 4",
        "from PKG import helpers\ndef node(x): return helpers.lazy === def __getattr__(name): return len(name)",
    ),
    "a module in a variable of a class in a body": (
        "from PKG import helpers\ndef node(x):\n    class C:\n        m = helpers\n"
        "        y = m.f(x)\n    return C.y === def f(x): return x",
        "from PKG import helpers\ndef node(x):\n    class C:\n        m = helpers\n"
        "        y = m.f(x)\n    return C.y === def f(x): return -x",
    ),
    "a module in an attribute of a class in a body": (
        "from PKG import helpers\ndef node(x):\n    class C:\n        m = helpers\n"
        "    return C.m.f(x) === def f(x): return x",
        "from PKG import helpers\ndef node(x):\n    class C:\n        m = helpers\n"
        "    return C.m.f(x) === def f(x): return -x",
    ),
    "an attribute of a function in a list": (
        "def d(f):\n    f.weight = 1\n    return f\n@d\ndef f(): return 1\n"
        "T = [f]\ndef node(): return [f.weight for f in T]",
        "def d(f):\n    f.weight = 2\n    return f\n@d\ndef f(): return 1\n"
        "T = [f]\ndef node(): return [f.weight for f in T]",
    ),
    "a docstring that is read": (
        "def f():\n    'a'\ndef node(): return f.__doc__",
        "def f():\n    'b'\ndef node(): return f.__doc__",
    ),
    "a default of a nested function": (
        "def node():\n    def f(x=1): return x\n    return f()",
        "def node():\n    def f(x=2): return x\n    return f()",
    ),
    "a walrus": ("def node(x): return (y := x)", "def node(x): return (z := x) + z"),
    "a pattern": (
        "def node(x):\n    match x:\n        case {'a': 1}: return 1",
        "def node(x):\n    match x:\n        case {'b': 1}: return 1",
    ),
    "a class in a pattern": (
        "class P:\n    __match_args__ = ('x',)\n    k = 1\ndef node(x):\n    match x:\n        case P(1): return 1",
        "class P:\n    __match_args__ = ('x',)\n    k = 2\ndef node(x):\n    match x:\n        case P(1): return 1",
    ),
    "what a star import brought": (
        "from PKG.helpers import *\ndef node(x): return f(x) === def f(x): return x",
        "from PKG.helpers import *\ndef node(x): return f(x) === def f(x): return -x",
    ),
    "what a conditional import brought": (
        "try:\n    from PKG.helpers import f\nexcept ImportError:\n    def f(x): return 0\n"
        "def node(x): return f(x) === def f(x): return x",
        "try:\n    from PKG.helpers import f\nexcept ImportError:\n    def f(x): return 0\n"
        "def node(x): return f(x) === def f(x): return -x",
    ),
    "an import under another name": (
        "from PKG.helpers import f as g\ndef node(x): return g(x) === def f(x): return x",
        "from PKG.helpers import f as g\ndef node(x): return g(x) === def f(x): return -x",
    ),
    "which library function a name is": (
        "from math import sin as f\ndef node(x): return f(x)",
        "from math import cos as f\ndef node(x): return f(x)",
    ),
    "which library module a name is": (
        "import bisect as m\ndef node(x): return m.f(x)",
        "import heapq as m\ndef node(x): return m.f(x)",
    ),
    "a shadowed builtin": (
        "def node(x): return len(x)",
        "def len(x): return 0\ndef node(x): return len(x)",
    ),
    "sys.modules": (
        "import sys\nimport PKG.helpers\ndef node(x): return sys.modules['PKG.helpers'].f(x) === def f(x): return x",
        "import sys\nimport PKG.helpers\ndef node(x): return sys.modules['PKG.helpers'].f(x) === def f(x): return -x",
    ),
    "getattr with a literal name": (
        "from PKG import helpers\ndef node(x): return getattr(helpers, 'f')(x) === def f(x): return x",
        "from PKG import helpers\ndef node(x): return getattr(helpers, 'f')(x) === def f(x): return -x",
    ),
    "import_module with a literal name": (
        "import importlib\ndef node(x): return importlib.import_module('PKG.helpers').f(x) === def f(x): return x",
        "import importlib\ndef node(x): return importlib.import_module('PKG.helpers').f(x) === def f(x): return -x",
    ),
    "a module's __getattr__": (
        "from PKG import helpers\ndef node(x): return helpers.lazy === def __getattr__(name): return 1",
        "from PKG import helpers\ndef node(x): return helpers.lazy === def __getattr__(name): return 2",
    ),
    "what a bound builtin holds": (
        "node = [1].index",
        "node = [2].index",
    ),
    "an itemgetter": (
        "import operator\nkey = operator.itemgetter(1)\ndef node(x): return key(x)",
        "import operator\nkey = operator.itemgetter(2)\ndef node(x): return key(x)",
    ),
    "a callable instance": (
        "class F:\n    def __call__(self): return 1\nf = F()\ndef node(): return f()",
        "class F:\n    def __call__(self): return 2\nf = F()\ndef node(): return f()",
    ),
    "a default of a star-args helper": (
        "def h(*a, k=1): return k\ndef node(*a): return h(*a)",
        "def h(*a, k=2): return k\ndef node(*a): return h(*a)",
    ),
    "nonlocal": (
        "def make():\n    n = 1\n    def inner():\n        nonlocal n\n        n = n + 1\n"
        "        return n\n    return inner\ndef node(): return make()()",
        "def make():\n    n = 1\n    def inner():\n        nonlocal n\n        n = n + 2\n"
        "        return n\n    return inner\ndef node(): return make()()",
    ),
    "a helper used in an exception's handler": (
        "def h(): return 1\ndef node():\n    try: return 1 / 0\n    except ValueError: return h()",
        "def h(): return 2\ndef node():\n    try: return 1 / 0\n    except ValueError: return h()",
    ),
    "a helper used in a default branch": (
        "def h(): return 1\ndef node(x): return x.get('a', x if x else h())",
        "def h(): return 2\ndef node(x): return x.get('a', x if x else h())",
    ),
    "a helper used in a decorator of a nested function": (
        "def d(f): return f\ndef node():\n    @d\n    def g(): return 1\n    return g()",
        "def d(f): return lambda: 2\ndef node():\n    @d\n    def g(): return 1\n    return g()",
    ),
    "a package's re-export": (
        "from PKG import sub\ndef node(x): return sub.f(x)",
        "from PKG import sub\ndef node(x): return sub.g(x)",
    ),
}

SAME = {
    "comments": ("def node(x):\n    return x", "# new\ndef node(x):\n    # why\n    return x"),
    "docstrings": ('def node(x):\n    "a"\n    return x', "def node(x):\n    return x"),
    "formatting": (
        "def node(x, y):\n    return x+y",
        "def node(\n    x,\n    y,\n):\n    return (\n        x + y\n    )",
    ),
    "annotations": (
        "def node(x):\n    y = x\n    return y",
        "def node(x: int) -> int:\n    y: int = x\n    return y",
    ),
    "the function's place in its file": (
        "def node(x):\n    return x\ndef other(): return 1",
        "def other(): return 1\n\n\ndef node(x):\n    return x",
    ),
    "the function's own name": (
        "def node(x):\n    return x",
        "def other(x):\n    return x\nnode = other",
    ),
    "code that is not reached": (
        "def other(): return 1\nK = 1\ndef node(x):\n    return x",
        "def other(): return 2\nK = 2\ndef node(x):\n    return x",
    ),
    "an unreached function of a module that is reached": (
        "from PKG import helpers\ndef node(x): return helpers.f(x) === def f(x): return x\ndef g(x): return x",
        "from PKG import helpers\ndef node(x): return helpers.f(x) === def f(x): return x\ndef g(x): return -x",
    ),
    "the lambda around a lambda": (
        "node = (lambda k: lambda x: x + k)(1)",
        "node = (lambda k, unused=0: lambda x: x + k)(1)",
    ),
    "what a nested function does not use of a module": (
        "def node(x):\n    from PKG import helpers\n    return (lambda: helpers.f(x))() "
        "=== def f(x): return x\ndef g(x): return x",
        "def node(x):\n    from PKG import helpers\n    return (lambda: helpers.f(x))() "
        "=== def f(x): return x\ndef g(x): return -x",
    ),
    "a helper's docstring": (
        "def h(x):\n    'a'\n    return x\ndef node(x): return h(x)",
        "def h(x):\n    'b'\n    return x\ndef node(x): return h(x)",
    ),
    "a method's place in its class": (
        "class T:\n    def a(self): return 1\n    def b(self): return 2\ndef node(): return T",
        "class T:\n    'doc'\n    def b(self): return 2\n    def a(self): return 1\ndef node(): return T",
    ),
    "how a default is written": (
        "def node(x=4):\n    return x",
        "def node(x=2 * 2):\n    return x",
    ),
    "an unreached import": (
        "import math\ndef node(x): return x",
        "import heapq\ndef node(x): return x",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_an_edit_of_what_is_reached_changes_the_digest(project: Project, what: str) -> None:
    one, other = CHANGES[what]
    sub = {
        "sub____init__": "from .core import f, g",
        "sub__core": "def f(x): return x\ndef g(x): return -x",
    }
    assert not project.same(one, other, **sub)


@pytest.mark.parametrize("what", CHANGES)
def test_the_same_source_has_the_same_digest(project: Project, what: str) -> None:
    one = CHANGES[what][0]
    sub = {
        "sub____init__": "from .core import f, g",
        "sub__core": "def f(x): return x\ndef g(x): return -x",
    }
    assert project.same(one, one, **sub)


@pytest.mark.parametrize("what", CHANGES)
def test_a_fingerprint_is_current_while_nothing_changes(project: Project, what: str) -> None:
    module, _, helpers = CHANGES[what][0].partition("===")
    sub = {
        "sub____init__": "from .core import f, g",
        "sub__core": "def f(x): return x\ndef g(x): return -x",
    }
    found = look(project.load(module, **({"helpers": helpers} if helpers else {}), **sub).node)
    assert found.is_current()


@pytest.mark.parametrize("what", SAME)
def test_an_edit_that_changes_nothing_keeps_the_digest(project: Project, what: str) -> None:
    assert project.same(*SAME[what])


@pytest.mark.parametrize(
    "source",
    [
        "def node(n): return node(n - 1) if n else 0",
        "def a(n): return b(n)\ndef b(n): return a(n)\ndef node(n): return a(n)",
        "class T:\n    all = []\nT.one = T()\nT.all.append(T.one)\ndef node(): return T",
        "T = {}\ndef f(): return T\nT['f'] = f\ndef node(): return T",
        "class T:\n    def go(self): return T()\ndef node(): return T()",
    ],
)
def test_circles_end(project: Project, source: str) -> None:
    assert project.same(source, source)


def test_a_chain_of_five_thousand_helpers_is_followed_to_its_end(project: Project) -> None:
    lines = [f"def f{i}(x): return f{i + 1}(x)" for i in range(5000)]
    source = "\n".join([*lines, "def f5000(x): return x", "node = f0"])
    assert not project.same(source, source.replace("return x", "return -x"))


def test_leaves_name_what_was_reached_without_modules_or_files(project: Project) -> None:
    module = project.load(
        "from PKG import helpers\nLIMIT = 3\nclass T:\n    def go(self): return 1\n"
        "def make(k):\n    def clean(x, y=1): return helpers.norm(T(), x, k, LIMIT)\n"
        "    return clean\n"
        "node = make(2)",
        helpers="def norm(*a): return a",
    )
    found = look(module.node)
    assert list(found.leaves) == [
        "function clean",
        "class T",
        "function norm",
        "closure k",
        "constant LIMIT",
        "default clean.y",
        "function T.go",
        list(found.leaves)[-1],
    ]
    assert list(found.leaves)[-1].startswith("python 3.")
    assert found.sources["function norm"] == "def norm(*a): return a"


def test_helpers_of_one_name_are_numbered(project: Project) -> None:
    module = project.load(
        "from PKG import helpers\ndef f(): return helpers.f()\ndef node(): return f()",
        helpers="def f(): return 1",
    )
    assert list(look(module.node).leaves)[:3] == ["function node", "function f", "function f#2"]


def test_one_edit_changes_one_leaf(project: Project) -> None:
    source = "def a(): return 1\ndef b(): return a()\ndef node(): return b()"
    one = look(project.load(source).node).leaves
    other = look(project.load(source.replace("return 1", "return 2")).node).leaves
    assert [label for label in one if one[label] != other[label]] == ["function a"]
