"""The compiled backtest equals planning, checks and matching, one Decimal at a time, to the last digit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator

from tests.backtest_by_hand import BacktestByHand
from tests.desk import LIMITS
from tests.examples import BTC, ETH
from trading.domain.backtest import Backtest, BacktestRules, SimulatedOrder, market_of, run_backtest
from trading.domain.backtest_grid import grid_of
from trading.domain.backtest_terms import OUTCOMES
from trading.domain.decision import weights_in_millionths
from trading.domain.market import Instrument, Panel
from trading.domain.matching import FeeModel, SlippageModel, VolumeShareModel
from trading.domain.money import floor_to_step, price_from_candle
from trading.domain.targets import targets_of
from trading.errors import ConfigurationError, DataError
from trading.strategies.bias import random_panel

SYMBOLS = ("A/USDT", "B/USDT", "C/USDT")
ROUNDS = 120


def step(generator: Generator, coarsest: int, finest: int) -> Decimal:
    return Decimal(int(generator.choice([1, 1, 2, 5]))).scaleb(-int(generator.integers(coarsest, finest + 1)))


def random_instruments(generator: Generator, number: int) -> dict[str, Instrument]:
    found = {}
    for symbol in SYMBOLS[:number]:
        lot = step(generator, 0, 6)
        found[symbol] = replace(
            BTC,
            symbol=symbol,
            base=symbol[0],
            tick_size=step(generator, 1, 4),
            lot_step=lot,
            min_quantity=lot * int(generator.integers(1, 20)),
            max_quantity=Decimal(int(generator.choice([0, 3, 300, 90_000]))),
            min_notional=Decimal(int(generator.choice([0, 10, 60, 400, 1_500]))),
            market_lot_step=lot * int(generator.choice([0, 0, 0, 3])),
        )
    return found


def random_rules(generator: Generator) -> BacktestRules:
    def bps(most: int) -> Decimal:
        return Decimal(int(generator.integers(0, most * 100))) / 100

    limits = replace(
        LIMITS,
        max_order_notional=Decimal(int(generator.integers(200, 20_000))),
        max_position_notional=Decimal(int(generator.integers(500, 20_000))),
        max_gross_exposure_bps=bps(12_000),
        price_collar_bps=bps(400),
    )
    return BacktestRules(
        cash=Decimal(int(generator.integers(1_000, 2_000_000))) / 100,
        fees=FeeModel(taker_bps=bps(60), places=int(generator.choice([2, 8]))),
        slippage=SlippageModel(bps=bps(150)),
        volume_share=VolumeShareModel(share=Decimal(int(generator.integers(1, 100))) / 100),
        cash_buffer_bps=bps(500),
        rebalance_threshold_bps=bps(300),
        limits=limits if generator.random() < 0.5 else None,
        outside=Decimal(int(generator.choice([0, 5_000]))),
    )


def random_market(generator: Generator, instruments: dict[str, Instrument], candles: int) -> Panel:
    """Jumpy walks on and off the tick grid, opens away from closes, thin volumes, and now and then a gap."""
    panel = random_panel(generator, candles, tuple(instruments))
    steps = np.array([float(one.tick_size) for one in instruments.values()])
    scale = generator.uniform(0.05, 30, len(instruments))
    jumps = np.exp(generator.normal(0, generator.choice([0.003, 0.01, 0.05]), panel.open.shape))
    columns = {}
    for name, values in (("open", panel.open * jumps), ("close", panel.close)):
        rounded = np.maximum(np.round(values * scale / steps), 1) * steps
        columns[name] = np.where(generator.random(values.shape) < 0.9, np.round(rounded, 8), values * scale)
    volume = np.round(generator.exponential(300, panel.volume.shape), int(generator.integers(0, 6)))
    volume[generator.random(volume.shape) < 0.03] = 0
    for values in (*columns.values(), volume):
        values[generator.random(len(values)) < 0.02] = np.nan
    return replace(panel, high=panel.close, low=panel.close, volume=volume, **columns)


def random_weights(generator: Generator, panel: Panel) -> Any:
    """Rows that stay for a while, with flat ones and some without a signal; none beside a missing candle."""
    shape = panel.close.shape
    rows = generator.dirichlet(np.ones(shape[1] + 1), len(panel))[:, :-1]
    rows[generator.random(len(panel)) < 0.2] = 0
    kept = np.maximum.accumulate(np.where(generator.random(len(panel)) < 0.4, np.arange(len(panel)), 0))
    weights = rows[kept].copy()
    weights[generator.random(len(panel)) < 0.05] = np.nan
    weights[~np.isfinite(panel.close + panel.open + panel.volume).all(axis=1)] = np.nan
    return weights


def both(panel: Panel, weights: Any, instruments: dict[str, Instrument], rules: BacktestRules) -> list[SimulatedOrder]:
    """Run the two, hold them equal, and give back the orders."""
    ours = run_backtest(market_of(panel, instruments, rules), targets_of("s", panel, weights), rules)
    theirs = BacktestByHand(panel, weights, instruments, rules).run()
    found = [replace(order, at=order.as_of, result=Decimal(0)) for order in ours.orders()]
    assert found == theirs.orders
    assert [ours.equity_at(row) for row in range(len(panel))] == theirs.equity
    return found


def test_the_kernel_equals_the_products_own_rules() -> None:
    """Random grids, fees, limits, markets and weights: every order, fill, fee and equity, in exact numbers.

    The cases reach every outcome but the venue's two refusals, which our own checks mostly forestall: a rule that no
    case reached would be proved by nothing.
    """
    reached = set()
    for seed in range(ROUNDS):
        generator = np.random.default_rng(seed)
        instruments = random_instruments(generator, int(generator.integers(1, 4)))
        rules = random_rules(generator)
        panel = random_market(generator, instruments, 60)
        orders = both(panel, random_weights(generator, panel), instruments, rules)
        reached |= {order.outcome for order in orders}
    assert reached >= {outcome for outcome in OUTCOMES if not outcome.startswith("rejected")}


def test_what_only_the_venue_refuses() -> None:
    """Its smallest notional by the open, though our expected price passes; its balance, after a dearer purchase."""
    falls = market([[100.0], [100.0]], [[100.0], [99.99]])
    rules = BacktestRules(cash=Decimal(100), slippage=SlippageModel(bps=Decimal(10)))
    (small,) = both(
        falls, np.full((2, 1), 0.1), {"A/USDT": replace(BTC, symbol="A/USDT", min_notional=Decimal(10))}, rules
    )
    assert small.outcome == "rejected: NOTIONAL"
    jumps = market([[100.0, 100.0]] * 2, [[100.0, 100.0], [120.0, 100.5]])
    two = {symbol: replace(BTC, symbol=symbol, base=symbol[0]) for symbol in jumps.instruments}
    first, second = both(jumps, np.array([[0.4, 0.6]] * 2), two, BacktestRules(cash=Decimal(1_000)))
    assert (first.outcome, second.outcome) == ("filled", "rejected: insufficient balance")


def market(closes: list[list[float]], opens: list[list[float]]) -> Panel:
    """A liquid market of these prices."""
    close, opened = np.array(closes), np.array(opens)
    open_ms = np.arange(len(close), dtype=np.int64) * 60_000
    return Panel(SYMBOLS[: close.shape[1]], "1m", open_ms, opened, close, close, close, np.full(close.shape, 1e6))


def flat(panel_rows: int, price: float = 100.0, volume: float = 1e6) -> Panel:
    column = np.full((panel_rows, 1), price)
    open_ms = np.arange(panel_rows, dtype=np.int64) * 60_000
    return Panel((BTC.symbol,), "1m", open_ms, column, column, column, column.copy(), np.full((panel_rows, 1), volume))


def traded(panel: Panel, *weights: float, **rules: Any) -> Backtest:
    chosen = BacktestRules(**rules)
    targets = targets_of("s", panel, np.array(weights)[:, np.newaxis])
    return run_backtest(market_of(panel, {BTC.symbol: BTC}, chosen), targets, chosen)


def test_one_purchase_and_one_sale_by_hand() -> None:
    """1,000 USDT at half weight and 100: 5 BTC at 100.02 less 10 bps of base; all of it sold at 99.98 less 10 bps."""
    result = traded(flat(4), 0.5, 0.5, 0.0, 0.0, cash=Decimal(1_000))
    bought, sold = result.orders()
    assert (bought.quantity, bought.price, bought.fee, bought.fee_currency) == (
        5,
        Decimal("100.02"),
        Decimal("0.005"),
        "BTC",
    )
    assert (sold.quantity, sold.price, sold.fee) == (Decimal("4.995"), Decimal("99.98"), Decimal("0.49940010"))
    assert bought.at - bought.as_of == timedelta(0)
    assert float(sold.result) == pytest.approx(499.4001 - 0.49940010 - 500.1, abs=1e-9)
    assert [float(one.notional) for one in (bought, sold)] == pytest.approx([500.1, 499.4001])
    sums = result.sums(0)
    assert (sums.fees, sums.traded) == (pytest.approx(0.005 * 100.02 + 0.4994001), pytest.approx(500.1 + 499.4001))
    assert (sums.sales, sums.hits, sums.gained, sums.lost) == (1, 0, 0.0, pytest.approx(-float(sold.result)))
    assert result.equity_at(1) == 1_000 - Decimal("500.1") + Decimal("499.5")
    assert result.equity_at(3) == Decimal("999.4") - Decimal("499.5") + Decimal("499.4001") - Decimal("0.49940010")


def test_money_that_64_bits_cannot_count_is_named() -> None:
    """Rather than a figure that wrapped around."""
    with pytest.raises(DataError, match="too much to count in 64 bits"):
        traded(flat(2), 0.5, 0.5, cash=Decimal(10) ** 12)
    column = np.array([[100.0], [100.0], [1e8]])
    panel = replace(flat(3), open=column, close=column)
    with pytest.raises(DataError, match=r"outgrew .+ 64 bits can count"):
        traded(panel, 1.0, 1.0, 1.0, cash=Decimal(10_000))


def test_shares_finer_than_the_grid_and_unset_steps_are_refused() -> None:
    """In one sentence each."""
    with pytest.raises(ConfigurationError, match=r"fee is 0\.00001: expected 0 to 1,000,000 bps in steps of 0\.0001"):
        traded(flat(2), 0.5, 0.5, fees=FeeModel(taker_bps=Decimal("0.00001")))
    with pytest.raises(ConfigurationError, match="ETH/USDT: a backtest counts in whole ticks and lots"):
        grid_of((replace(ETH, lot_step=Decimal(0)),), 8)


@pytest.mark.parametrize("tick", ["0.01", "0.05", "0.0001", "2.5"])
def test_ticks_are_those_of_the_one_bridge_from_candles_to_money(tick: str) -> None:
    """Halves and their neighbours among them."""
    instrument = replace(BTC, tick_size=Decimal(tick))
    generator = np.random.default_rng(5)
    values = generator.uniform(1, 90_000, 400)
    halves = (np.floor(values / float(tick)) + 0.5) * float(tick)
    prices = np.concatenate([values, halves, np.nextafter(halves, 0), np.nextafter(halves, 1e9), np.round(values, 2)])
    ticks = grid_of((instrument,), 8).ticks(prices[:, np.newaxis], (instrument,))[:, 0]
    exact = [int(price_from_candle(value, instrument.tick_size) / instrument.tick_size) for value in prices.tolist()]
    assert ticks.tolist() == exact


@pytest.mark.parametrize("part", ["0.1", "0.3", "0.07", "1", "0.333333333333", "0"])
def test_capacity_is_the_volume_shares(part: str) -> None:
    """Of the candle before; nothing after a gap and in the first candle."""
    share, lot = VolumeShareModel(share=Decimal(part)), BTC.lot_step
    generator = np.random.default_rng(6)
    volume = np.concatenate(
        [np.round(generator.exponential(3, 500), 5), np.arange(200) * 1e-4, [1e5, 1e9, 123456789.12345, np.nan, 3.0]]
    )
    grid = grid_of((BTC,), 8)
    found = grid.capacity(volume[:, np.newaxis], (BTC,), share)[:, 0].tolist()
    assert found[0] == 0
    for row in range(1, len(volume)):
        before = volume[row - 1]
        exact = share.capacity(Decimal(repr(float(before))), lot) if np.isfinite(before) else Decimal(0)
        assert found[row] * grid.atom == exact


def test_weights_in_millionths_are_the_decimals_floor() -> None:
    """Around every boundary."""
    edges = np.arange(0, 1_000_001, 997) / 1e6
    values = np.concatenate(
        [edges, np.nextafter(edges, 0), np.nextafter(edges, 1), np.random.default_rng(7).random(2_000)]
    )
    million = [int(floor_to_step(Decimal(repr(v)), Decimal("0.000001")) * 1_000_000) for v in values.tolist()]
    assert weights_in_millionths(values[:, np.newaxis])[:, 0].tolist() == million
