"""The order desk in memory refuses, fills and books as the venue would."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import BTC, MINUTE, T0
from trading.adapters.memory.market import MemoryMarket
from trading.adapters.memory.venue import MemoryVenue
from trading.clock import ManualClock
from trading.domain.ledger import Balance
from trading.domain.market import CandleSeries, to_ms
from trading.domain.order import OrderRequest, OrderType, Side
from trading.domain.venue_order import VenueOrderStatus
from trading.errors import OrderRejected
from trading.ports.market import Venue

START = to_ms(T0)
#: Opens at 100, then falls through 95 and rises through 110; volumes leave 10 and 2 for all our orders together.
ROWS = [
    (START - 60_000, 100.0, 100.0, 100.0, 100.0, 100.0),
    (START, 100.0, 101.0, 95.0, 96.0, 100.0),
    (START + 60_000, 96.0, 110.0, 96.0, 109.0, 20.0),
    (START + 120_000, 109.0, 109.0, 109.0, 109.0, 20.0),
]


class Desk:
    """A venue with its market and clock."""

    def __init__(self, **balances: str) -> None:
        self.clock = ManualClock(T0 + timedelta(seconds=1))
        self.market = MemoryMarket({(BTC.symbol, "1m"): CandleSeries.from_rows(ROWS)}, [BTC], self.clock)
        held = {currency: Decimal(value) for currency, value in (balances or {"USDT": "10000", "BTC": "10"}).items()}
        self.venue = MemoryVenue(self.market, self.clock, held)

    def request(self, name: str = "a", **changes: Any) -> OrderRequest:
        values: dict[str, Any] = {
            "client_order_id": name * 32,
            "instrument": BTC.symbol,
            "side": Side.BUY,
            "order_type": OrderType.MARKET,
            "quantity": Decimal(1),
            "limit_price": None,
            "signed_at": self.clock.now(),
            "recv_window_ms": 2000,
        }
        if "limit_price" in changes:
            values["order_type"] = OrderType.LIMIT
            changes["limit_price"] = Decimal(changes["limit_price"])
        return OrderRequest(**(values | changes))

    def refusal(self, request: OrderRequest) -> str:
        with pytest.raises(OrderRejected) as caught:
            self.venue.submit(request)
        return f"{caught.value.code} {caught.value}"


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    port: Venue = desk.venue
    assert port is desk.venue
    return desk


def test_a_market_buy_fills_at_the_open_with_slippage_and_pays_its_fee_in_base(desk: Desk) -> None:
    """100 plus 2 bps is 100.02; 10 bps of 1 BTC is 0.001 BTC."""
    order = desk.venue.submit(desk.request())
    assert (order.status, order.filled_quantity) == (VenueOrderStatus.FILLED, Decimal(1))
    (fill,) = desk.venue.fills(BTC.symbol, since=T0, until=T0 + MINUTE)
    assert (fill.price, fill.quantity, fill.fee, fill.fee_currency) == (
        Decimal("100.02"),
        Decimal(1),
        Decimal("0.001"),
        "BTC",
    )
    assert (fill.venue_order_id, fill.client_order_id, fill.is_maker) == (order.venue_order_id, "", False)
    assert fill.filled_at == desk.clock.now()
    assert desk.venue.balances() == {
        "USDT": Balance(free=Decimal("9899.98"), locked=Decimal(0)),
        "BTC": Balance(free=Decimal("10.999"), locked=Decimal(0)),
    }


def test_all_takers_of_a_candle_share_its_share_of_the_volume_and_a_new_candle_has_its_own() -> None:
    """10 % of 100: 8 for the first, 2 of 3 for the second, nothing for the third; then 10 again."""
    desk = Desk(BTC="50")
    sales = [("a", 8), ("b", 3), ("c", 1)]
    answers = [desk.venue.submit(desk.request(name, side=Side.SELL, quantity=Decimal(q))) for name, q in sales]
    assert [one.filled_quantity for one in answers] == [8, 2, 0]
    assert [one.status for one in answers] == [
        VenueOrderStatus.FILLED,
        VenueOrderStatus.EXPIRED,
        VenueOrderStatus.EXPIRED,
    ]
    desk.clock.advance(60)
    assert desk.venue.submit(desk.request("d", side=Side.SELL, quantity=Decimal(9))).filled_quantity == 9


def test_a_market_order_larger_than_the_share_is_filled_in_part_and_expires() -> None:
    desk = Desk(BTC="50")
    order = desk.venue.submit(desk.request(side=Side.SELL, quantity=Decimal(12)))
    assert (order.status, order.filled_quantity) == (VenueOrderStatus.EXPIRED, Decimal(10))
    assert desk.venue.balances()["BTC"] == Balance(free=Decimal(40), locked=Decimal(0))


@pytest.mark.parametrize(
    ("delay_s", "code"), [(2.0, None), (2.001, "-1021"), (-1.0, None), (-1.001, "-1021"), (3600, "-1021")]
)
def test_the_window_is_checked_by_the_venues_clock_at_the_call(desk: Desk, delay_s: float, code: str | None) -> None:
    request = desk.request(signed_at=desk.clock.now() - timedelta(seconds=delay_s))
    if code is None:
        assert desk.venue.submit(request).status is VenueOrderStatus.FILLED
    else:
        assert desk.refusal(request).startswith(code)
        assert desk.venue.orders() == []


def test_an_id_that_is_open_is_refused_and_a_used_one_is_taken_again(desk: Desk) -> None:
    first = desk.venue.submit(desk.request(limit_price="90"))
    assert desk.refusal(desk.request()) == "-2010 Duplicate order sent."
    desk.venue.cancel(BTC.symbol, first.client_order_id)
    again = desk.venue.submit(desk.request())
    assert (again.client_order_id, again.status) == (first.client_order_id, VenueOrderStatus.FILLED)
    assert again.venue_order_id != first.venue_order_id
    assert desk.venue.order(BTC.symbol, first.client_order_id) == again


def test_every_post_is_logged_with_what_became_of_it(desk: Desk) -> None:
    good, bad = desk.request("a"), desk.request("b", quantity=Decimal("0.000001"))
    desk.venue.submit(good)
    desk.refusal(bad)
    assert [(post.client_order_id, post.request, post.accepted, post.code) for post in desk.venue.posts] == [
        ("a" * 32, good, True, ""),
        ("b" * 32, bad, False, "-1013"),
    ]


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"quantity": Decimal("1.000001")}, "-1013 Filter failure: LOT_SIZE"),
        ({"quantity": Decimal(9001)}, "-1013 Filter failure: LOT_SIZE"),
        ({"quantity": Decimal("0.01")}, "-1013 Filter failure: NOTIONAL"),
        ({"limit_price": "90.001"}, "-1013 Filter failure: PRICE_FILTER"),
        ({"quantity": Decimal(200)}, "-2010 Account has insufficient balance for requested action."),
        ({"quantity": Decimal(11), "side": Side.SELL}, "-2010 Account has insufficient balance for requested action."),
    ],
)
def test_what_the_venue_would_refuse_is_refused(desk: Desk, changes: dict[str, Any], refusal: str) -> None:
    before = desk.venue.balances()
    assert desk.refusal(desk.request(**changes)) == refusal
    assert desk.venue.balances() == before


def test_an_instrument_that_does_not_trade_and_a_gap_are_a_closed_market(desk: Desk) -> None:
    desk.clock.advance(3600)
    assert desk.refusal(desk.request()) == "-2010 Market is closed."


def test_a_limit_order_locks_rests_and_fills_as_maker_when_its_candle_closes(desk: Desk) -> None:
    """The candle falls to 95: a buy at 96 was crossed, one at 95 only touched."""
    crossed = desk.venue.submit(desk.request("a", limit_price="96"))
    touched = desk.venue.submit(desk.request("b", limit_price="95"))
    assert desk.venue.balances()["USDT"] == Balance(free=Decimal(9809), locked=Decimal(191))
    assert [order.status for order in desk.venue.open_orders()] == [VenueOrderStatus.OPEN] * 2
    desk.clock.advance(59)
    assert [order.client_order_id for order in desk.venue.open_orders()] == [touched.client_order_id]
    filled = desk.venue.order(BTC.symbol, crossed.client_order_id)
    assert filled is not None
    assert filled.status is VenueOrderStatus.FILLED
    (fill,) = desk.venue.fills(BTC.symbol, since=T0, until=T0 + 2 * MINUTE)
    assert (fill.price, fill.is_maker, fill.filled_at) == (Decimal(96), True, T0 + MINUTE)
    assert desk.venue.balances()["USDT"] == Balance(free=Decimal(9809), locked=Decimal(95))


def test_a_cancel_frees_what_was_locked_and_only_what_is_open_can_be_cancelled(desk: Desk) -> None:
    before = desk.venue.balances()
    order = desk.venue.submit(desk.request(limit_price="90"))
    desk.venue.cancel(BTC.symbol, order.client_order_id)
    assert desk.venue.balances() == before
    canceled = desk.venue.order(BTC.symbol, order.client_order_id)
    assert canceled == replace(order, status=VenueOrderStatus.CANCELED)
    for name in (order.client_order_id, "f" * 32):
        with pytest.raises(OrderRejected) as caught:
            desk.venue.cancel(BTC.symbol, name)
        assert caught.value.code == "-2011"


def test_a_resting_order_fills_over_several_candles_within_their_shares() -> None:
    """A sell of 3 at 105 arrives in the second candle, which leaves 2; the third leaves 1."""
    desk = Desk(BTC="3")
    desk.clock.advance(60)
    order = desk.venue.submit(desk.request(side=Side.SELL, quantity=Decimal(3), limit_price="105"))
    desk.clock.advance(59)
    partly = desk.venue.order(BTC.symbol, order.client_order_id)
    assert partly is not None
    assert (partly.status, partly.filled_quantity) == (VenueOrderStatus.PARTIALLY_FILLED, Decimal(2))
    assert desk.venue.balances()["BTC"] == Balance(free=Decimal(0), locked=Decimal(1))
    desk.clock.advance(60)
    whole = desk.venue.order(BTC.symbol, order.client_order_id)
    assert whole is not None
    assert whole.status is VenueOrderStatus.FILLED
    assert set(desk.venue.balances()) == {"USDT"}


def test_fills_are_read_by_a_half_open_window(desk: Desk) -> None:
    desk.venue.submit(desk.request())
    now = desk.clock.now()
    assert len(desk.venue.fills(BTC.symbol, since=now, until=now + MINUTE)) == 1
    assert desk.venue.fills(BTC.symbol, since=T0, until=now) == []
    assert desk.venue.fills("ETH/USDT", since=T0, until=now + MINUTE) == []


orders = st.tuples(
    st.sampled_from(Side), st.sampled_from([None, "94", "97", "100.02", "105"]), st.integers(1, 6), st.integers(0, 40)
)


@settings(deadline=None)
@given(st.lists(orders, max_size=8))
def test_balances_change_by_exactly_what_the_fills_say_and_nothing_stays_locked(
    history: list[tuple[Side, str | None, int, int]],
) -> None:
    desk = Desk(USDT="10000", BTC="50")
    for number, (side, limit, quantity, seconds) in enumerate(history):
        changes: dict[str, Any] = {"side": side, "quantity": Decimal(quantity)}
        if limit is not None:
            changes["limit_price"] = limit
        with suppress(OrderRejected):
            desk.venue.submit(desk.request(f"{number:x}", **changes))
        desk.clock.advance(seconds)
    for order in desk.venue.open_orders():
        desk.venue.cancel(order.instrument, order.client_order_id)
    expected = {"USDT": Decimal(10000), "BTC": Decimal(50)}
    for fill in desk.venue.fills(BTC.symbol, since=T0, until=T0 + 60 * MINUTE):
        expected["BTC"] += fill.side.sign * fill.quantity
        expected["USDT"] -= fill.side.sign * fill.quantity * fill.price
        expected[fill.fee_currency] -= fill.fee
    held = desk.venue.balances()
    assert {currency: balance.free for currency, balance in held.items()} == expected
    assert all(balance.locked == 0 for balance in held.values())
