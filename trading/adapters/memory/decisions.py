"""Decisions: the first one for an as_of wins."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime

from trading.adapters.memory.journal import Journal
from trading.domain.decision import Decision, Recorded
from trading.domain.ids import Run
from trading.errors import InvariantViolation


class MemoryDecisions:
    """DecisionStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._decisions: defaultdict[str, dict[datetime, Decision]] = defaultdict(dict)
        self._newest: dict[str, datetime] = {}
        self._by_run: defaultdict[str, list[Decision]] = defaultdict(list)
        self._revisions: list[Decision] = []

    def record(self, decision: Decision, run: Run) -> Recorded:
        """Store it, or find it there; a differing one is kept as a revision and changes nothing."""
        stored = replace(decision, run_id=run.run_id)
        mine = self._decisions[decision.strategy]
        known = mine.get(decision.as_of)
        if known is not None:
            if _says(known) == _says(decision):
                return Recorded.SAME
            if not any(one.as_of == decision.as_of and _says(one) == _says(decision) for one in self._revisions):
                self._journal.append(self._revisions, stored)
            return Recorded.REVISION
        if decision.decided_at < decision.as_of:
            raise InvariantViolation(
                f"decision of {decision.strategy} at {decision.as_of}: it was decided before, at {decision.decided_at}"
            )
        self._journal.put(mine, decision.as_of, stored)
        self._journal.append(self._by_run[run.run_id], stored)
        if decision.as_of >= self._newest.get(decision.strategy, decision.as_of):
            self._journal.put(self._newest, decision.strategy, decision.as_of)
        return Recorded.FIRST

    def newest(self, strategy: str) -> Decision | None:
        """The newest by as_of, whatever its status."""
        as_of = self._newest.get(strategy)
        return None if as_of is None else self._decisions[strategy][as_of]

    def by_run(self, run_id: str) -> list[Decision]:
        """Those that a run stored."""
        return list(self._by_run.get(run_id, ()))

    def between(self, strategy: str, *, since: datetime, until: datetime) -> list[Decision]:
        """Those with since < as_of ≤ until, ascending."""
        return [one for as_of, one in sorted(self._decisions[strategy].items()) if since < as_of <= until]

    def revisions(self) -> list[Decision]:
        """Recomputations that differed, oldest first."""
        return list(self._revisions)


def _says(decision: Decision) -> tuple[object, ...]:
    """What makes two computations of one decision the same."""
    return (decision.strategy, decision.timeframe, decision.status, dict(decision.weights), decision.input_hash)
