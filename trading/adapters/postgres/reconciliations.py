"""Comparisons of our books with the venue's."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from trading.adapters.postgres.connection import Session
from trading.domain.ids import Run
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind, Finding, ReconciliationResult


class PostgresReconciliations:
    """ReconciliationStore over the tables reconciliation, discrepancy and acknowledgement."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def record(self, account: str, result: ReconciliationResult, run: Run) -> None:
        """Keep the result, and bring the open discrepancies in line with it."""
        common = {"account": account, "at": result.at, "run_id": run.run_id, "dag_id": run.dag_id}
        figures = {
            "compared": result.compared,
            "clean": result.clean,
            "unknown_orders": result.unknown_orders,
            "discrepancies": len(result.discrepancies),
            "full_history": result.full_history,
        }
        self._session.run("record_reconciliation", {**common, **figures})
        found = sorted(result.discrepancies, key=lambda one: (one.kind.value, one.key))
        if result.compared:
            names = {"kinds": [one.kind.value for one in found], "keys": [one.key for one in found]}
            self._session.run("resolve_discrepancies", {**common, **names})
        for one in found:
            self._session.run("see_discrepancy", {**asdict(one), **common})

    def newest_clean_at(self, account: str, *, full_history: bool = False) -> datetime | None:
        """When both sides last agreed."""
        row = self._session.one("newest_clean", {"account": account, "full_history": full_history})
        return None if row is None else row["at"]

    def open_discrepancies(self, account: str) -> list[Discrepancy]:
        """Those that nobody resolved, oldest first."""
        rows = self._session.all("open_discrepancies", {"account": account})
        return [Discrepancy(kind=DiscrepancyKind(row.pop("kind")), **row) for row in rows]

    def acknowledge(self, account: str, findings: Sequence[Discrepancy], run: Run) -> None:
        """Take note of what the venue shows and no intent explains; the same again changes nothing."""
        for one in findings:
            facts = {"account": account, "kind": one.kind.value, "key": one.key, "theirs": one.theirs}
            self._session.run("acknowledge", {**facts, "run_id": run.run_id, "dag_id": run.dag_id})

    def acknowledged(self, account: str) -> frozenset[Finding]:
        """All that was ever taken note of."""
        rows = self._session.all("acknowledged", {"account": account})
        return frozenset((DiscrepancyKind(row["kind"]), row["key"], row["theirs"]) for row in rows)
