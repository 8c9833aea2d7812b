"""What `attempt` gives: `Ok` with a value, or `Failed` with what is known of the failure."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from attrs import frozen

from lineage.content.tree import Hole
from lineage.errors import LazyValueError

__all__ = ["Failed", "Ok"]

T = TypeVar("T")


class _NeverOfACall(type):
    """Refuses `isinstance(call, Failed)` and `match call: case Failed()`, which would silently be false."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if isinstance(instance, Hole):
            raise LazyValueError(
                f"this is a call, not its outcome: nothing has run, so it is no {cls.__name__} yet. "
                "Test it inside a node, or after lineage.compute(...)"
            )
        return super().__instancecheck__(instance)


@frozen
class Ok(Generic[T], metaclass=_NeverOfACall):
    """The value of a call that succeeded.

    >>> Ok(3).value
    3
    """

    value: T


@frozen
class Failed(metaclass=_NeverOfACall):
    """A call that failed, as data. Never cached as a success.

    `error` is the error's type and message, `log` what the call printed, `traceback` its traceback as text, and `call`
    the key of the call, by which `lineage` knows it.
    """

    error: str
    log: str = ""
    traceback: str = ""
    call: str = ""
