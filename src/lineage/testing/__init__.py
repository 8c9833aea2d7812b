"""What tests of pipelines, stores, codecs and executors need: laws, contracts, and a log of what happened."""

from __future__ import annotations

from lineage.testing.merges import Counterexample, MergeReport, check_merge

__all__ = ["Counterexample", "EventLog", "MergeReport", "check_merge"]


class EventLog:
    """Remembers what a session did, so that a test can say what ran: `Session(..., on_event=log)`.

    >>> log = EventLog()
    >>> log("executed", "double", "double(x=1)")
    >>> log.names()
    ['executed double']
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def __call__(self, verdict: str, node: str, call: str) -> None:
        self.events.append((verdict, node, call))

    def names(self) -> list[str]:
        """Return verdict and node of each event since the last `clear`, in order."""
        return [f"{verdict} {node}" for verdict, node, _ in self.events]

    def calls(self) -> list[str]:
        """Return verdict and call of each event since the last `clear`, in order."""
        return [f"{verdict} {call}" for verdict, _, call in self.events]

    def count(self, verdict: str) -> int:
        """Return how many events of a verdict there were since the last `clear`."""
        return sum(found == verdict for found, _, _ in self.events)

    def clear(self) -> None:
        self.events.clear()

    def __repr__(self) -> str:
        return f"EventLog({self.names()})"
