"""What the benchmarks of the order path stand on: a durable PostgreSQL of their own and accounts that may trade.

Everything is made through the flows and stores themselves.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from tests.examples import BTC, intent
from trading.adapters.postgres.ledger import PostgresLedger
from trading.adapters.postgres.migrations import migrate
from trading.clock import SystemClock
from trading.config.settings import TradingConfig
from trading.domain.ids import Run
from trading.domain.ledger import HOUSE, opening_transaction, transfer_transaction
from trading.domain.limits import Limits
from trading.domain.order import Order, OrderRequest
from trading.domain.override import Override
from trading.domain.portfolio import Portfolio, StrategyPlan
from trading.domain.reconciliation import ReconciliationResult
from trading.domain.venue_order import VenueOrder
from trading.errors import OrderRejected
from trading.flows.market_view import MarketView
from trading.flows.send import PauseFlag, Sender
from trading.local.embedded_postgres import EmbeddedPostgres
from trading.ports.ledger import Books
from trading.ports.market import BestPrices

RUN = Run(run_id="place_orders__bench", dag_id="place_orders", actor="bench")
STRATEGY = "sma"
PRICE = Decimal(70_000)
RECV_WINDOW_MS = 2_000
_LONG = timedelta(days=1)
_PLENTY = Decimal(1_000_000_000)
_MANY = 1_000_000

LIMITS = Limits(
    max_order_notional=_PLENTY,
    max_position_notional=_PLENTY,
    max_gross_exposure_bps=Decimal(10_000),
    price_collar_bps=Decimal(10_000),
    max_orders_per_minute=_MANY,
    max_messages_per_minute=_MANY,
    repeated_order_count=_MANY,
    repeated_order_window_s=600,
    max_daily_loss_bps=Decimal(10_000),
    max_drawdown_bps=Decimal(10_000),
    max_candle_age_s=86_400,
    max_decision_age_s=86_400,
    max_reconciliation_age_s=86_400,
    max_clock_skew_ms=1_000,
)


@contextmanager
def bench_folder() -> Iterator[Path]:
    """A folder in $TRADING_HOME, so that what is written there lands on the disk that the pipeline writes to."""
    parent = TradingConfig.from_env().home / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=parent) as folder:
        os.chmod(folder, 0o755)  # noqa: S103 - as root, PostgreSQL runs as another user
        yield Path(folder)


@contextmanager
def durable_server(folder: Path) -> Iterator[str]:
    """The embedded PostgreSQL of `make run` with its own settings: fsync and synchronous_commit are on."""
    server = EmbeddedPostgres(home=folder, clock=SystemClock())
    url = server.start()
    try:
        with psycopg.connect(url) as connection:
            for setting in ("fsync", "synchronous_commit"):
                found = connection.execute("SELECT current_setting(%s)", [setting]).fetchone()
                assert found == ("on",), f"{setting}: expected on, got {found}"
        yield url
    finally:
        server.stop()


def migrated_database(server: str, name: str) -> str:
    """The URL of a new, migrated database."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = make_conninfo(server, dbname=name)
    migrate(url)
    return url


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchAccount:
    """One account whose every strategy may buy, and a sender for it."""

    ledger: PostgresLedger
    name: str
    portfolio: Portfolio
    epoch: int

    def planned(self, generation: int, strategy: str = STRATEGY) -> Order:
        """A wish for 0.01 BTC, stored as `place` stores it."""
        now = datetime.now(UTC)
        wish = intent(
            account=self.name,
            strategy=strategy,
            generation=generation,
            quantity=Decimal("0.01"),
            target_quantity=Decimal(1_000),
            planned_at=now,
            expires_at=now + _LONG,
        )
        with self.ledger.transaction() as books:
            books.orders.plan(wish, RUN)
            order = books.orders.get(wish.client_order_id)
        assert order is not None
        return order

    def sender(self, ledger: object = None) -> Sender:
        """The flow under measurement, before a venue that says no at once: what it sends ends with the answer."""
        return Sender(
            ledger or self.ledger,  # type: ignore[arg-type]
            RefusingVenue(),  # type: ignore[arg-type]
            SystemClock(),
            account=self.name,
            portfolio=self.portfolio,
            recv_window_ms=RECV_WINDOW_MS,
        )


class RefusingVenue:
    """A venue whose every answer is a definite no."""

    def submit(self, request: OrderRequest) -> VenueOrder:
        """No."""
        raise OrderRejected("-1013", f"order {request.client_order_id}: refused")


def pause() -> PauseFlag:
    """Airflow says that nothing is paused."""
    return PauseFlag(lambda: False)


def market_view() -> MarketView:
    """BTC at one price, seen just now."""
    return MarketView(
        instruments={BTC.symbol: BTC},
        prices={BTC.symbol: PRICE},
        newest_close_at={BTC.symbol: datetime.now(UTC)},
        best={BTC.symbol: BestPrices(bid=PRICE, ask=PRICE)},
        skew_ms=0.0,
    )


def open_account(url: str, name: str, strategies: tuple[str, ...] = (STRATEGY,)) -> BenchAccount:
    """An account with money for each strategy, released, leased, reconciled, and owned by this run's epoch."""
    ledger = PostgresLedger(url, code_version="bench")
    now = datetime.now(UTC)
    opening = opening_transaction(name, {"USDT": _PLENTY}, now)
    assert opening is not None
    with ledger.transaction() as books:
        books.accounts.open(name, venue="binance", mode="replay", at=now, run=RUN)
        books.instruments.save([BTC], at=now, run=RUN)
        books.entries.post(opening, RUN)
        for strategy in strategies:
            share = transfer_transaction(
                name,
                source=HOUSE,
                destination=strategy,
                currency="USDT",
                amount=Decimal(1_000_000),
                reference=f"allocation:{strategy}:0:1",
                at=now,
            )
            books.entries.post(share, RUN)
        let_trade(books, name, now)
        books.accounts.lock(name)
        epoch = books.accounts.advance_epoch(name)
    return BenchAccount(ledger=ledger, name=name, portfolio=bench_portfolio(strategies), epoch=epoch)


def let_trade(books: Books, name: str, now: datetime) -> None:
    """Release the halt that a new account opens with, renew the lease, and note a clean reconciliation."""
    (halt,) = books.control.halts(name)
    override = Override(
        halt_id=halt.halt_id,
        action="resume",
        scope="all",
        environment="replay",
        subject="bench",
        key_id="bench",
        token_id=f"bench-{name}",
        issued_at=now,
        expires_at=now + timedelta(minutes=10),
        reason="a benchmark",
    )
    books.control.release(name, override, at=now, run=RUN)
    books.control.renew_lease(name, now + _LONG, RUN)
    clean = ReconciliationResult(at=now, compared=True, discrepancies=(), unknown_orders=0)
    books.reconciliations.record(name, clean, RUN)


def bench_portfolio(strategies: tuple[str, ...], instruments: tuple[str, ...] = (BTC.symbol,)) -> Portfolio:
    """These strategies over these instruments, within limits that nothing here reaches."""
    plans = tuple(
        StrategyPlan(
            name=name,
            function="buy_and_hold",
            timeframe="1d",
            instruments=instruments,
            allocation=Decimal("0.9") / len(strategies),
        )
        for name in strategies
    )
    return Portfolio(
        currency="USDT",
        cash_buffer_bps=Decimal(100),
        instruments=instruments,
        strategies=plans,
        limits=LIMITS,
        content_hash="0" * 64,
    )
