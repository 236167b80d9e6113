"""Buy and hold: the yardstick that every other strategy is measured against."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.strategies.parameters import Parameters
from trading.strategies.registry import strategy


@dataclass(frozen=True)
class BuyAndHold(Parameters):
    """None: there is nothing to choose."""


@strategy(parameters=BuyAndHold, warmup=lambda _: 1)
def buy_and_hold(panel: Panel, parameters: BuyAndHold) -> NDArray[np.float64]:  # noqa: ARG001 - the one shape of all
    """An equal share of 1/n in each of n instruments, always.

    panel.close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its equity.
    A row is NaN where an instrument has no candle.

    Source: DeMiguel, Garlappi and Uppal, "Optimal Versus Naive Diversification: How Inefficient is the 1/N Portfolio
    Strategy?", Review of Financial Studies 22 (2009).
    """
    present = np.isfinite(panel.close).all(axis=1, keepdims=True)
    return np.where(present, 1 / len(panel.instruments), np.nan).repeat(len(panel.instruments), axis=1)
