"""Place: the straight line from candle to reconciled fill, and why nothing is ever sent twice."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.desk import Behind, Desk, DiedHere, constant, plan, portfolio
from tests.examples import ACCOUNT, BTC, ETH
from trading.domain.order import OrderRequest
from trading.domain.planning import MAX_GENERATIONS
from trading.domain.venue_order import VenueOrder
from trading.errors import ConfigurationError, OrderRejected, TradingHalted


def test_the_straight_line_leaves_both_books_equal_to_the_last_digit() -> None:
    """Half of 100,000 at weights 0.5 and 0.3: 250 BTC, and 1,000 (a tenth of the volume) of 1,500 ETH.

    By hand, with 2 bps of slippage to the next tick: 250 * 100.02 + 1,000 * 10.01 = 35,015 USDT of 100,000 are spent;
    fees of 10 bps in base leave 249.75 BTC and 999 ETH.
    """
    desk = Desk().open()
    report = desk.cycle()
    assert report.counts == {"planned": 2, "sent": 2}
    assert desk.states() == {("sma", BTC.symbol): ["filled"], ("sma", ETH.symbol): ["expired_at_venue"]}
    assert desk.totals() == {"USDT": Decimal("64985"), "BTC": Decimal("249.75"), "ETH": Decimal("999")}
    assert desk.totals() == desk.venue_totals()
    positions = desk.read(lambda books: books.fills.positions(ACCOUNT))
    assert positions["sma", BTC.symbol].quantity == Decimal("249.75")
    assert desk.read(lambda books: books.reconciliations.open_discrepancies(ACCOUNT)) == []


def test_each_post_was_signed_with_its_rows_time() -> None:
    """What the venue received carries exactly the write-ahead row's signed_at, window and hash."""
    desk = Desk().open()
    desk.cycle()
    for post in desk.posts():
        order = next(one for one in desk.orders() if one.client_order_id == post.client_order_id)
        assert post.request.signed_at == order.signed_at
        assert post.request.recv_window_ms == order.recv_window_ms
        assert post.request.request_hash == order.request_hash


def test_placing_again_sends_nothing() -> None:
    """The same decision, placed and reconciled again and again, leads to no second order where it was served."""
    desk = Desk(weights={"sma": constant(0.5, 0.1)}).open()
    desk.cycle()
    sent = len(desk.posts())
    for _ in range(3):
        desk.reconcile()
        desk.place()
    assert len(desk.posts()) == sent == 2


def test_placing_again_before_any_reconciliation_sends_nothing() -> None:
    """Accepted orders whose fills nobody booked yet count as on their way."""
    desk = Desk().open()
    desk.evaluate()
    desk.place()
    report = desk.place()
    assert len(desk.posts()) == 2
    assert {line.outcome for line in report.lines} == {"an order is on its way"}


def test_what_did_not_fill_is_carried_on_as_the_next_generation() -> None:
    """1,000 of 1,500 ETH filled; in the next candle, the same decision's rest of about 500 goes out as generation 1."""
    desk = Desk().open()
    desk.cycle()
    desk.clock.advance(20)
    desk.cycle()
    eth = [order for order in desk.orders() if order.intent.instrument == ETH.symbol]
    assert [order.intent.generation for order in eth] == [0, 1]
    assert len({order.client_order_id for order in eth}) == 2
    assert eth[1].intent.quantity <= eth[1].intent.target_quantity - Decimal(999)
    assert desk.totals() == desk.venue_totals()


def test_generations_are_bounded() -> None:
    """A market that gives nothing is not asked for ever."""
    desk = Desk(volume=0.0).open()
    desk.evaluate()
    for _ in range(MAX_GENERATIONS + 3):
        desk.place()
        desk.reconcile()
    counts = Counter(order.intent.instrument for order in desk.orders())
    assert counts == {BTC.symbol: MAX_GENERATIONS, ETH.symbol: MAX_GENERATIONS}


def test_a_newer_decision_supersedes_what_was_not_sent() -> None:
    """Wishes kept back by a halt end when the next close decides otherwise; only the newest decision is sent."""
    desk = Desk().open()
    desk.evaluate()
    halt = desk.halt()
    with pytest.raises(TradingHalted):
        desk.place()
    assert desk.states()["sma", BTC.symbol] == ["planned"]
    desk.next_minute()
    desk.ingest()
    desk.decide(sma=(0.2, 0.0))
    desk.evaluate()
    desk.reconcile()
    desk.resume(halt)
    desk.place()
    assert desk.states() == {("sma", BTC.symbol): ["superseded", "accepted"], ("sma", ETH.symbol): ["superseded"]}
    assert len(desk.posts()) == 1


def test_a_wish_ends_unsent_when_its_time_is_over() -> None:
    """After the decision's minute nothing of it is sent, though nothing newer was decided: freshness is enforced."""
    desk = Desk().open()
    desk.evaluate()
    halt = desk.halt()
    with pytest.raises(TradingHalted):
        desk.place()
    desk.next_minute()
    desk.resume(halt)
    report = desk.place()
    assert desk.states() == {("sma", BTC.symbol): ["expired"], ("sma", ETH.symbol): ["expired"]}
    assert {line.outcome for line in report.lines} == {"decision_too_old"}
    assert desk.posts() == []


def test_the_sender_itself_refuses_a_wish_that_expired_on_its_way() -> None:
    """Planned in time, but the clock passed expires_at before the sender's transaction: 0 POSTs, state expired."""
    desk = Desk().open()
    desk.evaluate()

    def slow() -> bool:
        desk.clock.advance(30)
        return False

    report = desk.place(slow)
    assert report.outcomes["expired"] >= 1
    assert all(post.at < order.intent.expires_at for post in desk.posts() for order in desk.orders())
    assert "expired" in {order.state for order in desk.orders()}


def test_an_older_run_may_not_send_once_a_newer_one_plans() -> None:
    """The epoch fences: a newer place run begins between planning and sending, and the older one is halted."""
    desk = Desk().open()
    desk.evaluate()
    asked = []

    def another_run_places() -> bool:
        asked.append(1)
        if len(asked) == 1:
            desk.place()
        return False

    with pytest.raises(TradingHalted, match="epoch"):
        desk.place(another_run_places)
    names = [post.client_order_id for post in desk.posts()]
    assert len(names) == len(set(names)) == 2


def test_a_definite_no_is_recorded_and_not_tried_again_for_this_decision() -> None:
    """A rejection ends the order, says why, and the next run does not beg."""
    desk = Desk().open()
    desk.evaluate()

    def refuses(request: OrderRequest) -> VenueOrder:
        raise OrderRejected("-1013", "Filter failure: LOT_SIZE")

    desk.venue = Behind(desk.memory_venue, submit=refuses)
    assert desk.place().outcomes["rejected"] == 2
    desk.venue = desk.memory_venue
    desk.reconcile()
    report = desk.place()
    assert desk.posts() == []
    assert all("rejected before" in line.outcome for line in report.lines)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_death_around_the_post_leaves_one_order_at_most(moment: str) -> None:
    """Killed just before or just after the POST: the write-ahead row is there, and nothing is sent again."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()

    def dies(request: OrderRequest) -> VenueOrder:
        if moment == "after":
            desk.memory_venue.submit(request)
        raise DiedHere

    desk.venue = Behind(desk.memory_venue, submit=dies)
    with pytest.raises(DiedHere):
        desk.place()
    desk.venue = desk.memory_venue
    assert desk.states() == {("sma", BTC.symbol): ["submitting"]}
    desk.reconcile()
    desk.place()
    desk.reconcile()
    assert len(desk.posts()) == (1 if moment == "after" else 0)
    desk.clock.advance(29)  # past the horizon, within the decision's minute
    desk.reconcile()
    desk.place()
    desk.reconcile()
    accepted = [post for post in desk.posts() if post.accepted]
    assert len(accepted) == 1
    expected = ["filled"] if moment == "after" else ["never_accepted", "filled"]
    assert desk.states() == {("sma", BTC.symbol): expected}
    assert desk.totals() == desk.venue_totals()


def test_two_strategies_trade_their_own_share() -> None:
    """Each has its sub-account: one's buys never spend the other's quote, and the account is their sum."""
    desk = Desk(
        portfolio_=portfolio(plan("one", allocation=Decimal("0.2")), plan("two", allocation=Decimal("0.4"))),
        weights={"one": constant(0.5, 0.0), "two": constant(0.5, 0.0)},
    ).open()
    desk.cycle()
    quantities = {order.intent.strategy: order.intent.quantity for order in desk.orders()}
    assert quantities == {"one": Decimal(100), "two": Decimal(200)}
    assert desk.totals() == desk.venue_totals()


def test_an_instrument_that_left_the_portfolio_stops_its_strategy_not_the_run() -> None:
    """The newest decision names ETH, the portfolio does not any more: the strategy waits, another one places."""
    two = portfolio(plan("old"), plan("other", instruments=(BTC.symbol,), allocation=Decimal("0.2")))
    desk = Desk(portfolio_=two, weights={"other": constant(0.5)}).open()
    desk.evaluate()
    desk.portfolio = replace(
        two,
        instruments=(BTC.symbol,),
        strategies=(replace(two.strategies[0], instruments=(BTC.symbol,)), two.strategies[1]),
    )
    report = desk.place()
    assert {(line.strategy, line.outcome) for line in report.lines} == {
        ("old", "no candle is stored"),
        ("other", "planned"),
    }
    assert [order.intent.strategy for order in desk.orders()] == ["other"]


def test_an_open_order_of_an_instrument_that_left_the_portfolio_still_reserves() -> None:
    """Its price is not looked at any more; what it may still take is counted at its reference."""
    desk = Desk(weights={"sma": constant(0.3, 0.3)}).open()
    desk.clock.advance(40)  # so that the next close comes before the horizon ends
    desk.evaluate()

    def dies_on_eth(request: OrderRequest) -> VenueOrder:
        if request.instrument == ETH.symbol:
            raise DiedHere
        return desk.memory_venue.submit(request)

    desk.venue = Behind(desk.memory_venue, submit=dies_on_eth)
    with pytest.raises(DiedHere):
        desk.place()
    desk.venue = desk.memory_venue
    only_btc = replace(desk.portfolio, instruments=(BTC.symbol,))
    desk.portfolio = replace(only_btc, strategies=(replace(only_btc.strategies[0], instruments=(BTC.symbol,)),))
    desk.decide(sma=(0.4,))
    desk.next_minute()
    desk.ingest()
    desk.evaluate()
    desk.reconcile()
    desk.place()
    newest = desk.orders()[-1]
    assert newest.intent.instrument == BTC.symbol
    (checked,) = desk.read(lambda books: books.orders.checks(newest.client_order_id))
    assert "insufficient_funds" not in checked.codes


def test_wishes_from_before_a_wipe_or_a_restore_are_not_sent() -> None:
    """The incarnation moved on: what was planned under the old one is superseded, since nobody knows its fate."""
    desk = Desk().open()
    desk.evaluate()
    halt = desk.halt()
    with pytest.raises(TradingHalted):
        desk.place()
    with desk.memory_ledger.transaction() as books:
        books.accounts.lock(ACCOUNT)
        books.accounts.next_incarnation(ACCOUNT)
    desk.resume(halt)
    desk.place()
    assert desk.posts() == []
    assert {order.state for order in desk.orders()} == {"superseded"}


def test_nothing_ingested_is_a_clear_error() -> None:
    """Placing before any candle says which command to run."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    with pytest.raises(ConfigurationError, match="ingest"):
        desk.place()


def test_a_limit_order_rests_and_blocks_its_instrument_until_it_ends() -> None:
    """A buy at the reference, below the best ask, rests: the next decision waits for it, and both books agree."""
    desk = Desk(portfolio_=portfolio(order_type="limit", rest_s=600), weights={"sma": constant(0.5, 0.0)}).open()
    desk.cycle()
    desk.next_minute()
    report = desk.cycle()
    assert desk.states() == {("sma", BTC.symbol): ["accepted"]}
    assert "an order is on its way" in {line.outcome for line in report.lines}
    assert len(desk.posts()) == 1
    assert desk.clock.now() - desk.posts()[0].at >= timedelta(seconds=50)
    assert desk.totals() == desk.venue_totals() == {"USDT": Decimal(100_000)}
