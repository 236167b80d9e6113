"""One look at the venue's book: what reconciliation compares ours with."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trading.clock import Clock
from trading.domain.ledger import Balance, Fill
from trading.domain.order import Order
from trading.domain.venue_order import VenueOrder
from trading.errors import DataError, Trouble
from trading.logging.events import log_event
from trading.ports.market import Venue

logger = logging.getLogger(__name__)

#: Told how far a long read has come.
Progress = Callable[[str], None]
_DAY: Final = timedelta(days=1)


def silent(_: str) -> None:
    """The progress of a read that nobody waits for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueLook:
    """What the venue said, by client order id for the orders that it was asked about.

    `at` is from before it was settled what to ask, `until` from after the last answer: silence speaks of `at` at most,
    and what was seen may be as young as `until`, however long both then wait to be judged. `steady` is true where both
    reads of the fills agree, so that balances may be compared. `gone` are instruments that the venue lists no more.
    """

    at: datetime
    until: datetime
    orders: Mapping[str, VenueOrder | None]
    open_orders: Sequence[VenueOrder]
    fills: Sequence[Fill]
    balances: Mapping[str, Balance]
    steady: bool
    gone: frozenset[str] = frozenset()

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
    tell: Progress | None = None,
) -> VenueLook:
    """Orders, fills, balances, fills again. Fills are read from `since`, by instrument; `tell` hears of each day."""
    gone: set[str] = set()
    orders: dict[str, VenueOrder | None] = {}
    for order in asked:
        orders[order.client_order_id] = None  # of an instrument that is gone: looked for as long as any forgotten one
        with passing_by_what_is_gone(order.intent.instrument, gone):
            orders[order.client_order_id] = venue.order(order.intent.instrument, order.client_order_id)
    before = _fills(venue, clock, since, skew_s=skew_s, tell=tell, gone=gone)
    balances = venue.balances()
    open_orders = venue.open_orders()
    after = _fills(venue, clock, since, skew_s=skew_s, tell=tell, gone=gone)
    return VenueLook(
        at=at,
        until=clock.now(),
        orders=orders,
        open_orders=open_orders,
        fills=after,
        balances=balances,
        steady=before == after,
        gone=frozenset(gone),
    )


def days(since: datetime, until: datetime, tell: Progress, what: str) -> Iterator[tuple[datetime, datetime]]:
    """The days from `since` to `until`, oldest first; each is told of once it has been read."""
    start = since
    while start < until:
        end = min(start + _DAY, until)
        yield start, end
        tell(f"{what} until {end.isoformat(timespec='minutes')}")
        start = end


def _fills(
    venue: Venue, clock: Clock, since: Mapping[str, datetime], *, skew_s: float, tell: Progress | None, gone: set[str]
) -> list[Fill]:
    until = clock.now() + timedelta(seconds=skew_s + 1)
    found: list[Fill] = []
    for symbol, first in since.items():
        with passing_by_what_is_gone(symbol, gone):  # what it left is in the balances, which are compared
            for start, end in days(first, until, tell, f"{symbol}: fills") if tell else ((first, until),):
                found += venue.fills(symbol, since=start, until=end)
    return found


@contextmanager
def passing_by_what_is_gone(symbol: str, gone: set[str]) -> Iterator[None]:
    """An instrument that the venue lists no more keeps no other from being looked at; it is added to `gone`."""
    try:
        yield
    except DataError as error:
        if error.trouble is not Trouble.NOT_LISTED:
            raise
        gone.add(symbol)
        log_event(logger, "instrument_not_listed", level=logging.WARNING, symbol=symbol, reason=str(error))
