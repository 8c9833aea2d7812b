"""What a call prints and logs: kept with its record, and shown as it comes."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, TextIO

from lineage.reads import listen

__all__ = ["capturing", "collecting", "joined", "keep", "log_handler"]

LIMIT = 1 << 20
"""Characters kept of one call's log; the rest is shown but not kept."""

_log: ContextVar[list[str] | None] = ContextVar("lineage_log", default=None)


class _Tee(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`: passes everything on, and keeps what a call writes."""

    def __init__(self, target: TextIO) -> None:
        self.target = target

    def write(self, text: str) -> int:
        keep(text)
        return self.target.write(text)

    def flush(self) -> None:
        self.target.flush()

    def isatty(self) -> bool:
        return self.target.isatty()

    def fileno(self) -> int:
        return self.target.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.target.encoding

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


class _LogHandler(logging.Handler):
    """Keeps what a call logs. Handlers of the user's show it; with none, warnings go to standard error as always."""

    def emit(self, record: logging.LogRecord) -> None:
        if _log.get() is not None:
            keep(self.format(record) + "\n")


def keep(text: str) -> None:
    """Keep `text` in the log of the call that runs here, if one does."""
    kept = _log.get()
    if kept is not None:
        kept.append(text)


def log_handler() -> logging.Handler:
    """Return a handler that keeps what calls log."""
    handler = _LogHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    return handler


@contextlib.contextmanager
def capturing() -> Iterator[None]:
    """Keep what calls print and log while a run lasts. Nothing is left behind."""
    listen()
    handler = log_handler()
    root = logging.getLogger()
    had_handlers = bool(root.handlers)
    out, err = sys.stdout, sys.stderr
    shown = _shown(err) if not had_handlers else None
    sys.stdout, sys.stderr = _Tee(out), _Tee(err)
    root.addHandler(handler)
    if shown is not None:
        root.addHandler(shown)
    try:
        yield
    finally:
        root.removeHandler(handler)
        if shown is not None:
            root.removeHandler(shown)
        sys.stdout, sys.stderr = out, err


def _shown(stream: TextIO) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setLevel(logging.WARNING)
    return handler


class collecting:  # noqa: N801 (used like a function)
    """Collect what one call writes, as a list of pieces: `with collecting() as pieces`."""

    __slots__ = ("_token",)

    def __enter__(self) -> list[str]:
        pieces: list[str] = []
        self._token = _log.set(pieces)
        return pieces

    def __exit__(self, *_: object) -> None:
        _log.reset(self._token)


def joined(pieces: list[str]) -> str:
    """Return the log as one text, its middle left out where it is too long."""
    if not pieces:
        return ""
    text = "".join(pieces)
    if len(text) <= LIMIT:
        return text
    half = LIMIT // 2
    return f"{text[:half]}\n… {len(text) - LIMIT} characters left out …\n{text[-half:]}"
