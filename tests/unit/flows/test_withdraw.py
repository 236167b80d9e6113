"""Limit orders that rest for too long are taken back; the next decision plans anew."""

from tests.desk import Behind, Desk, constant, portfolio
from trading.domain.order import OrderState
from trading.errors import ExchangeUnavailable, OrderRejected


def states(desk: Desk) -> list[OrderState]:
    """Every order's state, oldest first."""
    return [order.state for order in desk.orders()]


def resting_desk(rest_s: int = 90) -> Desk:
    """A desk whose limit buys rest: the flat market touches their price and never goes through it."""
    desk = Desk(portfolio_=portfolio(order_type="limit", rest_s=rest_s), weights={"sma": constant(0.5, 0.0)})
    desk.open()
    desk.cycle()
    assert states(desk) == [OrderState.ACCEPTED]
    return desk


def test_an_order_rests_until_its_time_is_over() -> None:
    desk = resting_desk(rest_s=90)
    desk.clock.advance(60)
    desk.reconcile()
    assert states(desk) == [OrderState.ACCEPTED]
    desk.clock.advance(31)
    desk.reconcile()
    assert states(desk) == [OrderState.CANCELED]


def test_what_is_left_is_planned_anew_for_the_next_decision_and_both_books_agree() -> None:
    desk = resting_desk(rest_s=30)
    desk.clock.advance(60)
    desk.cycle()
    assert states(desk)[0] is OrderState.CANCELED
    assert len(desk.posts()) == 2
    assert desk.totals() == desk.venue_totals()


def test_an_order_that_was_faster_than_its_cancel_is_judged_by_the_look_that_follows() -> None:
    desk = resting_desk(rest_s=30)
    desk.clock.advance(60)

    def gone(_instrument: str, _client_order_id: str) -> None:
        raise OrderRejected("-2011", "Unknown order sent.")

    desk.venue = Behind(desk.venue, cancel=gone)
    desk.reconcile()
    assert states(desk) == [OrderState.ACCEPTED]


def test_a_cancel_without_an_answer_is_asked_for_again() -> None:
    desk = resting_desk(rest_s=30)
    desk.clock.advance(60)
    whole = desk.venue

    def silent(_instrument: str, _client_order_id: str) -> None:
        raise ExchangeUnavailable("no answer")

    desk.venue = Behind(whole, cancel=silent)
    desk.reconcile()
    assert states(desk) == [OrderState.ACCEPTED]
    desk.venue = whole
    desk.reconcile()
    assert states(desk) == [OrderState.CANCELED]


def test_withdrawing_goes_on_while_trading_is_halted() -> None:
    desk = resting_desk(rest_s=30)
    desk.halt("test")
    desk.clock.advance(61)
    desk.reconcile()
    assert states(desk) == [OrderState.CANCELED]
