"""Recomputed decisions, by the run that made them."""

from collections.abc import Sequence
from decimal import Decimal

from psycopg.types.json import Jsonb

from trading.adapters.postgres.connection import Session
from trading.domain.decision import DecisionStatus
from trading.domain.ids import Run
from trading.domain.replay import ReplayedDecision, ReplayVerdict


class PostgresReplays:
    """ReplayStore over the table replayed_decision."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, lines: Sequence[ReplayedDecision], run: Run) -> None:
        """Keep them; those that this run kept before stay as they are."""
        rows = [
            {
                "strategy": line.strategy,
                "as_of": line.as_of.isoformat(),
                "timeframe": line.timeframe,
                "status": line.status,
                "weights": {symbol: str(weight) for symbol, weight in line.weights.items()},
                "verdict": line.verdict,
                "explanation": line.explanation,
            }
            for line in lines
        ]
        self._session.run("record_replay", {"dag_id": run.dag_id, "run_id": run.run_id, "rows": Jsonb(rows)})

    def by_run(self, run: Run) -> list[ReplayedDecision]:
        """What a run kept, by strategy and as_of."""
        rows = self._session.all("replay_by_run", {"dag_id": run.dag_id, "run_id": run.run_id})
        return [
            ReplayedDecision(
                weights={symbol: Decimal(text) for symbol, text in row.pop("weights").items()},
                status=DecisionStatus(row.pop("status")),
                verdict=ReplayVerdict(row.pop("verdict")),
                **row,
            )
            for row in rows
        ]
