"""The dead man's switch: a lease that must be renewed each minute, or no entry is sent."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import Halt, LatchState
from trading.domain.limits import Limits
from trading.domain.portfolio import Portfolio
from trading.errors import TradingHalted
from trading.flows.limits_in_force import limits_in_force
from trading.flows.losses import guard_losses
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Ledger
from trading.ports.market import MarketData

logger = logging.getLogger(__name__)

LEASE: Final = timedelta(minutes=3)


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseReport:
    """Until when entries may be sent, and what was looked at."""

    until: datetime
    latch: LatchState
    skew_ms: float
    halts: tuple[Halt, ...]
    loss_halts: int = 0  # that this renewal engaged

    @property
    def counts(self) -> dict[str, int]:
        """The halts that stand, and the clock's skew in whole milliseconds."""
        return {
            "halts": len(self.halts),
            "skew_ms": round(self.skew_ms),
            "latched": int(self.latch is LatchState.ARMED),
            "loss_halts": self.loss_halts,
        }


class RenewLease:
    """Look whether the clock, the database, the venue and the losses are well; renew the lease only where they are."""

    def __init__(self, ledger: Ledger, market: MarketData, clock: Clock, *, account: str, portfolio: Portfolio) -> None:
        self._ledger = ledger
        self._market = market
        self._clock = clock
        self._account = account
        self._portfolio = portfolio

    def run(self, run: Run) -> LeaseReport:
        """Renew, or raise TradingHalted and let the lease run out."""
        return recorded(self._ledger, self._clock, run, "lease", lambda: self._renew(run))

    def _renew(self, run: Run) -> LeaseReport:
        self._market.server_time()  # the first request also loads the client and connects, which is no skew
        before = self._clock.now()
        venue_time = self._market.server_time()
        after = self._clock.now()
        skew_ms = (venue_time - (before + (after - before) / 2)).total_seconds() * 1000
        limits, loss_halts = self._guard(run)
        if abs(skew_ms) > limits.max_clock_skew_ms:
            raise TradingHalted(
                f"the lease was not renewed: our clock and the venue's differ by {skew_ms:.0f} ms, expected at most"
                f" {limits.max_clock_skew_ms}; set the clock (NTP), entries wait until then"
            )
        with self._ledger.transaction() as books:
            # An upgrade of Airflow may have dropped the trigger with its table.
            latch = books.control.latch()
            if latch is LatchState.ABSENT:
                latch = books.control.arm_latch()
            until = books.now() + LEASE
            books.control.renew_lease(self._account, until, run)
            books.audit.extend()
            halts = books.control.halts(self._account)
        for halt in halts:
            log_event(logger, "halt_standing", level=logging.WARNING, halt_id=halt.halt_id, reason=halt.reason)
        return LeaseReport(until=until, latch=latch, skew_ms=skew_ms, halts=halts, loss_halts=loss_halts)

    def _guard(self, run: Run) -> tuple[Limits, int]:
        """The limits in force, and how many halts the losses engaged."""
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            limits = limits_in_force(books, self._account, self._portfolio, run=run)
            return limits, guard_losses(books, self._account, self._portfolio, limits, run=run, prices={})
