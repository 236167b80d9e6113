"""Inverse volatility: always invested, less in what moves more."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy
from trading.strategies.rolling import rolling_deviation


@dataclass(frozen=True)
class InverseVolatility(Parameters):
    """How many log returns the volatility is measured over."""

    window: int = bounded(60, minimum=2, maximum=5_000)


@strategy(parameters=InverseVolatility, warmup=lambda parameters: parameters.window + 1)
def inverse_volatility(panel: Panel, parameters: InverseVolatility) -> NDArray[np.float64]:
    """Weights in proportion to 1 / volatility; a row sums to 1.

    The volatility is the sample deviation of the last `window` log returns of closes, per candle, not annualised.

    panel.close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its equity.
    An instrument whose price did not move at all (rather not traded than without risk) gets 0; where none moved, each
    gets 1/n. A row is NaN where its window + 1 closes are not there, or not all finite and positive.

    Source: Maillard, Roncalli and Teiletche, "The Properties of Equally Weighted Risk Contribution Portfolios", Journal
    of Portfolio Management 36 (2010): equal risk contributions under equal correlations.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not a price ends as NaN below
        logs = np.log(np.ascontiguousarray(panel.close))
        returns = np.full(logs.shape, np.nan)
        returns[1:] = logs[1:] - logs[:-1]
        volatility = rolling_deviation(returns, parameters.window)
        known = np.isfinite(volatility).all(axis=1, keepdims=True)
        inverse = np.where(volatility > 0, 1 / volatility, 0.0)
        inverse = np.where((inverse > 0).any(axis=1, keepdims=True), inverse, 1.0)
        weights = inverse / _row_sums(inverse)
    return np.where(known, weights, np.nan)


def _row_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the instruments, (candles, 1), added in their order whatever the number of rows."""
    total = np.zeros((len(values), 1))
    for column in range(values.shape[1]):
        total += values[:, column : column + 1]
    return total
