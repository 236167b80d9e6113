"""Tests of venues."""

from trading.adapters.memory.journal import Journal
from trading.domain.conformance import Conformance, Target
from trading.domain.ids import Run


class MemoryConformances:
    """ConformanceStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rows: list[Conformance] = []

    def record(self, conformance: Conformance, run: Run) -> None:  # noqa: ARG002 — PostgreSQL's rows name it
        """Keep what came of a test."""
        self._journal.append(self._rows, conformance)

    def newest(self, venue: str, target: Target) -> Conformance | None:
        """The newest test there, whatever came of it."""
        return next((one for one in reversed(self._rows) if (one.venue, one.target) == (venue, target)), None)
