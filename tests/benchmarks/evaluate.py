"""Evaluating live: 10 strategies, 500 instruments, 1,000 candles, from the database to stored decisions."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from tests.benchmarks.figure import Figure
from tests.benchmarks.stage import RUN, bench_folder, bench_portfolio, durable_server, migrated_database
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import ManualClock
from trading.domain.market import CandleSeries, to_ms
from trading.domain.portfolio import Parameters, StrategyPlan
from trading.flows.bound_strategies import bound_strategies
from trading.flows.evaluate import Evaluate

INSTRUMENTS, CANDLES, STRATEGIES, SECONDS = 500, 1_000, 10, 5.0
_T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)


def evaluate() -> Iterator[Figure]:
    """One run of the flow, in seconds."""
    symbols = tuple(f"I{number}/USDT" for number in range(INSTRUMENTS))
    with bench_folder() as folder, durable_server(folder) as server:
        ledger = PostgresLedger(migrated_database(server, "evaluate"), code_version="bench")
        _store(ledger, symbols)
        plans = tuple(_plan(number, symbols) for number in range(STRATEGIES))
        portfolio = bench_portfolio(("unused",), symbols)
        strategies = [one for plan in plans for one in bound_strategies(replace(portfolio, strategies=(plan,)))]
        flow = Evaluate(ledger, ManualClock(_T0 + timedelta(seconds=2)), strategies)
        before = time.perf_counter()
        report = flow.run(RUN)
        took = time.perf_counter() - before
        assert len(report.decisions) == STRATEGIES, report
        ledger.close()
    yield Figure(name="evaluate_500", ours=took, baseline_name="a second", baseline=1.0, unit="s", bar=SECONDS, runs=1)


def _plan(number: int, symbols: tuple[str, ...]) -> StrategyPlan:
    return StrategyPlan(
        name=f"s{number}",
        function="sma_crossover",
        timeframe="1m",
        instruments=symbols,
        allocation=Decimal("0.05"),
        parameters=Parameters({"fast": 10 + number, "slow": CANDLES}),
    )


def _store(ledger: PostgresLedger, symbols: tuple[str, ...]) -> None:
    generator = np.random.default_rng(1)
    open_ms = to_ms(_T0) - 60_000 * np.arange(CANDLES, 0, -1, dtype=np.int64)
    for symbol in symbols:
        close = 100 * np.exp(np.cumsum(generator.normal(0, 0.001, CANDLES)))
        series = CandleSeries(open_ms, close, close * 1.001, close * 0.999, close, np.full(CANDLES, 10.0))
        with ledger.transaction() as books:
            books.candles.upsert(symbol, "1m", series, at=_T0, run=RUN)
