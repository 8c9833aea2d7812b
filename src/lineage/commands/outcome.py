"""How a command ends: with a code, and one message where something failed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator

from lineage.errors import LineageError

__all__ = ["completed"]

FAILED, WRONG, INTERRUPTED = 1, 2, 128 + signal.SIGINT


@contextlib.contextmanager
def completed() -> Iterator[None]:
    """Exit as the errors of a command deserve: without a traceback, unless LINEAGE_TRACEBACK is set."""
    from cyclopts.exceptions import CycloptsError

    try:
        yield
    except CycloptsError as error:
        _end(WRONG, str(error).strip())
    except KeyboardInterrupt:
        _end(INTERRUPTED, "interrupted; what was finished is kept")
    except BrokenPipeError:  # whoever read what is printed has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (LineageError, OSError) as error:
        _end(FAILED, str(error))
    except Exception as error:
        _end(FAILED, f"{type(error).__name__}: {error}{_place(error)}")


def _end(code: int, message: str) -> None:
    if os.environ.get("LINEAGE_TRACEBACK"):
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code) from None


def _place(error: Exception) -> str:
    """Return where an error that is not ours came from: the innermost line outside of this package."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith((here, "<"))]
    return f"\n  at {frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name}" if frames else ""
