"""What an equity curve comes to: the figures of a backtest and of an account, over candles of one timeframe.

A year has 365 days without a pause. Definitions are those of empyrical, which the tests hold them equal to.
"""

import math
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Sums:
    """All that the figures need to know of a curve and its trades, in quote."""

    candles: int
    first: float  # equity
    last: float
    mean: float
    exposure: float
    mean_return: float  # a candle
    deviation: float  # sample deviation of the candles' returns
    downside: float  # root of the mean square of the negative ones, over all
    deepest: float  # ≤ 0
    longest: int  # candles from a best to the next one, or to the end
    traded: float
    fees: float
    sales: int
    hits: int
    gained: float
    lost: float


def figures_of(sums: Sums, candles_a_year: float) -> Performance:
    """The figures of a curve and its trades."""
    years = max(sums.candles - 1, 0) / candles_a_year
    total = sums.last / sums.first - 1 if sums.candles else 0.0
    growth, a_year = _growth(total, years), math.sqrt(candles_a_year)
    return Performance(
        total_return=total,
        cagr=growth,
        volatility=sums.deviation * a_year,
        sharpe=sums.mean_return / sums.deviation * a_year if sums.deviation > 0 else None,
        sortino=sums.mean_return / sums.downside * a_year if sums.downside > 0 else None,
        calmar=growth / -sums.deepest if growth is not None and sums.deepest < 0 else None,
        max_drawdown=sums.deepest,
        longest_drawdown_days=sums.longest / candles_a_year * 365,
        exposure=sums.exposure,
        turnover=sums.traded / sums.mean / years if years else 0.0,
        sales=sums.sales,
        hit_rate=sums.hits / sums.sales if sums.sales else None,
        profit_factor=sums.gained / sums.lost if sums.lost else None,
        fees=sums.fees,
    )


def performance(
    equity: Series, *, candles_a_year: float, exposure: Series, traded: Series, results: Series, fees: Series
) -> Performance:
    """The figures of an equity curve (candles,), and of its trades: notionals, results of sales and fees, in quote."""
    return figures_of(sums_of(equity, exposure=exposure, traded=traded, results=results, fees=fees), candles_a_year)


def sums_of(equity: Series, *, exposure: Series, traded: Series, results: Series, fees: Series) -> Sums:
    """What the figures need to know of them."""
    returns = equity[1:] / equity[:-1]
    returns -= 1
    best = np.maximum.accumulate(equity)
    losses = np.minimum(returns, 0.0)
    return Sums(
        candles=len(equity),
        first=float(equity[0]) if len(equity) else 0.0,
        last=float(equity[-1]) if len(equity) else 0.0,
        mean=float(equity.mean()) if len(equity) else 0.0,
        exposure=float(exposure.mean()) if len(exposure) else 0.0,
        mean_return=float(returns.mean()) if len(returns) else 0.0,
        deviation=float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0,
        downside=math.sqrt(np.dot(losses, losses) / len(losses)) if len(losses) else 0.0,
        deepest=float((equity / best).min() - 1) if len(equity) else 0.0,
        longest=_longest(equity, best),
        traded=float(traded.sum()),
        fees=float(fees.sum()),
        sales=len(results),
        hits=int((results > 0).sum()),
        gained=float(results[results > 0].sum()),
        lost=-float(results[results < 0].sum()),
    )


def drawdowns(equity: Series) -> Series:
    """The share below the best so far, ≤ 0, at each candle."""
    return equity / np.maximum.accumulate(equity) - 1


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
