"""Comparisons of our books with the venue's."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from trading.adapters.memory.accounts import MemoryAccounts
from trading.adapters.memory.journal import Journal
from trading.domain.ids import Run
from trading.domain.reconciliation import (
    ACKNOWLEDGED_KINDS,
    Discrepancy,
    DiscrepancyKind,
    Finding,
    ReconciliationResult,
)
from trading.errors import InvariantViolation

_Name = tuple[DiscrepancyKind, str]


class MemoryReconciliations:
    """ReconciliationStore."""

    def __init__(self, journal: Journal, accounts: MemoryAccounts) -> None:
        self._journal = journal
        self._accounts = accounts
        self._results: defaultdict[str, list[ReconciliationResult]] = defaultdict(list)
        self._clean_at: dict[tuple[str, bool], datetime] = {}  # by account, and whether it was the full history
        self._open: defaultdict[str, dict[_Name, Discrepancy]] = defaultdict(dict)
        self._acknowledged: defaultdict[str, dict[Finding, Run]] = defaultdict(dict)

    def record(self, account: str, result: ReconciliationResult, run: Run) -> None:  # noqa: ARG002 — PostgreSQL's rows name it
        """Keep the result, and bring the open discrepancies in line with it."""
        self._journal.append(self._results[account], result)
        for kind in {False, result.full_history} if result.clean else ():
            newest = max(result.at, self._clean_at.get((account, kind), result.at))
            self._journal.put(self._clean_at, (account, kind), newest)
        opened = self._open[account]
        found = {(one.kind, one.key): one for one in result.discrepancies}
        if result.compared:
            for name in [name for name in opened if name not in found]:
                self._journal.remove(opened, name)
        for name, one in found.items():
            before = opened.get(name)
            self._journal.put(opened, name, one if before is None else _carried_on(before, one))

    def newest_clean_at(self, account: str, *, full_history: bool = False) -> datetime | None:
        """When both sides last agreed."""
        return self._clean_at.get((account, full_history))

    def open_discrepancies(self, account: str) -> list[Discrepancy]:
        """Those that nobody resolved, oldest first."""
        return sorted(
            self._open.get(account, {}).values(), key=lambda one: (one.first_seen_at, one.kind.value, one.key)
        )

    def acknowledge(self, account: str, findings: Sequence[Discrepancy], run: Run) -> None:
        """Take note of what the venue shows and no intent explains; the same again changes nothing."""
        for one in findings:
            self._accounts.require(account)
            if one.kind not in ACKNOWLEDGED_KINDS:
                raise InvariantViolation(f"{one.kind} {one.key}: only the ledger itself can end it")
            if one.finding not in self._acknowledged[account]:
                self._journal.put(self._acknowledged[account], one.finding, run)

    def acknowledged(self, account: str) -> frozenset[Finding]:
        """All that was ever taken note of."""
        return frozenset(self._acknowledged.get(account, ()))


def _carried_on(before: Discrepancy, after: Discrepancy) -> Discrepancy:
    """What an open discrepancy becomes when it is seen again: newest figures, first sight; confirmed for good."""
    return replace(after, first_seen_at=before.first_seen_at, confirmed=before.confirmed or after.confirmed)
