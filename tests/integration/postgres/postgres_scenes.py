"""Small worlds that the tests of the PostgreSQL ledger start from."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from trading.adapters.postgres.ledger import PostgresBooks, PostgresLedger
from trading.domain.ids import Run, client_order_id
from trading.domain.ledger import Fill, fill_transaction
from trading.domain.market import CandleSeries, Instrument, to_ms
from trading.domain.order import Order, OrderEvent, OrderIntent, OrderState, OrderType, Purpose, Side, request_for

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = Run(run_id="place_orders__1", dag_id="place_orders", actor="tester", run_type="manual", causes=("ingest__1",))
ACCOUNT = "replay"
BTC = Instrument(
    symbol="BTC/USDT",
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=Decimal("0.01"),
    lot_step=Decimal("0.00001"),
    min_quantity=Decimal("0.00001"),
    max_quantity=Decimal(9000),
    min_notional=Decimal(5),
)


def open_account(ledger: PostgresLedger, account: str = ACCOUNT) -> None:
    """An account with one known instrument."""
    with ledger.transaction() as books:
        books.accounts.open(account, venue="binance", mode="replay", at=NOW, run=RUN)
        books.instruments.save([BTC], at=NOW, run=RUN)


def intent(generation: int = 0, account: str = ACCOUNT, **changes: Any) -> OrderIntent:
    """A market buy of 0.5 BTC."""
    facts: dict[str, Any] = {
        "account": account,
        "incarnation": 1,
        "strategy": "sma",
        "instrument": BTC.symbol,
        "timeframe": "1m",
        "as_of": NOW,
        "purpose": Purpose.REBALANCE,
        "generation": generation,
    }
    names = {**facts, "purpose": Purpose.REBALANCE.value}
    wish = OrderIntent(
        client_order_id=client_order_id(**names),
        **facts,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.5"),
        reference_price=Decimal("60000.10"),
        target_quantity=Decimal("0.5"),
        planned_at=NOW,
        expires_at=NOW + timedelta(minutes=1),
    )
    return replace(wish, **changes)


def step(order: Order, state: OrderState, **facts: Any) -> OrderEvent:
    """The next event of an order; a submission is signed."""
    if state is OrderState.SUBMITTING:
        request = request_for(order.intent, NOW, 2000)
        facts = {"signed_at": NOW, "recv_window_ms": 2000, "request_hash": request.request_hash, "epoch": 1, **facts}
    return OrderEvent(
        client_order_id=order.client_order_id,
        sequence=order.sequence + 1,
        state=state,
        at=NOW + timedelta(seconds=order.sequence + 1),
        run_id=RUN.run_id,
        dag_id=RUN.dag_id,
        **facts,
    )


def walk(books: PostgresBooks, wish: OrderIntent, states: Iterable[OrderState]) -> Order:
    """Plan the wish and take it through `states`."""
    books.orders.plan(wish, RUN)
    order = books.orders.get(wish.client_order_id)
    assert order is not None
    for state in states:
        venue_order_id = f"v{order.client_order_id[:6]}" if state is OrderState.ACCEPTED else None
        order = books.orders.append(order, step(order, state, venue_order_id=venue_order_id))
    return order


def fill_of(order: Order, number: int = 1, **changes: Any) -> Fill:
    """A fill of a fifth of the order, with a fee in base."""
    fill = Fill(
        venue="binance",
        instrument=order.intent.instrument,
        venue_fill_id=str(number),
        venue_order_id=order.venue_order_id or "v",
        client_order_id=order.client_order_id,
        side=order.intent.side,
        price=Decimal("60000.15"),
        quantity=Decimal("0.1"),
        fee=Decimal("0.0001"),
        fee_currency="BTC",
        filled_at=NOW + timedelta(seconds=number),
    )
    return replace(fill, **changes)


def record_fill(books: PostgresBooks, fill: Fill, account: str = ACCOUNT) -> bool:
    """The fill with its ledger transaction."""
    return books.fills.record(fill, fill_transaction(account, "sma", BTC, fill), RUN)


def candles(start: datetime, count: int, *, seed: int = 1) -> CandleSeries:
    """`count` sane one-minute candles from `start` on."""
    random = np.random.default_rng(seed)
    opens = 100 + random.random(count)
    closes = 100 + random.random(count)
    return CandleSeries(
        to_ms(start) + 60_000 * np.arange(count, dtype=np.int64),
        opens,
        np.maximum(opens, closes) + 0.5,
        np.minimum(opens, closes) - 0.5,
        closes,
        random.random(count) * 10,
    )
