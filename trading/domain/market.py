"""What is traded and what was seen of it: instruments, timeframes, candles."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trading.errors import ConfigurationError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

#: Seconds of each timeframe that this project knows.
TIMEFRAMES: Final[dict[str, int]] = {
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "2h": 7_200,
    "4h": 14_400,
    "6h": 21_600,
    "8h": 28_800,
    "12h": 43_200,
    "1d": 86_400,
}


def timeframe_s(timeframe: str) -> int:
    """Seconds of `timeframe`. Raises ConfigurationError naming the ones that exist."""
    try:
        return TIMEFRAMES[timeframe]
    except KeyError:
        raise ConfigurationError(f"unknown timeframe {timeframe!r}: expected one of {', '.join(TIMEFRAMES)}") from None


def candles_per_year(timeframe: str) -> float:
    """Candles in a year of 365 days, without a pause: what figures a year are scaled by."""
    return 365 * 86_400 / timeframe_s(timeframe)


def to_ms(instant: datetime) -> int:
    """Milliseconds since 1970 of an aware instant."""
    if instant.tzinfo is None:
        raise ValueError(f"expected an aware datetime, got the naive {instant!r}")
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """The instant, aware UTC, of milliseconds since 1970."""
    return _EPOCH + timedelta(milliseconds=int(milliseconds))


def floor_to_timeframe(instant: datetime, timeframe: str) -> datetime:
    """The newest open (which is also the newest close) on the timeframe's grid that is ≤ `instant`."""
    step_ms = timeframe_s(timeframe) * 1000
    return from_ms(to_ms(instant) // step_ms * step_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instrument:
    """A tradable thing and the filters on it. Prices in quote, quantities in base; a step or limit of 0 means unset."""

    symbol: str  # BTC/USDT
    venue_symbol: str  # BTCUSDT
    base: str
    quote: str
    tick_size: Decimal
    lot_step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    market_lot_step: Decimal = Decimal(0)
    market_max_quantity: Decimal = Decimal(0)
    price_multiplier_up: Decimal = Decimal(0)
    price_multiplier_down: Decimal = Decimal(0)
    max_open_orders: int = 0
    trading: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Candle:
    """One OHLCV over [open_time, close_time) in exact numbers: what matching works on."""

    open_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


@dataclass(frozen=True, slots=True)
class CandleSeries:
    """Candles of one instrument and timeframe as columns, ascending: open_ms int64 (n,), the others float64 (n,)."""

    open_ms: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.open_ms)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "CandleSeries":
        """The rows that a mask or an index array names."""
        return CandleSeries(
            self.open_ms[rows], self.open[rows], self.high[rows], self.low[rows], self.close[rows], self.volume[rows]
        )

    @staticmethod
    def from_rows(rows: list[tuple[int, float, float, float, float, float]]) -> "CandleSeries":
        """From rows of (open_ms, open, high, low, close, volume)."""
        columns = list(zip(*rows, strict=True)) if rows else [()] * 6
        open_ms = np.array(columns[0], dtype=np.int64)
        return CandleSeries(open_ms, *(np.array(column, dtype=np.float64) for column in columns[1:]))


@dataclass(frozen=True, slots=True)
class Panel:
    """Aligned candles of several instruments: open_ms int64 (candles,), the others float64 (candles, instruments).

    NaN where an instrument had no candle. Row i is closed at `open_ms[i] + timeframe`.
    """

    instruments: tuple[str, ...]
    timeframe: str
    open_ms: NDArray[np.int64]
    open: NDArray[np.float64] = field(repr=False)
    high: NDArray[np.float64] = field(repr=False)
    low: NDArray[np.float64] = field(repr=False)
    close: NDArray[np.float64] = field(repr=False)
    volume: NDArray[np.float64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.open_ms)

    def close_time(self, row: int) -> datetime:
        """When the candle of `row` closed: the instant that its weights are decided at."""
        return from_ms(int(self.open_ms[row])) + timedelta(seconds=timeframe_s(self.timeframe))
