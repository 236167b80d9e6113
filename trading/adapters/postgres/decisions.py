"""Decisions: the first one for an as_of wins."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from trading.adapters.postgres.connection import Row, Session
from trading.domain.decision import Decision, DecisionStatus, Recorded
from trading.domain.ids import Run


class PostgresDecisions:
    """DecisionStore over the tables decision and decision_revision."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, decision: Decision, run: Run) -> Recorded:
        """Store it, or find it there; a differing one is kept as a revision and changes nothing."""
        facts = {
            "strategy": decision.strategy,
            "as_of": decision.as_of,
            "timeframe": decision.timeframe,
            "status": decision.status,
            "weights": Jsonb({symbol: str(weight) for symbol, weight in decision.weights.items()}),
            "input_hash": decision.input_hash,
            "decided_at": decision.decided_at,
            "reason": decision.reason,
            "detail": Jsonb(dict(decision.detail)),
            "run_id": run.run_id,
            "dag_id": run.dag_id,
        }
        if self._session.run("record_decision", facts):
            return Recorded.FIRST
        known = self._session.one("get_decision", {"strategy": decision.strategy, "as_of": decision.as_of})
        if known is not None and _says(_decision(known)) == _says(decision):
            return Recorded.SAME
        self._session.run("record_decision_revision", facts)
        return Recorded.REVISION

    def newest(self, strategy: str) -> Decision | None:
        """The newest by as_of, whatever its status."""
        row = self._session.one("newest_decision", {"strategy": strategy})
        return None if row is None else _decision(row)

    def by_run(self, run_id: str) -> list[Decision]:
        """Those that a run stored."""
        return [_decision(row) for row in self._session.all("decisions_by_run", {"run_id": run_id})]

    def between(self, strategy: str, *, since: datetime, until: datetime) -> list[Decision]:
        """Those with since < as_of ≤ until, ascending."""
        facts = {"strategy": strategy, "since": since, "until": until}
        return [_decision(row) for row in self._session.all("decisions_between", facts)]


def _decision(row: Row) -> Decision:
    weights = {symbol: Decimal(text) for symbol, text in row.pop("weights").items()}
    return Decision(weights=weights, status=DecisionStatus(row.pop("status")), **row)


def _says(decision: Decision) -> tuple[Any, ...]:
    """What makes two computations of one decision the same."""
    return (decision.timeframe, decision.status, dict(decision.weights), decision.input_hash)
