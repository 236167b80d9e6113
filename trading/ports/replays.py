"""Where replays are kept, apart from decisions."""

from collections.abc import Sequence
from typing import Protocol

from trading.domain.ids import Run
from trading.domain.replay import ReplayedDecision


class ReplayStore(Protocol):
    """Recomputed decisions, by the run that made them."""

    def record(self, lines: Sequence[ReplayedDecision], run: Run) -> None:
        """Keep them; those that this run kept before stay as they are."""
        ...

    def by_run(self, run: Run) -> list[ReplayedDecision]:
        """What a run kept, by strategy and as_of."""
        ...
