"""Flatten: what is held is sold while halted, under a signed override, never more than held, each order once."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import Behind, Desk, DiedHere, constant, plan, portfolio
from trading.domain.kill_switch import HaltLevel
from trading.domain.order import Order, OrderState, Purpose, Side
from trading.errors import OutcomeUnknown, TradingHalted


def invested(**changes: Any) -> Desk:
    """A desk that holds 249.75 BTC and 999 ETH."""
    desk = Desk(volume=1_000_000.0, **changes).open()
    desk.cycle()
    return desk


def held(desk: Desk) -> dict[tuple[str, str], Decimal]:
    positions = desk.read(lambda books: books.fills.positions("replay"))
    return {key: position.quantity for key, position in positions.items() if position.quantity}


def closing(desk: Desk) -> list[Order]:
    return [order for order in desk.orders() if order.intent.purpose is Purpose.FLATTEN]


def test_everything_that_is_held_is_sold_under_an_override_while_halted() -> None:
    """Both positions end at nothing, the halt stands, and both books agree."""
    desk = invested()
    halt_id = desk.halt()
    desk.grant(halt_id)
    report = desk.flatten()
    assert (report.counts["sent"], report.left) == (2, {})
    assert held(desk) == {}
    assert all(order.intent.side is Side.SELL and order.state is OrderState.FILLED for order in closing(desk))
    assert len(desk.halts()) == 1
    assert desk.totals() == desk.venue_totals()
    assert desk.flatten().counts == {"left": 0}


@pytest.mark.parametrize("case", ["no halt", "pause-entries", "no grant", "expired", "released"])
def test_without_a_live_override_of_this_halt_nothing_is_sold(case: str) -> None:
    """Each way of not being allowed; nothing reaches the venue."""
    desk = invested()
    before = len(desk.posts())
    if case == "pause-entries":
        desk.halt(level=HaltLevel.PAUSE_ENTRIES)
    elif case != "no halt":
        halt_id = desk.halt()
        if case in ("expired", "released"):
            desk.grant(halt_id, minutes=0.5)
        if case == "expired":
            desk.clock.advance(31)
        if case == "released":
            desk.resume(halt_id)
    with pytest.raises(TradingHalted):
        desk.flatten()
    assert len(desk.posts()) == before


def unreadable() -> bool:
    raise ConnectionError("the API server is down")


@pytest.mark.parametrize(
    ("is_paused", "because"), [(None, "no latch is armed"), (unreadable, "the API server is down")]
)
def test_where_the_pause_cannot_be_read_nothing_is_sold(is_paused: Any, because: str) -> None:
    """Whatever was signed: nobody knows what holds, so nothing is sent, and each position says why it stays."""
    desk = invested()
    desk.grant(desk.halt())
    before = len(desk.posts())
    report = desk.flatten(is_paused=is_paused)
    assert len(desk.posts()) == before
    assert len(report.left) == 2
    assert all("state=unreadable" in why and because in why for why in report.left.values())


def test_a_pause_of_entries_keeps_strategies_from_buying_back_what_was_closed() -> None:
    """Engaged before the halt is released; once it is released too, they buy."""
    desk = invested()
    halt_id = desk.halt()
    desk.grant(halt_id)
    desk.flatten()
    pause = desk.halt("look first", level=HaltLevel.PAUSE_ENTRIES)
    desk.resume(halt_id)
    desk.next_minute()
    with pytest.raises(TradingHalted, match="look first"):
        desk.cycle()
    assert held(desk) == {}
    desk.resume(pause)
    desk.next_minute()
    desk.cycle()
    assert len(held(desk)) == 2


def test_a_halt_that_was_engaged_after_the_signature_is_in_nobodys_signature() -> None:
    """Two halts stand and one override lives: nothing is sold until the other halt has one too."""
    desk = invested()
    desk.grant(desk.halt())
    newer = desk.halt("something else")
    before = len(desk.posts())
    assert set(desk.flatten().left) == set(held(desk))
    assert len(desk.posts()) == before
    desk.grant(newer)
    desk.flatten()
    assert held(desk) == {}


def test_a_scope_closes_its_own_positions_alone() -> None:
    """Of two strategies and two instruments, one strategy's one instrument."""
    desk = Desk(portfolio_=portfolio(plan("sma"), plan("hold")), volume=1_000_000.0).open()
    desk.cycle()
    desk.grant(desk.halt(), scope="strategy:hold")
    desk.flatten("instrument:BTC/USDT")
    assert set(held(desk)) == {("sma", "BTC/USDT"), ("sma", "ETH/USDT"), ("hold", "ETH/USDT")}


def test_what_is_larger_than_one_order_may_be_is_closed_in_several() -> None:
    """At most 10,000 by the override and the desk's own limit: three orders for 24,975 of BTC."""
    desk = invested()
    desk.limit(max_order_notional=Decimal(10_000))
    desk.grant(desk.halt(), largest="12000")
    assert desk.flatten().left == {}
    assert held(desk) == {}
    sold = [order.intent.quantity for order in closing(desk) if order.intent.instrument == "BTC/USDT"]
    assert sold == [Decimal(100), Decimal(100), Decimal("49.75")]
    assert max(order.intent.notional for order in closing(desk)) <= 10_000


def test_an_order_larger_than_the_override_allows_is_never_sent() -> None:
    """Each one stays below what was signed for, down to the last."""
    desk = invested()
    desk.grant(desk.halt(), largest="9000")
    desk.flatten()
    assert held(desk) == {}
    assert max(order.intent.notional for order in closing(desk)) <= 9_000


def test_a_lost_answer_is_counted_at_its_worst_and_never_sold_again() -> None:
    """The POST was executed and its answer lost: nothing more is offered until the venue's books tell."""
    desk = invested(weights={"sma": constant(0.5, 0.0)})
    desk.grant(desk.halt())
    submit = desk.memory_venue.submit

    def lost(request: Any) -> Any:
        submit(request)
        raise OutcomeUnknown("the answer was lost")

    desk.venue = Behind(desk.memory_venue, submit=lost)
    desk.flatten()
    desk.venue = desk.memory_venue
    desk.flatten()
    assert held(desk) == {}
    assert len(closing(desk)) == 1
    assert desk.totals() == desk.venue_totals()


@pytest.mark.parametrize("executed", [True, False])
def test_a_death_around_the_post_sells_nothing_twice(executed: bool) -> None:
    """Killed before or after the venue took it: the next flatten sells what is left, and not a lot more."""
    desk = invested(weights={"sma": constant(0.5, 0.0)})
    desk.grant(desk.halt(), minutes=15)
    submit = desk.memory_venue.submit

    def dies(request: Any) -> Any:
        if executed:
            submit(request)
        raise DiedHere

    desk.venue = Behind(desk.memory_venue, submit=dies)
    with pytest.raises(DiedHere):
        desk.flatten()
    desk.venue = desk.memory_venue
    for _ in range(3):
        desk.clock.advance(20)
        desk.ingest()
        desk.flatten()
    assert held(desk) == {}
    sold = sum(post.request.quantity for post in desk.posts() if post.accepted and post.request.side is Side.SELL)
    assert sold == Decimal("249.75")
    assert desk.totals() == desk.venue_totals()


def test_nothing_is_bought_while_it_is_closed() -> None:
    """A placing beside it, whose strategy wants more: its orders wait for as long as the halt stands."""
    desk = invested()
    desk.grant(desk.halt())
    desk.next_minute()
    desk.decide(sma=(0.9, 0.1))
    with pytest.raises(TradingHalted):
        desk.cycle()
    desk.flatten()
    assert held(desk) == {}
    bought = [post for post in desk.posts() if post.request.side is Side.BUY]
    assert len(bought) == 2


def test_what_no_order_can_close_is_named_with_its_reason() -> None:
    """Dust stays, and the report says so."""
    desk = invested(weights={"sma": constant(0.5, 0.0)})
    desk.grant(desk.halt())
    plain_view = desk.memory_market.best_prices
    desk.market = Behind(
        desk.memory_market,
        best_prices=lambda symbols: {
            symbol: replace(best, bid=Decimal("0.001")) for symbol, best in plain_view(symbols).items()
        },
    )
    report = desk.flatten()
    assert report.counts["left"] == 1
    assert "dust" in report.left["sma", "BTC/USDT"]
