"""The shipped strategies: worked rows, and no look-ahead; planted faults are caught by the same check."""

from typing import Any

import numpy as np
import pytest
from bias_checks import findings, random_panel, rows_of
from numpy.typing import NDArray

from trading.domain.decision import quantised_weights
from trading.domain.market import Panel
from trading.strategies import registry
from trading.strategies.rolling import rolling_deviation, rolling_mean

CASES: list[tuple[str, dict[str, object]]] = [
    ("buy_and_hold", {}),
    ("inverse_volatility", {"window": 2}),
    ("inverse_volatility", {"window": 30}),
    ("sma_crossover", {"fast": 1, "slow": 2}),
    ("sma_crossover", {"fast": 7, "slow": 31}),
]


def panel_of(*closes: list[float]) -> Panel:
    """A panel in which only the closes matter, one list an instrument."""
    close = np.array(closes, dtype=np.float64).T
    names = tuple(f"I{number}/USDT" for number in range(len(closes)))
    open_ms = np.arange(len(close), dtype=np.int64) * 60_000
    return Panel(names, "1m", open_ms, close, close, close, close, np.ones_like(close))


def weights_of(name: str, panel: Panel, **values: object) -> NDArray[np.float64]:
    return registry.get(name).compute(panel, registry.parameters(name, values))


@pytest.mark.parametrize(("name", "values"), CASES)
@pytest.mark.parametrize("instruments", [1, 3, 8])
def test_a_shipped_strategy_has_no_bias(name: str, values: dict[str, object], instruments: int) -> None:
    """Cut a thousand times, poisoned, without more history than its warm-up, with a gap: its rows stay, bit by bit."""
    strategy, parameters = registry.get(name), registry.parameters(name, values)
    generator = np.random.default_rng(20260302 + instruments)
    panel = random_panel(generator, 257, instruments)
    wrong = findings(
        lambda given: strategy.compute(given, parameters),
        panel,
        warmup=strategy.warmup(parameters),
        generator=generator,
        rounds=340,
    )
    assert wrong == []


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


def _cumulative(panel: Panel) -> NDArray[np.float64]:
    """An average over 5 candles by differences of cumulative sums, and over more than it says in the last bits."""
    total = np.cumsum(panel.close, axis=0)
    mean = np.full(panel.close.shape, np.nan)
    if len(panel) >= 5:
        mean[4:] = (total[4:] - np.vstack([np.zeros_like(total[:1]), total[:-5]])) / 5
    return mean / mean.sum(axis=1, keepdims=True)


def _normalised(panel: Panel) -> NDArray[np.float64]:
    """Scales by the highest close of the whole panel."""
    return panel.close / panel.close.max(axis=0) / panel.close.shape[1]


PLANTED: dict[str, tuple[Any, int, str]] = {
    "shift(-1)": (lambda panel: _momentum(panel, -1), 1, "looks ahead"),
    "centred window": (_centred, 2, "looks ahead"),
    "scaled by the future": (_normalised, 1, "looks ahead"),
    "cumulative sums": (_cumulative, 5, "its warm-up is longer"),
    "understated warm-up": (
        lambda panel: weights_of("sma_crossover", panel, fast=2, slow=9),
        5,
        "its warm-up is longer",
    ),
    "borrows": (lambda panel: np.full(panel.close.shape, 0.6), 1, "sum to at most 1"),
    "sells short": (lambda panel: np.full(panel.close.shape, -0.1), 1, ">= 0"),
    "ignores gaps": (lambda panel: np.full(panel.close.shape, 0.5), 1, "touches a gap"),
    "another shape": (lambda panel: np.zeros(len(panel)), 1, "expected float64"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_fault_is_caught(case: str) -> None:
    """The check that passes the shipped strategies says in words what is wrong with these."""
    compute, warmup, told = PLANTED[case]
    generator = np.random.default_rng(7)
    wrong = findings(compute, random_panel(generator, 257, 2), warmup=warmup, generator=generator, rounds=60)
    assert any(told in sentence for sentence in wrong), wrong


def test_the_honest_twin_of_the_planted_strategy_passes() -> None:
    """Without its shift it has no fault but the gap rule's: the check does not cry wolf."""
    generator = np.random.default_rng(7)
    panel = random_panel(generator, 257, 1)
    wrong = findings(lambda given: _momentum(given, 0), panel, warmup=2, generator=generator, rounds=60)
    assert wrong == ["a window that touches a gap gives weights: expected NaN in the whole row"]


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
        panel = random_panel(np.random.default_rng(instruments), 60, instruments)
        row = weights_of(name, panel, **values)[-1]
        assert quantised_weights(name, panel.instruments, row).keys() == set(panel.instruments)


@pytest.mark.parametrize("window", [2, 3, 17])
def test_rolling_statistics_agree_with_numpy(window: int) -> None:
    """To rounding: the order of additions is ours."""
    values = random_panel(np.random.default_rng(window), 80, 3).close
    windows = np.lib.stride_tricks.sliding_window_view(values, window, axis=0)
    np.testing.assert_allclose(rolling_mean(values, window)[window - 1 :], windows.mean(axis=-1), rtol=1e-14)
    np.testing.assert_allclose(
        rolling_deviation(values, window)[window - 1 :], windows.std(axis=-1, ddof=1), rtol=1e-12
    )


def test_a_panel_shorter_than_the_warm_up_has_no_signal() -> None:
    """Not an error: history is short once, at the start."""
    panel = random_panel(np.random.default_rng(1), 20, 2)
    for candles in (0, 1, 19):
        assert np.isnan(weights_of("sma_crossover", rows_of(panel, 0, candles), fast=5, slow=20)).all()
        assert np.isnan(weights_of("inverse_volatility", rows_of(panel, 0, candles), window=20)).all()
