"""Halt: append it to the audit log. Anybody may stop; nothing here asks for a signature or waits for a lock."""

import logging
from dataclasses import dataclass

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class HaltReport:
    """The halt that now stands."""

    halt_id: int

    @property
    def counts(self) -> dict[str, int]:
        """One halt."""
        return {"halts": 1}


class Halt:
    """Forbid every order of the account from this moment on."""

    def __init__(self, ledger: Ledger, clock: Clock, *, account: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self._account = account

    def run(self, run: Run, *, author: str, reason: str) -> HaltReport:
        """Engage a halt; senders see it before their next POST."""
        return recorded(self._ledger, self._clock, run, "halt", lambda: self._halt(run, author, reason))

    def _halt(self, run: Run, author: str, reason: str) -> HaltReport:
        with self._ledger.transaction() as books:
            event = ControlEvent(
                kind=ControlKind.HALT_ENGAGED,
                author=author,
                reason=reason,
                at=books.now(),
                run_id=run.run_id,
                dag_id=run.dag_id,
            )
            halt_id = books.control.engage(self._account, event)
        log_event(logger, "halt_engaged", level=logging.ERROR, halt_id=halt_id, author=author, reason=reason)
        return HaltReport(halt_id=halt_id)
