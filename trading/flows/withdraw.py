"""Takes orders back that have rested for long enough, or that a halt wants gone.

What then became of them, the look that follows tells.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from trading.domain.ids import Run
from trading.domain.order import Order
from trading.errors import ExchangeUnavailable, OrderRejected
from trading.logging.events import log_event
from trading.ports.ledger import Ledger
from trading.ports.market import Venue

logger = logging.getLogger(__name__)


def withdraw_rested(
    ledger: Ledger,
    venue: Venue,
    orders: Sequence[Order],
    *,
    at: datetime,
    rest: timedelta,
    run: Run,
    halted: Collection[str] = (),
) -> int:
    """Ask the venue to cancel each order that rests since `rest` or longer, or is `halted`; how many were asked for.

    A cancel is no promise: the order may have filled meanwhile (-2011), or the answer may be lost, and then it is asked
    for again at the next reconciliation. What follows for what is left, planning decides by the strategy's policy.
    """
    asked = 0
    for order in orders:
        if not order.is_resting or order.signed_at is None:
            continue
        if order.client_order_id not in halted and at - order.signed_at < rest:
            continue
        asked += 1
        note_cancel(ledger, order, at=at, run=run)
        answer = "canceled"
        try:
            venue.cancel(order.intent.instrument, order.client_order_id)
        except OrderRejected as refused:
            answer = f"{refused.code}: filled, or gone already"
        except ExchangeUnavailable as error:
            answer = str(error)
        log_event(
            logger,
            "order_withdrawn",
            client_order_id=order.client_order_id,
            strategy=order.intent.strategy,
            symbol=order.intent.instrument,
            rested_s=round((at - order.signed_at).total_seconds()),
            answer=answer,
        )
    return asked


def note_cancel(ledger: Ledger, order: Order, *, at: datetime, run: Run) -> None:
    """Write down a cancel that is about to be asked for: it counts as a message, and is never kept back for it."""
    with ledger.transaction() as books:
        books.risk.note_cancel(order.intent.account, order.client_order_id, at, run)
