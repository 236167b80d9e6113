"""Bugs that others have shipped, planted one at a time: a suite that does not catch them proves nothing."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

import tests.desk
import trading.domain.risk
import trading.domain.venue_order
import trading.flows.order_steps
import trading.flows.reconcile
import trading.flows.risk_snapshot
import trading.flows.send
from tests.crash.faulty_ports import FaultyVenue
from tests.crash.pool import Schedule, run_schedules
from trading.adapters.memory.venue import MemoryVenue
from trading.domain.ledger import Fill, LedgerTransaction
from trading.domain.order import Order, OrderEvent, OrderRequest, OrderState
from trading.domain.planning import _Sizing
from trading.domain.snapshot import RiskSnapshot
from trading.domain.venue_order import Horizon, Step, VenueOrder
from trading.errors import OutcomeUnknown
from trading.flows.market_view import MarketView
from trading.flows.reconcile import Reconcile
from trading.flows.send import Sender
from trading.ports.ledger import Books, Ledger

Plant = Callable[[pytest.MonkeyPatch], None]


def resends_on_unknown(patch: pytest.MonkeyPatch) -> None:
    """An unanswered POST is sent again, the same id and all."""
    once = FaultyVenue.submit

    def twice(venue: FaultyVenue, request: OrderRequest) -> VenueOrder:
        try:
            return once(venue, request)
        except OutcomeUnknown:
            return once(venue, request)

    patch.setattr(FaultyVenue, "submit", twice)


def names_it_anew(patch: pytest.MonkeyPatch) -> None:
    """Each POST has a fresh random id."""
    numbers, send = itertools.count(), FaultyVenue.submit
    patch.setattr(
        FaultyVenue,
        "submit",
        lambda venue, request: send(venue, replace(request, client_order_id=f"{next(numbers):032x}")),
    )


def signs_at_send_time(patch: pytest.MonkeyPatch) -> None:
    """The wire's library signs when it sends, not when the wish was made durable."""
    take = MemoryVenue.submit
    patch.setattr(
        MemoryVenue, "submit", lambda venue, request: take(venue, replace(request, signed_at=venue._clock.now()))
    )


def has_no_fill_key(patch: pytest.MonkeyPatch) -> None:
    """A fill that is read again is posted again."""
    numbers, post = itertools.count(1), trading.flows.reconcile.post_fill

    def again(books: Any, order: Order, fill: Any, *rest: Any) -> bool:
        return post(books, order, fill, *rest) or post(
            books, order, replace(fill, venue_fill_id=f"{fill.venue_fill_id}-{next(numbers)}"), *rest
        )

    patch.setattr(trading.flows.reconcile, "post_fill", again)


def plans_without_the_open_remainder(patch: pytest.MonkeyPatch) -> None:
    """What is on its way counts nothing."""
    patch.setattr(Order, "signed_remainder", property(lambda _: Decimal(0)))
    patch.setattr(
        _Sizing,
        "_served",
        lambda sizing, symbol: [o for o in sizing.book.served if o.intent.instrument == symbol and not o.is_open],
    )
    kept = tuple(check for check in trading.domain.risk.CHECKS if check[0] != "outcome_unknown_open")
    patch.setattr(trading.domain.risk, "CHECKS", kept)


def has_no_horizon(patch: pytest.MonkeyPatch) -> None:
    """Not found a moment after the request's window means never sent."""
    patch.setattr(tests.desk, "HORIZON", Horizon(clock_skew_s=0, api_timeout_s=0, visibility_lag_s=0))


def has_a_horizon_short_of_the_lag(patch: pytest.MonkeyPatch) -> None:
    """The horizon forgets that queries lag the matching engine."""
    patch.setattr(Horizon, "ends_at", Horizon.answer_due_at)


def queries_once(patch: pytest.MonkeyPatch) -> None:
    """The first "not found" ends an order."""

    def given_up(order: Order, *_: Any) -> list[Step]:
        unknown = [Step(state=OrderState.OUTCOME_UNKNOWN, reason="")] if order.state is OrderState.SUBMITTING else []
        return [*unknown, Step(state=OrderState.NEVER_ACCEPTED, reason="")] if order.is_unresolved else []

    patch.setattr(trading.domain.venue_order, "_steps_without_evidence", given_up)


def judges_silence_by_a_later_clock(patch: pytest.MonkeyPatch) -> None:
    """Silence from before a stall is taken for silence after it."""
    see = trading.flows.reconcile.look
    patch.setattr(
        trading.flows.reconcile,
        "look",
        lambda *args, **more: (answer := see(*args, **more)) and replace(answer, at=answer.until),
    )


def ends_orders_before_their_fills_are_in(patch: pytest.MonkeyPatch) -> None:
    """The venue's "filled" ends an order, whether its fills are booked or not."""
    steps = trading.flows.reconcile.steps_from_evidence

    def hasty(order: Order, seen: VenueOrder | None, *, filled: Decimal, **more: Any) -> list[Step]:
        return steps(order, seen, filled=seen.filled_quantity if seen else filled, **more)

    patch.setattr(trading.flows.reconcile, "steps_from_evidence", hasty)


def commits_after_the_send(patch: pytest.MonkeyPatch) -> None:
    """The POST goes out inside the transaction that should have made it durable first."""
    sign = trading.flows.send.submission
    senders: list[Sender] = []
    answers: dict[str, VenueOrder] = {}
    authorise, submit = Sender._authorise, FaultyVenue.submit

    def authorises(sender: Sender, *args: Any, **more: Any) -> Any:
        senders.append(sender)
        return authorise(sender, *args, **more)

    def sends_first(order: Order, request: OrderRequest, **more: Any) -> OrderEvent:
        answers[request.client_order_id] = senders[-1]._venue._inner.submit(request)  # type: ignore[attr-defined]
        return sign(order, request, **more)

    patch.setattr(Sender, "_authorise", authorises)
    patch.setattr(trading.flows.send, "submission", sends_first)
    patch.setattr(
        FaultyVenue,
        "submit",
        lambda venue, request: answers.get(request.client_order_id) or submit(venue, request),
    )


class _Forgotten(Exception):
    """Ends a transaction without its commit."""


class _Forgetful:
    """A ledger whose commits do not happen."""

    def __init__(self, inner: Ledger) -> None:
        self._inner = inner

    @contextmanager
    def transaction(self) -> Iterator[Books]:
        try:
            with self._inner.transaction() as books:
                yield books
                raise _Forgotten  # noqa: TRY301 — rolls back, as a process that wrote nothing
        except _Forgotten:
            pass


def keeps_no_intent(patch: pytest.MonkeyPatch) -> None:
    """What is about to be sent is remembered by the process alone."""
    authorise = Sender._authorise

    def forgets(sender: Sender, *args: Any, **more: Any) -> Any:
        kept = sender._ledger
        sender._ledger = _Forgetful(kept)  # type: ignore[assignment]
        try:
            return authorise(sender, *args, **more)
        finally:
            sender._ledger = kept

    patch.setattr(Sender, "_authorise", forgets)


class _AnyEpoch(int):
    """An epoch that is never another one."""

    def __ne__(self, other: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


def has_no_epoch(patch: pytest.MonkeyPatch) -> None:
    """A run that was overtaken sends what it had planned."""
    send = Sender.send
    patch.setattr(
        Sender,
        "send",
        lambda sender, *args, epoch, **more: send(sender, *args, epoch=_AnyEpoch(epoch), **more),
    )


def checks_then_sends(patch: pytest.MonkeyPatch) -> None:
    """The kill switch is read when sending begins, not in the transaction that makes the wish durable."""
    read: list[Any] = []
    send, state = Sender.send, trading.flows.risk_snapshot.trading_state

    def reads_first(sender: Sender, *args: Any, **more: Any) -> Any:
        with sender._ledger.transaction() as books:
            read.append(books.control.halts(sender._account))
        try:
            return send(sender, *args, **more)
        finally:
            read.pop()

    patch.setattr(Sender, "send", reads_first)
    patch.setattr(trading.flows.risk_snapshot, "trading_state", lambda _, **more: state(read[-1], **more))


def unpausing_resumes(patch: pytest.MonkeyPatch) -> None:
    """The pause lasts as long as the DAG is paused; nobody has to sign."""
    state = trading.flows.risk_snapshot.trading_state

    def forgives(halts: Any, **more: Any) -> Any:
        return state(tuple(halt for halt in halts if halt.author != "airflow:pause"), **more)

    patch.setattr(trading.flows.risk_snapshot, "trading_state", forgives)


def has_money_in_floats(patch: pytest.MonkeyPatch) -> None:
    """A fee passes through binary floating point on its way to the ledger."""
    book = trading.flows.order_steps.fill_transaction

    def floats(account: str, strategy: str, instrument: Any, fill: Fill) -> LedgerTransaction:
        received = float(fill.quantity) * (1.0 if fill.fee_currency == instrument.base else float(fill.price))
        return book(account, strategy, instrument, replace(fill, fee=Decimal(repr(received * 0.001))))

    patch.setattr(trading.flows.order_steps, "fill_transaction", floats)


def trusts_its_own_clock(patch: pytest.MonkeyPatch) -> None:
    """The horizon ends when this machine's clock says so, however wrong it was set."""
    reconcile, see = Reconcile._reconcile, trading.flows.reconcile.look
    began: list[datetime] = []

    def reconciles(flow: Reconcile, *args: Any) -> Any:
        began.append(flow._clock.now())
        return reconcile(flow, *args)

    patch.setattr(Reconcile, "_reconcile", reconciles)
    patch.setattr(trading.flows.reconcile, "look", lambda *args, at, **more: see(*args, at=max(at, began[-1]), **more))


def reads_the_caps_once_a_run(patch: pytest.MonkeyPatch) -> None:
    """Senders compare with figures from before the others sent."""
    take = trading.flows.send.snapshot
    taken: list[tuple[MarketView, RiskSnapshot]] = []

    def stale(books: Books, intent: Any, conditions: Any, question: Any, *, at: datetime) -> RiskSnapshot:
        fresh = take(books, intent, conditions, question, at=at)
        known = next((risk for view, risk in taken[-4:] if view is conditions.view), None)
        if known is None:
            taken.append((conditions.view, fresh))
            return fresh
        return replace(fresh, exposures=known.exposures, traffic=known.traffic)

    patch.setattr(trading.flows.send, "snapshot", stale)


#: The fifteen of the reliability table, by its names.
PLANTED: dict[str, Plant] = {
    "resend same id": resends_on_unknown,
    "query once": queries_once,
    "horizon 0": has_no_horizon,
    "horizon short of the lag": has_a_horizon_short_of_the_lag,
    "no intent": keeps_no_intent,
    "commit after send": commits_after_the_send,
    "no fill key": has_no_fill_key,
    "no epoch": has_no_epoch,
    "check-then-send": checks_then_sends,
    "unpause = resume": unpausing_resumes,
    "float money": has_money_in_floats,
    "local clock": trusts_its_own_clock,
    "signs at send time": signs_at_send_time,
    "plans without the open remainder": plans_without_the_open_remainder,
    "two senders past one cap": reads_the_caps_once_a_run,
}
#: And some of our own.
PLANTED_BESIDES: dict[str, Plant] = {
    "a new name each time": names_it_anew,
    "silence judged by a later clock": judges_silence_by_a_later_clock,
    "ended before its fills": ends_orders_before_their_fills_are_in,
}


#: A planted bug must show within this many schedules.
PATIENCE = 6_000
#: What a report shows of what broke.
_LONG_ENOUGH = 120


def find(plant: Plant, schedule: Schedule, first: int = 0) -> tuple[int | None, str]:
    """The lowest seed that shows the bug among those that were tried, and what it broke; None where it survived."""
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for tally in run_schedules(schedule, first, PATIENCE, chunk=10):
            if tally.failures:
                seed = min(tally.failures)
                return seed, tally.failures[seed][0][:_LONG_ENOUGH]
    return None, ""
