"""`show`: as HTML where a notebook listens, as text elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from lineage.datasets import Dataset
from lineage.pictures.display import html, html_of_run, run_number, run_timeline
from lineage.pictures.timeline import timeline_text
from lineage.pictures.values import head
from lineage.plans import Plan
from lineage.session import current_session

__all__ = ["show"]


def show(x: Any, rows: int = 5) -> None:
    """Show a dataset, the dataset of a call, a plan or a run. See `lineage.show`."""
    number = run_number(x)
    if number is not None:
        _put(html_of_run, lambda run: timeline_text(run_timeline(run)), number)
        return
    shown = x if isinstance(x, (Dataset, Plan)) else current_session().materialize(x)
    for one in shown if isinstance(shown, tuple) else (shown,):
        _put(lambda it: html(it, rows), lambda it: _text(it, rows), one)


def _put(as_html: Any, as_text: Any, x: Any) -> None:
    if _in_notebook():
        import IPython.display

        put: Any = IPython.display  # which has no types
        put.display(put.HTML(as_html(x)))
    else:
        print(as_text(x))


def _in_notebook() -> bool:
    """Say whether this runs in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def _text(x: Any, rows: int) -> str:
    if isinstance(x, Plan):
        return repr(x)
    frame = head(x, rows)
    if frame is None:
        value = x.value
        take = getattr(value, "head", None)
        frame = take(rows) if take is not None else value
    return f"{x!r}\n{frame}"
