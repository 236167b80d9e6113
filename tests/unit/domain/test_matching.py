"""When a simulated order fills, at what price, and what it costs."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from trading.domain.market import Candle
from trading.domain.matching import (
    FeeModel,
    MatchingRules,
    Rest,
    SlippageModel,
    TimeInForce,
    WorkingOrder,
    arrive,
    market_fill,
    match_candle,
    match_resting,
    taker_price,
)
from trading.domain.order import Side

D = Decimal
RULES = MatchingRules(base="BTC", quote="USDT", tick_size=D("0.01"), lot_step=D("0.00001"))
OPEN = D("70906.45")


def buy(quantity: str, limit: str | None = None, **how: object) -> WorkingOrder:
    return WorkingOrder(side=Side.BUY, quantity=D(quantity), limit=D(limit) if limit else None, **how)  # type: ignore[arg-type]


def sell(quantity: str, limit: str | None = None, **how: object) -> WorkingOrder:
    return WorkingOrder(side=Side.SELL, quantity=D(quantity), limit=D(limit) if limit else None, **how)  # type: ignore[arg-type]


def candle(low: str, high: str, volume: str = "10") -> Candle:
    return Candle(
        open_time=datetime(2026, 3, 24, tzinfo=UTC),
        open=D(low),
        high=D(high),
        low=D(low),
        close=D(high),
        volume=D(volume),
    )


def test_a_market_buy_pays_the_open_plus_slippage_rounded_up_and_its_fee_in_base() -> None:
    # 70906.45 x 1.0002 = 70920.63129 → 70920.64; fee 0.5 x 0.001
    (fill,) = market_fill(buy("0.5"), OPEN, D("7.81747"), RULES)
    assert (fill.price, fill.quantity, fill.fee, fill.fee_currency, fill.maker) == (
        D("70920.64"),
        D("0.5"),
        D("0.0005"),
        "BTC",
        False,
    )


def test_a_market_sell_gets_the_open_minus_slippage_rounded_down_and_pays_in_quote() -> None:
    # 70906.45 x 0.9998 = 70892.26871 → 70892.26; fee 0.5 x 70892.26 x 0.001
    (fill,) = market_fill(sell("0.5"), OPEN, D("7.81747"), RULES)
    assert (fill.price, fill.fee, fill.fee_currency) == (D("70892.26"), D("35.44613"), "USDT")


def test_takers_get_a_tenth_of_the_previous_volume_in_whole_lots_and_the_rest_expires() -> None:
    arrival = arrive(buy("5"), OPEN, D("7.81747"), RULES)
    assert [fill.quantity for fill in arrival.executions] == [D("0.78174")]
    assert arrival.rest is Rest.EXPIRED


def test_what_takers_had_of_a_candle_is_gone_for_the_next_one() -> None:
    arrival = arrive(buy("5"), OPEN, D("7.81747"), RULES, taken=D("0.78"))
    assert [fill.quantity for fill in arrival.executions] == [D("0.00174")]
    assert arrive(buy("5"), OPEN, D("7.81747"), RULES, taken=D("1")).executions == ()


def test_without_volume_before_it_a_market_order_expires_unfilled() -> None:
    arrival = arrive(sell("1"), OPEN, D(0), RULES)
    assert (arrival.executions, arrival.rest) == ((), Rest.EXPIRED)


@pytest.mark.parametrize(("limit", "fills"), [("70920.63", False), ("70920.64", True), ("80000", True)])
def test_a_limit_buy_takes_only_from_the_takers_price_on_and_never_pays_its_limit_instead(
    limit: str, fills: bool
) -> None:
    arrival = arrive(buy("0.1", limit), OPEN, D("7.8"), RULES)
    assert [fill.price for fill in arrival.executions] == ([D("70920.64")] if fills else [])
    assert arrival.rest is (Rest.NONE if fills else Rest.RESTS)


def test_good_till_cancelled_rests_with_what_the_candle_could_not_give() -> None:
    arrival = arrive(sell("1", "70000"), OPEN, D("5"), RULES)
    assert [fill.quantity for fill in arrival.executions] == [D("0.5")]
    assert arrival.rest is Rest.RESTS


def test_immediate_or_cancel_takes_what_there_is_and_expires() -> None:
    arrival = arrive(sell("1", "70000", time_in_force=TimeInForce.IOC), OPEN, D("5"), RULES)
    assert [fill.quantity for fill in arrival.executions] == [D("0.5")]
    assert arrival.rest is Rest.EXPIRED
    waiting = arrive(sell("1", "90000", time_in_force=TimeInForce.IOC), OPEN, D("5"), RULES)
    assert (waiting.executions, waiting.rest) == ((), Rest.EXPIRED)


@pytest.mark.parametrize(("volume", "filled"), [("9.99999", 0), ("10", 1)])
def test_fill_or_kill_fills_whole_or_not_at_all(volume: str, filled: int) -> None:
    arrival = arrive(buy("1", "80000", time_in_force=TimeInForce.FOK), OPEN, D(volume), RULES)
    assert len(arrival.executions) == filled
    assert arrival.rest is (Rest.NONE if filled else Rest.EXPIRED)


def test_post_only_is_refused_where_it_would_take_and_rests_where_not() -> None:
    assert arrive(buy("1", "70920.64", post_only=True), OPEN, D("5"), RULES).rest is Rest.WOULD_TAKE
    assert arrive(buy("1", "70920.63", post_only=True), OPEN, D("5"), RULES).rest is Rest.RESTS


@pytest.mark.parametrize(
    ("order", "fills"),
    [
        (buy("0.1", "100"), False),  # low 100: a touch
        (buy("0.1", "100.01"), True),
        (sell("0.1", "110"), False),  # high 110: a touch
        (sell("0.1", "109.99"), True),
        (buy("0.1", "500"), True),  # a gap crossed it: it stood in the book at its limit
    ],
)
def test_a_resting_order_fills_at_its_limit_when_crossed_and_not_when_touched(order: WorkingOrder, fills: bool) -> None:
    executions = match_resting(order, candle("100", "110"), D(1), RULES)
    assert [fill.price for fill in executions] == ([order.limit] if fills else [])
    assert all(fill.maker for fill in executions)


def test_resting_orders_divide_a_tenth_of_the_volume_in_order_of_arrival() -> None:
    orders = [buy("0.7", "101"), buy("0.7", "99"), sell("0.7", "105")]
    matched = match_candle(orders, candle("100", "110", volume="10"), RULES)
    assert [[fill.quantity for fill in fills] for fills in matched] == [[D("0.7")], [], [D("0.3")]]


def test_a_fee_is_cut_to_eight_decimals_not_rounded() -> None:
    assert FeeModel(taker_bps=D(10)).fee(D("0.00001999"), maker=False) == D("0.00000001")
    assert FeeModel(maker_bps=D("2.5")).fee(D("100"), maker=True) == D("0.025")


def test_the_models_are_free_to_be_zero() -> None:
    rules = MatchingRules(
        base="A",
        quote="B",
        tick_size=D("0.1"),
        lot_step=D(1),
        slippage=SlippageModel(bps=D(0)),
        fees=FeeModel(taker_bps=D(0)),
    )
    (fill,) = market_fill(buy("3"), D("7.3"), D(1000), rules)
    assert (fill.price, fill.fee) == (D("7.3"), D(0))
    assert taker_price(Side.SELL, D("7.3"), rules) == D("7.3")


def test_nothing_to_match_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="quantity > 0"):
        arrive(buy("0"), OPEN, D(1), RULES)
