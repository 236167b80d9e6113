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
from trading.domain.ledger import opening_transaction
from trading.domain.market import Instrument
from trading.domain.money import ZERO, plain
from trading.domain.order import SENT_OPEN, Order, OrderState
from trading.domain.reconciliation import Discrepancy, ReconciliationResult, compare_balances
from trading.domain.venue_order import Horizon, steps_from_evidence
from trading.flows.order_steps import append_step, post_fill
from trading.flows.recording import recorded
from trading.flows.unexplained import external_fills, external_orders, late_acceptance, overfills
from trading.flows.venue_look import VenueLook, look
from trading.flows.withdraw import withdraw_rested
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import Venue

logger = logging.getLogger(__name__)

#: Fills are read again from this long before the newest known one, since venues show them late and disordered.
FILL_OVERLAP: Final = timedelta(minutes=10)
#: An order that was given up is asked about for this long after it was signed: late evidence must not go unseen.
LATE_EVIDENCE: Final = timedelta(hours=1)


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
class _Gathered:
    """Our side before the look. `asked` are orders that the venue is asked about; `totals` our balances by currency."""

    instruments: dict[str, Instrument]
    asked: Sequence[Order]
    fills_since: dict[str, datetime]
    totals: dict[str, Decimal]


class Reconcile:
    """Bring the ledger in line with the venue, and say where they disagree."""

    def __init__(
        self, ledger: Ledger, venue: Venue, clock: Clock, *, account: str, horizon: Horizon, rest: timedelta
    ) -> None:
        self._ledger = ledger
        self._venue = venue
        self._clock = clock
        self._account = account
        self._horizon = horizon
        self._rest = rest

    def run(self, run: Run, step: str = "reconcile") -> ReconcileReport:
        """Reconcile once. Safe at any time and beside any other run; a confirmed discrepancy halts.

        `step` names it in the run's record, where one run reconciles twice.
        """
        return recorded(self._ledger, self._clock, run, step, lambda: self._reconcile(run))

    def _reconcile(self, run: Run) -> ReconcileReport:
        at = self._clock.now()
        with self._ledger.transaction() as books:
            gathered = self._gather(books)
        withdraw_rested(self._venue, gathered.asked, at=at, rest=self._rest)
        seen = look(
            self._venue,
            self._clock,
            gathered.asked,
            gathered.fills_since,
            at=at,
            skew_s=self._horizon.clock_skew_s,
        )
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            moved = _totals(books, self._account) != gathered.totals
            self._open_balance(books, seen, run)
            fills, found = self._post_fills(books, seen, gathered.instruments, run)
            resolved, late = self._settle_orders(books, seen, run)
            found += late + external_orders(books, seen.open_orders, seen.until)
            result = self._compare(books, seen, found, gathered.instruments, moved=moved)
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

    def _gather(self, books: Books) -> _Gathered:
        """What to ask the venue. Fills are never read from before the account was opened here."""
        account = books.accounts.lock(self._account)
        instruments = books.instruments.all()
        newest = books.fills.newest_at(self._account)
        sent = [order for order in books.orders.open(self._account) if order.state in SENT_OPEN]
        recent = books.orders.submitted_since(self._account, self._clock.now() - LATE_EVIDENCE)
        return _Gathered(
            instruments=instruments,
            asked=[*sent, *(order for order in recent if order.state is OrderState.NEVER_ACCEPTED)],
            fills_since={
                symbol: max(account.opened_at, newest.get(symbol, account.opened_at) - FILL_OVERLAP)
                for symbol in instruments
            },
            totals=_totals(books, self._account),
        )

    # apply

    def _open_balance(self, books: Books, seen: VenueLook, run: Run) -> None:
        """At first use, what the venue already holds is where the books begin."""
        if books.entries.references(self._account, "opening_balance"):
            return
        totals = {currency: balance.total for currency, balance in seen.balances.items()}
        transaction = opening_transaction(self._account, totals, self._clock.now())
        if transaction is not None and seen.steady and not seen.fills and books.entries.post(transaction, run):
            balances = {currency: plain(total) for currency, total in totals.items()}
            log_event(logger, "opening_balance_posted", account=self._account, balances=balances)

    def _post_fills(
        self, books: Books, seen: VenueLook, instruments: dict[str, Instrument], run: Run
    ) -> tuple[int, list[Discrepancy]]:
        """Each fill of ours once, with its ledger transaction; what no intent explains is found."""
        ours = self._ours(books, seen)
        posted, external, names = 0, [], dict[str, None]()
        for fill in seen.fills:
            client_order_id = ours.get((fill.instrument, fill.venue_order_id))
            order = books.orders.get(client_order_id) if client_order_id else None
            if order is None:
                external.append(fill)
                continue
            names[order.client_order_id] = None
            posted += post_fill(books, order, fill, instruments[fill.instrument], run)
        filled = [order for name in names if (order := books.orders.get(name)) is not None]
        return posted, external_fills(external, seen.until) + overfills(filled, seen.until)

    def _ours(self, books: Books, seen: VenueLook) -> dict[tuple[str, str], str]:
        """Our name for each venue order with fills, by (instrument, venue order id); what is not ours is left out."""
        ours = {
            (order.instrument, order.venue_order_id): client_order_id
            for client_order_id, order in seen.orders.items()
            if order is not None
        }
        filled = {(fill.instrument, fill.venue_order_id) for fill in seen.fills} - ours.keys()
        for instrument in sorted({symbol for symbol, _ in filled}):
            ids = sorted(venue_id for symbol, venue_id in filled if symbol == instrument)
            for venue_id, order in books.orders.by_venue_order_id(self._account, instrument, ids).items():
                ours[instrument, venue_id] = order.client_order_id
        return ours

    def _settle_orders(self, books: Books, seen: VenueLook, run: Run) -> tuple[int, list[Discrepancy]]:
        """Append what the evidence shows; orders that moved meanwhile are judged as they stand now."""
        resolved, late = 0, []
        for client_order_id, evidence in seen.orders.items():
            order = books.orders.get(client_order_id)
            if order is None or order.state not in SENT_OPEN | {OrderState.NEVER_ACCEPTED}:
                continue
            # Judged by when the venue was asked: silence from before the horizon proves nothing after it either.
            steps = steps_from_evidence(
                order, evidence, filled=order.filled_quantity, at=seen.at, horizon=self._horizon
            )
            if order.state is OrderState.NEVER_ACCEPTED and steps and evidence is not None:
                late.append(late_acceptance(order, evidence, seen.until))
            for step in steps:
                venue_order_id = evidence.venue_order_id if evidence else None
                order = append_step(books, order, step, at=self._clock.now(), run=run, venue_order_id=venue_order_id)
            resolved += bool(steps)
        return resolved, late

    def _compare(
        self,
        books: Books,
        seen: VenueLook,
        found: list[Discrepancy],
        instruments: dict[str, Instrument],
        *,
        moved: bool,
    ) -> ReconciliationResult:
        """Both sides' figures, where they may be compared at all: nothing in flight, neither book moved meanwhile."""
        sent = [order for order in books.orders.open(self._account) if order.state in SENT_OPEN]
        compared = seen.steady and not moved and all(seen.shows_all_of(order) for order in sent)
        if compared:
            theirs = {currency: balance.total for currency, balance in seen.balances.items()}
            watched = {currency for i in instruments.values() for currency in (i.base, i.quote)}
            found = found + compare_balances(_totals(books, self._account), theirs, watched, seen.until)
        before = {(d.kind, d.key): d for d in books.reconciliations.open_discrepancies(self._account)}
        lag = timedelta(seconds=self._horizon.visibility_lag_s)
        return ReconciliationResult(
            at=seen.at,
            compared=compared,
            discrepancies=tuple(d.since(before.get((d.kind, d.key)), lag, at=seen.at) for d in found),
            unknown_orders=sum(1 for order in sent if order.is_unresolved),
        )

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


def _totals(books: Books, account: str) -> dict[str, Decimal]:
    """What our ledger holds, by currency, over all sub-accounts."""
    totals: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for (_, currency), amount in books.entries.balances(account).items():
        totals[currency] += amount
    return dict(totals)
