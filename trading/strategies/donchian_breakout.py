"""Donchian breakout: hold what makes new highs, until it makes new lows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy
from trading.strategies.rolling import by_segments, full_windows, latched


@dataclass(frozen=True)
class DonchianBreakout(Parameters):
    """Candles whose high is to be broken, whose low ends it, and after which a trend without a new high is over."""

    entry: int = bounded(20, minimum=2, maximum=5_000)
    exit: int = bounded(10, minimum=2, maximum=5_000)
    hold: int = bounded(200, minimum=1, maximum=5_000)


def _warmup(parameters: DonchianBreakout) -> int:
    return max(parameters.entry, parameters.exit) + parameters.hold


@strategy(parameters=DonchianBreakout, warmup=_warmup)
def donchian_breakout(panel: Panel, parameters: DonchianBreakout) -> NDArray[np.float64]:
    """An equal share of 1/n for each of n instruments that closed above its earlier highs and not below its lows since.

    The channel is made of the `entry` highs and the `exit` lows before a candle, the candle itself left out.

    panel.high, low, close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its
    equity. A row is NaN where its window of warm-up is not full or touches a gap of any instrument.

    Source: Donchian, "High Finance in Copper", Financial Analysts Journal 16 (1960); as traded by the Turtles: Faith,
    "Way of the Turtle" (2007), system 1 without its filter. Highest and lowest by TA-Lib's MAX and MIN.
    """
    import talib  # noqa: PLC0415 - a second of every start, for this strategy alone

    highest = _before(by_segments(lambda high: talib.MAX(high, parameters.entry), panel.high))
    lowest = _before(by_segments(lambda low: talib.MIN(low, parameters.exit), panel.low))
    held = latched(panel.close > highest, panel.close < lowest, parameters.hold)
    full = full_windows(panel, _warmup(parameters))
    return np.where(full, np.where(held, 1 / len(panel.instruments), 0.0), np.nan)


def _before(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row's value one candle earlier."""
    earlier = np.full(values.shape, np.nan)
    earlier[1:] = values[:-1]
    return earlier
