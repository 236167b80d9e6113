"""Market data from given candles and a clock."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from trading.clock import Clock
from trading.domain.market import Candle, CandleSeries, Instrument, from_ms, timeframe_s, to_ms
from trading.domain.matching import FeeModel, MatchingRules, SlippageModel, VolumeShareModel, taker_price
from trading.domain.money import ZERO, price_from_candle
from trading.domain.order import Side
from trading.errors import ConfigurationError, DataError, ExchangeUnavailable
from trading.ports.market import BestPrices


@dataclass(frozen=True, slots=True)
class OpenCandle:
    """What is known of the candle in progress: its open, and the volume (base) of the closed one before it."""

    open_ms: int
    open: Decimal
    previous_volume: Decimal


class MemoryMarket:
    """MarketData. `timeframe` names the candles whose opens are the current prices, and which orders meet."""

    def __init__(
        self,
        candles: Mapping[tuple[str, str], CandleSeries],
        instruments: Sequence[Instrument],
        clock: Clock,
        *,
        timeframe: str = "1m",
        fees: FeeModel | None = None,
        slippage: SlippageModel | None = None,
        volume_share: VolumeShareModel | None = None,
    ) -> None:
        self._candles = dict(candles)
        self._opens = {key: series.open_ms.tolist() for key, series in candles.items()}
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._clock = clock
        self._timeframe = timeframe
        self._step_ms = timeframe_s(timeframe) * 1000
        self._rules = {
            one.symbol: MatchingRules(
                base=one.base,
                quote=one.quote,
                tick_size=one.tick_size,
                lot_step=one.lot_step,
                fees=fees or FeeModel(),
                slippage=slippage or SlippageModel(),
                volume_share=volume_share or VolumeShareModel(),
            )
            for one in instruments
        }

    def server_time(self) -> datetime:
        """The venue's own clock: the one that this market was handed."""
        return self._clock.now()

    def instruments(self, symbols: Sequence[str]) -> list[Instrument]:
        """The named instruments. Raises ConfigurationError for a symbol that is not there."""
        return [self.instrument(symbol) for symbol in symbols]

    def instrument(self, symbol: str) -> Instrument:
        """The instrument of that name. Raises ConfigurationError where there is none."""
        try:
            return self._instruments[symbol]
        except KeyError:
            known = ", ".join(self._instruments)
            raise ConfigurationError(f"unknown instrument {symbol!r}: expected one of {known}") from None

    def rules(self, symbol: str) -> MatchingRules:
        """How orders of this instrument fill."""
        return self._rules[self.instrument(symbol).symbol]

    def candles(self, instrument: str, timeframe: str, *, since_ms: int, until_ms: int) -> CandleSeries:
        """Candles with since_ms ≤ open_ms < until_ms that have begun; the one in progress shows its open only."""
        key = (instrument, timeframe)
        if key not in self._candles:
            raise DataError(f"{instrument}: expected {timeframe} candles, this market has none")
        now_ms = to_ms(self._clock.now())
        opens = self._opens[key]
        rows = np.arange(bisect_left(opens, since_ms), min(bisect_left(opens, until_ms), bisect_right(opens, now_ms)))
        series = self._candles[key].take(rows)
        if len(series) and int(series.open_ms[-1]) + timeframe_s(timeframe) * 1000 > now_ms:
            for column in (series.high, series.low, series.close):
                column[-1] = series.open[-1]
            series.volume[-1] = 0.0
        return series

    def best_prices(self, symbols: Sequence[str]) -> dict[str, BestPrices]:
        """What a taker would get now. Raises ExchangeUnavailable where no candle is in progress."""
        prices = {}
        for symbol in symbols:
            candle = self.open_candle(symbol)
            if candle is None:
                raise ExchangeUnavailable(f"{symbol}: no candle is in progress at {self._clock.now().isoformat()}")
            rules = self.rules(symbol)
            bid, ask = (taker_price(side, candle.open, rules) for side in (Side.SELL, Side.BUY))
            prices[symbol] = BestPrices(bid=bid, ask=ask)
        return prices

    def open_candle(self, symbol: str) -> OpenCandle | None:
        """The candle in progress; None in a gap, and before and after the given candles."""
        now_ms = to_ms(self._clock.now())
        key = (self.instrument(symbol).symbol, self._timeframe)
        opens = self._opens.get(key, [])
        row = bisect_right(opens, now_ms) - 1
        if row < 0 or opens[row] + self._step_ms <= now_ms:
            return None
        series = self._candles[key]
        follows = row > 0 and opens[row - 1] == opens[row] - self._step_ms
        return OpenCandle(
            open_ms=opens[row],
            open=price_from_candle(float(series.open[row]), self._instruments[symbol].tick_size),
            previous_volume=_exact(series.volume[row - 1]) if follows else ZERO,
        )

    def closed_candles(self, symbol: str, first_ms: int) -> Iterator[tuple[datetime, Candle]]:
        """(close, candle) of each that opened at or after `first_ms` and has closed, in order."""
        now_ms = to_ms(self._clock.now())
        key = (self.instrument(symbol).symbol, self._timeframe)
        opens, tick = self._opens.get(key, []), self._instruments[symbol].tick_size
        for row in range(bisect_left(opens, first_ms), bisect_right(opens, now_ms - self._step_ms)):
            series = self._candles[key]
            columns = (series.open, series.high, series.low, series.close)
            first, high, low, close = (price_from_candle(float(column[row]), tick) for column in columns)
            candle = Candle(
                open_time=from_ms(opens[row]),
                open=first,
                high=high,
                low=low,
                close=close,
                volume=_exact(series.volume[row]),
            )
            yield from_ms(opens[row] + self._step_ms), candle


def _exact(volume: float) -> Decimal:
    """A volume's exact number: its shortest text."""
    return Decimal(repr(float(volume)))
