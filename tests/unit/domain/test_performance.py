"""The figures of an equity curve: equal to empyrical's to 1e-9, and by hand where it has none."""

import empyrical
import numpy as np
import pandas as pd
import pytest

from trading.domain.performance import (
    drawdowns,
    performance,
    period_returns,
    sharpe,
    sums_of,
)

NONE = np.zeros(0)


def figures(equity: np.ndarray, candles_a_year: float):
    return performance(
        equity, candles_a_year=candles_a_year, exposure=np.ones(len(equity)), traded=NONE, results=NONE, fees=NONE
    )


@pytest.mark.parametrize("candles_a_year", [365.0, 8_760.0, 525_600.0])
@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_empyricals(seed: int, candles_a_year: float) -> None:
    generator = np.random.default_rng(seed)
    size = 2_000
    equity = 10_000 * np.exp(np.cumsum(generator.normal(0, (candles_a_year * 4) ** -0.5, size)))
    returns = equity[1:] / equity[:-1] - 1
    ours = figures(equity, candles_a_year)
    for found, expected in (
        (ours.total_return, empyrical.cum_returns_final(returns)),
        (ours.cagr, empyrical.annual_return(returns, annualization=candles_a_year)),
        (ours.volatility, empyrical.annual_volatility(returns, annualization=candles_a_year)),
        (ours.sharpe, empyrical.sharpe_ratio(returns, annualization=candles_a_year)),
        (ours.sortino, empyrical.sortino_ratio(returns, annualization=candles_a_year)),
        (ours.max_drawdown, empyrical.max_drawdown(returns)),
        (ours.calmar, empyrical.calmar_ratio(returns, annualization=candles_a_year)),
    ):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_months_and_years_equal_empyricals() -> None:
    """Over days, whose closes at midnight belong to the day before."""
    days = pd.date_range("2023-11-20", periods=500, freq="D", tz="UTC")
    equity = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.02, 500)))
    close_ms = (days + pd.Timedelta(days=1)).as_unit("ms").asi8
    returns = pd.Series(equity).pct_change().fillna(0.0).set_axis(days)
    months = empyrical.aggregate_returns(returns, "monthly")
    expected = {f"{year}-{month:02}": value for (year, month), value in months.items()}
    assert dict(period_returns(equity, close_ms, "M")) == pytest.approx(expected, rel=1e-9)
    years = {str(year): value for year, value in empyrical.aggregate_returns(returns, "yearly").items()}
    assert dict(period_returns(equity, close_ms, "Y")) == pytest.approx(years, rel=1e-9)


def test_drawdowns_by_hand() -> None:
    """Below the best so far; from the best of candle 1 to the next one of candle 5."""
    equity = np.array([100.0, 120.0, 60.0, 90.0, 110.0, 130.0, 130.0, 104.0])
    assert drawdowns(equity).tolist() == pytest.approx([0, 0, -0.5, -0.25, 110 / 120 - 1, 0, 0, -0.2])
    told = sums_of(equity, exposure=NONE, traded=NONE, results=NONE, fees=NONE)
    assert (told.deepest, told.longest) == (-0.5, 4)
    falling = sums_of(np.array([3.0, 2.0, 1.0]), exposure=NONE, traded=NONE, results=NONE, fees=NONE)
    assert falling.longest == 2


def test_trades_by_hand() -> None:
    """Two sales gained 30 and 10, one lost 20; 400 traded in two years at a mean equity of 100."""
    equity = np.full(3, 100.0)
    found = performance(
        equity,
        candles_a_year=1.0,
        exposure=np.array([0.0, 0.5, 1.0]),
        traded=np.array([100.0, 300.0]),
        results=np.array([30.0, -20.0, 10.0]),
        fees=np.array([1.0, 2.0]),
    )
    assert (found.hit_rate, found.profit_factor, found.sales) == (pytest.approx(2 / 3), 2.0, 3)
    assert (found.turnover, found.exposure, found.fees) == (2.0, 0.5, 3.0)


def test_what_is_not_defined_is_none_and_warns_of_nothing() -> None:
    """A curve that does not move, of one candle, of none; growth beyond a float."""
    still = figures(np.full(10, 100.0), 365.0)
    assert (still.sharpe, still.sortino, still.calmar, still.hit_rate, still.profit_factor) == (None,) * 5
    assert (still.volatility, still.max_drawdown, still.cagr) == (0.0, 0.0, 0.0)
    assert figures(np.array([100.0]), 365.0).cagr is None
    assert figures(np.zeros(0), 365.0).total_return == 0.0
    assert figures(np.array([1.0, 10.0]), 525_600.0).cagr is None
    assert sharpe(np.zeros(1), 365.0) is None
    assert period_returns(np.zeros(0), np.zeros(0, dtype=np.int64), "M") == {}
