"""RSI reversion: buy what fell too fast, sell it when it has recovered."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.errors import ConfigurationError
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy
from trading.strategies.rolling import full_windows, latched, rsi, rsi_window


@dataclass(frozen=True)
class RsiReversion(Parameters):
    """Candles of the index, where it is bought and sold (0 … 100), and how many candles a recovery is waited for."""

    period: int = bounded(14, minimum=2, maximum=500)
    oversold: float = bounded(30.0, minimum=0.0, maximum=100.0)
    recovered: float = bounded(50.0, minimum=0.0, maximum=100.0)
    hold: int = bounded(100, minimum=1, maximum=5_000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.oversold >= self.recovered:
            raise ConfigurationError(
                f"oversold is {self.oversold}: expected less than recovered, which is {self.recovered}"
            )


def _warmup(parameters: RsiReversion) -> int:
    return rsi_window(parameters.period) + parameters.hold - 1


@strategy(parameters=RsiReversion, warmup=_warmup)
def rsi_reversion(panel: Panel, parameters: RsiReversion) -> NDArray[np.float64]:
    """An equal share of 1/n for each of n instruments whose index was below `oversold` and not above `recovered` since.

    It is given up `hold` candles after its index was last below `oversold`.

    panel.close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its equity.
    A row is NaN where its window of warm-up is not full or touches a gap of any instrument.

    Source: Wilder, "New Concepts in Technical Trading Systems" (1978); bought in the dip as in Connors and Alvarez,
    "Short Term Trading Strategies That Work" (2009), with the index's usual 14 candles.
    """
    index = rsi(panel.close, parameters.period)
    held = latched(index < parameters.oversold, index > parameters.recovered, parameters.hold)
    full = full_windows(panel, _warmup(parameters))
    return np.where(full, np.where(held, 1 / len(panel.instruments), 0.0), np.nan)
