"""Restored: somebody says that the ledger came from a backup. New ids, a halt, and nothing signed before counts."""

import logging
from dataclasses import dataclass, replace
from typing import Final

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.order import OrderState
from trading.domain.restore import Mark, incarnation_of
from trading.errors import ConfigurationError
from trading.flows.lost_rows import mark_of, newest_run
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Account, Ledger
from trading.ports.witness import Witness

logger = logging.getLogger(__name__)

_BEFORE_RELEASE: Final = "one clean `trading reconcile --full` comes before any release"


@dataclass(frozen=True, kw_only=True, slots=True)
class RestorePreview:
    """What will be done to which account. `inside` is the ledger's newest run, `outside` what is remembered of it."""

    account: Account
    inside: Mark | None
    outside: Mark | None
    unsent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoredReport:
    """The incarnation that begins, and the halt that stands."""

    incarnation: int
    halt_id: int

    @property
    def counts(self) -> dict[str, int]:
        """Both numbers."""
        return {"incarnation": self.incarnation, "halt_id": self.halt_id}


class Restored:
    """Take note of a restore, in one transaction."""

    def __init__(self, ledger: Ledger, clock: Clock, witness: Witness, *, account: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self._witness = witness
        self._account = account

    def preview(self, run: Run) -> RestorePreview:
        """What stands before it. Reads only."""
        outside = self._witness.read()
        with self._ledger.transaction() as books:
            account = books.accounts.lock(self._account)
            unsent = [o for o in books.orders.open(self._account) if o.state is OrderState.PLANNED]
            inside = newest_run(books, account, before=run)
        return RestorePreview(account=account, inside=inside, outside=outside, unsent=len(unsent))

    def run(self, run: Run, *, person: str, reason: str) -> RestoredReport:
        """The next incarnation, a halt, and the instant before which overrides and reconciliations count no more."""
        flow = "restored"
        report = recorded(self._ledger, self._clock, run, flow, lambda: self._note(run, person.strip(), reason.strip()))
        # Only now: a mark from before the restore goes on to be an alarm until the ledger itself knows of it.
        with self._ledger.transaction() as books:
            account = books.accounts.lock(self._account)
            own = next(one for one in books.runs.get(run.run_id) if one.flow == flow)
        self._witness.write(mark_of(own, account))
        return report

    def _note(self, run: Run, person: str, reason: str) -> RestoredReport:
        if not person or not reason:
            raise ConfigurationError("a restore names a person and a reason: expected both, one is empty")
        with self._ledger.transaction() as books:
            before = books.accounts.lock(self._account)
            at = books.now()
            incarnation = books.accounts.next_incarnation(self._account, at_least=incarnation_of(at))
            books.accounts.note_restored(self._account, at)
            told = ControlEvent(
                kind=ControlKind.RESTORED,
                author=person,
                reason=reason,
                at=at,
                run_id=run.run_id,
                dag_id=run.dag_id,
                detail={"incarnation_before": str(before.incarnation), "incarnation": str(incarnation)},
            )
            books.control.record(self._account, told)
            why = f"the ledger was restored: {reason}; {_BEFORE_RELEASE}"
            halt = replace(told, kind=ControlKind.HALT_ENGAGED, reason=why, detail={})
            halt_id = books.control.engage(self._account, halt)
        log_event(logger, "ledger_restored", level=logging.WARNING, person=person, reason=reason, halt_id=halt_id)
        return RestoredReport(incarnation=incarnation, halt_id=halt_id)
