"""What a backtest leaves out of its look at each candle changes nothing: calm markets, weights, sums."""

from dataclasses import asdict, replace
from decimal import Decimal

import numpy as np
import pytest

from tests.examples import BTC
from tests.unit.domain.test_backtest import both, random_instruments, random_market, random_rules, random_weights
from trading.domain.backtest import BacktestRules, market_of, run_backtest
from trading.domain.decision import NO_WEIGHT, quantised_rows
from trading.domain.market import Panel
from trading.domain.performance import sums_of
from trading.domain.targets import targets_of
from trading.errors import DataError
from trading.strategies.bias import random_panel
from trading.strategies.rolling import full_stretches, full_windows


@pytest.mark.parametrize("seed", range(12))
def test_a_calm_market_equals_the_products_own_rules(seed: int) -> None:
    """Long stretches of one weight and small steps: accounts around the smallest notional, the threshold and a gap."""
    generator = np.random.default_rng(seed)
    close = np.round(30_000 * np.exp(np.cumsum(generator.normal(0, 0.0006, 500))), 2)
    close[generator.random(500) < 0.01] = np.nan
    column = close[:, np.newaxis]
    panel = Panel((BTC.symbol,), "1m", np.arange(500) * 60_000, *(column.copy() for _ in range(4)), column * 0 + 1e5)
    weights = generator.choice([0.0, 0.3, 1.0, np.nan], (500 // 50, 1), p=[0.3, 0.2, 0.4, 0.1]).repeat(50, axis=0)
    least = Decimal(5)
    cash = least * Decimal(str(generator.choice([1.01, 1.05, 1.2, 2, 300])))
    threshold = Decimal(int(generator.choice([0, 90, 100, 500])))
    rules = BacktestRules(cash=cash.quantize(Decimal("0.01")), rebalance_threshold_bps=threshold)
    both(panel, weights, {BTC.symbol: replace(BTC, min_notional=least)}, rules)


def test_targets_are_the_quantised_rows() -> None:
    """Row for row, with rows without a signal, gaps, and weights that stay."""
    for seed in range(40):
        generator = np.random.default_rng(seed)
        instruments = random_instruments(generator, int(generator.integers(1, 4)))
        panel = random_market(generator, instruments, 300)
        weights = random_weights(generator, panel)
        window = int(generator.integers(1, 6))
        stretches = full_stretches(panel, window)
        targets = targets_of("s", panel, weights, stretches)
        found = targets.millionths[np.searchsorted(targets.rows, np.arange(300), side="right") - 1]
        expected = quantised_rows("s", panel, np.where(full_windows(panel, window), weights, np.nan))
        assert (found == expected).all()
        later = targets.since(100)
        found = later.millionths[np.searchsorted(later.rows, np.arange(300), side="right") - 1]
        assert (found[:100] == NO_WEIGHT).all()
        assert (found[100:] == expected[100:]).all()


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.inf])
def test_what_is_no_weight_is_named(bad: float) -> None:
    """With the sentence of the whole table, also where a row sums to more than 1 or is NaN in part."""
    panel = random_panel(np.random.default_rng(1), 50, ("A/USDT", "B/USDT"))
    for row in ([bad, 0.0], [0.6, 0.6], [np.nan, 0.1]):
        weights = np.zeros((50, 2))
        weights[30] = row
        with pytest.raises(DataError, match="row 30 "):
            targets_of("s", panel, weights)


def test_sums_equal_those_of_the_curve_and_the_orders() -> None:
    """From any candle on."""
    for seed in range(30):
        generator = np.random.default_rng(seed)
        instruments = random_instruments(generator, int(generator.integers(1, 3)))
        rules = random_rules(generator)
        panel = random_market(generator, instruments, 200)
        market = market_of(panel, instruments, rules)
        result = run_backtest(market, targets_of("s", panel, random_weights(generator, panel)), rules)
        first, filled = int(generator.integers(0, 150)), [one for one in result.orders() if one.filled]
        expected = sums_of(
            result.equity[first:],
            exposure=result.exposure[first:],
            traded=np.array([float(one.notional) for one in filled]),
            results=np.array([float(one.result) for one in filled if one.side == "sell"]),
            fees=np.array([float(one.fee * (one.price if one.side == "buy" else 1)) for one in filled]),
        )
        assert asdict(result.sums(first)) == pytest.approx(asdict(expected), rel=1e-9, abs=1e-12)
