"""Apply limits: a person puts the file's limits in force; what was planned under the old ones is fenced off."""

from dataclasses import dataclass

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.limits import AppliedLimits, LimitChange, limit_changes
from trading.domain.portfolio import Portfolio
from trading.errors import ConfigurationError
from trading.flows.limits_in_force import record_limits
from trading.flows.recording import recorded
from trading.ports.ledger import Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitsPreview:
    """What applying the file would change. `file_hash` is what a person signs for."""

    applied: AppliedLimits | None
    changes: tuple[LimitChange, ...]
    file_hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyReport:
    """What was changed."""

    changes: tuple[LimitChange, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many limits changed."""
        return {"changed": len(self.changes)}


class ApplyLimits:
    """Show in what the file differs from what is in force, and apply exactly the file that was shown."""

    def __init__(self, ledger: Ledger, clock: Clock, *, account: str, portfolio: Portfolio) -> None:
        self._ledger = ledger
        self._clock = clock
        self._account = account
        self._portfolio = portfolio

    def preview(self) -> LimitsPreview:
        """What would change. Raises ConfigurationError where the file's limits are refused."""
        self._require_valid()
        with self._ledger.transaction() as books:
            applied = books.risk.limits(self._account)
        changes = limit_changes(applied.limits if applied else None, self._portfolio.limits)
        return LimitsPreview(applied=applied, changes=tuple(changes), file_hash=self._portfolio.content_hash)

    def run(self, run: Run, *, person: str, reason: str, expected: str) -> ApplyReport:
        """Apply the file whose hash is `expected`. Raises ConfigurationError where it is another one, or refused."""
        return recorded(
            self._ledger, self._clock, run, "apply_limits", lambda: self._apply(run, person, reason, expected)
        )

    def _apply(self, run: Run, person: str, reason: str, expected: str) -> ApplyReport:
        self._require_valid()
        if not person.strip() or not reason.strip():
            raise ConfigurationError("applying limits names a person and a reason: expected both, one is empty")
        if expected != self._portfolio.content_hash:
            raise ConfigurationError(
                f"the portfolio file is another one than was shown: expected the hash {expected}, it is"
                f" {self._portfolio.content_hash}; look again with `trading risk apply`"
            )
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            changes = record_limits(books, self._account, self._portfolio, author=person, reason=reason, run=run)
            # Whoever has read the old limits holds an old epoch from here on, and sends nothing more.
            books.accounts.advance_epoch(self._account)
        return ApplyReport(changes=tuple(changes))

    def _require_valid(self) -> None:
        if self._portfolio.limits_problem:
            raise ConfigurationError(f"the old limits stay in force: {self._portfolio.limits_problem}")
