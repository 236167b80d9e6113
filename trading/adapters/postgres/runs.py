"""Runs, so that every row's run_id can be explained."""

from collections.abc import Mapping
from datetime import datetime

from psycopg.types.json import Jsonb

from trading.adapters.postgres.connection import Row, Session
from trading.domain.ids import Run
from trading.errors import InvariantViolation
from trading.ports.ledger import RunRecord


class PostgresRuns:
    """RunStore over the tables run and run_attempt."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def start(self, run: Run, flow: str, at: datetime) -> None:
        """Note the start; the same run starting again is another attempt, and loses nothing."""
        facts = {"run_type": run.run_type, "actor": run.actor, "causes": list(run.causes), "at": at}
        self._session.run("start_run", {**_key(run, flow), **facts})

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
        """Note the end. Raises InvariantViolation where it never started."""
        facts = {"at": at, "outcome": outcome, "message": message, "trouble": trouble, "counts": Jsonb(dict(counts))}
        if not self._session.run("finish_run", {**_key(run, flow), **facts}):
            raise InvariantViolation(f"run {run.run_id}, flow {flow}: expected it to have started")

    def recent(self, flow: str | None, limit: int) -> list[RunRecord]:
        """The newest runs, newest first."""
        rows = self._session.all("recent_runs", {"flow": flow, "limit": max(0, limit)})
        return [_record(row) for row in rows]

    def get(self, run_id: str) -> list[RunRecord]:
        """Every flow that this run id ran, oldest first."""
        return [_record(row) for row in self._session.all("runs_by_id", {"run_id": run_id})]


def _key(run: Run, flow: str) -> dict[str, object]:
    return {"dag_id": run.dag_id, "run_id": run.run_id, "flow": flow}


def _record(row: Row) -> RunRecord:
    run = Run(
        run_id=row.pop("run_id"),
        dag_id=row.pop("dag_id"),
        actor=row.pop("actor"),
        run_type=row.pop("run_type"),
        causes=tuple(row.pop("causes")),
    )
    return RunRecord(run=run, **row)
