"""SMA crossover: hold what rises, by two moving averages."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.errors import ConfigurationError
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy
from trading.strategies.rolling import rolling_mean


@dataclass(frozen=True)
class SmaCrossover(Parameters):
    """Lengths of the two averages, in candles; fast < slow."""

    fast: int = bounded(10, minimum=1, maximum=4_999)
    slow: int = bounded(30, minimum=2, maximum=5_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fast >= self.slow:
            raise ConfigurationError(f"fast is {self.fast}: expected less than slow, which is {self.slow}")


@strategy(parameters=SmaCrossover, warmup=lambda parameters: parameters.slow)
def sma_crossover(panel: Panel, parameters: SmaCrossover) -> NDArray[np.float64]:
    """An equal share of 1/n for each of n instruments whose fast average of closes is above its slow one, else 0.

    panel.close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its equity.
    A row is NaN where its slow window is not full or touches a gap of any instrument.

    Source: Brock, Lakonishok and LeBaron, "Simple Technical Trading Rules and the Stochastic Properties of Stock
    Returns", Journal of Finance 47 (1992), the variable-length moving average without a band.
    """
    fast = rolling_mean(panel.close, parameters.fast)
    slow = rolling_mean(panel.close, parameters.slow)
    known = np.isfinite(slow).all(axis=1, keepdims=True)
    return np.where(known, np.where(fast > slow, 1 / len(panel.instruments), 0.0), np.nan)
