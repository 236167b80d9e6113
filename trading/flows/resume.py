"""Resume: a signed override ends a halt, where the books agree. Nothing else does."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trading.clock import Clock
from trading.domain.ids import Run, content_hash
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.override import Override, OverrideRefused, require_after_restore, verify_override
from trading.flows.our_side import awaits_full_history
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Account, Books, Ledger

logger = logging.getLogger(__name__)

_NOT_YET_RECONCILED: Final = (
    "the ledger was restored, and its full history was not found clean since: expected one clean"
    " `trading reconcile --full`, and `trading reconcile --full --adopt` for what it finds"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResumeReport:
    """The halt that ended, and how many still stand."""

    halt_id: int
    halts_left: int

    @property
    def counts(self) -> dict[str, int]:
        """One release; the halts that still stand."""
        return {"released": 1, "halts": self.halts_left}


class Resume:
    """Verify an override and release exactly the halt that it names."""

    def __init__(
        self, ledger: Ledger, clock: Clock, *, account: str, environment: str, keys: Mapping[str, str]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._account = account
        self._environment = environment
        self._keys = dict(keys)

    def run(self, run: Run, token: str) -> ResumeReport:
        """Release. Raises OverrideRefused, alike from outside for every cause; the cause is in the audit log."""
        return recorded(self._ledger, self._clock, run, "resume", lambda: self._resume(run, token))

    def _resume(self, run: Run, token: str) -> ResumeReport:
        override: Override | None = None
        try:
            with self._ledger.transaction() as books:
                account = books.accounts.lock(self._account)
                at = books.now()
                override = verify_override(token, self._keys, at=at, environment=self._environment)
                require_after_restore(override, account.restored_at)
                self._require_calm(books, account, override)
                books.control.release(self._account, override, at=at, run=run)
                left = books.control.halts(self._account)
        except OverrideRefused as refused:
            self._refuse(run, token, override, refused)
            raise
        log_event(logger, "halt_released", level=logging.WARNING, halt_id=override.halt_id, person=override.subject)
        return ResumeReport(halt_id=override.halt_id, halts_left=len(left))

    def _require_calm(self, books: Books, account: Account, override: Override) -> None:
        """A halt may end only where no outcome is unknown, no discrepancy is open and no restore unreconciled."""
        if override.action != "resume" or override.scope != "all":
            raise OverrideRefused(f"expected action resume for scope all, got {override.action} for {override.scope}")
        if awaits_full_history(books, account):
            raise OverrideRefused(_NOT_YET_RECONCILED)
        unknown = [o.client_order_id for o in books.orders.open(self._account) if o.is_unresolved]
        if unknown:
            raise OverrideRefused(f"outcome unknown: {', '.join(unknown)}")
        confirmed = [d.key for d in books.reconciliations.open_discrepancies(self._account) if d.confirmed]
        if confirmed:
            keys = ", ".join(confirmed)
            raise OverrideRefused(f"discrepancies are open: {keys}; `trading reconcile --adopt` shows both sides")

    def _refuse(self, run: Run, token: str, override: Override | None, refused: OverrideRefused) -> None:
        """The cause goes to the audit log with the token's hash, never the token."""
        detail = {"token_hash": content_hash({"token": token}), "jti": override.token_id if override else ""}
        with self._ledger.transaction() as books:
            event = ControlEvent(
                kind=ControlKind.OVERRIDE_REFUSED,
                author=override.subject if override else "unknown",
                reason=refused.cause,
                at=books.now(),
                run_id=run.run_id,
                dag_id=run.dag_id,
                halt_id=override.halt_id if override else None,
                detail=detail,
            )
            books.control.refuse(self._account, event)
        log_event(logger, "override_refused", level=logging.WARNING, reason=refused.cause, **detail)
