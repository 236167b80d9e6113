"""Open an account: in the ledger, halted, with the kill switch's latch armed."""

import logging
from dataclasses import dataclass

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import Halt, LatchState
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Ledger

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAccountReport:
    """Whether the account is new, the latch's state, and the halts that stand."""

    opened: bool
    latch: LatchState
    halts: tuple[Halt, ...]

    @property
    def counts(self) -> dict[str, int]:
        """One where it is new; the halts that stand."""
        return {"opened": int(self.opened), "halts": len(self.halts)}


class OpenAccount:
    """Open the account where it is new; arm the latch in any case."""

    def __init__(self, ledger: Ledger, clock: Clock, *, account: str, venue: str, mode: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self._account = account
        self._venue = venue
        self._mode = mode

    def run(self, run: Run) -> OpenAccountReport:
        """Safe to repeat: an account that exists keeps its halts, releases and epoch."""
        return recorded(self._ledger, self._clock, run, "open_account", lambda: self._open(run))

    def _open(self, run: Run) -> OpenAccountReport:
        with self._ledger.transaction() as books:
            at = self._clock.now()
            opened = books.accounts.open(self._account, venue=self._venue, mode=self._mode, at=at, run=run)
            latch = books.control.arm_latch()
            halts = books.control.halts(self._account)
        if opened:
            log_event(logger, "account_opened", account=self._account, venue=self._venue, mode=self._mode)
        return OpenAccountReport(opened=opened, latch=latch, halts=halts)
