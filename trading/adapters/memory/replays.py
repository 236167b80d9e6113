"""Recomputed decisions, by the run that made them."""

from collections.abc import Sequence
from datetime import datetime

from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.replay import ReplayedDecision


class MemoryReplays:
    """ReplayStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lines: dict[tuple[str, str, str, datetime], ReplayedDecision] = {}

    def record(self, lines: Sequence[ReplayedDecision], run: Run) -> None:
        """Keep them; those that this run kept before stay as they are."""
        for line in lines:
            key = (run.dag_id, run.run_id, line.strategy, line.as_of)
            if key not in self._lines:
                self._journal.put(self._lines, key, line)

    def by_run(self, run: Run) -> list[ReplayedDecision]:
        """What a run kept, by strategy and as_of."""
        mine = (run.dag_id, run.run_id)
        return [self._lines[key] for key in sorted(key for key in self._lines if key[:2] == mine)]
