"""Bollinger reversion: buy below the lower band, sell at the middle one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy
from trading.strategies.rolling import full_windows, latched, rolling_deviation, rolling_mean


@dataclass(frozen=True)
class BollingerReversion(Parameters):
    """Candles of the bands, how many deviations the lower one lies below the middle, and how long it is waited for."""

    window: int = bounded(20, minimum=2, maximum=5_000)
    deviations: float = bounded(2.0, minimum=0.1, maximum=10.0)
    hold: int = bounded(100, minimum=1, maximum=5_000)


def _warmup(parameters: BollingerReversion) -> int:
    return parameters.window + parameters.hold - 1


@strategy(parameters=BollingerReversion, warmup=_warmup)
def bollinger_reversion(panel: Panel, parameters: BollingerReversion) -> NDArray[np.float64]:
    """An equal share of 1/n for each of n instruments that closed below its lower band and not at its mean since.

    The bands lie `deviations` population standard deviations of the last `window` closes around their mean. It is given
    up `hold` candles after it last closed below the lower band.

    panel.close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its equity.
    A row is NaN where its window of warm-up is not full or touches a gap of any instrument.

    Source: Bollinger, "Bollinger on Bollinger Bands" (2001).
    """
    middle = rolling_mean(panel.close, parameters.window)
    lower = middle - parameters.deviations * rolling_deviation(panel.close, parameters.window, ddof=0)
    held = latched(panel.close < lower, panel.close >= middle, parameters.hold)
    full = full_windows(panel, _warmup(parameters))
    return np.where(full, np.where(held, 1 / len(panel.instruments), 0.0), np.nan)
