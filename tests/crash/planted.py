"""Bugs that others have shipped, planted one at a time: a suite that does not catch them proves nothing."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

import tests.desk
import trading.domain.risk
import trading.domain.venue_order
import trading.flows.reconcile
import trading.flows.send
from tests.crash.faults import FaultyVenue
from trading.adapters.memory.venue import MemoryVenue
from trading.domain.order import Order, OrderRequest, OrderState
from trading.domain.planning import _Sizing
from trading.domain.venue_order import Horizon, Step, VenueOrder
from trading.errors import OutcomeUnknown
from trading.flows.send import Sender

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
    append = trading.flows.send.append_step
    senders: list[Sender] = []
    answers: dict[str, VenueOrder] = {}
    authorise, submit = Sender._authorise, FaultyVenue.submit

    def authorises(sender: Sender, *args: Any, **more: Any) -> Any:
        senders.append(sender)
        return authorise(sender, *args, **more)

    def sends_first(*args: Any, request: OrderRequest | None = None, **more: Any) -> Order:
        if request is not None:
            answers[request.client_order_id] = senders[-1]._venue._inner.submit(request)  # type: ignore[attr-defined]
        return append(*args, request=request, **more)

    patch.setattr(Sender, "_authorise", authorises)
    patch.setattr(trading.flows.send, "append_step", sends_first)
    patch.setattr(
        FaultyVenue,
        "submit",
        lambda venue, request: answers.get(request.client_order_id) or submit(venue, request),
    )


PLANTED: tuple[Plant, ...] = (
    resends_on_unknown,
    names_it_anew,
    signs_at_send_time,
    has_no_fill_key,
    plans_without_the_open_remainder,
    has_no_horizon,
    has_a_horizon_short_of_the_lag,
    queries_once,
    judges_silence_by_a_later_clock,
    ends_orders_before_their_fills_are_in,
    commits_after_the_send,
)
