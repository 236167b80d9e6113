"""Plain examples of the domain's nouns, which tests alter by keyword."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading.domain.decision import Decision, DecisionStatus
from trading.domain.ids import Run, client_order_id
from trading.domain.ledger import Fill
from trading.domain.market import CandleSeries, Instrument
from trading.domain.order import Order, OrderEvent, OrderIntent, OrderState, OrderType, Purpose, Side
from trading.domain.override import Override
from trading.domain.traffic import TrafficQuestion

T0 = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACCOUNT = "replay"
RUN = Run(run_id="place_orders__manual__1", dag_id="place_orders", actor="ada")

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
ETH = replace(BTC, symbol="ETH/USDT", venue_symbol="ETHUSDT", base="ETH", lot_step=Decimal("0.0001"))

#: How to come to each state.
ORDER_PATHS: dict[OrderState, tuple[OrderState, ...]] = {
    OrderState.PLANNED: (),
    OrderState.SUPERSEDED: (OrderState.SUPERSEDED,),
    OrderState.EXPIRED: (OrderState.EXPIRED,),
    OrderState.DENIED: (OrderState.DENIED,),
    OrderState.SUBMITTING: (OrderState.SUBMITTING,),
    OrderState.REJECTED: (OrderState.SUBMITTING, OrderState.REJECTED),
    OrderState.OUTCOME_UNKNOWN: (OrderState.SUBMITTING, OrderState.OUTCOME_UNKNOWN),
    OrderState.NEVER_ACCEPTED: (OrderState.SUBMITTING, OrderState.OUTCOME_UNKNOWN, OrderState.NEVER_ACCEPTED),
    OrderState.ACCEPTED: (OrderState.SUBMITTING, OrderState.ACCEPTED),
    OrderState.PARTIALLY_FILLED: (OrderState.SUBMITTING, OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED),
    OrderState.FILLED: (OrderState.SUBMITTING, OrderState.ACCEPTED, OrderState.FILLED),
    OrderState.CANCELED: (OrderState.SUBMITTING, OrderState.ACCEPTED, OrderState.CANCELED),
    OrderState.EXPIRED_AT_VENUE: (OrderState.SUBMITTING, OrderState.ACCEPTED, OrderState.EXPIRED_AT_VENUE),
}


def intent(**changes: Any) -> OrderIntent:
    """A market buy of 0.5 BTC for the newest decision of `sma`; its id follows from its facts, unless it is given."""
    facts: dict[str, Any] = {
        "account": ACCOUNT,
        "incarnation": 1,
        "strategy": "sma",
        "instrument": BTC.symbol,
        "timeframe": "1m",
        "as_of": T0,
        "purpose": Purpose.REBALANCE,
        "generation": 0,
    }
    facts |= {name: value for name, value in changes.items() if name in facts}
    wish: dict[str, Any] = {
        "client_order_id": client_order_id(**facts),
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "quantity": Decimal("0.5"),
        "reference_price": Decimal(70000),
        "target_quantity": Decimal("0.5"),
        "planned_at": T0 + timedelta(seconds=1),
        "expires_at": T0 + MINUTE,
    }
    return OrderIntent(**(facts | wish | changes))


def event(order: Order, state: OrderState, **changes: Any) -> OrderEvent:
    """The next event of an order, a second after the one before; a submission is signed."""
    if state is OrderState.SUBMITTING:
        return submitting(order, **changes)
    return _next(order, state, **changes)


def _next(order: Order, state: OrderState, **changes: Any) -> OrderEvent:
    values: dict[str, Any] = {
        "client_order_id": order.client_order_id,
        "sequence": order.sequence + 1,
        "state": state,
        "at": order.changed_at + timedelta(seconds=1),
        "run_id": RUN.run_id,
        "dag_id": RUN.dag_id,
    }
    return OrderEvent(**(values | changes))


def submitting(order: Order, **changes: Any) -> OrderEvent:
    """The write-ahead event: signed now, for two seconds."""
    at = order.changed_at + timedelta(seconds=1)
    values: dict[str, Any] = {"signed_at": at, "recv_window_ms": 2000, "request_hash": "ab" * 32, "epoch": 1}
    return _next(order, OrderState.SUBMITTING, **(values | changes))


def fill(**changes: Any) -> Fill:
    """A taker buy of 0.2 BTC at 70,000 with a fee of 10 bps in base, of nobody's order."""
    values: dict[str, Any] = {
        "venue": "binance",
        "instrument": BTC.symbol,
        "venue_fill_id": "1",
        "venue_order_id": "100",
        "client_order_id": "",
        "side": Side.BUY,
        "price": Decimal(70000),
        "quantity": Decimal("0.2"),
        "fee": Decimal("0.0002"),
        "fee_currency": "BTC",
        "filled_at": T0 + timedelta(seconds=3),
    }
    return Fill(**(values | changes))


def decision(**changes: Any) -> Decision:
    """`sma` wants half of its equity in BTC at T0."""
    values: dict[str, Any] = {
        "strategy": "sma",
        "timeframe": "1m",
        "as_of": T0,
        "status": DecisionStatus.DECIDED,
        "weights": {"BTC/USDT": Decimal("0.5"), "ETH/USDT": Decimal(0)},
        "input_hash": "cd" * 32,
        "decided_at": T0 + timedelta(seconds=1),
        "reason": "",
        "detail": {"fast": "10"},
    }
    return Decision(**(values | changes))


def override(**changes: Any) -> Override:
    """Ada's ten minutes to release halt 1 of this environment."""
    values: dict[str, Any] = {
        "halt_id": 1,
        "action": "resume",
        "scope": "all",
        "environment": "replay",
        "subject": "ada",
        "key_id": "a",
        "token_id": "token-1",
        "issued_at": T0,
        "expires_at": T0 + timedelta(minutes=10),
        "reason": "checked the books",
    }
    return Override(**(values | changes))


def traffic_question(**changes: Any) -> TrafficQuestion:
    """What was sent since T0, and how much of it was like `intent()`."""
    values: dict[str, Any] = {
        "account": ACCOUNT,
        "strategy": "sma",
        "instrument": BTC.symbol,
        "side": Side.BUY,
        "quantity": Decimal("0.5"),
        "since": T0,
        "alike_since": T0,
    }
    return TrafficQuestion(**(values | changes))


def candles(first_ms: int, closes: list[float], step_ms: int = 60_000) -> CandleSeries:
    """Consecutive candles that open a little below their close, with volumes 1, 2, 3 …"""
    return CandleSeries.from_rows(
        [
            (first_ms + row * step_ms, close * 0.999, close * 1.001, close * 0.998, close, float(row + 1))
            for row, close in enumerate(closes)
        ]
    )
