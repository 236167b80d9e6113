"""Tests of venues."""

from psycopg.types.json import Jsonb

from trading.adapters.postgres.connection import Session
from trading.domain.conformance import Conformance, ConformanceStep, StepVerdict, Target
from trading.domain.ids import Run


class PostgresConformances:
    """ConformanceStore over the table venue_conformance."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, conformance: Conformance, run: Run) -> None:
        """Keep what came of a test."""
        facts = {
            "venue": conformance.venue,
            "target": conformance.target.value,
            "address": conformance.address,
            "at": conformance.at,
            "code_version": conformance.code_version,
            "ccxt_version": conformance.ccxt_version,
            "passed": conformance.passed,
            "steps": Jsonb([[step.name, step.verdict.value, step.seen] for step in conformance.steps]),
        }
        self._session.run("record_conformance", {**facts, "run_id": run.run_id, "dag_id": run.dag_id})

    def newest(self, venue: str, target: Target) -> Conformance | None:
        """The newest test there, whatever came of it."""
        row = self._session.one("newest_conformance", {"venue": venue, "target": target.value})
        if row is None:
            return None
        steps = tuple(ConformanceStep(name, StepVerdict(verdict), seen) for name, verdict, seen in row.pop("steps"))
        return Conformance(**{**row, "target": Target(row["target"]), "steps": steps})
