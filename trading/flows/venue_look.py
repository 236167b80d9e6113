"""One look at the venue's book: what reconciliation compares ours with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.clock import Clock
from trading.domain.ledger import Balance, Fill
from trading.domain.order import Order
from trading.domain.venue_order import VenueOrder
from trading.ports.market import Venue


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueLook:
    """What the venue said, by client order id for the orders that it was asked about.

    `at` is from before it was settled what to ask, `until` from after the last answer: silence speaks of `at` at most,
    and what was seen may be as young as `until`, however long both then wait to be judged. `steady` is true where both
    reads of the fills agree, so that balances may be compared.
    """

    at: datetime
    until: datetime
    orders: Mapping[str, VenueOrder | None]
    open_orders: Sequence[VenueOrder]
    fills: Sequence[Fill]
    balances: Mapping[str, Balance]
    steady: bool

    def shows_all_of(self, order: Order) -> bool:
        """Whether nothing of a sent order is in flight: it is known, and so are all its fills, `order` tells."""
        seen = self.orders.get(order.client_order_id)
        return not order.is_unresolved and seen is not None and seen.filled_quantity <= order.filled_quantity

    def is_silent_on(self, order: Order) -> bool:
        """Whether the venue was asked about an order and said that it knows none of that name."""
        return order.client_order_id in self.orders and self.orders[order.client_order_id] is None


def look(
    venue: Venue,
    clock: Clock,
    asked: Sequence[Order],
    since: Mapping[str, datetime],
    *,
    at: datetime,
    skew_s: float,
) -> VenueLook:
    """Orders, fills, balances, fills again. Fills are read from `since`, by instrument."""
    orders = {o.client_order_id: venue.order(o.intent.instrument, o.client_order_id) for o in asked}
    before = _fills(venue, clock, since, skew_s)
    balances = venue.balances()
    open_orders = venue.open_orders()
    after = _fills(venue, clock, since, skew_s)
    return VenueLook(
        at=at,
        until=clock.now(),
        orders=orders,
        open_orders=open_orders,
        fills=after,
        balances=balances,
        steady=before == after,
    )


def _fills(venue: Venue, clock: Clock, since: Mapping[str, datetime], skew_s: float) -> list[Fill]:
    until = clock.now() + timedelta(seconds=skew_s + 1)
    return [fill for symbol, start in since.items() for fill in venue.fills(symbol, since=start, until=until)]
