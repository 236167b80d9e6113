"""What holds for every order and every candle."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from trading.domain.market import Candle
from trading.domain.matching import MatchingRules, Rest, TimeInForce, WorkingOrder, arrive, match_candle, taker_price
from trading.domain.money import on_step
from trading.domain.order import Side

TICK, LOT = Decimal("0.01"), Decimal("0.001")
RULES = MatchingRules(base="SOL", quote="USDT", tick_size=TICK, lot_step=LOT)

prices = st.integers(1, 10_000_000).map(lambda ticks: ticks * TICK)
quantities = st.integers(1, 100_000_000).map(lambda lots: lots * LOT)
volumes = st.decimals(min_value=0, max_value=10**7, places=5, allow_nan=False, allow_infinity=False)
orders = st.builds(
    WorkingOrder,
    side=st.sampled_from(Side),
    quantity=quantities,
    limit=st.none() | prices,
    time_in_force=st.sampled_from(TimeInForce),
    post_only=st.booleans(),
)


@st.composite
def candles(draw: st.DrawFn) -> Candle:
    low, first, close, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    return Candle(
        open_time=datetime(2026, 1, 1, tzinfo=UTC), open=first, high=high, low=low, close=close, volume=draw(volumes)
    )


@given(order=orders, candle_open=prices, volume=volumes, taken=volumes)
def test_an_arrival_never_fills_beyond_its_quantity_its_limit_its_lots_or_the_share(
    order: WorkingOrder, candle_open: Decimal, volume: Decimal, taken: Decimal
) -> None:
    arrival = arrive(order, candle_open, volume, RULES, taken)
    filled = sum((fill.quantity for fill in arrival.executions), Decimal(0))
    assert filled <= min(order.quantity, max(Decimal(0), volume / 10 - taken))
    assert (filled == order.quantity) == (arrival.rest is Rest.NONE)
    assert order.limit is not None or arrival.rest is not Rest.RESTS
    for fill in arrival.executions:
        assert fill.quantity > 0
        assert on_step(fill.price, TICK)
        worse = order.limit is not None and (fill.price - order.limit) * order.side.sign > 0
        assert not worse
        assert not fill.maker
    if order.limit is not None and order.time_in_force is TimeInForce.FOK:
        assert filled in (0, order.quantity)
    if order.post_only:
        assert filled == 0


@given(candle_open=prices)
def test_a_taker_never_does_better_than_the_open(candle_open: Decimal) -> None:
    ask = taker_price(Side.BUY, candle_open, RULES)
    bid = taker_price(Side.SELL, candle_open, RULES)
    assert 0 < bid <= candle_open <= ask


@given(book=st.lists(orders.filter(lambda order: order.limit is not None), max_size=6), candle=candles())
def test_resting_orders_fill_at_their_limit_inside_the_candle_and_within_its_share(
    book: list[WorkingOrder], candle: Candle
) -> None:
    matched = match_candle(book, candle, RULES)
    total = Decimal(0)
    for order, fills in zip(book, matched, strict=True):
        for fill in fills:
            assert order.limit is not None
            assert fill.price == order.limit
            assert fill.quantity <= order.quantity
            assert candle.low < order.limit if order.side is Side.BUY else candle.high > order.limit
            assert (
                fill.fee == (fill.quantity if order.side is Side.BUY else fill.notional) // Decimal("0.00001") / 10**8
            )
            total += fill.quantity
    assert total <= candle.volume / 10
