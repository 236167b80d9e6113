"""What came of testing venues."""

from typing import Protocol

from trading.domain.conformance import Conformance, Target
from trading.domain.ids import Run


class ConformanceStore(Protocol):
    """Tests of venues, which belong to no account."""

    def record(self, conformance: Conformance, run: Run) -> None:
        """Keep what came of a test."""
        ...

    def newest(self, venue: str, target: Target) -> Conformance | None:
        """The newest test there, whatever came of it."""
        ...
