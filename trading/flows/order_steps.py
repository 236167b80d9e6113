"""What every flow appends in one way: a step of an order's life, and a fill with its ledger transaction."""

import logging
from dataclasses import replace
from datetime import datetime

from trading.domain.ids import Run
from trading.domain.ledger import Fill, fill_transaction
from trading.domain.market import Instrument
from trading.domain.money import plain
from trading.domain.order import Order, OrderEvent, OrderRequest, OrderState
from trading.domain.venue_order import Step
from trading.logging.events import log_event
from trading.ports.ledger import Books

logger = logging.getLogger(__name__)

#: What each step is called in the log.
_EVENTS = {
    OrderState.SUBMITTING: "order_signed",
    OrderState.OUTCOME_UNKNOWN: "order_outcome_unknown",
}
_LOUD = frozenset({OrderState.OUTCOME_UNKNOWN, OrderState.REJECTED, OrderState.NEVER_ACCEPTED, OrderState.DENIED})


def append_step(
    books: Books, order: Order, step: Step, *, at: datetime, run: Run, venue_order_id: str | None = None
) -> Order:
    """Append `step` to the order and log it; needs the account's lock. Returns the order after it."""
    event = OrderEvent(
        client_order_id=order.client_order_id,
        sequence=order.sequence + 1,
        state=step.state,
        at=at,
        run_id=run.run_id,
        dag_id=run.dag_id,
        reason=step.reason,
        venue_order_id=venue_order_id,
    )
    after = books.orders.append(order, event)
    log_step(after, step)
    return after


def submission(order: Order, request: OrderRequest, *, at: datetime, run: Run, epoch: int) -> OrderEvent:
    """The step that makes the signed wish durable: whoever commits it logs it, once it is so."""
    return OrderEvent(
        client_order_id=order.client_order_id,
        sequence=order.sequence + 1,
        state=OrderState.SUBMITTING,
        at=at,
        run_id=run.run_id,
        dag_id=run.dag_id,
        signed_at=request.signed_at,
        recv_window_ms=request.recv_window_ms,
        request_hash=request.request_hash,
        epoch=epoch,
    )


def log_step(after: Order, step: Step) -> None:
    """Log the step that led to the order as it is."""
    log_event(
        logger,
        _EVENTS.get(step.state, f"order_{step.state}"),
        level=logging.WARNING if step.state in _LOUD else logging.INFO,
        client_order_id=after.client_order_id,
        strategy=after.intent.strategy,
        symbol=after.intent.instrument,
        venue_order_id=after.venue_order_id,
        reason=step.reason or None,
    )


def post_fill(books: Books, order: Order, fill: Fill, instrument: Instrument, run: Run) -> bool:
    """Store a fill of this order with its balanced transaction; False where it is known."""
    ours = replace(fill, client_order_id=order.client_order_id)
    transaction = fill_transaction(order.intent.account, order.intent.strategy, instrument, ours)
    if not books.fills.record(ours, transaction, run):
        return False
    log_event(
        logger,
        "fill_recorded",
        client_order_id=order.client_order_id,
        strategy=order.intent.strategy,
        symbol=fill.instrument,
        trade_id=fill.venue_fill_id,
        side=fill.side,
        price=plain(fill.price),
        quantity=plain(fill.quantity),
        fee=plain(fill.fee),
        fee_currency=fill.fee_currency,
    )
    return True
