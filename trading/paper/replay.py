"""Replay: recorded candles moved to now by whole weeks, and what the venue may show of them at an instant.

Whole weeks keep the hour of the day and the day of the week. The candle in progress shows its open only
(open = high = low = close, volume 0), since its path is the future; it takes its real shape the instant it closes.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import groupby, islice
from typing import Final

from trading.domain.market import TIMEFRAMES, Candle, to_ms
from trading.domain.matching import MatchingRules
from trading.domain.money import EXACT, ZERO
from trading.domain.venue_filters import VenueRules
from trading.errors import ConfigurationError
from trading.paper.candle_files import CandleFile

WEEK_MS: Final = 7 * 86_400 * 1000
_REMEMBERED: Final = 3_000  # candles: two days of minutes


def replay_shift_weeks(first_ms: int, end_ms: int, now_ms: int) -> int:
    """Whole weeks that move the sample so that two thirds of it, as nearly as weeks allow, lie before `now_ms`.

    Raises ConfigurationError where no whole number of weeks puts now inside the sample.
    """
    wanted_ms = first_ms + (end_ms - first_ms) * 2 // 3
    nearest = round((now_ms - wanted_ms) / WEEK_MS)
    inside = [weeks for weeks in (nearest - 1, nearest, nearest + 1) if first_ms <= now_ms - weeks * WEEK_MS < end_ms]
    if not inside:
        days = (end_ms - first_ms) / 86_400_000
        raise ConfigurationError(
            f"the sample's {days:.1f} days cannot be moved to now by whole weeks: give it at least 7 days, or choose "
            "--shift-weeks or --no-shift"
        )
    return min(inside, key=lambda weeks: abs(now_ms - weeks * WEEK_MS - wanted_ms))


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """What the market is at an instant: the candle in progress, as far as it is known, and the volume before it."""

    candle_open_ms: int
    open: Decimal
    previous_volume: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class MarketCandle:
    """One candle of any interval as the venue shows it. `quote_volume` is volume times close, summed over its parts."""

    open_ms: int
    close_ms: int  # the last millisecond that belongs to it, as Binance has it
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal


class Market:
    """One instrument: its rules and its candles in the venue's time."""

    def __init__(self, file: CandleFile, venue_rules: VenueRules, matching_rules: MatchingRules, shift_ms: int) -> None:
        self.venue_rules = venue_rules
        self.matching_rules = matching_rules
        self.timeframe = file.timeframe
        self.timeframe_ms = file.timeframe_ms
        self._file = file
        self._shift_ms = shift_ms
        self.first_ms = file.open_ms[0] + shift_ms
        self.end_ms = file.end_ms + shift_ms
        self._candle: Callable[[int], Candle] = lru_cache(_REMEMBERED)(lambda row: file.candle(row, shift_ms))

    def floor(self, now_ms: int) -> int:
        """The open of the candle that `now_ms` falls into."""
        return now_ms // self.timeframe_ms * self.timeframe_ms

    def quote(self, now_ms: int) -> Quote | None:
        """The candle in progress, or None in a gap, before the sample and after its end."""
        row = self._last_row(now_ms)
        if row is None or self._open_ms(row) != self.floor(now_ms):
            return None
        follows = row > 0 and self._open_ms(row - 1) == self._open_ms(row) - self.timeframe_ms
        previous = self._candle(row - 1).volume if follows else ZERO
        return Quote(candle_open_ms=self._open_ms(row), open=self._candle(row).open, previous_volume=previous)

    def last_price(self, now_ms: int) -> Decimal:
        """The newest price that is known: the open of the candle in progress, or the close of the last one."""
        row = self._last_row(now_ms)
        if row is None:
            return self._candle(0).open
        candle = self._candle(row)
        return candle.close if self._closed(row, now_ms) else candle.open

    def closed_candles(self, from_ms: int, now_ms: int) -> Iterator[Candle]:
        """Candles that open at or after `from_ms` and have closed by `now_ms`, in order."""
        for row in range(self._first_row_from(from_ms), len(self._file.lines)):
            if not self._closed(row, now_ms):
                return
            yield self._candle(row)

    def average_price(self, now_ms: int, minutes: int) -> Decimal:
        """Volume-weighted mean of the closes of the last `minutes`; the last price where nothing traded."""
        candles = list(self.closed_candles(self.floor(now_ms) - minutes * 60_000, now_ms)) if minutes else []
        volume = sum((candle.volume for candle in candles), ZERO)
        if volume == 0:
            return self.last_price(now_ms)
        with localcontext(EXACT):
            return sum((candle.close * candle.volume for candle in candles), ZERO) / volume

    def candles(
        self, interval: str, now_ms: int, *, start_ms: int | None = None, end_ms: int | None = None, limit: int = 500
    ) -> list[MarketCandle]:
        """Candles of `interval` with start_ms <= open <= end_ms: the oldest from a start, or the newest without one."""
        step_ms = TIMEFRAMES[interval] * 1000
        until_ms = now_ms if end_ms is None else min(now_ms, end_ms)
        stop = self._first_row_from((until_ms // step_ms + 1) * step_ms)
        last = self._last_row(now_ms)
        visible = range(0 if last is None else min(stop, last + 1))
        if start_ms is None:
            groups = _grouped(reversed(visible), self, step_ms)
            return [self._aggregated(rows[::-1], step_ms, now_ms) for rows in islice(groups, limit)][::-1]
        first = self._first_row_from(-(-start_ms // step_ms) * step_ms)
        groups = _grouped(visible[first:], self, step_ms)
        return [self._aggregated(rows, step_ms, now_ms) for rows in islice(groups, limit)]

    def bucket_ms(self, row: int, step_ms: int) -> int:
        """The open of the interval that a row falls into."""
        return self._open_ms(row) // step_ms * step_ms

    def _aggregated(self, rows: list[int], step_ms: int, now_ms: int) -> MarketCandle:
        candles = [self._visible(row, now_ms) for row in rows]
        opened = self.bucket_ms(rows[0], step_ms)
        with localcontext(EXACT):
            quote_volume = sum((candle.volume * candle.close for candle in candles), ZERO)
            volume = sum((candle.volume for candle in candles), ZERO)
        return MarketCandle(
            open_ms=opened,
            close_ms=opened + step_ms - 1,
            open=candles[0].open,
            high=max(candle.high for candle in candles),
            low=min(candle.low for candle in candles),
            close=candles[-1].close,
            volume=volume,
            quote_volume=quote_volume,
        )

    def _visible(self, row: int, now_ms: int) -> Candle:
        candle = self._candle(row)
        if self._closed(row, now_ms):
            return candle
        price = candle.open
        return Candle(open_time=candle.open_time, open=price, high=price, low=price, close=price, volume=ZERO)

    def _open_ms(self, row: int) -> int:
        return self._file.open_ms[row] + self._shift_ms

    def _closed(self, row: int, now_ms: int) -> bool:
        return self._open_ms(row) + self.timeframe_ms <= now_ms

    def _first_row_from(self, open_ms: int) -> int:
        return bisect_left(self._file.open_ms, open_ms - self._shift_ms)

    def _last_row(self, now_ms: int) -> int | None:
        row = bisect_right(self._file.open_ms, now_ms - self._shift_ms) - 1
        return row if row >= 0 else None


def _grouped(rows: Iterable[int], market: Market, step_ms: int) -> Iterator[list[int]]:
    for _, group in groupby(rows, key=lambda row: market.bucket_ms(row, step_ms)):
        yield list(group)


def open_ms_of(candle: Candle) -> int:
    """The candle's open as milliseconds."""
    return to_ms(candle.open_time)
