"""Time-series momentum: hold what rose, the less the more it moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel, candles_per_year
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy
from trading.strategies.rolling import full_windows, rolling_deviation


@dataclass(frozen=True)
class TimeSeriesMomentum(Parameters):
    """Candles that it must have risen over, those of the volatility, and the yearly volatility aimed at (1: 100 %)."""

    lookback: int = bounded(168, minimum=1, maximum=10_000)
    window: int = bounded(72, minimum=2, maximum=5_000)
    target: float = bounded(0.4, minimum=0.01, maximum=10.0)


def _warmup(parameters: TimeSeriesMomentum) -> int:
    return max(parameters.lookback, parameters.window) + 1


@strategy(parameters=TimeSeriesMomentum, warmup=_warmup)
def time_series_momentum(panel: Panel, parameters: TimeSeriesMomentum) -> NDArray[np.float64]:
    """For each of n that rose over `lookback` candles: 1/n · min(1, target / its volatility a year); else 0.

    The volatility is the sample deviation of the last `window` log returns of closes, times √(candles a year of 365
    days). Without borrowing the factor stays below 1.

    panel.close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its equity.
    A row is NaN where its window of warm-up is not full or touches a gap of any instrument.

    Source: Moskowitz, Ooi and Pedersen, "Time Series Momentum", Journal of Financial Economics 104 (2012), long only.
    """
    close, lookback = panel.close, parameters.lookback
    rose = np.zeros(close.shape, dtype=bool)
    rose[lookback:] = close[lookback:] > close[:-lookback]
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not a price ends as NaN or 0 below
        logs = np.log(np.ascontiguousarray(close))
        returns = np.full(close.shape, np.nan)
        returns[1:] = logs[1:] - logs[:-1]
        volatility = rolling_deviation(returns, parameters.window) * np.sqrt(candles_per_year(panel.timeframe))
        factor = np.minimum(1.0, parameters.target / volatility)
    weights = np.where(rose, factor / len(panel.instruments), 0.0)
    known = full_windows(panel, _warmup(parameters)) & np.isfinite(weights).all(axis=1, keepdims=True)
    return np.where(known, weights, np.nan)
