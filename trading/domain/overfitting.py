"""How much of a best result is luck: the deflated Sharpe ratio of a sweep, and results on candles not chosen on."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

_EULER: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()


def deflated_sharpe(sharpe: float, trials: Sequence[float], returns: int, skewness: float, kurtosis: float) -> float:
    """The probability that the true Sharpe ratio is above 0, given that it is the best of several.

    `sharpe` and those of all `trials` are per candle, not a year; `returns` is how many there were, `skewness` and
    `kurtosis` (3 for a normal distribution) are theirs.

    Source: Bailey and López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40 (2014).
    """
    hurdle = expected_best(float(np.var(trials, ddof=1)), len(trials)) if len(trials) > 1 else 0.0
    spread = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return _NORMAL.cdf((sharpe - hurdle) * math.sqrt(returns - 1) / math.sqrt(spread)) if spread > 0 else 0.0


def expected_best(variance: float, trials: int) -> float:
    """The Sharpe ratio that the best of so many worthless strategies is expected to show."""
    luck = (1 - _EULER) * _NORMAL.inv_cdf(1 - 1 / trials) + _EULER * _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * luck


def moments(returns: NDArray[np.float64]) -> tuple[float, float]:
    """Skewness and kurtosis (3 for a normal distribution), of a population; (0, 3) where nothing moved."""
    around = returns - returns.mean() if len(returns) else returns
    variance = float(np.mean(around**2)) if len(returns) else 0.0
    if variance <= 0:
        return 0.0, 3.0
    return float(np.mean(around**3)) / variance**1.5, float(np.mean(around**4)) / variance**2


def windows(candles: int, train: int, test: int) -> list[tuple[int, int, int]]:
    """(start, split, end) of each round: chosen on [start, split), judged on [split, end); the last may be shorter."""
    return [(split - train, split, min(split + test, candles)) for split in range(train, candles, test)]
