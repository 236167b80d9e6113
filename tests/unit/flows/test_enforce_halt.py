"""Enforcing a halt: what it forbids is gone from the venue, nothing can arrive any more, and both are on record."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import Behind, Desk, constant, plan, portfolio
from tests.examples import ACCOUNT, BTC
from trading.domain.kill_switch import ControlKind
from trading.domain.order import OrderState, OrderType, Purpose, Side, request_for
from trading.domain.venue_order import Step
from trading.errors import ExchangeUnavailable, OrderRejected, OutcomeUnknown
from trading.flows.enforce_halt import EnforceReport
from trading.flows.order_steps import append_step, submission


def resting_desk(**changes: Any) -> Desk:
    """Two strategies whose orders all rest: their limits are a little below the market."""
    desk = Desk(portfolio_=portfolio(plan("sma"), plan("hold"), order_type="limit", **changes), volume=0.0).open()
    desk.evaluate()
    desk.place()
    assert {order.state for order in desk.orders()} == {OrderState.ACCEPTED}
    return desk


def open_names(desk: Desk) -> set[tuple[str, str]]:
    ours = {order.client_order_id: order.intent for order in desk.orders()}
    shown = [ours[seen.client_order_id] for seen in desk.memory_venue.open_orders()]
    return {(intent.strategy, intent.instrument) for intent in shown}


def kinds(desk: Desk) -> list[ControlKind]:
    return [event.kind for event in desk.read(lambda books: books.control.history(ACCOUNT, 100))]


def test_a_halt_leaves_no_entry_at_the_venue_and_says_since_when() -> None:
    """All four orders go; effective and verified are control events of this halt, once however often it is enforced."""
    desk = resting_desk()
    halt_id = desk.halt()
    assert desk.enforce().cancelled == 4
    assert desk.memory_venue.open_orders() == []
    (halt,) = desk.halts()
    assert (halt.halt_id, halt.effective_at is not None, halt.verified_at is not None) == (halt_id, True, True)
    desk.clock.advance(1)
    assert desk.enforce().cancelled == 0
    assert desk.halts() == (halt,)
    assert kinds(desk).count(ControlKind.HALT_EFFECTIVE) == kinds(desk).count(ControlKind.HALT_VERIFIED) == 1
    desk.reconcile()
    assert {order.state for order in desk.orders()} == {OrderState.CANCELED}


def test_without_a_halt_nothing_is_touched() -> None:
    desk = resting_desk()
    assert desk.enforce() == EnforceReport(halts=0, cancelled=0)
    assert len(desk.memory_venue.open_orders()) == 4


def test_a_halted_scope_takes_its_own_orders_alone() -> None:
    desk = resting_desk()
    desk.halt(scope="strategy:sma")
    assert desk.enforce().cancelled == 2
    assert {strategy for strategy, _ in open_names(desk)} == {"hold"}


def test_what_is_still_being_sent_is_waited_for_and_then_cancelled() -> None:
    """A sender died after its row: the halt is effective once the venue would refuse it, and what did arrive goes."""
    desk = Desk(portfolio_=portfolio(order_type="limit"), weights={"sma": constant(0.5, 0.0)}, volume=0.0).open()
    desk.evaluate()
    submit = desk.memory_venue.submit

    def lost(request: Any) -> Any:
        submit(request)
        raise OutcomeUnknown("the answer was lost")

    desk.venue = Behind(desk.memory_venue, submit=lost)
    desk.place()
    (order,) = desk.orders()
    desk.halt()
    desk.enforce()
    (halt,) = desk.halts()
    assert order.signed_at is not None
    assert halt.effective_at is not None
    closes = desk.horizon.closed_at(order)
    assert closes == order.signed_at + timedelta(seconds=2 + 1)
    assert closes < halt.effective_at < closes + timedelta(seconds=1)
    assert desk.memory_venue.open_orders() == []


def test_an_order_that_turns_up_after_the_first_look_is_swept() -> None:
    """The venue shows it late: the sweep waits for the full horizon, and takes it."""
    desk = resting_desk()
    desk.halt()
    hidden = desk.memory_venue.open_orders()[0]
    shown = desk.memory_venue.open_orders
    late = desk.clock.now() + timedelta(seconds=20)

    def lagging() -> Any:
        return [seen for seen in shown() if seen != hidden or desk.clock.now() > late]

    def cancel(instrument: str, client_order_id: str) -> None:
        if client_order_id == hidden.client_order_id and desk.clock.now() <= late:
            raise OrderRejected("-2011", "Unknown order sent.")
        desk.memory_venue.cancel(instrument, client_order_id)

    desk.venue = Behind(desk.memory_venue, open_orders=lagging, cancel=cancel)
    desk.enforce()
    assert desk.memory_venue.open_orders() == [hidden]
    before = desk.clock.now()
    assert desk.sweep().cancelled == 1
    assert desk.memory_venue.open_orders() == []
    assert desk.clock.now() - before >= timedelta(seconds=5 + 20 - 1)


@pytest.mark.parametrize("policy", ["keep", "cancel"])
def test_protective_orders_stay_or_go_as_the_portfolio_says(policy: str) -> None:
    desk = resting_desk(protective_on_halt=policy)
    protective = rests(desk, Purpose.PROTECTIVE)
    desk.halt()
    assert desk.enforce().cancelled == (4 if policy == "keep" else 5)
    left = [seen.client_order_id for seen in desk.memory_venue.open_orders()]
    assert left == ([protective] if policy == "keep" else [])


def rests(desk: Desk, purpose: Purpose) -> str:
    """One more order of ours, of this purpose, that rests at the venue; its name."""
    like = desk.orders()[0].intent
    wish = replace(
        like,
        client_order_id="ab" * 16,
        instrument=BTC.symbol,
        purpose=purpose,
        side=Side.BUY,
        quantity=Decimal(1),
        order_type=OrderType.LIMIT,
        limit_price=Decimal(90),
        generation=7,
    )
    run = desk.run_of("test")
    request = request_for(wish, desk.clock.now(), 2_000)
    with desk.store.transaction() as books:
        books.accounts.lock(ACCOUNT)
        books.orders.plan(wish, run)
        order = books.orders.get(wish.client_order_id)
        assert order is not None
        at = desk.clock.now()
        sent = books.orders.append(order, submission(order, request, at=at, run=run, epoch=1))
        append_step(books, sent, Step(state=OrderState.ACCEPTED, reason=""), at=at, run=run, venue_order_id="v")
    desk.memory_venue.submit(request)
    return wish.client_order_id


def test_cancels_that_fail_are_tried_again_until_the_venue_shows_none() -> None:
    """Each order's first two cancels fail; the halt is verified all the same."""
    desk = resting_desk()
    desk.halt()
    failures: dict[str, int] = {}

    def flaky(instrument: str, client_order_id: str) -> None:
        failures[client_order_id] = failures.get(client_order_id, 0) + 1
        if failures[client_order_id] <= 2:
            raise ExchangeUnavailable("HTTP 503")
        desk.memory_venue.cancel(instrument, client_order_id)

    desk.venue = Behind(desk.memory_venue, cancel=flaky)
    assert desk.enforce().cancelled == 4
    assert desk.memory_venue.open_orders() == []


def test_a_venue_that_does_not_let_go_fails_loudly_and_the_halt_is_effective_all_the_same() -> None:
    """Two minutes of trying: the error names what rests; nothing is verified; senders obey from the commit on."""
    desk = resting_desk()
    desk.halt()

    def down(*_: Any) -> None:
        raise ExchangeUnavailable("HTTP 503")

    desk.venue = Behind(desk.memory_venue, cancel=down)
    with pytest.raises(ExchangeUnavailable, match="4 orders still rest"):
        desk.enforce()
    (halt,) = desk.halts()
    assert halt.effective_at is not None
    assert halt.verified_at is None


def test_reconciliation_is_the_net_under_it() -> None:
    """Nobody enforced the halt: the next reconciliation takes what it forbids, however short it has rested."""
    desk = resting_desk()
    desk.halt(scope="strategy:sma")
    desk.reconcile()
    assert {strategy for strategy, _ in open_names(desk)} == {"hold"}
