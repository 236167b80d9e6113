"""Cross-sectional momentum: hold the instruments that rose most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading.domain.market import Panel
from trading.strategies.parameters import Parameters, bounded
from trading.strategies.registry import strategy
from trading.strategies.rolling import full_windows


@dataclass(frozen=True)
class CrossSectionalMomentum(Parameters):
    """Candles of the ranking, the newest of them that are left out of it, and how many instruments are held."""

    lookback: int = bounded(168, minimum=1, maximum=10_000)
    skip: int = bounded(1, minimum=0, maximum=1_000)
    top: int = bounded(1, minimum=1, maximum=100)


def _warmup(parameters: CrossSectionalMomentum) -> int:
    return parameters.lookback + parameters.skip + 1


@strategy(parameters=CrossSectionalMomentum, warmup=_warmup)
def cross_sectional_momentum(panel: Panel, parameters: CrossSectionalMomentum) -> NDArray[np.float64]:
    """1/top for each of the `top` instruments with the highest return over `lookback` candles, else 0.

    The ranking ends `skip` candles ago, since what just jumped tends to fall back. Of equal ones the first named wins;
    of fewer instruments than `top` all are held, with 1/n each.

    panel.close float64 (candles, instruments), in quote → weights (candles, instruments), shares of its equity.
    A row is NaN where its window of warm-up is not full, touches a gap or holds what is no price.

    Source: Jegadeesh and Titman, "Returns to Buying Winners and Selling Losers", Journal of Finance 48 (1993), the
    winners alone.
    """
    close, warmup = panel.close, _warmup(parameters)
    gained = np.full(close.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        newest = close[parameters.lookback : max(0, len(close) - parameters.skip)]
        gained[warmup - 1 :] = newest / close[: len(newest)]
    ranked = np.argsort(-gained, axis=1, kind="stable")
    top = min(parameters.top, len(panel.instruments))
    weights = np.zeros(close.shape)
    np.put_along_axis(weights, ranked[:, :top], 1 / top, axis=1)
    known = full_windows(panel, warmup) & np.isfinite(gained).all(axis=1, keepdims=True)
    return np.where(known, weights, np.nan)
