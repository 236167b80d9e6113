"""The backtest beside its peers on 525,600 one-minute candles, and live evaluation of 500 instruments.

The peers come from tests/benchmarks/requirements.in. What ours does and they do not: lots, ticks, partial fills by
volume, minimum notionals, a rebalance threshold, exact money.
"""

import importlib.util
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.figure import Figure
from tests.examples import BTC
from trading.domain.backtest import BacktestRules
from trading.domain.market import Panel
from trading.flows.backtest import Candles, Study, combinations, study, sweep
from trading.strategies import registry

CANDLES = 525_600
RUNS = 5
#: vectorbt's sweep needs gigabytes: so many of its combinations are run, and counted for all 200.
PEER_PAIRS = 8
FAST, SLOW = [Decimal(one) for one in range(5, 45, 2)], [Decimal(one) for one in range(50, 150, 10)]


def backtest() -> Iterator[Figure]:
    """One run, one process, one sweep."""
    missing = [name for name in ("vectorbt", "backtesting") if importlib.util.find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"backtest: {' and '.join(missing)} missing, nothing is measured: `make bench ONLY=backtest` installs"
            " tests/benchmarks/requirements.txt\n"
        )
        return
    cube = random_market()
    yield from _one_run(cube)
    yield from _whole_process(cube)
    yield from _sweeps(cube)


def random_market() -> Any:
    """(5, candles): open, high, low, close, volume."""
    generator = np.random.default_rng(20260302)
    close = np.round(30_000 * np.exp(np.cumsum(generator.normal(0, 0.0006, CANDLES))), 2)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + 0.5, np.minimum(opened, close) - 0.5
    return np.array([opened, high, low, close, np.full(CANDLES, 1e5)])


def candles_of(cube: Any) -> Candles:
    """As a backtest takes them."""
    open_ms = np.arange(cube.shape[1], dtype=np.int64) * 60_000
    panel = Panel((BTC.symbol,), "1m", open_ms, *(np.ascontiguousarray(part[:, np.newaxis]) for part in cube))
    return Candles(panel=panel, instruments={BTC.symbol: BTC}, source="random")


def one_study(cube: Any) -> Study:
    """SMA 20/50 with a fee of 10 bps."""
    parameters = registry.parameters("sma_crossover", {"fast": 20, "slow": 50})
    return study("sma_crossover", parameters, candles_of(cube), BacktestRules())


def _one_run(cube: Any) -> Iterator[Figure]:
    from tests.benchmarks.bare_rule import bare_run

    peer, equity = _vectorbt(cube), np.empty(CANDLES)
    ours, theirs, bare = _in_turn(
        lambda: one_study(cube).figures, lambda: peer([20], [50]), lambda: bare_run(cube[0], cube[3], 20, 50, equity)
    )
    yield _figure("backtest_warm", ours, "vectorbt", theirs, bar=0.1)
    yield _figure("backtest_kernel", ours, "the bare rule, compiled", bare, bar=10)


def _whole_process(cube: Any) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candles.npy"
        np.save(path, cube)

        def process(which: str) -> Callable[[], Any]:
            command = [sys.executable, "-m", "tests.benchmarks.whole_process", which, str(path)]
            return lambda: subprocess.run(command, check=True, capture_output=True)

        ours, theirs = _in_turn(process("ours"), process("peer"), runs=2)
    yield _figure("backtest_process", ours, "backtesting.py", theirs, bar=0.4)


def _sweeps(cube: Any) -> Iterator[Figure]:
    from tests.benchmarks.bare_rule import bare_sweep

    grid, _ = combinations("sma_crossover", {}, {"fast": FAST, "slow": SLOW})
    pairs = np.array([(one.fast, one.slow) for one in grid])  # type: ignore[attr-defined]
    candles, rules, peer = candles_of(cube), BacktestRules(), _vectorbt(cube)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def swept() -> None:
        for one in sweep("sma_crossover", grid, candles, rules):
            assert one.figures.sales

    ours, bare = _in_turn(swept, lambda: bare_sweep(cube[0], cube[3], pairs), runs=2)
    peak_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    some = [pairs[number * len(pairs) // PEER_PAIRS] for number in range(PEER_PAIRS)]
    (theirs,) = _in_turn(lambda: peer(*(list(part) for part in zip(*some, strict=True))), runs=1)
    yield _figure(
        "backtest_sweep",
        ours,
        f"vectorbt, {PEER_PAIRS} of them",
        theirs * len(pairs) / PEER_PAIRS,
        bar=0.025,
    )
    yield _figure("backtest_sweep_bare", ours, "the bare rule, prange", bare, bar=1.5)
    yield Figure(
        name="backtest_sweep_memory",
        ours=max(peak_mib, 1),
        baseline_name="a mebibyte",
        baseline=1.0,
        unit="MiB",
        bar=400,
        runs=1,
    )


def _vectorbt(cube: Any) -> Callable[[list[int], list[int]], Any]:
    """SMA crossovers with next-open fills, trades and figures."""
    import pandas as pd
    import vectorbt

    index = pd.date_range("2024-01-01", periods=CANDLES, freq="min")
    opened, close = (pd.Series(cube[part], index=index) for part in (0, 3))

    def run(fast: list[int], slow: list[int]) -> Any:
        quick = vectorbt.MA.run(close, fast, short_name="fast")
        slack = vectorbt.MA.run(close, slow, short_name="slow")
        above = quick.ma_above(slack).vbt.fshift(1).fillna(False).astype(bool)
        folio = vectorbt.Portfolio.from_signals(
            close, above, ~above, price=opened, fees=0.001, init_cash=10_000, freq="1min"
        )
        return folio.total_return(), folio.sharpe_ratio(), folio.max_drawdown(), folio.trades.records

    return run


def _in_turn(*runs_: Callable[[], Any], runs: int = RUNS) -> list[float]:
    """The median of each in seconds, measured one after the other, so that all meet the same machine."""
    for run in runs_:
        run()
    times: list[list[float]] = [[] for _ in runs_]
    for _ in range(runs):
        for run, found in zip(runs_, times, strict=True):
            before = time.perf_counter()
            run()
            found.append(time.perf_counter() - before)
    return [statistics.median(found) for found in times]


def _figure(name: str, ours: float, baseline_name: str, baseline: float, *, bar: float) -> Figure:
    return Figure(
        name=name,
        ours=ours * 1000,
        baseline_name=baseline_name,
        baseline=baseline * 1000,
        unit="ms",
        bar=bar,
        runs=RUNS,
    )
