"""Reconcile: what the venue says of our orders, fills and balances, into the ledger. The normal path of recovery."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from trading.clock import Clock
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.ledger import Balance, Fill, opening_transaction
from trading.domain.market import Instrument
from trading.domain.money import ZERO, plain
from trading.domain.order import SENT_OPEN, Order
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind, ReconciliationResult, compare_balances
from trading.domain.venue_order import Horizon, VenueOrder, steps_from_evidence
from trading.flows.order_steps import append_step, post_fill
from trading.flows.recording import recorded
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import Venue

logger = logging.getLogger(__name__)

#: Fills are read again from this long before the newest known one, since venues show them late and disordered.
FILL_OVERLAP: Final = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileReport:
    """What one reconciliation did."""

    resolved: int
    fills: int
    open_orders: int
    unknown_orders: int
    discrepancies: int
    clean: bool

    @property
    def counts(self) -> dict[str, int]:
        """Orders and fills by what became of them."""
        return {
            "resolved": self.resolved,
            "fills": self.fills,
            "open_orders": self.open_orders,
            "unknown_orders": self.unknown_orders,
            "discrepancies": self.discrepancies,
            "clean": int(self.clean),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """One look at the venue. `steady` is true where both reads of the fills agree, so that balances may be compared."""

    orders: dict[str, VenueOrder | None]
    open_orders: Sequence[VenueOrder]
    fills: Sequence[Fill]
    balances: dict[str, Balance]
    steady: bool


class Reconcile:
    """Bring the ledger in line with the venue, and say where they disagree."""

    def __init__(self, ledger: Ledger, venue: Venue, clock: Clock, *, account: str, horizon: Horizon) -> None:
        self._ledger = ledger
        self._venue = venue
        self._clock = clock
        self._account = account
        self._horizon = horizon

    def run(self, run: Run) -> ReconcileReport:
        """Reconcile once. Safe at any time and beside any other run; a confirmed discrepancy halts."""
        return recorded(self._ledger, self._clock, run, "reconcile", lambda: self._reconcile(run))

    def _reconcile(self, run: Run) -> ReconcileReport:
        with self._ledger.transaction() as books:
            instruments = books.instruments.all()
            sent = [order for order in books.orders.open(self._account) if order.state in SENT_OPEN]
            since = self._fills_since(books, instruments)
        seen = self._look(sent, since)
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            self._open_balance(books, seen, run)
            fills, external = self._post_fills(books, seen, instruments, run)
            resolved = self._settle_orders(books, seen, run)
            result = self._compare(books, seen, external, instruments)
            books.reconciliations.record(self._account, result, run)
            self._halt_on_confirmed(books, result, run)
            still_open = [order for order in books.orders.open(self._account) if order.state in SENT_OPEN]
        return ReconcileReport(
            resolved=resolved,
            fills=fills,
            open_orders=len(still_open),
            unknown_orders=result.unknown_orders,
            discrepancies=len(result.discrepancies),
            clean=result.clean,
        )

    # gather

    def _fills_since(self, books: Books, instruments: dict[str, Instrument]) -> dict[str, datetime]:
        """From when fills are read, by instrument: never before the account was opened here."""
        account = books.accounts.lock(self._account)
        newest = books.fills.newest_at(self._account)
        return {
            symbol: max(account.opened_at, newest.get(symbol, account.opened_at) - FILL_OVERLAP)
            for symbol in instruments
        }

    def _look(self, sent: Sequence[Order], since: dict[str, datetime]) -> _Seen:
        """Orders, fills, balances, fills again."""
        orders = {o.client_order_id: self._venue.order(o.intent.instrument, o.client_order_id) for o in sent}
        before = self._read_fills(since)
        balances = self._venue.balances()
        open_orders = self._venue.open_orders()
        after = self._read_fills(since)
        return _Seen(orders=orders, open_orders=open_orders, fills=after, balances=balances, steady=before == after)

    def _read_fills(self, since: dict[str, datetime]) -> list[Fill]:
        until = self._clock.now() + timedelta(seconds=self._horizon.clock_skew_s + 1)
        return [fill for symbol, start in since.items() for fill in self._venue.fills(symbol, since=start, until=until)]

    # apply

    def _open_balance(self, books: Books, seen: _Seen, run: Run) -> None:
        """At first use, what the venue already holds is where the books begin."""
        if books.entries.references(self._account, "opening_balance"):
            return
        totals = {currency: balance.total for currency, balance in seen.balances.items()}
        transaction = opening_transaction(self._account, totals, self._clock.now())
        if transaction is not None and seen.steady and not seen.fills and books.entries.post(transaction, run):
            balances = {currency: plain(total) for currency, total in totals.items()}
            log_event(logger, "opening_balance_posted", account=self._account, balances=balances)

    def _post_fills(
        self, books: Books, seen: _Seen, instruments: dict[str, Instrument], run: Run
    ) -> tuple[int, list[Fill]]:
        """Each fill of ours once, with its ledger transaction; those of orders that are not ours apart."""
        by_venue_id = {
            order.venue_order_id: client_order_id for client_order_id, order in seen.orders.items() if order is not None
        }
        unmapped = sorted({fill.venue_order_id for fill in seen.fills} - by_venue_id.keys())
        known = books.orders.by_venue_order_id(self._account, unmapped)
        by_venue_id |= {venue_id: order.client_order_id for venue_id, order in known.items()}
        posted, external = 0, []
        for fill in seen.fills:
            client_order_id = by_venue_id.get(fill.venue_order_id)
            order = books.orders.get(client_order_id) if client_order_id else None
            if order is None:
                external.append(fill)
            elif post_fill(books, order, fill, instruments[fill.instrument], run):
                posted += 1
        return posted, external

    def _settle_orders(self, books: Books, seen: _Seen, run: Run) -> int:
        """Append what the evidence shows; orders that moved meanwhile are judged as they stand now."""
        resolved = 0
        for client_order_id, evidence in seen.orders.items():
            order = books.orders.get(client_order_id)
            if order is None or order.state not in SENT_OPEN:
                continue
            steps = steps_from_evidence(
                order, evidence, filled=order.filled_quantity, at=self._clock.now(), horizon=self._horizon
            )
            for step in steps:
                venue_order_id = evidence.venue_order_id if evidence else None
                order = append_step(books, order, step, at=self._clock.now(), run=run, venue_order_id=venue_order_id)
            resolved += bool(steps)
        return resolved

    def _compare(
        self, books: Books, seen: _Seen, external: Sequence[Fill], instruments: dict[str, Instrument]
    ) -> ReconciliationResult:
        """Both sides' figures, where they may be compared at all."""
        at = self._clock.now()
        open_now = books.orders.open(self._account)
        unknown = [order for order in open_now if order.is_unresolved]
        compared = seen.steady and not unknown
        found = self._external(books, seen, external, at)
        if compared:
            ours: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
            for (_, currency), amount in books.entries.balances(self._account).items():
                ours[currency] += amount
            theirs = {currency: balance.total for currency, balance in seen.balances.items()}
            watched = {currency for i in instruments.values() for currency in (i.base, i.quote)}
            found += compare_balances(ours, theirs, watched, at)
        before = {(d.kind, d.key): d for d in books.reconciliations.open_discrepancies(self._account)}
        lag = timedelta(seconds=self._horizon.visibility_lag_s)
        return ReconciliationResult(
            at=at,
            compared=compared,
            discrepancies=tuple(d.since(before.get((d.kind, d.key)), lag) for d in found),
            unknown_orders=len(unknown),
        )

    def _external(self, books: Books, seen: _Seen, external: Sequence[Fill], at: datetime) -> list[Discrepancy]:
        """Orders and fills at the venue that no intent of ours explains."""
        found = [
            Discrepancy(
                kind=DiscrepancyKind.EXTERNAL_FILL,
                key=f"{fill.instrument}:{fill.venue_fill_id}",
                ours=ZERO,
                theirs=fill.side.sign * fill.quantity,
                first_seen_at=at,
            )
            for fill in external
        ]
        for order in seen.open_orders:
            if books.orders.get(order.client_order_id) is None:
                key = f"{order.instrument}:{order.venue_order_id}"
                found.append(
                    Discrepancy(
                        kind=DiscrepancyKind.EXTERNAL_ORDER,
                        key=key,
                        ours=ZERO,
                        theirs=order.side.sign * order.quantity,
                        first_seen_at=at,
                    )
                )
        return found

    def _halt_on_confirmed(self, books: Books, result: ReconciliationResult, run: Run) -> None:
        """A disagreement that outlived the visibility lag is no lag: stop, with both sides' figures."""
        confirmed = [d for d in result.discrepancies if d.confirmed]
        for discrepancy in result.discrepancies:
            log_event(
                logger,
                "discrepancy_found",
                level=logging.ERROR if discrepancy.confirmed else logging.WARNING,
                kind=discrepancy.kind,
                key=discrepancy.key,
                ours=plain(discrepancy.ours),
                theirs=plain(discrepancy.theirs),
                confirmed=discrepancy.confirmed,
            )
        if not confirmed or any(h.author == "reconcile" for h in books.control.halts(self._account)):
            return
        figures = "; ".join(f"{d.kind} {d.key}: ours {plain(d.ours)}, theirs {plain(d.theirs)}" for d in confirmed)
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author="reconcile",
            reason=f"the ledger and the venue disagree: {figures}",
            at=result.at,
            run_id=run.run_id,
            dag_id=run.dag_id,
        )
        halt_id = books.control.engage(self._account, event)
        log_event(logger, "halt_engaged", level=logging.ERROR, halt_id=halt_id, reason=event.reason)
