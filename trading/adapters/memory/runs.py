"""Runs, so that every row's run_id can be explained."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.errors import InvariantViolation
from trading.ports.ledger import RunRecord

OUTCOMES: Final = ("done", "skipped", "failed")

_Key = tuple[str, str, str]


class MemoryRuns:
    """RunStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._records: dict[_Key, RunRecord] = {}
        self._attempts: dict[_Key, int] = {}

    def start(self, run: Run, flow: str, at: datetime) -> None:
        """Note the start; the same run starting again is noted as such, and loses nothing."""
        key = (run.dag_id, run.run_id, flow)
        known = self._records.get(key)
        if known is None:
            record = RunRecord(
                run=run, flow=flow, started_at=at, ended_at=None, outcome="running", message="", counts={}
            )
        else:
            record = replace(known, outcome="running", ended_at=None)
        self._journal.put(self._records, key, record)
        self._journal.put(self._attempts, key, self._attempts.get(key, 0) + 1)

    def finish(
        self,
        run: Run,
        flow: str,
        at: datetime,
        *,
        outcome: str,
        message: str,
        counts: Mapping[str, int],
        trouble: str = "",
    ) -> None:
        """Note the end."""
        key = (run.dag_id, run.run_id, flow)
        known = self._records.get(key)
        if known is None:
            raise InvariantViolation(f"run {run.run_id}, flow {flow}: expected it to have started")
        if outcome not in OUTCOMES:
            raise InvariantViolation(f"run {run.run_id}, flow {flow}: expected one of {OUTCOMES}, got {outcome!r}")
        ended = replace(known, ended_at=at, outcome=outcome, message=message, counts=dict(counts), trouble=trouble)
        self._journal.put(self._records, key, ended)

    def recent(self, flow: str | None, limit: int) -> list[RunRecord]:
        """The newest runs, newest first."""
        return _by_start(one for one in self._records.values() if flow in (None, one.flow))[::-1][: max(0, limit)]

    def get(self, run_id: str) -> list[RunRecord]:
        """Every flow that this run id ran, oldest first."""
        return _by_start(one for one in self._records.values() if one.run.run_id == run_id)

    def attempts(self, run: Run, flow: str) -> int:
        """How often it started."""
        return self._attempts.get((run.dag_id, run.run_id, flow), 0)


def _by_start(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Oldest first; those of one instant in the order in which they were noted."""
    return sorted(records, key=lambda one: one.started_at)
