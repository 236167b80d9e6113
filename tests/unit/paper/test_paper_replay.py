"""What the replay shows at an instant, and how far it moves the sample."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.matching import MatchingRules
from trading.domain.venue_filters import VenueRules
from trading.errors import ConfigurationError
from trading.paper.candle_files import read_candle_file
from trading.paper.replay import WEEK_MS, Market, MarketCandle, replay_shift_weeks

D = Decimal
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
ROWS = [
    (0, "10", "12", "9", "11", "5"),
    (1, "11", "11", "8", "9", "3"),
    (2, "9", "10", "9", "10", "2"),
    (5, "10", "20", "10", "15", "1"),
]


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """Minutes 0, 1, 2 and 5 of an hour, moved by one week."""
    lines = [",".join((str(HOUR_MS + minute * 60_000), *values)) for minute, *values in ROWS]
    path = tmp_path / "BTC-USDT_1m.csv"
    path.write_text("\n".join(["timestamp_ms,open,high,low,close,volume", *lines]), encoding="utf-8")
    rules = VenueRules(symbol="BTCUSDT", base="BTC", quote="USDT", trading=True, order_types=("MARKET",))
    grid = MatchingRules(base="BTC", quote="USDT", tick_size=D("0.01"), lot_step=D("0.01"))
    return Market(read_candle_file(path), rules, grid, WEEK_MS)


def at(minute: float) -> int:
    return int(WEEK_MS + HOUR_MS + minute * 60_000)


def shape(candle: MarketCandle) -> tuple[float, ...]:
    return tuple(float(value) for value in (candle.open, candle.high, candle.low, candle.close, candle.volume))


def test_the_candle_in_progress_shows_its_open_only_until_the_instant_it_closes(market: Market) -> None:
    (before,) = market.candles("1m", at(1) - 1, limit=1)
    assert (before.open_ms, shape(before)) == (at(0), (10, 10, 10, 10, 0))
    closed, opened = market.candles("1m", at(1))
    assert shape(closed) == (10, 12, 9, 11, 5)
    assert shape(opened) == (11, 11, 11, 11, 0)


def test_nothing_that_is_shown_changes_when_the_future_does(market: Market, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    lines = [f"{HOUR_MS},10,12,9,11,5", f"{HOUR_MS + 60_000},11,999,1,500,77"]
    path = other / "BTC-USDT_1m.csv"
    path.write_text("\n".join(["timestamp_ms,open,high,low,close,volume", *lines]), encoding="utf-8")
    changed = Market(read_candle_file(path), market.venue_rules, market.matching_rules, WEEK_MS)
    now_ms = at(1.9)
    for interval in ("1m", "5m", "1h"):
        assert market.candles(interval, now_ms) == changed.candles(interval, now_ms)
    assert market.quote(now_ms) == changed.quote(now_ms)
    assert market.last_price(now_ms) == changed.last_price(now_ms)


def test_coarser_candles_are_aggregated_from_the_minutes_that_are_known(market: Market) -> None:
    (five,) = market.candles("5m", at(2.5), limit=1)
    # minutes 0 and 1 are closed, minute 2 shows its open of 9
    assert (five.open_ms, five.close_ms, shape(five)) == (at(0), at(5) - 1, (10, 12, 8, 9, 8))
    first, second = market.candles("5m", at(7))
    assert shape(first) == (10, 12, 8, 10, 10)
    assert shape(second) == (10, 20, 10, 15, 1)


def test_a_gap_has_no_candle_no_quote_and_the_last_close_as_price(market: Market) -> None:
    assert market.quote(at(3.5)) is None
    assert market.last_price(at(3.5)) == D(10)
    assert [candle.open_ms for candle in market.candles("1m", at(9))] == [at(minute) for minute in (0, 1, 2, 5)]


def test_the_volume_before_the_candle_in_progress_is_none_after_a_gap(market: Market) -> None:
    quote = market.quote(at(1.5))
    assert quote is not None
    assert (quote.candle_open_ms, quote.open, quote.previous_volume) == (at(1), D(11), D(5))
    after_gap = market.quote(at(5.5))
    assert after_gap is not None
    assert after_gap.previous_volume == 0


def test_windows_select_by_open_time_as_the_real_venue_does(market: Market) -> None:
    def opens(**window: int) -> list[int]:
        return [(candle.open_ms - at(0)) // 60_000 for candle in market.candles("1m", at(9), **window)]

    assert opens(start_ms=at(1)) == [1, 2, 5]
    assert opens(start_ms=at(1) + 1) == [2, 5]
    assert opens(start_ms=at(0), limit=2) == [0, 1]
    assert opens(limit=2) == [2, 5]
    assert opens(end_ms=at(2), limit=2) == [1, 2]
    assert opens(start_ms=at(1), end_ms=at(5) - 1) == [1, 2]
    assert opens(start_ms=at(3), limit=1) == [5]  # a page after a gap jumps forward
    assert opens(start_ms=at(10)) == []
    assert market.candles("1m", at(-1)) == []


def test_the_average_price_weighs_closes_by_volume(market: Market) -> None:
    # (11 x 5 + 9 x 3 + 10 x 2) / 10
    assert market.average_price(at(3), 5) == D("10.2")
    assert market.average_price(at(3), 1) == D(10)
    assert market.average_price(at(3), 0) == D(10)
    assert market.average_price(at(0.5), 5) == D(10)  # nothing has closed: the open


def test_thirty_days_are_moved_so_that_about_twenty_lie_before_now() -> None:
    first_ms, end_ms = 1774267740000, 1774267740000 + 43_199 * 60_000
    now_ms = 1795420800000
    weeks = replay_shift_weeks(first_ms, end_ms, now_ms)
    before_days = (now_ms - first_ms - weeks * WEEK_MS) / DAY_MS
    assert 16.5 <= before_days <= 23.5


@given(length_days=st.integers(7, 400), now_ms=st.integers(0, 10**13), first_ms=st.integers(0, 10**13))
def test_from_a_week_on_a_sample_always_reaches_now(length_days: int, now_ms: int, first_ms: int) -> None:
    end_ms = first_ms + length_days * DAY_MS
    shift_ms = replay_shift_weeks(first_ms, end_ms, now_ms) * WEEK_MS
    assert first_ms + shift_ms <= now_ms < end_ms + shift_ms


def test_a_sample_too_short_for_whole_weeks_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"2\.0 days .* at least 7 days.*--shift-weeks"):
        replay_shift_weeks(0, 2 * DAY_MS, 5 * DAY_MS)
