"""The market in memory shows what a clock allows and not a digit more."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.examples import BTC, MINUTE, T0
from trading.adapters.memory.market import MemoryMarket, OpenCandle
from trading.clock import ManualClock
from trading.domain.market import CandleSeries, to_ms
from trading.errors import ConfigurationError, DataError, ExchangeUnavailable
from trading.ports.market import BestPrices, MarketData

START = to_ms(T0)
SERIES = CandleSeries.from_rows(
    [
        (START, 100.0, 110.0, 90.0, 105.0, 10.0),
        (START + 60_000, 105.0, 120.0, 95.0, 115.0, 20.0),
        (START + 180_000, 115.0, 130.0, 100.0, 120.0, 30.0),  # a gap before it
    ]
)


def market(seconds: float) -> MemoryMarket:
    clock = ManualClock(T0 + timedelta(seconds=seconds))
    return MemoryMarket({(BTC.symbol, "1m"): SERIES}, [BTC], clock)


def seen(at: MemoryMarket, since_ms: int = 0, until_ms: int = 1 << 60) -> CandleSeries:
    return at.candles(BTC.symbol, "1m", since_ms=since_ms, until_ms=until_ms)


def test_it_is_market_data() -> None:
    """The type says so, and mypy with it."""
    data: MarketData = market(7)
    assert data.server_time() == T0 + timedelta(seconds=7)


def test_the_candle_in_progress_shows_its_open_only() -> None:
    series = seen(market(90))
    assert series.open_ms.tolist() == [START, START + 60_000]
    assert series.high.tolist() == [110.0, 105.0]
    assert (series.low[-1], series.close[-1], series.volume[-1]) == (105.0, 105.0, 0.0)


def test_a_candle_closes_the_instant_that_the_clock_passes_its_close_and_stays_whole() -> None:
    assert seen(market(119.999)).close.tolist() == [105.0, 105.0]
    assert seen(market(120)).close.tolist() == [105.0, 115.0]
    assert SERIES.close.tolist() == [105.0, 115.0, 120.0]


def test_nothing_is_seen_before_it_begins_nor_outside_the_window() -> None:
    assert len(seen(market(-1))) == 0
    assert seen(market(999), since_ms=START + 1, until_ms=START + 180_000).open_ms.tolist() == [START + 60_000]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'DOGE/USDT': expected one of BTC/USDT"):
        market(0).instruments(["DOGE/USDT"])
    with pytest.raises(DataError, match="1h candles"):
        market(0).candles(BTC.symbol, "1h", since_ms=0, until_ms=1)


def test_the_open_candle_knows_the_volume_of_the_closed_one_before_it() -> None:
    assert market(60).open_candle(BTC.symbol) == OpenCandle(START + 60_000, Decimal(105), Decimal(10))
    assert market(0).open_candle(BTC.symbol) == OpenCandle(START, Decimal(100), Decimal(0))
    assert market(180).open_candle(BTC.symbol) == OpenCandle(START + 180_000, Decimal(115), Decimal(0))


@pytest.mark.parametrize("seconds", [-1, 120, 179, 240])
def test_in_a_gap_and_outside_the_sample_there_is_no_price(seconds: float) -> None:
    assert market(seconds).open_candle(BTC.symbol) is None
    with pytest.raises(ExchangeUnavailable):
        market(seconds).best_prices([BTC.symbol])


def test_bid_and_ask_stand_two_bps_around_the_open() -> None:
    assert market(30).best_prices([BTC.symbol]) == {BTC.symbol: BestPrices(bid=Decimal("99.98"), ask=Decimal("100.02"))}


def test_closed_candles_come_in_order_with_their_closes() -> None:
    closed = list(market(200).closed_candles(BTC.symbol, START))
    assert [(at, candle.open_time, candle.close) for at, candle in closed] == [
        (T0 + MINUTE, T0, Decimal(105)),
        (T0 + 2 * MINUTE, T0 + MINUTE, Decimal(115)),
    ]
