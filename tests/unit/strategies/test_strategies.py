"""The shipped strategies: worked rows, and no look-ahead; planted faults are caught by the same check."""

from typing import Any

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from trading.domain.decision import quantised_weights
from trading.domain.market import Panel
from trading.strategies import registry
from trading.strategies.bias import BiasReport, bias_report, random_panel, rows_of
from trading.strategies.rolling import by_segments, rolling_deviation, rolling_mean, rsi, rsi_window

CASES: list[tuple[str, dict[str, object]]] = [
    ("bollinger_reversion", {"window": 7, "deviations": 1.2, "hold": 9}),
    ("buy_and_hold", {}),
    ("cross_sectional_momentum", {"lookback": 5, "skip": 0, "top": 1}),
    ("cross_sectional_momentum", {"lookback": 24, "skip": 3, "top": 2}),
    ("donchian_breakout", {"entry": 9, "exit": 4, "hold": 30}),
    ("inverse_volatility", {"window": 2}),
    ("inverse_volatility", {"window": 30}),
    ("sma_crossover", {"fast": 1, "slow": 2}),
    ("sma_crossover", {"fast": 7, "slow": 31}),
    ("rsi_reversion", {"period": 4, "oversold": 40, "recovered": 55, "hold": 20}),
    ("time_series_momentum", {"lookback": 12, "window": 20, "target": 1.0}),
    ("time_series_momentum", {"lookback": 30, "window": 5}),
]


def symbols(number: int) -> tuple[str, ...]:
    return tuple(f"I{one}/USDT" for one in range(number))


def panel_of(*closes: list[float]) -> Panel:
    """A panel in which only the closes matter, one list an instrument."""
    close = np.array(closes, dtype=np.float64).T
    open_ms = np.arange(len(close), dtype=np.int64) * 60_000
    return Panel(symbols(len(closes)), "1m", open_ms, close, close, close, close, np.ones_like(close))


def weights_of(name: str, panel: Panel, **values: object) -> NDArray[np.float64]:
    return registry.get(name).compute(panel, registry.parameters(name, values))


@pytest.mark.parametrize(("name", "values"), CASES)
@pytest.mark.parametrize("instruments", [1, 3, 8])
def test_a_shipped_strategy_has_no_bias(name: str, values: dict[str, object], instruments: int) -> None:
    """Cut a thousand times, poisoned, without more history than its warm-up, with a gap: its rows stay, bit by bit."""
    strategy, parameters = registry.get(name), registry.parameters(name, values)
    generator = np.random.default_rng(20260302 + instruments)
    panel = random_panel(generator, 257, symbols(instruments))
    report = bias_report(
        name,
        lambda given: strategy.compute(given, parameters),
        panel,
        warmup=strategy.warmup(parameters),
        generator=generator,
        rounds=340,
    )
    assert report == BiasReport(wrong=())


def _momentum(panel: Panel, shift: int) -> NDArray[np.float64]:
    """Hold what rose over the candle that lies `shift` ahead; -1 is what a strategy of `shift(-1)` does."""
    rose = np.full(panel.close.shape, np.nan)
    rose[1:] = (panel.close[1:] > panel.close[:-1]) / panel.close.shape[1]
    return np.roll(rose, shift, axis=0) if shift else rose


def _centred(panel: Panel) -> NDArray[np.float64]:
    """A mean over the candle before, this one and the next."""
    weights = np.full(panel.close.shape, np.nan)
    if len(panel) > 2:
        weights[1:-1] = panel.close[1:-1] > (panel.close[:-2] + panel.close[1:-1] + panel.close[2:]) / 3
    return weights / panel.close.shape[1]


def _since_the_start(panel: Panel) -> NDArray[np.float64]:
    """A share that depends on the mean of all candles so far."""
    mean = np.cumsum(panel.close, axis=0) / np.arange(1, len(panel) + 1)[:, np.newaxis]
    return mean / (2 * mean.sum(axis=1, keepdims=True))


def _held_since(panel: Panel) -> NDArray[np.float64]:
    """Holds nothing any more once a candle was missing."""
    return np.where(np.isnan(panel.close).any(axis=1).cumsum()[:, np.newaxis] > 0, 0.0, 0.5) * np.ones(
        panel.close.shape
    )


def _writes(panel: Panel) -> NDArray[np.float64]:
    panel.close[:] = 1.0
    return np.zeros(panel.close.shape)


def _partly_silent(panel: Panel) -> NDArray[np.float64]:
    weights = np.zeros(panel.close.shape)
    weights[5, 0] = np.nan
    return weights


def _normalised(panel: Panel) -> NDArray[np.float64]:
    """Scales by the highest close of the whole panel."""
    return panel.close / panel.close.max(axis=0) / panel.close.shape[1]


PLANTED: dict[str, tuple[Any, int, str]] = {
    "shift(-1)": (lambda panel: _momentum(panel, -1), 1, "looks ahead"),
    "centred window": (_centred, 2, "looks ahead"),
    "scaled by the future": (_normalised, 1, "looks ahead"),
    "remembers everything": (_since_the_start, 5, "its warm-up is longer"),
    "remembers a gap": (_held_since, 2, "a gap changes rows"),
    "raises": (lambda panel: panel.close[10_000], 1, "raised IndexError"),
    "writes into its candles": (_writes, 1, "read-only"),
    "partly silent": (_partly_silent, 1, "is NaN: expected all or none"),
    "silent": (lambda panel: np.full(panel.close.shape, np.nan), 3, "row 2 is NaN"),
    "understated warm-up": (
        lambda panel: weights_of("sma_crossover", panel, fast=2, slow=9),
        5,
        "its warm-up is longer",
    ),
    "borrows": (lambda panel: np.full(panel.close.shape, 0.6), 1, "sum to at most 1"),
    "sells short": (lambda panel: np.full(panel.close.shape, -0.1), 1, "a weight of 0 to 1 for I0/USDT, got -0.1"),
    "another shape": (
        lambda panel: np.zeros(len(panel)),
        1,
        "expected weights as float64 (257, 2), got float64 (257,)",
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_fault_is_caught(case: str) -> None:
    """The check that passes the shipped strategies says in words what is wrong with these."""
    compute, warmup, told = PLANTED[case]
    generator = np.random.default_rng(7)
    panel = random_panel(generator, 257, symbols(2))
    report = bias_report("planted", compute, panel, warmup=warmup, generator=generator, rounds=60)
    assert any(told in sentence for sentence in report.wrong), report


def test_the_honest_twin_of_the_planted_strategy_passes() -> None:
    """Without its shift it has no fault: the check does not cry wolf."""
    generator = np.random.default_rng(7)
    panel = random_panel(generator, 257, symbols(1))
    report = bias_report("honest", lambda given: _momentum(given, 0), panel, warmup=2, generator=generator, rounds=60)
    assert report.wrong == ()


def test_running_sums_are_told_and_pass() -> None:
    """TA-Lib's averages differ in their last bits with what came before; the decisions do not."""

    def means(panel: Panel) -> NDArray[np.float64]:
        return by_segments(lambda close: talib.SMA(close, 20), panel.close)

    def running(panel: Panel) -> NDArray[np.float64]:
        return (panel.close > means(panel)) / len(panel.instruments)

    def share(panel: Panel) -> NDArray[np.float64]:
        return means(panel) / 1e6

    generator = np.random.default_rng(8)
    panel = random_panel(generator, 257, symbols(2))
    assert bias_report("t", running, panel, warmup=20, generator=generator, rounds=60) == BiasReport(wrong=())
    report = bias_report("t", share, panel, warmup=20, generator=generator, rounds=60)
    assert report.wrong == ()
    assert "last bits" in report.remarks[0]


def test_sma_crossover_by_hand() -> None:
    """Means of 2 against 3: (2+3)/2 > (1+2+3)/3 holds; (3+2)/2 = 2.5 > 8/3 does not; equal means do not either."""
    weights = weights_of("sma_crossover", panel_of([1, 2, 3, 2, 1], [5, 5, 5, 5, 5]), fast=2, slow=3)
    assert np.isnan(weights[:2]).all()
    # Means: 2.5 and 2; 2.5 and 2.333; 1.5 and 2.
    assert weights[2:].tolist() == [[0.5, 0.0], [0.5, 0.0], [0.0, 0.0]]


def test_inverse_volatility_by_hand() -> None:
    """Returns ±ln 2 and ±2 ln 2 around their means: twice the volatility, half the weight, so 2/3 and 1/3."""
    weights = weights_of("inverse_volatility", panel_of([1, 2, 1], [1, 4, 1]), window=2)
    assert np.isnan(weights[:2]).all()
    assert weights[2] == pytest.approx([2 / 3, 1 / 3], abs=1e-15)


def test_inverse_volatility_of_what_does_not_move() -> None:
    """It gets nothing beside what moves, and an equal share where nothing does."""
    still = [3.0, 3.0, 3.0, 3.0]
    assert weights_of("inverse_volatility", panel_of(still, [1, 2, 1, 2]), window=2)[2:].tolist() == [[0, 1], [0, 1]]
    assert weights_of("inverse_volatility", panel_of(still, still), window=2)[2:].tolist() == [[0.5, 0.5]] * 2


def test_buy_and_hold_by_hand() -> None:
    """A third each, and nothing said of the candle that one of them lacks."""
    weights = weights_of("buy_and_hold", panel_of([1, 2], [1, float("nan")], [1, 2]))
    assert weights[0].tolist() == [1 / 3] * 3
    assert np.isnan(weights[1]).all()


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["inverse_volatility", "sma_crossover"])
def test_what_is_no_price_gives_no_signal_and_no_warning(name: str, bad: float) -> None:
    """Neither an infinity nor a division by zero becomes a weight, as far as the rule looks at it."""
    closes = [1.0, 2.0, 1.0, bad, 2.0, 1.0, 2.0]
    values = {"window": 2} if name == "inverse_volatility" else {"fast": 1, "slow": 3}
    weights = weights_of(name, panel_of(closes, [1, 2, 3, 4, 5, 6, 7]), **values)
    given = weights[~np.isnan(weights).any(axis=1)]
    assert ((given >= 0) & (given <= 1)).all()
    if name == "inverse_volatility" or not np.isfinite(bad):
        assert np.isnan(weights[3:6]).all()
    assert not np.isnan(weights[6]).any()


@pytest.mark.parametrize(("name", "values"), CASES)
def test_every_row_can_be_quantised(name: str, values: dict[str, object]) -> None:
    """Whatever the number of instruments, rounding never makes a row sum to more than 1."""
    for instruments in (1, 3, 6, 7, 49):
        panel = random_panel(np.random.default_rng(instruments), 60, symbols(instruments))
        row = weights_of(name, panel, **values)[-1]
        assert quantised_weights(name, panel.instruments, row).keys() == set(panel.instruments)


@pytest.mark.parametrize("window", [2, 3, 17, 64, 79])
def test_rolling_statistics_agree_with_talib(window: int) -> None:
    """To rounding: the order of additions is ours. A mean of equal values is that value."""
    values = random_panel(np.random.default_rng(window), 120, symbols(3)).close
    for column, mean, population, sample in zip(
        values.T,
        rolling_mean(values, window).T,
        rolling_deviation(values, window, ddof=0).T,
        rolling_deviation(values, window).T,
        strict=True,
    ):
        close = np.ascontiguousarray(column)
        np.testing.assert_allclose(mean, talib.SMA(close, window), rtol=1e-12)
        np.testing.assert_allclose(population, talib.STDDEV(close, window), rtol=1e-6)  # theirs cancels
        windows = np.lib.stride_tricks.sliding_window_view(close, window)
        np.testing.assert_allclose(sample[window - 1 :], windows.std(axis=-1, ddof=1), rtol=1e-12)
    assert (rolling_mean(np.full((99, 1), 0.1), window)[window - 1 :] == 0.1).all()


@pytest.mark.parametrize("period", [2, 3, 14])
def test_the_index_agrees_with_talib_over_its_window(period: int) -> None:
    """TA-Lib's remembers its first candle for ever; over the same window both say the same."""
    window = rsi_window(period)
    close = random_panel(np.random.default_rng(period), window + 40, symbols(2)).close
    ours = rsi(close, period)
    assert np.isnan(ours[: window - 1]).all()
    for row in range(window - 1, len(close)):
        for column in range(2):
            theirs = talib.RSI(np.ascontiguousarray(close[row - window + 1 : row + 1, column]), period)[-1]
            assert ours[row, column] == pytest.approx(theirs, rel=1e-9)
    assert (rsi(np.full((window, 1), 7.0), period)[-1:] == 50).all()


def test_talib_over_the_stretches_between_gaps() -> None:
    """A gap hides what lies behind it and nothing else."""
    high = np.array([[1.0, 5.0], [3.0, np.nan], [2.0, 4.0], [np.nan, 6.0], [7.0, 5.0], [6.0, 1.0]])
    found = by_segments(lambda column: talib.MAX(column, 2), high)
    assert found[:, 0].tolist() == pytest.approx([np.nan, 3, 3, np.nan, np.nan, 7], nan_ok=True)
    assert found[:, 1].tolist() == pytest.approx([np.nan, np.nan, np.nan, 6, 6, 5], nan_ok=True)


def test_donchian_breakout_by_hand() -> None:
    """Above the 2 highs before: in. No new high for 3 candles: out. Below the 2 lows before: out at once."""
    closes = [1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 0.5, 0.5]
    weights = weights_of("donchian_breakout", panel_of(closes), entry=2, exit=2, hold=3)
    assert np.isnan(weights[:4]).all()
    assert weights[4:, 0].tolist() == [0, 1, 1, 1, 0, 1, 0, 0]


def test_rsi_reversion_by_hand() -> None:
    """Twenty rises, then falls: the index leaves 100 for below 30 and comes back over 60."""
    closes = [100.0 + step for step in range(21)] + [110.0, 100.0, 90.0, 100.0, 120.0]
    weights = weights_of("rsi_reversion", panel_of(closes), period=2, oversold=30, recovered=60, hold=5)
    index = rsi(panel_of(closes).close, 2)[20:, 0].round().tolist()
    assert index == [100, 9, 3, 1, 54, 85]  # in at 9, still below 60 at 54, out at 85
    assert weights[24:, 0].tolist() == [1, 0]


def test_bollinger_reversion_by_hand() -> None:
    """Below the mean less a deviation: in; at the mean: out."""
    closes = [10, 10, 10, 10, 10, 7, 7.5, 10, 10]
    weights = weights_of("bollinger_reversion", panel_of(closes), window=3, deviations=1.0, hold=3)
    # 7: mean 9, deviation 1.41, band 7.59. 7.5: mean 8.17, still below it. 10: above the mean 8.17.
    assert weights[4:, 0].tolist() == [0, 1, 1, 0, 0]


def test_time_series_momentum_by_hand() -> None:
    """Returns ±ln 2: far above the target, so the share shrinks by target / volatility; what fell gets nothing."""
    weights = weights_of("time_series_momentum", panel_of([1, 2, 1, 2], [4, 2, 4, 2]), lookback=1, window=2, target=1.0)
    a_year = np.sqrt(2) * np.log(2) * np.sqrt(365 * 1440)
    assert weights[3] == pytest.approx([1 / a_year / 2, 0], rel=1e-12)


def test_cross_sectional_momentum_by_hand() -> None:
    """The candle that is skipped does not count: 2/1 beats 3/2, though it has just fallen."""
    panel = panel_of([1, 2, 0.5], [2, 3, 3], [1, 1, 1])
    assert weights_of("cross_sectional_momentum", panel, lookback=1, skip=1, top=1)[2].tolist() == [1, 0, 0]
    assert weights_of("cross_sectional_momentum", panel, lookback=1, skip=1, top=2)[2].tolist() == [0.5, 0.5, 0]
    assert weights_of("cross_sectional_momentum", panel, lookback=1, skip=1, top=9)[2].tolist() == [1 / 3] * 3


def test_a_panel_shorter_than_the_warm_up_has_no_signal() -> None:
    """Not an error: history is short once, at the start."""
    panel = random_panel(np.random.default_rng(1), 20, symbols(2))
    for candles in (0, 1, 19):
        assert np.isnan(weights_of("sma_crossover", rows_of(panel, 0, candles), fast=5, slow=20)).all()
        assert np.isnan(weights_of("inverse_volatility", rows_of(panel, 0, candles), window=20)).all()
