"""Ways in which a fingerprint was, or could be, fooled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from code_project import Project, look
from lineage.errors import UnstableIdentityError

ONE, TWO = "def f(*x): return 1", "def f(*x): return 2"

# name -> `main`, and two versions of the module `h` that it imports
DECIMAL = "import decimal, numpy as np\ndef f(*x): return 1\n"
REACHED: dict[str, tuple[str, str, str]] = {
    **{
        f"a setting made in {where}": (
            "def node(x):\n    return h.f(x)",
            DECIMAL + statement,
            DECIMAL + statement.replace("28", "14 * 2"),
        )
        for where, statement in {
            "a plain binding": "old = decimal.setcontext(decimal.Context(prec=28))",
            "an unpacking": "a, b = decimal.setcontext(decimal.Context(prec=28)), 1",
            "an annotated binding": "old: object = decimal.setcontext(decimal.Context(prec=28))",
            "a list that is bound": "old = [setattr(decimal.getcontext(), 'prec', n) for n in (28,)]",
            "an assertion": "assert decimal.setcontext(decimal.Context(prec=28)) is None",
            "a class body": "class Setup:\n    decimal.getcontext().prec = 28",
            "a call in a class body": "class Setup:\n    decimal.setcontext(decimal.Context(prec=28))",
            "a default": "def g(c=decimal.setcontext(decimal.Context(prec=28))): pass",
            "a keyword's default": "def g(*, c=decimal.setcontext(decimal.Context(prec=28))): pass",
            "a binding of what it was before": "old = np.seterr(**{'all': 'warn', **dict(zip((), (28,)))})",
        }.items()
    },
    "what numba was told to take for a function": (
        "import numba\n@numba.njit\ndef k(x): return h.f(x)\ndef node(x): return k(x)",
        "from numba.extending import overload\ndef f(x): return x\n@overload(f)\ndef _f(x):\n"
        "    def impl(x): return x + 1\n    return impl",
        "from numba.extending import overload\ndef f(x): return x\n@overload(f)\ndef _f(x):\n"
        "    def impl(x): return x + 2\n    return impl",
    ),
    "the class of what a decorator of theirs keeps, though it has no identity": (
        "import reprlib\n@reprlib.recursive_repr(h.C())\ndef node(n):\n    return n",
        "import threading\nclass C:\n    def __init__(self): self.lock = threading.Lock()\n"
        "    def __str__(self): return 'a'",
        "import threading\nclass C:\n    def __init__(self): self.lock = threading.Lock()\n"
        "    def __str__(self): return 'b'",
    ),
    "a callable that a decorator of theirs keeps, though it has no identity": (
        "import contextlib\n@h.C()\ndef node(n):\n    return 1",
        "import contextlib, threading\nclass C(contextlib.ContextDecorator):\n"
        "    def __init__(self): self.lock = threading.Lock()\n"
        "    def __enter__(self): return 1\n    def __exit__(self, *a): return False",
        "import contextlib, threading\nclass C(contextlib.ContextDecorator):\n"
        "    def __init__(self): self.lock = threading.Lock()\n"
        "    def __enter__(self): return 2\n    def __exit__(self, *a): return False",
    ),
    "with": (
        "def node(x):\n    with h.f(x) as g:\n        return g.z",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "tuple-assign modules": (
        "import math\ndef node(x):\n    a, b, c, d = h, math, 1, 2\n    return a.f(x)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "loop over modules": (
        "def node(x):\n    for m in (h,):\n        x = m.f(x)\n    return x",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "loop over modules getattr": (
        "def node(x, n):\n    for m in (h,):\n        x = getattr(m, n)(x)\n    return x",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "module returned by func": (
        "def pick(): return h\ndef node(x, n):\n    return pick().f(x)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "module default": (
        "def node(x, m=h):\n    return m.f(x)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "module closure": (
        "def mk(m):\n    def inner(x): return m.f(x)\n    return inner\nnode=mk(h)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "__dict__": (
        "def node(x):\n    return h.__dict__['f'](x)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "attrgetter": (
        "import operator\ndef node(x):\n    return operator.attrgetter('f')(h)(x)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "lambda in default arg of nested": (
        "def node(x):\n    def g(k=lambda y: h.f(y)): return k(x)\n    return g()",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "class in body": (
        "def node(x):\n    class C(h.B):\n        z = h.f(1)\n    return C",
        "class B: pass\ndef f(x): return 1",
        "class B: pass\ndef f(x): return 2",
    ),
    "class in body base": (
        "def node(x):\n    class C(h.B):\n        pass\n    return C",
        "class B:\n    k=1",
        "class B:\n    k=2",
    ),
    "partialmethod": (
        "import functools\nclass T:\n    def a(self, k): return k\n"
        "    b = functools.partialmethod(a, h.K)\ndef node(x):\n    return T().b()",
        "K=1",
        "K=2",
    ),
    "singledispatchmethod": (
        "import functools\nclass T:\n    @functools.singledispatchmethod\n"
        "    def a(self, k): return k\n    @a.register\n"
        "    def _(self, k: int): return h.f(k)\ndef node(x):\n    return T().a(1)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "total_ordering": (
        "import functools\n@functools.total_ordering\nclass T:\n"
        "    def __lt__(self, k): return h.f(k)\n    def __eq__(self, o): return True\n"
        "def node(x):\n    return T()<T()",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "abc": (
        "import abc\nclass B(abc.ABC):\n    @abc.abstractmethod\n    def a(self): ...\n"
        "class T(B):\n    def a(self): return h.f(1)\ndef node(x):\n    return T().a()",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "Protocol+Generic": (
        "from typing import *\nV=TypeVar('V')\nclass B(Protocol):\n"
        "    def a(self)->int: ...\nclass T(Generic[V]):\n    def a(self): return h.f(1)\n"
        "def node(x: B):\n    return T[int]().a()",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "NamedTuple method": (
        "from typing import *\nclass T(NamedTuple):\n    x: int\n"
        "    def a(self): return h.f(1)\ndef node(x):\n    return T(1).a()",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "collections.namedtuple": (
        "import collections\nT=collections.namedtuple('T', h.F)\ndef node(x):\n    return T",
        "F=['a','b']",
        "F=['b','a']",
    ),
    "dataclass __eq__ user": (
        "import dataclasses\n@dataclasses.dataclass(eq=False)\nclass T:\n    x: int\n"
        "    def __eq__(self, o): return h.f(1)\n    def __post_init__(self): pass\n"
        "def node(x):\n    return T(1)==T(2)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "dataclass slots frozen": (
        "import dataclasses\n@dataclasses.dataclass(frozen=True, slots=True)\nclass T:\n"
        "    x: int\n    def go(self): return h.f(1)\ndef node(x):\n    return T(1).go()",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "attrs user eq": (
        "import attrs\n@attrs.define(eq=False)\nclass T:\n    x: int\n"
        "    def __eq__(self, o): return h.f(1)\n"
        "    def __attrs_post_init__(self): h.f(2)\ndef node(x):\n    return T(1)==T(2)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "attrs default decorator": (
        "import attrs\n@attrs.define\nclass T:\n    x: int = attrs.field()\n"
        "    @x.default\n    def _d(self): return h.f(1)\ndef node(x):\n    return T()",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "attrs validator": (
        "import attrs\n@attrs.define\nclass T:\n"
        "    x: int = attrs.field(validator=attrs.validators.in_(h.K))\ndef node(x):\n"
        "    return T()",
        "K=(1,2)",
        "K=(1,3)",
    ),
    "attrs cached_property slots": (
        "import attrs, functools\n@attrs.define\nclass T:\n    x: int\n"
        "    @functools.cached_property\n    def y(self): return h.f(1)\ndef node(x):\n"
        "    return T(1).y",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "enum Flag": (
        "import enum\nclass T(enum.IntFlag):\n    A = h.K\n    B = 4\ndef node(x):\n    return T.A",
        "K=1",
        "K=2",
    ),
    "enum w __new__": (
        "import enum\nclass T(int, enum.Enum):\n    def __new__(cls, v):\n"
        "        o = int.__new__(cls, h.f(v)); o._value_ = v\n        return o\n    A = 1\n"
        "def node(x):\n    return T.A",
        "def f(v): return v",
        "def f(v): return -v",
    ),
    "StrEnum auto": (
        "import enum\nclass T(enum.StrEnum):\n    A = enum.auto()\ndef node(x):\n    return T.A, h.f(1)",
        "def f(v): return v",
        "def f(v): return -v",
    ),
    "enum _missing_": (
        "import enum\nclass T(enum.Enum):\n    A = 1\n    @classmethod\n"
        "    def _missing_(cls, v): return h.f(v)\ndef node(x):\n    return T(3)",
        "def f(v): return v",
        "def f(v): return -v",
    ),
    "slots class instance global": (
        "class T:\n    __slots__=('a','b')\n    def __init__(self): self.a=h.K\n"
        "    def __call__(self): return self.a\nt=T()\ndef node(x):\n    return t()",
        "K=1",
        "K=2",
    ),
    "map(f, xs)": (
        "def node(x):\n    return list(map(h.f, x)), sorted(x, key=h.g)",
        "def f(v): return v\ndef g(v): return v",
        "def f(v): return v\ndef g(v): return -v",
    ),
    "kwarg func": (
        "def node(x):\n    return sorted(x, key=h.g, reverse=True)",
        "def g(v): return v",
        "def g(v): return -v",
    ),
    "star args call": (
        "def node(x):\n    return h.g(*x, **h.K)",
        "K={}\ndef g(*v): return v",
        "K={'a':1}\ndef g(*v): return v",
    ),
    "fstring": (
        "def node(x):\n    return f'{h.g(x)!r:>{h.K}}'",
        "K=1\ndef g(*v): return v",
        "K=2\ndef g(*v): return v",
    ),
    "slice": ("def node(x):\n    return x[h.A:h.B]", "A=1;B=2", "A=1;B=3"),
    "comp conditional": (
        "def node(x):\n    return {k: h.f(k) for k in x if h.g(k)}",
        "def f(k): return 1\ndef g(k): return 1",
        "def f(k): return 1\ndef g(k): return 2",
    ),
    "del/aug": (
        "def node(x):\n    x += h.A\n    x.y = h.B\n    x[h.C] = 1\n    return x",
        "A=1;B=2;C=3",
        "A=1;B=2;C=4",
    ),
    "except type": (
        "def node(x):\n    try: return x\n    except h.E: return 1",
        "class E(Exception): k=1",
        "class E(Exception): k=2",
    ),
    "raise": (
        "def node(x):\n    raise h.E(1) from None",
        "class E(Exception): k=1",
        "class E(Exception): k=2",
    ),
    "assert msg": (
        "def node(x):\n    assert x, h.f(1)",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "await-like gen": (
        "def gen():\n    yield from h.f(1)\ndef node(x):\n    return list(gen())",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "async helper": (
        "import asyncio\nasync def go():\n    async with h.f(1) as z:\n"
        "        return [await h.g(a) async for a in z]\ndef node(x):\n"
        "    return asyncio.run(go())",
        "def f(x): return 1\ndef g(a): return 1",
        "def f(x): return 1\ndef g(a): return 2",
    ),
    "match value": ("def node(x):\n    match x:\n        case h.K: return 1", "K=1", "K=2"),
    "pydantic-free metaclass attr": (
        "class M(type):\n    def __getattr__(c, n): return h.f(n)\n"
        "class T(metaclass=M): pass\ndef node(x):\n    return T.zzz",
        "def f(x): return 1",
        "def f(x): return 2",
    ),
    "sys.modules[__name__] getattr": (
        "import sys\nK=h.K\ndef node(n):\n    return getattr(sys.modules[__name__], 'K')",
        "K=1",
        "K=2",
    ),
    "sys.modules[__name__] getattr dyn": (
        "import sys\nK=h.K\ndef node(n):\n    return getattr(sys.modules[__name__], n)",
        "K=1",
        "K=2",
    ),
    "sys.modules[x] local": (
        "import sys\nK=h.K\ndef node(n):\n    me = sys.modules[__name__]\n    return me.K",
        "K=1",
        "K=2",
    ),
    "exec class no __name__": (
        "sp={}\nexec(h.S, sp)\nT=sp['T']\ndef node(n):\n    return T().go()",
        "S='class T:\\n    def go(self): return 1'",
        "S='class T:\\n    def go(self): return 2'",
    ),
    "make_dataclass": (
        "import dataclasses\nT=dataclasses.make_dataclass('T',h.F)\ndef node(n):\n    return T()",
        "F=[('x',int,1)]",
        "F=[('x',int,2)]",
    ),
    "attrs.make_class": (
        "import attrs\nT=attrs.make_class('T',h.F)\ndef node(n):\n    return T()",
        "F=['x','y']",
        "F=['y','x']",
    ),
    "beartype": (
        "from beartype import beartype\n@beartype\ndef node(x: int) -> int:\n    return h.f(x)",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "tuple subclass": (
        "class T(tuple):\n    def go(self): return h.f(1)\nt=T((1,2))\ndef node(n):\n    return t.go()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "dict subclass": (
        "class T(dict):\n    def __missing__(self, k): return h.f(1)\nt=T(a=2)\ndef node(n):\n    return t['z']",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "type() call": (
        "T=type('T',(),{'go': h.f})\ndef node(n):\n    return T.go()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "function in attr of class instance in list": (
        "class C: pass\nc=C(); c.fn=[h.f]\nL=[{'a':c}]\ndef node(n):\n    return L[0]['a'].fn[0]()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "partial in dict": (
        "import functools\nD={'a': functools.partial(h.f, 1)}\ndef node(n):\n    return D['a']()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "method in dict": (
        "class C:\n    def go(self): return h.f()\nD={'a': C().go}\ndef node(n):\n    return D['a']()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "weird getattr default": (
        "def node(n):\n    return getattr(h, 'f', None)()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "hasattr unbound": ("def node(n):\n    return hasattr(h, 'zzz')", "A=1", "zzz=1"),
    "callable via operator": (
        "import operator\ndef node(n):\n    return operator.methodcaller('f')(h)",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "functools.reduce": (
        "import functools\ndef node(n):\n    return functools.reduce(h.f, n)",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "nested closures 2 levels": (
        "def a():\n    m = h\n    def b():\n        def c():\n            return m.f()\n"
        "        return c\n    return b\ndef node(n):\n    return a()()()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "nonlocal module": (
        "def node(n):\n    m = None\n    def setm():\n        nonlocal m\n        m = h\n    setm()\n    return m.f()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "import in nested func used outside": (
        "def node(n):\n    def imp():\n        from PKG import h as h\n        return h\n    return imp().f()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "try import body": (
        "def node(n):\n    try:\n        from PKG import h as h\n    except ImportError:\n"
        "        h = None\n    return h.f()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "import in with": (
        "import contextlib\ndef node(n):\n    with contextlib.suppress(ImportError):\n"
        "        from PKG import h as h\n        x = h.f()\n    return x",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "and/or": (
        "def node(n):\n    return (n or h).f()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "and/or2": (
        "def node(n):\n    return (n and h.f or h.g)()",
        "def f(): return 1\ndef g(): return 1",
        "def f(): return 1\ndef g(): return 2",
    ),
    "walrus mod": (
        "def node(n):\n    if (m := h):\n        return m.f()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "chained compare": (
        "def node(n):\n    return 0 < h.f() < h.g() < n",
        "def f(): return 1\ndef g(): return 1",
        "def f(): return 1\ndef g(): return 2",
    ),
    "while else": (
        "def node(n):\n    while n:\n        n -= 1\n    else:\n        return h.f()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "finally": (
        "def node(n):\n    try:\n        return n\n    finally:\n        h.f()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "lambda default capture": (
        "L=[lambda x, f=h.f: f(x)]\ndef node(n):\n    return L[0](n)",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "generator expr in call": (
        "def node(n):\n    return sum(h.f(i) for i in n)",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "dict comp nested": (
        "def node(n):\n    return {a: [h.f(b) for b in a] for a in n}",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "decorated class": (
        "@h.d\nclass T:\n    pass\ndef node(n):\n    return T.k",
        "def d(c):\n    c.k = 1\n    return c",
        "def d(c):\n    c.k = 2\n    return c",
    ),
    "contextvar-free stdlib wrapper: cache on method": (
        "import functools\nclass T:\n    @functools.lru_cache\n"
        "    def go(self): return h.f()\ndef node(n):\n    return T().go()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "lru maxsize wrapper call": (
        "import functools\ng=functools.lru_cache(maxsize=None)(h.f)\ndef node(n):\n    return g()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "__wrapped__ only": (
        "class W:\n    def __init__(self, f): self.__wrapped__=f\n"
        "    def __call__(self): return self.__wrapped__()\ng=W(h.f)\ndef node(n):\n"
        "    return g()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "W class changed": (
        "g=h.W(len)\ndef node(n):\n    return g()",
        "class W:\n    def __init__(self, f): self.__wrapped__=f\n    def __call__(self): return 1",
        "class W:\n    def __init__(self, f): self.__wrapped__=f\n    def __call__(self): return 2",
    ),
    "W state changed": (
        "def z(): pass\ng=h.W(z)\ndef node(n):\n    return g()",
        "class W:\n    def __init__(self, f): self.__wrapped__=f; self.k=1\n    def __call__(self): return self.k",
        "class W:\n    def __init__(self, f): self.__wrapped__=f; self.k=2\n    def __call__(self): return self.k",
    ),
    "third-party decorator param": (
        "import contextlib\n@contextlib.ContextDecorator.__call__.__get__(h.C())\ndef node(n):\n    return 1",
        "import contextlib\nclass C(contextlib.ContextDecorator):\n"
        "    def __enter__(self): return 1\n    def __exit__(self,*a): return False",
        "import contextlib\nclass C(contextlib.ContextDecorator):\n"
        "    def __enter__(self): return 2\n    def __exit__(self,*a): return False",
    ),
    "np.vectorize": (
        "import numpy as np\nv=np.vectorize(h.f)\ndef node(n):\n    return v(n)",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "numba vectorize": (
        "import numba\n@numba.vectorize\ndef v(x): return x*h.K\ndef node(n):\n    return v(n)",
        "K=1",
        "K=2",
    ),
    "numba guvectorize": (
        "import numba\n@numba.guvectorize(['void(f8[:],f8[:])'],'(n)->(n)')\ndef v(x,y):\n"
        "    y[0]= x[0]*h.K\ndef node(n):\n    return v(n)",
        "K=1",
        "K=2",
    ),
    "numba cfunc": (
        "import numba\n@numba.cfunc('f8(f8)')\ndef v(x): return x*h.K\ndef node(n):\n    return v(n)",
        "K=1",
        "K=2",
    ),
    "jitclass": (
        "import numba\nfrom numba.experimental import jitclass\n"
        "@jitclass([('a', numba.f8)])\nclass V:\n    def __init__(self): self.a=h.K\n"
        "def node(n):\n    return V()",
        "K=1",
        "K=2",
    ),
    "polars namespace": (
        "import polars as pl\ndef node(n):\n    return n.zz.go()",
        "import polars as pl\n@pl.api.register_dataframe_namespace('zz')\nclass Z:\n"
        "    def __init__(self, d): pass\n    def go(self): return 1",
        "import polars as pl\n@pl.api.register_dataframe_namespace('zz')\nclass Z:\n"
        "    def __init__(self, d): pass\n    def go(self): return 2",
    ),
    "importlib.resources": (
        "import importlib.resources as r\ndef node(n):\n    return r.files('PKG').joinpath('h.py').read_text()",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
    "except star": (
        "def node(n):\n    try:\n        return n\n    except* ValueError as e:\n        h.f(e)",
        "def f(*x): return 1",
        "def f(*x): return 2",
    ),
}


@pytest.mark.filterwarnings("ignore:overriding existing custom namespace")
@pytest.mark.parametrize("how", REACHED)
def test_what_is_reached_in_odd_ways_is_reached(project: Project, how: str) -> None:
    source, one, other = REACHED[how]
    main = source if "import h as h" in source else "from PKG import h\n" + source
    assert project.digest(main, h=one) != project.digest(main, h=other)
    assert project.digest(main, h=one) == project.digest(main, h=one)


CHANGED: dict[str, tuple[str, Callable[[Any], object]]] = {
    "a closure's cell": (
        "def make(k):\n    return lambda: k\nnode = make(1)",
        lambda m: setattr(m.node.__closure__[0], "cell_contents", 2),
    ),
    "monkeypatch helper module attr": (
        "from PKG import h\ndef node(x): return h.f(x)",
        lambda m: setattr(m.h, "f", lambda x: 5),
    ),
    "method patched": (
        "class T:\n    def go(self): return 1\ndef node(x): return T().go()",
        lambda m: setattr(m.T, "go", lambda s: 5),
    ),
    "instance attr mutated": (
        "class T:\n    pass\nt=T(); t.k=1\ndef node(x): return t.k",
        lambda m: setattr(m.t, "k", 5),
    ),
    "nested list in dict": ("D={'a':[1]}\ndef node(x): return D", lambda m: m.D["a"].append(2)),
    "dict of funcs swap": (
        "def f(): return 1\ndef g(): return 2\nD={'a':f}\ndef node(x): return D['a']()",
        lambda m: m.D.update(a=m.g),
    ),
    "fn attr": (
        "def f(): return 1\nf.k=1\ndef node(x): return f.k",
        lambda m: setattr(m.f, "k", 2),
    ),
    "default mutated": ("def node(x, y=[1]): return y", lambda m: m.node.__defaults__[0].append(2)),
    "kwdefault mutated": (
        "def node(x, *, y=1): return y",
        lambda m: m.node.__kwdefaults__.update(y=2),
    ),
    "bases changed": (
        "class A:\n    k=1\nclass B:\n    k=2\nclass Z: pass\nclass T(A): pass\ndef node(x): return T.k",
        lambda m: setattr(m.T, "__bases__", (m.B,)),
    ),
    "registry": (
        "import functools\n@functools.singledispatch\ndef f(x): return 1\ndef g(x): return 3\ndef node(x): return f(x)",
        lambda m: m.f.register(int, m.g),
    ),
    "partial kw": (
        "import functools\ndef f(x, k): return 1\nL=[1]\np=functools.partial(f, k=L)\ndef node(x): return p(x)",
        lambda m: m.L.append(1),
    ),
    "bound method state": (
        "class T:\n    k=1\n    def go(self): return self.j\nt=T(); t.j=1\ngo=t.go\ndef node(x): return go()",
        lambda m: setattr(m.t, "j", 3),
    ),
    "wrapper __wrapped__ unaffected closure": (
        "import functools\ndef d(n):\n    def deco(f):\n        @functools.wraps(f)\n"
        "        def w(*a): return f(*a)*n[0]\n        return w\n    return deco\nN=[1]\n"
        "@d(N)\ndef node(x): return x",
        lambda m: m.N.append(1),
    ),
    "enum value hack": (
        "import enum\nclass E(enum.Enum):\n    A=1\ndef node(x): return E.A.k\nE.A.k=1",
        lambda m: setattr(m.E.A, "k", 2),
    ),
    "import shadow": (
        "import json\ndef node(x): return json.dumps(x)",
        lambda m: setattr(m, "json", m),
    ),
}


@pytest.mark.parametrize("how", CHANGED)
def test_what_changes_at_run_time_is_seen(project: Project, how: str) -> None:
    source, change = CHANGED[how]
    module = project.load(source, h="def f(x): return 1")
    before = look(module.node)
    assert before.is_current()
    change(module)
    assert not before.is_current()
    assert look(module.node).digest != before.digest


def test_a_universal_function_made_of_a_python_function_is_refused(project: Project) -> None:
    module = project.load(
        "import numpy as np\ndef f(x): return x\nv = np.frompyfunc(f, 1, 1)\ndef node(x): return v(x)"
    )
    with pytest.raises(UnstableIdentityError, match="ufunc"):
        look(module.node)
