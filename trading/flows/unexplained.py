"""What no intent of ours explains: external orders and fills, overfills, late acceptances, what the venue forgot."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from trading.domain.ledger import Fill
from trading.domain.money import ZERO
from trading.domain.order import SENT_OPEN, Order, OrderState
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind
from trading.domain.venue_order import Horizon, VenueOrder
from trading.flows.venue_look import VenueLook
from trading.ports.ledger import Books

#: By our books no order in one of these states rests: the venue never took it, or it ended there for good. One that was
#: filled or cancelled a moment ago may still be listed.
_NOT_RESTING: Final = frozenset(OrderState) - SENT_OPEN - {OrderState.FILLED, OrderState.CANCELED}


def external_fills(fills: Sequence[Fill], at: datetime) -> list[Discrepancy]:
    """Fills of orders that are not ours."""
    return [
        Discrepancy(
            kind=DiscrepancyKind.EXTERNAL_FILL,
            key=fill_key(fill),
            ours=ZERO,
            theirs=fill.side.sign * fill.quantity,
            first_seen_at=at,
        )
        for fill in fills
    ]


def fill_key(fill: Fill) -> str:
    """A fill as a discrepancy names it."""
    return f"{fill.instrument}:{fill.venue_fill_id}"


def forgotten_fills(
    books: Books, account: str, seen: VenueLook, since: Mapping[str, datetime], horizon: Horizon
) -> list[Discrepancy]:
    """Fills that we booked, that were asked for, and that the venue shows no more though every lag is over."""
    if not seen.steady or not since:
        return []
    over = seen.at - timedelta(seconds=horizon.visibility_lag_s + horizon.clock_skew_s)
    shown = {fill_key(fill) for fill in seen.fills}
    return [
        Discrepancy(
            kind=DiscrepancyKind.FORGOTTEN_FILL,
            key=fill_key(fill),
            ours=fill.side.sign * fill.quantity,
            theirs=ZERO,
            first_seen_at=seen.until,
        )
        for fill in books.fills.since(account, min(since.values()))
        if fill.instrument in since.keys() - seen.gone
        and since[fill.instrument] <= fill.filled_at < over
        and fill_key(fill) not in shown
    ]


def external_orders(books: Books, open_orders: Sequence[VenueOrder], at: datetime) -> list[Discrepancy]:
    """Orders that rest at the venue and that we never sent, or that by our books cannot rest."""
    found = []
    for order in open_orders:
        ours = books.orders.get(order.client_order_id)
        if ours is None or ours.state in _NOT_RESTING:
            discrepancy = Discrepancy(
                kind=DiscrepancyKind.EXTERNAL_ORDER,
                key=f"{order.instrument}:{order.venue_order_id}",
                ours=ZERO,
                theirs=order.side.sign * order.quantity,
                first_seen_at=at,
            )
            found.append(discrepancy)
    return found


def overfills(orders: Sequence[Order], at: datetime) -> list[Discrepancy]:
    """Orders that were filled beyond their quantity."""
    return [
        Discrepancy(
            kind=DiscrepancyKind.OVERFILL,
            key=order.client_order_id,
            ours=order.intent.side.sign * order.intent.quantity,
            theirs=order.intent.side.sign * order.filled_quantity,
            first_seen_at=at,
        )
        for order in orders
        if order.filled_quantity > order.intent.quantity
    ]


def late_acceptance(order: Order, seen: VenueOrder, at: datetime) -> Discrepancy:
    """An order that was given up and turned up after all: the horizon was too short, which halts at once."""
    return Discrepancy(
        kind=DiscrepancyKind.LATE_ACCEPTANCE,
        key=order.client_order_id,
        ours=ZERO,
        theirs=seen.side.sign * seen.quantity,
        first_seen_at=at,
        confirmed=True,
    )


def forgotten_orders(orders: Sequence[Order], seen: VenueLook, horizon: Horizon) -> list[Discrepancy]:
    """Orders that the venue took and now, past the full horizon, neither knows by name nor lists."""
    listed = {order.client_order_id for order in seen.open_orders}
    return [
        Discrepancy(
            kind=DiscrepancyKind.FORGOTTEN_ORDER,
            key=order.client_order_id,
            ours=order.signed_remainder,
            theirs=ZERO,
            first_seen_at=seen.until,
        )
        for order in orders
        if order.is_resting
        and seen.is_silent_on(order)
        and order.client_order_id not in listed
        and seen.at > horizon.ends_at(order)
    ]
