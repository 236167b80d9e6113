"""Reconcile: what the venue says of our orders, fills and balances, into the ledger. The normal path of recovery."""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from trading.clock import Clock
from trading.domain.halt_effect import ProtectiveOnHalt, is_cancelled
from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.ledger import opening_transaction
from trading.domain.money import plain
from trading.domain.order import SENT_OPEN, OrderState
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind, ReconciliationResult, compare_balances
from trading.domain.restore import WIPED
from trading.domain.venue_order import Horizon, steps_from_evidence
from trading.errors import CredentialsRefused
from trading.flows.audit import Audit
from trading.flows.lost_rows import check_memory, halt_on_lost_orders, suspects, whole_order_history
from trading.flows.order_steps import append_step, post_fill
from trading.flows.our_side import OurSide, names_of_ours, our_side, totals
from trading.flows.recording import recorded
from trading.flows.refused_key import halt_on_refused_key
from trading.flows.unexplained import (
    external_fills,
    external_orders,
    forgotten_fills,
    forgotten_orders,
    late_acceptance,
    overfills,
)
from trading.flows.venue_look import Progress, VenueLook, look, silent
from trading.flows.withdraw import withdraw_rested
from trading.logging.events import log_event
from trading.ports.ledger import Books, Ledger
from trading.ports.market import Venue
from trading.ports.witness import Witness

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcileReport:
    """What one reconciliation did."""

    resolved: int
    fills: int
    open_orders: int
    unknown_orders: int
    discrepancies: int
    clean: bool
    lost_orders: int = 0

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
            "lost_orders": self.lost_orders,
        }


class Reconcile:
    """Bring the ledger in line with the venue, and say where they disagree."""

    def __init__(
        self,
        ledger: Ledger,
        venue: Venue,
        clock: Clock,
        *,
        account: str,
        horizon: Horizon,
        rest: timedelta,
        protective_on_halt: ProtectiveOnHalt = "keep",
        witness: Witness | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._ledger = ledger
        self._venue = venue
        self._clock = clock
        self._account = account
        self._horizon = horizon
        self._rest = rest
        self._protective: ProtectiveOnHalt = protective_on_halt
        self._witness = witness
        self._audit = audit

    def run(
        self, run: Run, step: str = "reconcile", *, full: bool = False, progress: Progress = silent
    ) -> ReconcileReport:
        """Reconcile once. Safe at any time and beside any other run; a confirmed discrepancy halts.

        `step` names it in the run's record, where one run reconciles twice. `full` reads everything since the account
        was opened, and tells `progress` how far it has come.
        """
        report = recorded(
            self._ledger, self._clock, run, step, lambda: self._reconcile_or_halt(run, step, full, progress)
        )
        if self._audit is not None:
            self._audit.anchor()
        return report

    def _reconcile_or_halt(self, run: Run, step: str, full: bool, progress: Progress) -> ReconcileReport:
        try:
            return self._reconcile(run, step, full, progress)
        except CredentialsRefused as refused:
            halt_on_refused_key(self._ledger, self._account, refused, at=self._clock.now(), run=run)
            raise

    def _reconcile(self, run: Run, step: str, full: bool, progress: Progress) -> ReconcileReport:
        # A ledger that lost rows halts, and goes on to be reconciled: what it does know of is looked after.
        check_memory(self._ledger, self._witness, account=self._account, run=run, flow=step)
        at = self._clock.now()
        with self._ledger.transaction() as books:
            at = min(at, books.now())  # a machine whose clock was set ahead must not end a horizon early
            ours = our_side(books, self._account, at=at, full=full)
            halts = books.control.halts(self._account)
        # The net under `enforce_halt`: whatever became of that, what a halt wants gone goes.
        unwanted = partial(is_cancelled, halts=halts, account=self._account, protective_on_halt=self._protective)
        halted = {order.client_order_id for order in ours.asked if unwanted(order)}
        withdraw_rested(self._ledger, self._venue, ours.asked, at=at, rest=self._rest, halted=halted, run=run)
        seen = look(
            self._venue,
            self._clock,
            ours.asked,
            ours.fills_since,
            at=at,
            skew_s=self._horizon.clock_skew_s,
            tell=progress if full else None,
        )
        with self._ledger.transaction() as books:
            books.accounts.lock(self._account)
            # A machine whose clock was set behind must not make what it has just seen look old.
            seen = replace(seen, until=max(seen.until, books.now()))
            moved = totals(books, self._account) != ours.totals
            self._open_balance(books, seen, run)
            fills, found = self._post_fills(books, seen, ours, run)
            resolved, late = self._settle_orders(books, seen, run)
            found += late + external_orders(books, seen.open_orders, seen.until)
            found += forgotten_fills(books, self._account, seen, ours.fills_since, self._horizon)
            result = self._compare(books, seen, found, ours, moved=moved, full=full)
            books.reconciliations.record(self._account, result, run)
            self._halt_on_confirmed(books, result, run)
            still_open = books.orders.sent_open(self._account)
        orders = suspects(self._venue, seen, result.discrepancies)
        if full:
            since = ours.account.opened_at
            orders = whole_order_history(self._venue, ours.instruments, since=since, until=seen.until, tell=progress)
        return ReconcileReport(
            resolved=resolved,
            fills=fills,
            open_orders=len(still_open),
            unknown_orders=result.unknown_orders,
            discrepancies=len(result.discrepancies),
            clean=result.clean,
            lost_orders=len(halt_on_lost_orders(self._ledger, self._account, orders, run)),
        )

    # apply

    def _open_balance(self, books: Books, seen: VenueLook, run: Run) -> None:
        """At first use, what the venue already holds is where the books begin; somebody's fills before it are in it."""
        if any(books.entries.references(self._account, prefix) for prefix in ("opening_balance", "adoption:")):
            return
        if not seen.steady or not self._are_settled(books, seen):
            return
        held = {currency: balance.total for currency, balance in seen.balances.items()}
        transaction = opening_transaction(self._account, held, self._clock.now())
        if transaction is not None and books.entries.post(transaction, run):
            books.reconciliations.acknowledge(self._account, external_fills(seen.fills, seen.until), run)
            balances = {currency: plain(total) for currency, total in held.items()}
            fills = len(seen.fills) or None
            log_event(logger, "opening_balance_posted", account=self._account, balances=balances, fills_in_it=fills)

    def _are_settled(self, books: Books, seen: VenueLook) -> bool:
        """Whether the balances hold each of the fills for certain, and none of them is ours, to be booked by itself."""
        lag = timedelta(seconds=self._horizon.visibility_lag_s + self._horizon.clock_skew_s)
        ours = names_of_ours(books, self._account, seen)
        return all(
            fill.filled_at + lag < seen.at and (fill.instrument, fill.venue_order_id) not in ours for fill in seen.fills
        )

    def _post_fills(self, books: Books, seen: VenueLook, ours: OurSide, run: Run) -> tuple[int, list[Discrepancy]]:
        """Each fill of ours once, with its ledger transaction; what no intent explains is found."""
        mine = names_of_ours(books, self._account, seen)
        posted, external, names = 0, [], dict[str, None]()
        for fill in seen.fills:
            client_order_id = mine.get((fill.instrument, fill.venue_order_id))
            order = books.orders.get(client_order_id) if client_order_id else None
            if order is None:
                external.append(fill)
                continue
            names[order.client_order_id] = None
            posted += post_fill(books, order, fill, ours.instruments[fill.instrument], run)
        filled = [order for name in names if (order := books.orders.get(name)) is not None]
        return posted, external_fills(external, seen.until) + overfills(filled, seen.until)

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
        ours: OurSide,
        *,
        moved: bool,
        full: bool,
    ) -> ReconciliationResult:
        """Both sides' figures, where they may be compared at all: nothing in flight, neither book moved meanwhile."""
        sent = books.orders.sent_open(self._account)
        acknowledged = books.reconciliations.acknowledged(self._account)
        before = {(d.kind, d.key): d for d in books.reconciliations.open_discrepancies(self._account)}
        lag = timedelta(seconds=self._horizon.visibility_lag_s)

        def dated(one: Discrepancy) -> Discrepancy:
            return one.since(before.get((one.kind, one.key)), lag, at=seen.at)

        found = found + forgotten_orders(sent, seen, self._horizon)
        found = [dated(d) for d in found if d.finding not in acknowledged]
        # Of an order that is forgotten for certain nothing more is awaited: the balances show what became of it.
        over = {d.key for d in found if d.kind is DiscrepancyKind.FORGOTTEN_ORDER and d.confirmed}
        compared = seen.steady and not moved and all(seen.shows_all_of(o) or o.client_order_id in over for o in sent)
        # After a restore only a look at everything may end what another such look has found.
        compared = compared and (full or not ours.awaits_full_history)
        if compared:
            theirs = {currency: balance.total for currency, balance in seen.balances.items()}
            balances = compare_balances(totals(books, self._account), theirs, ours.watched, seen.until)
            found += [dated(d) for d in balances]
        return ReconciliationResult(
            at=seen.at,
            compared=compared,
            discrepancies=tuple(found),
            unknown_orders=sum(1 for order in sent if order.is_unresolved),
            full_history=full,
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
        wiped = any(d.kind is DiscrepancyKind.FORGOTTEN_FILL for d in result.discrepancies)
        event = ControlEvent(
            kind=ControlKind.HALT_ENGAGED,
            author="reconcile",
            reason=f"the ledger and the venue disagree: {figures}" + (f"; {WIPED}" if wiped else ""),
            at=result.at,
            run_id=run.run_id,
            dag_id=run.dag_id,
        )
        halt_id = books.control.engage(self._account, event)
        log_event(logger, "halt_engaged", level=logging.ERROR, halt_id=halt_id, reason=event.reason)
