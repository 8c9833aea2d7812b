"""Everything that `lineage` raises.

    LineageError
    ├── CompositionError (TypeError)        a graph that can't be right, found while it is composed
    │   ├── WiringError                     an argument that doesn't fit its parameter
    │   ├── LazyValueError                  a call used as if it were its value
    │   └── DeclarationError                a function that can't be a node
    ├── IdentityError (ValueError)          something has no stable identity
    │   ├── UnstableIdentityError           a value that can't be digested the same way twice
    │   ├── StaleCodeError                  the source on disk is not the code that is loaded
    │   └── UndeclaredReadError             code that reads a clock, randomness or the environment
    ├── NodeError (RuntimeError)            a call failed
    │   ├── ResultTypeError                 a result that isn't what the node declares
    │   ├── SchemaError                     a table that isn't what its schema declares
    │   ├── MutationError                   a node changed something that outlives its call
    │   └── InputChangedError               a file changed while it was read
    ├── StoreError (RuntimeError)           the store can't do what was asked
    │   ├── ObjectMissingError (KeyError)   nothing is stored under a digest
    │   ├── CorruptObjectError              what is stored is not what was put
    │   ├── ReadOnlyStoreError
    │   ├── StoreVersionError               written by another version of `lineage`
    │   └── UntrustedPickleError            a pickle in a store that isn't trusted
    ├── EnvError (RuntimeError)             an environment that can't be resolved or made
    │   ├── LockError                       a lock that is missing, damaged, or not of what is asked for
    │   └── UndeclaredImportError           a pinned environment without a package that the code imports
    ├── ExecutorError (RuntimeError)        an executor can never do what was asked
    ├── WorkerError (RuntimeError)          what carried a call out failed, not the call: a worker died, or has other code
    ├── CodecError (TypeError)              a value that can't be stored without loss
    ├── MissingExtraError (ImportError)     what was asked needs a library that is not installed
    └── NotFoundError (LookupError)         a name, node or digest that no record answers to
        ├── AmbiguousError                  one that several records answer to
        ├── UnknownNameError                a name that nobody has given
        └── ForeignNameError                a name, or a node's latest result, that only others have

Fields hold facts and `__str__` makes the sentence, so that callers never parse text and errors survive the trip from a
worker process.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AmbiguousError",
    "CodecError",
    "CompositionError",
    "CorruptObjectError",
    "DeclarationError",
    "EnvError",
    "ExecutorError",
    "ForeignNameError",
    "IdentityError",
    "InputChangedError",
    "LazyValueError",
    "LineageError",
    "LockError",
    "MissingExtraError",
    "MutationError",
    "NodeError",
    "NotFoundError",
    "ObjectMissingError",
    "ReadOnlyStoreError",
    "ResultTypeError",
    "SchemaError",
    "StaleCodeError",
    "StoreError",
    "StoreVersionError",
    "UndeclaredImportError",
    "UndeclaredReadError",
    "UnknownNameError",
    "UnstableIdentityError",
    "UntrustedPickleError",
    "WiringError",
    "WorkerError",
]


class LineageError(Exception):
    """The base of all errors of this library."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts
        for name, fact in facts.items():
            setattr(self, name, fact)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.facts)


def _rebuild(cls: type[LineageError], message: str, facts: dict[str, Any]) -> LineageError:
    return cls(message, **facts)


class CompositionError(LineageError, TypeError):
    """A graph that can't be right, found while it is composed."""


class WiringError(CompositionError):
    """An argument that doesn't fit its parameter. Fields: `node`, `parameter`."""


class LazyValueError(CompositionError):
    """A call used as if it were its value."""


class DeclarationError(CompositionError):
    """A function that can't be a node."""


class IdentityError(LineageError, ValueError):
    """Something that has no stable identity, so nothing that depends on it can be cached."""


class UnstableIdentityError(IdentityError):
    """A value that can't be digested the same way twice."""


class StaleCodeError(IdentityError):
    """The source on disk is not the code that is loaded."""


class UndeclaredReadError(IdentityError):
    """Code that reads a clock, unseeded randomness or the environment."""


class NodeError(LineageError, RuntimeError):
    """A call failed. Fields: `node`, `arguments`, `log`, `error_type`, `traceback_text`, `attempts`."""


class ResultTypeError(NodeError):
    """A result that is not what the node declares."""


class SchemaError(NodeError):
    """A table that is not what its schema declares. Fields: `column`, `row`, `value`."""


class MutationError(NodeError):
    """A node changed something that outlives its call."""


class InputChangedError(NodeError):
    """A file changed while it was read."""


class StoreError(LineageError, RuntimeError):
    """The store can't do what was asked."""


class ObjectMissingError(StoreError, KeyError):
    """Nothing is stored under a digest."""

    __str__ = LineageError.__str__


class CorruptObjectError(StoreError):
    """What is stored under a digest is not what was put there."""


class ReadOnlyStoreError(StoreError):
    """The store can be read but not written."""


class StoreVersionError(StoreError):
    """The store was written by another version of `lineage`."""


class UntrustedPickleError(StoreError):
    """A pickle in a store that is not trusted."""


class EnvError(LineageError, RuntimeError):
    """An environment that can't be resolved, made or used."""


class LockError(EnvError):
    """A lock that is missing, damaged, or not of what is asked for."""


class UndeclaredImportError(EnvError):
    """Code imports what its pinned environment doesn't have. Fields: `node`, `package`."""


class ExecutorError(LineageError, RuntimeError):
    """An executor can never do what was asked: its workers can't reach the store, or have less than a call needs."""


class WorkerError(LineageError, RuntimeError):
    """What carried a call out failed, not the call: a worker died, ran out of memory, or has other code than was planned."""


class CodecError(LineageError, TypeError):
    """A value that can't be stored without loss."""


class MissingExtraError(LineageError, ImportError):
    """What was asked needs a library that is not installed. The message names the extra that brings it."""


class NotFoundError(LineageError, LookupError):
    """A name, node or digest that no record answers to."""


class AmbiguousError(NotFoundError):
    """A name, or the beginning of a digest, that may mean several things."""


class UnknownNameError(NotFoundError):
    """A name that nobody has given to a dataset. Fields: `name`, `near` (names that look like it)."""


class ForeignNameError(NotFoundError):
    """A name, or a node's latest result, that only others have. Fields: `name`, `owners` (full names or namespaces)."""
