"""Restores and wipes: how lost rows are recognised, and what they are called."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trading.domain.ids import is_name_of_ours
from trading.domain.order import Order
from trading.domain.venue_order import VenueOrder

#: Who halts where rows were lost: one halt of this author stands at a time.
AUTHOR: Final = "restore watch"
TELL: Final = "say so with `trading db restored --why TEXT`"
#: What a fill that is gone from the venue means.
WIPED: Final = (
    "fills that we booked are gone from the venue, whose history was wiped: give it books of its own, with a new"
    " TRADING_ACCOUNT (docs/OPERATIONS.md)"
)
_MINUTE_S: Final = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A run that the ledger had committed, as it is remembered outside of it."""

    run_id: str
    dag_id: str
    flow: str
    started_at: datetime
    incarnation: int

    def __str__(self) -> str:
        return f"{self.flow} of run {self.run_id}, begun at {self.started_at.isoformat(timespec='milliseconds')}"


def lost_rows(mark: Mark | None, known: Iterable[Mark], *, incarnation: int) -> bool:
    """Whether the ledger has forgotten the run of `mark`; `known` are those that it holds under that run's id.

    A mark of an earlier incarnation is past: since it was written somebody said that the ledger was restored.
    """
    if mark is None or incarnation > mark.incarnation:
        return False
    return all(
        (one.run_id, one.dag_id, one.flow, one.started_at) != (mark.run_id, mark.dag_id, mark.flow, mark.started_at)
        for one in known
    )


def forgotten_run(mark: Mark, newest: Mark | None) -> str:
    """What a ledger that forgot a run is told, with both sides' figures."""
    held = f"its newest run is {newest}" if newest else "it holds no run before this one"
    return (
        f"the ledger was restored or replaced: outside of it {mark} is remembered as committed (incarnation"
        f" {mark.incarnation}), the ledger knows nothing of that, and {held}; nothing is sent: {TELL}"
    )


def is_lost(order: VenueOrder, ours: Order | None) -> bool:
    """Whether an order at the venue proves lost rows: it bears a name of ours, and the ledger never sent it."""
    return is_name_of_ours(order.client_order_id) and (ours is None or ours.signed_at is None)


def lost_order(order: VenueOrder) -> str:
    """What such an order is told as."""
    return (
        f"order {order.client_order_id} ({order.instrument} {order.venue_order_id}, made at"
        f" {order.created_at.isoformat(timespec='milliseconds')}) carries a name of ours, but the ledger has no intent"
        f" for it that was sent: rows were lost, or another installation trades this account; {TELL}"
    )


def incarnation_of(restored_at: datetime) -> int:
    """The least number of an incarnation that begins then: its minute, counted from 1970.

    Counting on from what the restored ledger holds is not enough: after a second restore of the same backup the
    number of the first one would come back, and with it every id.
    """
    return int(restored_at.timestamp()) // _MINUTE_S
