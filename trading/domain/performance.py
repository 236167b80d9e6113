"""What an equity curve comes to: the figures of a backtest and of an account, over candles of one timeframe.

A year has 365 days without a pause. Definitions are those of empyrical, which the tests hold them equal to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Performance:
    """Shares as fractions (0.1: 10 %). None where a figure is not defined: no losses, no trades, no time."""

    total_return: float
    cagr: float | None  # growth a year
    volatility: float  # sample deviation of the candles' returns, a year
    sharpe: float | None  # mean return over deviation, a year, without a risk-free rate
    sortino: float | None  # the same over the downside deviation
    calmar: float | None  # growth a year over the deepest drawdown
    max_drawdown: float  # ≤ 0
    longest_drawdown_days: float  # from a best to the next one, or to the end
    exposure: float  # mean invested share
    turnover: float  # traded notional a year over the mean equity
    sales: int
    hit_rate: float | None  # share of the sales that gained
    profit_factor: float | None  # what gained over what lost
    fees: float  # in quote

    def as_dict(self) -> dict[str, float | int | None]:
        """By name, in this order."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def performance(
    equity: Series, *, candles_a_year: float, exposure: Series, traded: Series, results: Series, fees: Series
) -> Performance:
    """The figures of an equity curve (candles,), and of its trades: notionals, results of sales and fees, in quote."""
    returns = equity[1:] / equity[:-1]
    returns -= 1
    years = len(returns) / candles_a_year
    total = float(equity[-1] / equity[0] - 1) if len(equity) else 0.0
    best = np.maximum.accumulate(equity)
    deepest = float((equity / best).min() - 1) if len(equity) else 0.0
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    a_year = float(np.sqrt(candles_a_year))
    growth = _growth(total, years)
    gained, lost = float(results[results > 0].sum()), -float(results[results < 0].sum())
    return Performance(
        total_return=total,
        cagr=growth,
        volatility=deviation * a_year,
        sharpe=float(returns.mean()) / deviation * a_year if deviation > 0 else None,
        sortino=_sortino(returns, candles_a_year),
        calmar=growth / -deepest if growth is not None and deepest < 0 else None,
        max_drawdown=deepest,
        longest_drawdown_days=_longest(equity, best) / candles_a_year * 365,
        exposure=float(exposure.mean()) if len(exposure) else 0.0,
        turnover=float(traded.sum() / equity.mean() / years) if years else 0.0,
        sales=len(results),
        hit_rate=float((results > 0).mean()) if len(results) else None,
        profit_factor=gained / lost if lost else None,
        fees=float(fees.sum()),
    )


def drawdowns(equity: Series) -> Series:
    """The share below the best so far, ≤ 0, at each candle."""
    return equity / np.maximum.accumulate(equity) - 1


def max_drawdown(equity: Series) -> float:
    """The deepest of them; 0 for an empty curve."""
    return float(drawdowns(equity).min()) if len(equity) else 0.0


def longest_drawdown(equity: Series) -> int:
    """The most candles between a best and the next one, or the end."""
    return _longest(equity, np.maximum.accumulate(equity))


def sharpe(returns: Series, candles_a_year: float) -> float | None:
    """Mean over sample deviation, a year; None where nothing moved."""
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(returns.mean()) / deviation * float(np.sqrt(candles_a_year)) if deviation > 0 else None


def period_returns(equity: Series, close_ms: NDArray[np.int64], unit: str) -> Mapping[str, float]:
    """Returns by calendar month (`M`: 2024-03) or year (`Y`: 2024), UTC, of closes in milliseconds.

    A candle that closes at midnight belongs to what it ends.
    """
    if not len(equity):
        return {}
    periods = (close_ms - 1).astype("datetime64[ms]").astype(f"datetime64[{unit}]")
    last = np.append(np.flatnonzero(periods[1:] != periods[:-1]), len(equity) - 1)
    before = np.append(equity[0], equity[last[:-1]])
    return dict(zip(map(str, periods[last]), (equity[last] / before - 1).tolist(), strict=True))


def _longest(equity: Series, best: Series) -> int:
    if not len(equity):
        return 0
    at_best = np.flatnonzero(equity >= best)
    return int(np.diff(np.append(at_best, len(equity) - 1)).max(initial=0))


def _growth(total: float, years: float) -> float | None:
    """Growth a year; None without time, or beyond what a float can hold."""
    if not years or total <= -1:
        return None
    growth = np.log1p(total) / years
    return float(np.expm1(growth)) if growth < np.log(np.finfo(np.float64).max) else None


def _sortino(returns: Series, candles_a_year: float) -> float | None:
    if not len(returns):
        return None
    losses = np.minimum(returns, 0.0)
    downside = float(np.sqrt(np.dot(losses, losses) / len(losses)) * np.sqrt(candles_a_year))
    return float(returns.mean()) * candles_a_year / downside if downside > 0 else None
