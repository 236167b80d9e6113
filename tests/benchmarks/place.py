"""The whole of `place` for 200 intents on the paper exchange, against a loop of 200 orders through bare ccxt.

A hundred strategies want two instruments each. Every round has a database of its own, and the two take turns.
"""

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from tests.benchmarks.create_order import through_ccxt
from tests.benchmarks.figure import Figure
from tests.benchmarks.paper_process import adapter, bare_ccxt, paper_process
from tests.benchmarks.stage import (
    RECV_WINDOW_MS,
    RUN,
    bench_folder,
    bench_portfolio,
    durable_server,
    let_trade,
    migrated_database,
)
from tests.examples import candles, decision
from trading.adapters.ccxt_exchange import CcxtExchange
from trading.adapters.postgres.ledger import PostgresLedger
from trading.clock import SystemClock
from trading.domain.ledger import opening_transaction
from trading.domain.market import floor_to_timeframe, to_ms
from trading.flows.place import Place

ROUNDS, INTENTS = 4, 200
BAR = 5.0
_INSTRUMENTS = ("BTC/USDT", "ETH/USDT")
_STRATEGIES = tuple(f"s{number}" for number in range(INTENTS // len(_INSTRUMENTS)))
_ACCOUNT = "bench"
_DAY_MS = 86_400_000


def place() -> Iterator[Figure]:
    """Medians of the whole, in ms."""
    ours, theirs = [], []
    with bench_folder() as folder, durable_server(folder) as server, paper_process(folder) as url:
        exchange, client = adapter(url), bare_ccxt(url)
        for turn in range(ROUNDS + 1):
            ledger = PostgresLedger(migrated_database(server, f"place{turn}"), code_version="bench")
            ours.append(_place_ms(ledger, exchange))
            ledger.close()
            theirs.append(_loop_ms(client))
    yield Figure(
        name="place_200",
        ours=statistics.median(ours[1:]),
        baseline_name="a loop of bare ccxt",
        baseline=statistics.median(theirs[1:]),
        unit="ms",
        bar=BAR,
        runs=ROUNDS,
    )


def _place_ms(ledger: PostgresLedger, exchange: CcxtExchange) -> float:
    """One placing of all intents; the account, its candles and its allocations are there before."""
    portfolio = bench_portfolio(_STRATEGIES, _INSTRUMENTS)
    flow = Place(
        ledger,
        exchange,
        exchange,
        SystemClock(),
        account=_ACCOUNT,
        portfolio=portfolio,
        recv_window_ms=RECV_WINDOW_MS,
    )
    _prepare(ledger, exchange)
    flow.run(RUN, lambda: False)  # moves each strategy its share
    as_of = floor_to_timeframe(datetime.now(UTC), "1d")
    weights = dict.fromkeys(_INSTRUMENTS, Decimal("0.4"))
    with ledger.transaction() as books:
        for name in _STRATEGIES:
            wanted = decision(strategy=name, timeframe="1d", as_of=as_of, weights=weights, decided_at=datetime.now(UTC))
            books.decisions.record(wanted, RUN)
    began = time.perf_counter()
    report = flow.run(RUN, lambda: False)
    took_ms = (time.perf_counter() - began) * 1000
    assert report.outcomes["sent"] == INTENTS, report.counts
    return took_ms


def _prepare(ledger: PostgresLedger, exchange: CcxtExchange) -> None:
    """An account that may trade: money, instruments, and yesterday's candle of each at the venue's price."""
    now = datetime.now(UTC)
    yesterday_ms = to_ms(floor_to_timeframe(now, "1d")) - _DAY_MS
    prices = exchange.best_prices(_INSTRUMENTS)
    opening = opening_transaction(_ACCOUNT, {"USDT": Decimal(10_000_000)}, now)
    assert opening is not None
    with ledger.transaction() as books:
        books.accounts.open(_ACCOUNT, venue="binance", mode="replay", at=now, run=RUN)
        books.instruments.save(exchange.instruments(_INSTRUMENTS), at=now, run=RUN)
        books.entries.post(opening, RUN)
        for symbol in _INSTRUMENTS:
            series = candles(yesterday_ms, [float(prices[symbol].bid)], _DAY_MS)
            books.candles.upsert(symbol, "1d", series, at=now, run=RUN)
        let_trade(books, _ACCOUNT, now)


def _loop_ms(client: object) -> float:
    """As many orders as fast as ccxt can."""
    orders = [through_ccxt(client) for _ in range(INTENTS)]
    began = time.perf_counter()
    for order in orders:
        order()
    return (time.perf_counter() - began) * 1000
