"""Market data through the adapter: explicit windows, the venue's filters, and one sentence for what has no shape."""

from decimal import Decimal

import numpy as np
import pytest
from ccxt_examples import NOW, exchange_at
from scripted_venue import ScriptedVenue, answer, error

from trading.domain.market import to_ms
from trading.errors import (
    ConfigurationError,
    DataError,
)

pytestmark = pytest.mark.usefixtures("no_backoff")


def candle(open_ms: int, close: str = "1.5") -> list[object]:
    return [open_ms, "1", "2", "0.5", close, "10", open_ms + 59_999, "15", 3, "5", "7", "0"]


def test_candles_are_asked_for_in_explicit_windows(venue: ScriptedVenue) -> None:
    """A page has an end of its own, so that a gap cannot make it jump; what was not asked for is left out.

    Rows that contradict each other are left as they came: whoever stores them refuses both.
    """
    since = to_ms(NOW) // 60_000 * 60_000
    until = since + 1_500 * 60_000
    venue.will(
        answer([candle(since), candle(since + 60_000, "1.6"), candle(since + 60_000, "1.7"), candle(until)]),
        answer([candle(since + 1_200 * 60_000)]),
    )
    series = exchange_at(venue).candles("BTC/USDT", "1m", since_ms=since, until_ms=until)
    assert series.open_ms.tolist() == [since, since + 60_000, since + 60_000, since + 1_200 * 60_000]
    assert series.close.tolist() == [1.5, 1.6, 1.7, 1.5]
    assert series.close.dtype == np.float64
    windows = [(int(r.parameters["startTime"]), int(r.parameters["endTime"])) for r in venue.arrived]
    assert windows == [(since, since + 60_000_000 - 1), (since + 60_000_000, until - 1)]


@pytest.mark.parametrize(
    "page",
    [
        {},
        [[1, "2"]],
        [["x", *["1"] * 5]],
        [[1, None, "1", "1", "1", "1"]],
        [7],
        [[2**63, *["1"] * 5]],
        [[1.5, *["1"] * 5]],
        [[True, *["1"] * 5]],
        [[0, *["1"] * 5]] * 1_001,
    ],
)
def test_candles_of_another_shape_stop_the_instrument(venue: ScriptedVenue, page: object) -> None:
    """One sentence that names it, and no traceback of a parser."""
    venue.will(answer(page))
    with pytest.raises(DataError, match="candles of BTC/USDT"):
        exchange_at(venue).candles("BTC/USDT", "1m", since_ms=0, until_ms=60_000)


LISTED = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "orderTypes": ["LIMIT", "MARKET"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000", "stepSize": "0.00001"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0", "maxQty": "84.5", "stepSize": "0"},
        {"filterType": "NOTIONAL", "minNotional": "5", "applyMinToMarket": True, "maxNotional": "9000000"},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "4",
            "askMultiplierDown": "0.1",
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ],
}


def test_an_instrument_carries_the_venues_filters(venue: ScriptedVenue) -> None:
    """In one call; of limits that differ by side the tighter counts; a step of 0 is unset."""
    venue.will(answer({"symbols": [LISTED]}))
    (btc,) = exchange_at(venue).instruments(["BTC/USDT"])
    assert (btc.venue_symbol, btc.tick_size, btc.lot_step) == ("BTCUSDT", Decimal("0.01"), Decimal("0.00001"))
    assert (btc.market_lot_step, btc.market_max_quantity) == (0, Decimal("84.5"))
    assert (btc.price_multiplier_up, btc.price_multiplier_down) == (4, Decimal("0.2"))
    assert (btc.min_notional, btc.max_open_orders, btc.trading) == (5, 200, True)
    assert [request.parameters for request in venue.arrived] == [{"symbols": '["BTCUSDT"]'}]


def test_an_unknown_instrument_is_named(venue: ScriptedVenue) -> None:
    """The venue refuses the list as a whole; the message says which of them it was."""
    venue.will(error(-1121, "Invalid symbol."), answer({"symbols": [LISTED]}), error(-1121, "Invalid symbol."))
    with pytest.raises(ConfigurationError, match="binance does not list NOPE/USDT:"):
        exchange_at(venue).instruments(["BTC/USDT", "NOPE/USDT"])


def test_an_empty_book_has_no_best_price(venue: ScriptedVenue) -> None:
    """A price of zero is the venue's way of saying that there is none."""
    row = {"symbol": "BTCUSDT", "bidPrice": "60000.00", "askPrice": "60000.01"}
    venue.will(answer([row]), answer([{**row, "bidPrice": "0.00000000"}]), answer([]))
    exchange = exchange_at(venue)
    assert exchange.best_prices(["BTC/USDT"])["BTC/USDT"].ask == Decimal("60000.01")
    for _ in range(2):
        with pytest.raises(DataError, match="best prices"):
            exchange.best_prices(["BTC/USDT"])
