"""Comparisons of our books with the venue's."""

from collections import defaultdict
from dataclasses import replace
from datetime import datetime

from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind, ReconciliationResult

_Name = tuple[DiscrepancyKind, str]


class MemoryReconciliations:
    """ReconciliationStore."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._results: defaultdict[str, list[ReconciliationResult]] = defaultdict(list)
        self._clean_at: dict[str, datetime] = {}
        self._open: defaultdict[str, dict[_Name, Discrepancy]] = defaultdict(dict)

    def record(self, account: str, result: ReconciliationResult, run: Run) -> None:  # noqa: ARG002 — PostgreSQL's rows name it
        """Keep the result, and bring the open discrepancies in line with it."""
        self._journal.append(self._results[account], result)
        if result.clean:
            newest = max(result.at, self._clean_at.get(account, result.at))
            self._journal.put(self._clean_at, account, newest)
        opened = self._open[account]
        found = {(one.kind, one.key): one for one in result.discrepancies}
        if result.compared:
            for name in [name for name in opened if name not in found]:
                self._journal.remove(opened, name)
        for name, one in found.items():
            before = opened.get(name)
            self._journal.put(opened, name, one if before is None else _carried_on(before, one))

    def newest_clean_at(self, account: str) -> datetime | None:
        """When both sides last agreed."""
        return self._clean_at.get(account)

    def open_discrepancies(self, account: str) -> list[Discrepancy]:
        """Those that nobody resolved, oldest first."""
        return sorted(
            self._open.get(account, {}).values(), key=lambda one: (one.first_seen_at, one.kind.value, one.key)
        )


def _carried_on(before: Discrepancy, after: Discrepancy) -> Discrepancy:
    """What an open discrepancy becomes when it is seen again: newest figures, first sight; confirmed for good."""
    return replace(after, first_seen_at=before.first_seen_at, confirmed=before.confirmed or after.confirmed)
