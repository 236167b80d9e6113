"""Adopt: what happened outside is taken into the ledger, as a person was shown it and signed for it. Ends no halt."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from trading.clock import Clock
from trading.domain.adoption import Adoption, AdoptionRefused, adoption_of
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.ledger import HOUSE, Fill
from trading.domain.order import Order, OrderState
from trading.domain.reconciliation import DiscrepancyKind, ReconciliationResult
from trading.domain.restore import WIPED, lost_order
from trading.domain.venue_order import Horizon, Step
from trading.errors import InvariantViolation
from trading.flows.lost_rows import lost_orders, suspects, untold
from trading.flows.order_steps import append_step
from trading.flows.our_side import OurSide, awaits_full_history, names_of_ours, our_side, totals
from trading.flows.recording import recorded
from trading.flows.unexplained import external_fills, external_orders, forgotten_fills, forgotten_orders, overfills
from trading.flows.venue_look import VenueLook, look
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import Venue

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdoptPreview:
    """What would be adopted, what the house holds of each currency before it, and what stands in the way."""

    adoption: Adoption
    house: Mapping[str, Decimal]
    obstacles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AdoptReport:
    """What was adopted."""

    adoption: Adoption

    @property
    def counts(self) -> dict[str, int]:
        """How much of each was taken over."""
        return {
            "balances": len(self.adoption.differences),
            "acknowledged": len(self.adoption.acknowledged),
            "forgotten": len(self.adoption.forgotten),
        }


class Adopt:
    """Show in what both sides disagree, and take the venue's side where a person signs for exactly that."""

    def __init__(self, ledger: Ledger, venue: Venue, clock: Clock, *, account: str, horizon: Horizon) -> None:
        self._ledger = ledger
        self._venue = venue
        self._clock = clock
        self._account = account
        self._horizon = horizon

    def preview(self) -> AdoptPreview:
        """What would be adopted now. Reads only."""
        ours, seen, lost = self._look()
        with self._ledger.transaction() as books:
            return self._judge(books, ours, seen, lost)

    def run(self, run: Run, *, person: str, reason: str, expected: str) -> AdoptReport:
        """Adopt what the preview of the hash `expected` showed, all or nothing.

        Raises AdoptionRefused where both sides say something else by now, or where anything is in flight.
        """
        return recorded(
            self._ledger, self._clock, run, "adopt", lambda: self._adopt(run, person.strip(), reason.strip(), expected)
        )

    def _look(self) -> tuple[OurSide, VenueLook, list[str]]:
        at = self._clock.now()
        with self._ledger.transaction() as books:
            at = min(at, books.now())  # a machine whose clock was set ahead must not end an order early
            account = books.accounts.lock(self._account)
            ours = our_side(books, self._account, at=at, full=awaits_full_history(books, account))
        skew_s = self._horizon.clock_skew_s
        seen = look(self._venue, self._clock, ours.asked, ours.fills_since, at=at, skew_s=skew_s)
        return ours, seen, self._lost_rows(seen)

    def _lost_rows(self, seen: VenueLook) -> list[str]:
        """A complaint of each order of ours without an intent: new ids come first, or it could be sent once more."""
        with self._ledger.transaction() as books:
            external, _, _ = self._sort_fills(books, seen)
            found = external_fills(external, seen.until) + external_orders(books, seen.open_orders, seen.until)
            acknowledged = books.reconciliations.acknowledged(self._account)
        orders = suspects(self._venue, seen, [one for one in found if one.finding not in acknowledged])
        with self._ledger.transaction() as books:
            return [lost_order(o) for o in untold(books.accounts.lock(self._account), lost_orders(books, orders))]

    def _adopt(self, run: Run, person: str, reason: str, expected: str) -> AdoptReport:
        if not person or not reason:
            raise AdoptionRefused("an adoption names a person and a reason: expected both, one is empty")
        ours, seen, lost = self._look()
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            preview = self._judge(books, ours, seen, lost)
            _require_as_shown(preview, expected)
            self._apply(books, preview.adoption, seen, run, f"{person}: {reason}")
            event = ControlEvent(
                kind=ControlKind.ADOPTED,
                author=person,
                reason=reason,
                at=books.now(),
                run_id=run.run_id,
                dag_id=run.dag_id,
                detail=preview.adoption.detail,
            )
            books.control.record(self._account, event)
        log_event(
            logger, "adopted", level=logging.WARNING, person=person, reason=reason, figures=preview.adoption.detail
        )
        return AdoptReport(adoption=preview.adoption)

    # decide

    def _judge(self, books: Books, ours: OurSide, seen: VenueLook, lost: Sequence[str]) -> AdoptPreview:
        """What both sides disagree in by this look, and whether it may be trusted."""
        external, filled, missing = self._sort_fills(books, seen)
        obstacles = [*missing, *lost]
        sent = books.orders.sent_open(self._account)
        forgotten = forgotten_orders(sent, seen, self._horizon)
        found = external_fills(external, seen.until) + external_orders(books, seen.open_orders, seen.until)
        found += overfills(filled, seen.until) + forgotten
        acknowledged = books.reconciliations.acknowledged(self._account)
        held = totals(books, self._account)
        adoption = adoption_of(
            self._account,
            ours=held,
            theirs={currency: balance.total for currency, balance in seen.balances.items()},
            found=[one for one in found if one.finding not in acknowledged],
            at=seen.until,
        )
        if not seen.steady:
            obstacles.append("the venue's fills changed while they were read")
        if forgotten_fills(books, self._account, seen, ours.fills_since, self._horizon):
            obstacles.append(WIPED)
        if held != ours.totals:
            obstacles.append("our own books changed while the venue was read")
        obstacles += self._in_flight(books, sent, seen, {one.key for one in forgotten})
        obstacles += self._too_young(books, adoption, ours.watched)
        house = {c: amount for (place, c), amount in books.entries.balances(self._account).items() if place == HOUSE}
        return AdoptPreview(adoption=adoption, house=house, obstacles=tuple(obstacles))

    def _sort_fills(self, books: Books, seen: VenueLook) -> tuple[list[Fill], list[Order], list[str]]:
        """Somebody else's fills, our orders that have some, and a complaint of each of ours that is not booked yet."""
        names = names_of_ours(books, self._account, seen)
        external, filled, missing = [], dict[str, Order](), []
        for fill in seen.fills:
            name = names.get((fill.instrument, fill.venue_order_id))
            order = books.orders.get(name) if name else None
            if order is None:
                external.append(fill)
                continue
            filled[order.client_order_id] = order
            if not books.fills.known(self._account, fill):
                missing.append(f"fill {fill.venue_fill_id} of our order {order.client_order_id} is not booked yet")
        return external, list(filled.values()), missing

    def _in_flight(self, books: Books, sent: Sequence[Order], seen: VenueLook, forgotten: set[str]) -> list[str]:
        """Orders of which more may come: balances that hold it, or not yet, say nothing."""
        open_ones = [
            f"the outcome of order {order.client_order_id} is unknown"
            if order.is_unresolved
            else f"order {order.client_order_id} is on the move: not all of it is booked"
            for order in sent
            if not seen.shows_all_of(order) and order.client_order_id not in forgotten
        ]
        for name, evidence in seen.orders.items():
            order = books.orders.get(name)
            if evidence is not None and order is not None and order.state is OrderState.NEVER_ACCEPTED:
                open_ones.append(f"order {name} was given up, and turned up after all")
        return open_ones

    def _too_young(self, books: Books, adoption: Adoption, watched: set[str]) -> list[str]:
        """What may still be a lag: reconciliation has not confirmed it. Of other currencies it never says anything."""
        confirmed = {
            (one.kind, one.key) for one in books.reconciliations.open_discrepancies(self._account) if one.confirmed
        }
        return [
            f"{one.kind} {one.key} is not confirmed yet: it may be a lag"
            for one in adoption.findings
            if (one.kind is not DiscrepancyKind.BALANCE or one.key in watched) and (one.kind, one.key) not in confirmed
        ]

    # apply

    def _apply(self, books: Books, adoption: Adoption, seen: VenueLook, run: Run, signed: str) -> None:
        """The ledger takes the venue's side; with that both agree, and every discrepancy is resolved."""
        transaction = adoption.transaction(run.run_id, self._clock.now())
        if transaction is not None and not books.entries.post(transaction, run):
            raise InvariantViolation(f"{transaction.reference} is posted already: a run adopts once, start another one")
        books.reconciliations.acknowledge(self._account, adoption.acknowledged, run)
        for name in adoption.forgotten:
            self._give_up(books, name, run, signed)
        agreed = ReconciliationResult(at=seen.at, compared=True, discrepancies=(), unknown_orders=0)
        books.reconciliations.record(self._account, agreed, run)

    def _give_up(self, books: Books, name: str, run: Run, signed: str) -> None:
        """End an order that the venue forgot: by its fills it is filled, or it will not fill any more."""
        order = books.orders.get(name)
        if order is None:
            raise InvariantViolation(f"order {name}: expected one of ours, found none")
        whole = order.filled_quantity >= order.intent.quantity
        state = OrderState.FILLED if whole else OrderState.EXPIRED_AT_VENUE
        step = Step(state=state, reason=f"forgotten by the venue; adopted by {signed}")
        append_step(books, order, step, at=self._clock.now(), run=run)


def _require_as_shown(preview: AdoptPreview, expected: str) -> None:
    """Raise AdoptionRefused unless exactly what was shown can be adopted."""
    again = "look again with `trading reconcile --adopt`"
    if not preview.adoption.findings:
        raise AdoptionRefused("there is nothing to adopt: both sides agree")
    if preview.adoption.content_hash != expected:
        raise AdoptionRefused(
            f"what is there now differs from what was shown: expected {expected}, got"
            f" {preview.adoption.content_hash}; {again}"
        )
    if preview.obstacles:
        raise AdoptionRefused(f"nothing can be adopted yet: {'; '.join(preview.obstacles)}; {again}")
