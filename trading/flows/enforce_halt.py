"""Enforce halts: wait until none of the forbidden orders can be accepted any more, cancel what rests, verify, sweep.

Safe at any time, twice at once, and beside reconciliation. It stops nothing itself: the halts that stand do.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trading.clock import Clock
from trading.domain.halt_effect import ProtectiveOnHalt, is_cancelled
from trading.domain.ids import Run
from trading.domain.kill_switch import EFFECTS, ControlEvent, ControlKind, Halt
from trading.domain.order import Order
from trading.domain.venue_order import Horizon
from trading.errors import DataError, ExchangeError, ExchangeUnavailable, OrderRejected
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Ledger
from trading.ports.market import Venue

logger = logging.getLogger(__name__)

#: Cancels go out over this many connections where there are many: one after the other a far venue takes too long.
CONNECTIONS: Final = 8
_FEW: Final = 8
#: A connection that fails this often in a row is left alone until the next round, rather than hammered.
_FAILURES: Final = 3
#: How long to go on until the venue shows nothing that a halt wants gone; the task is tried again after that.
PATIENCE_S: Final = 120.0
_PAUSE_S: Final = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class EnforceReport:
    """What became of the halts that stand: orders that the venue cancelled, and the seconds since the start."""

    halts: int
    cancelled: int
    effective_s: float = 0.0
    verified_s: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """Halts, cancels, and whole milliseconds."""
        return {
            "halts": self.halts,
            "cancelled": self.cancelled,
            "effective_ms": round(self.effective_s * 1000),
            "verified_ms": round(self.verified_s * 1000),
        }


class EnforceHalt:
    """See to it that the halts that stand on one account have their effect at the venue.

    `another` opens one more connection to the same venue, each for a thread of its own.
    """

    def __init__(
        self,
        ledger: Ledger,
        venue: Venue,
        clock: Clock,
        *,
        account: str,
        horizon: Horizon,
        protective_on_halt: ProtectiveOnHalt,
        another: Callable[[], Venue] | None = None,
    ) -> None:
        self._ledger = ledger
        self._venue = venue
        self._clock = clock
        self._account = account
        self._horizon = horizon
        self._protective: ProtectiveOnHalt = protective_on_halt
        self._another = another
        self._desks: list[Venue] = [venue]

    def run(self, run: Run) -> EnforceReport:
        """Cancel, make effective, verify. Raises ExchangeUnavailable where the venue still shows forbidden orders."""
        return recorded(self._ledger, self._clock, run, "enforce_halt", lambda: self._enforce(run))

    def sweep(self, run: Run) -> EnforceReport:
        """Once more, when the venue shows all that it ever took: past the full horizon of the newest halt."""
        return recorded(self._ledger, self._clock, run, "sweep_halt", lambda: self._sweep(run))

    def _enforce(self, run: Run) -> EnforceReport:
        began = self._clock.monotonic()
        if not self._standing():
            return EnforceReport(halts=0, cancelled=0)
        asked: dict[str, bool] = {}
        try:
            self._cancel_round(asked, run)  # what rests already need not wait for those that are being sent
        except ExchangeUnavailable as error:
            log_event(logger, "halt_cancel_failed", level=logging.WARNING, reason=str(error))
        halts, drained_at, in_flight = self._drain()
        self._wait_until(max([drained_at, *(self._horizon.closed_at(order) for order in in_flight)]))
        self._take_effect(run, ControlKind.HALT_EFFECTIVE, halts, drained_at=drained_at)
        effective_s = self._clock.monotonic() - began
        for order in in_flight:  # "nothing to cancel" may have come before its POST
            asked.pop(order.client_order_id, None)
        self._cancel_all(asked, run)
        self._take_effect(run, ControlKind.HALT_VERIFIED, halts, cancelled=sum(asked.values()))
        return EnforceReport(
            halts=len(halts),
            cancelled=sum(asked.values()),
            effective_s=effective_s,
            verified_s=self._clock.monotonic() - began,
        )

    def _sweep(self, run: Run) -> EnforceReport:
        halts = self._standing()
        effective = [halt.effective_at for halt in halts if halt.effective_at is not None]
        if not effective:
            return EnforceReport(halts=0, cancelled=0)
        self._wait_until(self._horizon.shown_after(max(effective)))
        asked: dict[str, bool] = {}
        self._cancel_all(asked, run)
        log_event(logger, "halt_swept", halts=len(halts), cancelled=sum(asked.values()))
        return EnforceReport(halts=len(halts), cancelled=sum(asked.values()))

    def _standing(self) -> tuple[Halt, ...]:
        with self._ledger.transaction() as books:
            return books.control.halts(self._account)

    def _drain(self) -> tuple[tuple[Halt, ...], datetime, list[Order]]:
        """The halts that everybody who enters from here on sees; since when; and the orders that may still arrive.

        Exclusively held, the fence says that no sender is between the flag and the answer. Who lost the fence with its
        connection, or its life, has left a row: until its window has closed, the venue may still take its request.
        """
        with self._ledger.draining(self._account), self._ledger.transaction() as books:
            halts, at = books.control.halts(self._account), books.now()
            sent = books.orders.sent_open(self._account)
        return halts, at, [order for order in sent if order.is_unresolved]

    def _wait_until(self, instant: datetime) -> None:
        """Until our clock and the database's are both past it."""
        while (left := (instant - self._now()).total_seconds()) >= 0:
            self._clock.sleep(left + 0.001)

    def _now(self) -> datetime:
        with self._ledger.transaction() as books:
            return min(self._clock.now(), books.now())

    def _take_effect(self, run: Run, kind: ControlKind, halts: Sequence[Halt], **facts: object) -> None:
        """Record it of each halt of which it is news."""
        effective = kind is EFFECTS[0]
        with self._ledger.transaction() as books:
            at = books.now()
            for halt in halts:
                if (halt.effective_at if effective else halt.verified_at) is not None:
                    continue
                event = ControlEvent(
                    kind=kind,
                    author=run.actor,
                    reason="no order that it forbids is accepted any more" if effective else "the venue shows none",
                    at=at,
                    run_id=run.run_id,
                    dag_id=run.dag_id,
                    scope=halt.scope,
                    halt_id=halt.halt_id,
                    detail={"engaged_at": halt.engaged_at.isoformat()} | {k: str(v) for k, v in facts.items()},
                )
                books.control.take_effect(self._account, event)
                log_event(logger, kind.value, halt_id=halt.halt_id, seconds=(at - halt.engaged_at).total_seconds())

    def _cancel_all(self, asked: dict[str, bool], run: Run) -> None:
        """Rounds of cancels until the venue shows nothing that a halt wants gone."""
        deadline = self._clock.monotonic() + PATIENCE_S
        while True:
            try:
                left = self._cancel_round(asked, run)
            except ExchangeUnavailable as error:
                left = [str(error)]
            if not left:
                return
            if self._clock.monotonic() > deadline:
                raise ExchangeUnavailable(
                    f"a halt stands, and after {PATIENCE_S:.0f} s {len(left)} orders still rest at the venue, or nobody"
                    f" knows: {', '.join(left[:8])}; it is tried again, and each reconciliation cancels them as well"
                )
            self._clock.sleep(_PAUSE_S)

    def _cancel_round(self, asked: dict[str, bool], run: Run) -> list[str]:
        """Ask for each order that is to go, by the venue's word or by ours; the names of those that may still rest."""
        with self._ledger.transaction() as books:
            halts = books.control.halts(self._account)
            ours = {order.client_order_id: order for order in books.orders.sent_open(self._account)}
        resting = self._venue.open_orders()
        with self._ledger.transaction() as books:
            # What the ledger takes for ended, and rests all the same.
            late = [books.orders.get(seen.client_order_id) for seen in resting if seen.client_order_id not in ours]
        ours |= {order.client_order_id: order for order in late if order is not None}
        shown = {seen.client_order_id for seen in resting}
        gone = [
            order
            for name, order in ours.items()
            if (name in shown or name not in asked)
            and is_cancelled(order, halts, account=self._account, protective_on_halt=self._protective)
        ]
        with self._ledger.transaction() as books:
            for order in gone:
                books.risk.note_cancel(self._account, order.client_order_id, books.now(), run)
        answered = self._cancel(gone)
        for name, canceled in answered.items():
            asked[name] = canceled or asked.get(name, False)
        return [
            order.client_order_id
            for order in gone
            if order.client_order_id not in answered or order.client_order_id in shown
        ]

    def _cancel(self, orders: Sequence[Order]) -> dict[str, bool]:
        """Ask for each; of those that the venue was definite about, whether it cancelled them or knew nothing to."""
        while self._another is not None and len(orders) > _FEW and len(self._desks) < CONNECTIONS:
            self._desks.append(self._another())
        desks = self._desks if len(orders) > _FEW else self._desks[:1]
        shares = [(desk, orders[number :: len(desks)]) for number, desk in enumerate(desks)]
        if len(shares) == 1:
            return _cancel_share(*shares[0])
        with ThreadPoolExecutor(len(shares)) as pool:
            parts = [pool.submit(copy_context().run, _cancel_share, desk, share) for desk, share in shares]
        return {name: canceled for part in parts for name, canceled in part.result().items()}


def _cancel_share(desk: Venue, orders: Sequence[Order]) -> dict[str, bool]:
    """One connection's share, one after the other."""
    answered: dict[str, bool] = {}
    failures = 0
    for order in orders:
        answer = "canceled"
        try:
            desk.cancel(order.intent.instrument, order.client_order_id)
        except OrderRejected as refused:
            answer = f"{refused.code}: filled, or gone already"
        except (ExchangeError, DataError) as error:
            failures += 1
            log_event(
                logger,
                "order_cancel_failed",
                level=logging.WARNING,
                client_order_id=order.client_order_id,
                symbol=order.intent.instrument,
                reason=str(error),
            )
            if failures == _FAILURES:
                break
            continue
        failures = 0
        answered[order.client_order_id] = answer == "canceled"
        log_event(
            logger,
            "order_withdrawn",
            client_order_id=order.client_order_id,
            strategy=order.intent.strategy,
            symbol=order.intent.instrument,
            answer=answer,
        )
    return answered
