"""The adapter against the paper exchange, over real HTTP: two programs that share no wire code must agree."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from paper_exchange import API_KEY, API_SECRET, RunningExchange, running_exchange

from trading.adapters.ccxt_exchange import CcxtExchange
from trading.domain.market import to_ms
from trading.domain.order import OrderRequest, OrderType, Side
from trading.domain.venue_order import VenueOrderStatus
from trading.errors import ConfigurationError, OrderRejected, OutcomeUnknown
from trading.ports.market import MarketData, Venue

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[RunningExchange]:
    with running_exchange(tmp_path) as running:
        yield running


@pytest.fixture
def exchange(paper: RunningExchange) -> CcxtExchange:
    return CcxtExchange("binance", clock=paper.clock, base_url=paper.url, api_key=API_KEY, api_secret=API_SECRET)


def request(paper: RunningExchange, number: int = 1, **changes: object) -> OrderRequest:
    """A market buy of 0.01 BTC, signed now."""
    buy = OrderRequest(
        client_order_id=f"{number:032x}",
        instrument="BTC/USDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.01"),
        limit_price=None,
        signed_at=paper.clock.now(),
        recv_window_ms=2_000,
    )
    return replace(buy, **changes)  # type: ignore[arg-type]


def resting(paper: RunningExchange, exchange: CcxtExchange, number: int = 1) -> OrderRequest:
    """A limit buy a tenth below the bid."""
    bid = exchange.best_prices(["BTC/USDT"])["BTC/USDT"].bid
    price = (bid * Decimal("0.9")).quantize(Decimal("0.01"))
    return request(paper, number, order_type=OrderType.LIMIT, limit_price=price)


def test_it_is_market_data_and_a_venue(exchange: CcxtExchange) -> None:
    """The types say so, and mypy with them."""
    market_data: MarketData = exchange
    venue: Venue = exchange
    assert market_data is venue


def test_market_data(paper: RunningExchange, exchange: CcxtExchange) -> None:
    """Time, instruments, candles over several pages and prices; the last candle is the one in progress."""
    paper.clock.advance(2 * 86_400)
    assert exchange.server_time() == paper.clock.now()
    assert [instrument.symbol for instrument in exchange.instruments(SYMBOLS)] == list(SYMBOLS)
    until_ms = to_ms(paper.clock.now())
    series = exchange.candles("ETH/USDT", "1m", since_ms=until_ms - 2_500 * 60_000, until_ms=until_ms)
    assert len(series) == 2_500
    assert set((series.open_ms[1:] - series.open_ms[:-1]).tolist()) == {60_000}
    assert series.open_ms[-1] + 60_000 > until_ms
    prices = exchange.best_prices(SYMBOLS)
    assert prices.keys() == set(SYMBOLS)
    with pytest.raises(ConfigurationError, match="does not list NOPE/USDT"):
        exchange.instruments(["BTC/USDT", "NOPE/USDT"])


def test_a_market_order_from_submit_to_balances(paper: RunningExchange, exchange: CcxtExchange) -> None:
    """The order, its fills and the balances agree with one another and with the exchange's book, to the last digit."""
    sent = request(paper)
    order = exchange.submit(sent)
    assert (order.status, order.filled_quantity) == (VenueOrderStatus.FILLED, Decimal("0.01"))
    assert exchange.order("BTC/USDT", sent.client_order_id) == order
    now = paper.clock.now()
    fills = exchange.fills("BTC/USDT", since=now - timedelta(days=2), until=now + timedelta(seconds=1))
    assert {fill.venue_order_id for fill in fills} == {order.venue_order_id}
    assert sum(fill.quantity for fill in fills) == order.filled_quantity
    cost = sum(fill.price * fill.quantity for fill in fills)
    fees = sum(fill.fee for fill in fills)
    held = exchange.balances()
    assert {fill.fee_currency for fill in fills} == {"BTC"}
    assert (held["BTC"].total, held["USDT"].total) == (Decimal("0.01") - fees, Decimal(100_000) - cost)
    booked = paper.rows("SELECT asset, free, locked FROM balances")
    assert {row["asset"]: Decimal(row["free"]) + Decimal(row["locked"]) for row in booked} == {
        currency: balance.total for currency, balance in held.items()
    }
    assert exchange.fills("BTC/USDT", since=now + timedelta(milliseconds=1), until=now + timedelta(days=3)) == []


def test_a_limit_order_rests_and_is_cancelled(paper: RunningExchange, exchange: CcxtExchange) -> None:
    """It is open, locks its funds, is cancelled once, and the second cancel finds nothing."""
    sent = resting(paper, exchange)
    assert exchange.submit(sent).status is VenueOrderStatus.OPEN
    assert [order.client_order_id for order in exchange.open_orders()] == [sent.client_order_id]
    assert sent.limit_price is not None
    assert exchange.balances()["USDT"].locked == sent.limit_price * sent.quantity
    exchange.cancel("BTC/USDT", sent.client_order_id)
    found = exchange.order("BTC/USDT", sent.client_order_id)
    assert found is not None
    assert (found.status, found.client_order_id) == (VenueOrderStatus.CANCELED, sent.client_order_id)
    assert exchange.open_orders() == []
    with pytest.raises(OrderRejected) as caught:
        exchange.cancel("BTC/USDT", sent.client_order_id)
    assert caught.value.code == "-2011"
    assert exchange.order("BTC/USDT", "f" * 32) is None


def test_a_duplicate_of_an_open_order_is_unknown_not_rejected(paper: RunningExchange, exchange: CcxtExchange) -> None:
    """The venue's refusal proves that an order of this id exists."""
    sent = resting(paper, exchange)
    exchange.submit(sent)
    with pytest.raises(OutcomeUnknown, match="Duplicate order sent"):
        exchange.submit(sent)
    assert len(exchange.open_orders()) == 1


def test_refusals(paper: RunningExchange, exchange: CcxtExchange) -> None:
    """Too late, without funds, below the minimum, with a wrong secret: each a definite no with the venue's code."""
    wrong = CcxtExchange("binance", clock=paper.clock, base_url=paper.url, api_key=API_KEY, api_secret="x")
    late = request(paper, signed_at=paper.clock.now() - timedelta(milliseconds=2_001))
    cases = [
        (exchange, late, "-1021"),
        (
            exchange,
            request(paper, quantity=Decimal(9), order_type=OrderType.LIMIT, limit_price=Decimal(60_000)),
            "-2010",
        ),
        (exchange, request(paper, quantity=Decimal("0.00001")), "-1013"),
        (wrong, request(paper), "-1022"),
    ]
    for venue, sent, code in cases:
        with pytest.raises(OrderRejected) as caught:
            venue.submit(sent)
        assert caught.value.code == code
    posts = paper.rows("SELECT count(*) AS posts FROM request_log WHERE method = 'POST'")
    assert posts == [{"posts": len(cases)}]
    assert paper.rows("SELECT * FROM orders") == []


def test_the_past_is_told_order_by_order_whoever_made_them(paper: RunningExchange, exchange: CcxtExchange) -> None:
    """Filled, resting, cancelled and by hand, over two days, each once; another instrument's are not among them."""
    since = paper.clock.now()
    exchange.submit(request(paper))
    rests = resting(paper, exchange, 2)
    exchange.submit(rests)
    paper.ccxt().create_order("BTC/USDT", "market", "buy", 0.012, params={"newClientOrderId": "by-hand"})
    paper.ccxt().create_order("ETH/USDT", "market", "buy", 1)
    paper.clock.advance(30 * 3600)
    exchange.cancel("BTC/USDT", rests.client_order_id)
    exchange.submit(request(paper, 3))
    until = paper.clock.now() + timedelta(seconds=1)
    told = exchange.order_history("BTC/USDT", since=since, until=until)
    names = [f"{1:032x}", f"{2:032x}", "by-hand", f"{3:032x}"]
    assert [order.client_order_id for order in told] == names
    filled = VenueOrderStatus.FILLED
    assert [order.status for order in told] == [filled, VenueOrderStatus.CANCELED, filled, filled]
    assert exchange.order_history("BTC/USDT", since=since + timedelta(hours=30), until=until) == told[3:]
    assert exchange.order_history("BTC/USDT", since=since - timedelta(days=3), until=since) == []
