"""An order as the venue tells it, and what that proves about ours."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading.domain.money import ZERO
from trading.domain.order import Order, OrderState, Side


class VenueOrderStatus(StrEnum):
    """What the venue says of an order."""

    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True, slots=True)
class VenueOrder:
    """An order as the venue tells it. Quantities in base."""

    venue_order_id: str
    client_order_id: str
    instrument: str
    side: Side
    status: VenueOrderStatus
    quantity: Decimal
    filled_quantity: Decimal
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Horizon:
    """How long an order that was never answered may still turn up, each part configured, in seconds."""

    clock_skew_s: float
    api_timeout_s: float
    visibility_lag_s: float

    def closed_at(self, order: Order) -> datetime:
        """After this the venue takes it no more, whoever still holds the request: signed_at + recvWindow + skew."""
        return _window_ends_at(order) + timedelta(seconds=self.clock_skew_s)

    def shown_after(self, instant: datetime) -> datetime:
        """After this the venue shows all that it had taken by `instant`, whoever asks."""
        return instant + timedelta(seconds=self.api_timeout_s + self.visibility_lag_s)

    def answer_due_at(self, order: Order) -> datetime:
        """After this no process of ours can still be waiting for the answer."""
        return self.closed_at(order) + timedelta(seconds=self.api_timeout_s)

    def ends_at(self, order: Order) -> datetime:
        """After this "not found" means that it never was: signed_at + recvWindow + skew + time-out + visibility lag."""
        return self.answer_due_at(order) + timedelta(seconds=self.visibility_lag_s)


def _window_ends_at(order: Order) -> datetime:
    """Until when the venue may take it: signed_at + recvWindow. Only orders that were sent have a horizon."""
    if order.signed_at is None or order.recv_window_ms is None:
        raise ValueError(f"order {order.client_order_id} in state {order.state} was never signed")
    return order.signed_at + timedelta(milliseconds=order.recv_window_ms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step that the evidence allows, with its reason."""

    state: OrderState
    reason: str


_ENDS: Final = {
    VenueOrderStatus.FILLED: OrderState.FILLED,
    VenueOrderStatus.CANCELED: OrderState.CANCELED,
    VenueOrderStatus.EXPIRED: OrderState.EXPIRED_AT_VENUE,
}


def steps_from_evidence(
    order: Order, seen: VenueOrder | None, *, filled: Decimal, at: datetime, horizon: Horizon
) -> list[Step]:
    """What happened to a sent order, by what the venue said.

    `seen` is None where the venue knows no such order; `filled` is the sum of its fills in our ledger. An order
    ends only when all its fills are in the ledger, so that no moment exists in which neither counts it.
    """
    if seen is None:
        return _steps_without_evidence(order, filled, at, horizon)
    steps: list[Step] = []
    state = order.state
    if seen.status is VenueOrderStatus.REJECTED:
        # An order that it once took cannot have been refused: that stays open, for a person to look at.
        refused = Step(state=OrderState.REJECTED, reason="venue says rejected")
        return [refused] if order.is_unresolved else []
    if state in (OrderState.SUBMITTING, OrderState.OUTCOME_UNKNOWN, OrderState.NEVER_ACCEPTED):
        steps.append(Step(state=OrderState.ACCEPTED, reason="found at the venue"))
        state = OrderState.ACCEPTED
    ended = _ENDS.get(seen.status)
    if ended is not None and filled >= seen.filled_quantity and ended in _reachable(state):
        steps.append(Step(state=ended, reason=f"venue says {seen.status}"))
    elif filled > ZERO and state is OrderState.ACCEPTED and ended is None:
        steps.append(Step(state=OrderState.PARTIALLY_FILLED, reason="venue says partially_filled"))
    return steps


def _reachable(state: OrderState) -> frozenset[OrderState]:
    """The states in which an order that rests at the venue may end."""
    if state in (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED):
        return frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED_AT_VENUE})
    return frozenset({OrderState.FILLED}) if state is OrderState.CANCELED else frozenset()


def _steps_without_evidence(order: Order, filled: Decimal, at: datetime, horizon: Horizon) -> list[Step]:
    """Silence proves nothing before the horizon; after it, that the order never was."""
    steps: list[Step] = []
    state = order.state
    if state is OrderState.SUBMITTING and at > horizon.answer_due_at(order):
        steps.append(Step(state=OrderState.OUTCOME_UNKNOWN, reason="nobody recorded an answer"))
        state = OrderState.OUTCOME_UNKNOWN
    if state is OrderState.OUTCOME_UNKNOWN and at > horizon.ends_at(order) and filled == ZERO:
        steps.append(Step(state=OrderState.NEVER_ACCEPTED, reason="unknown to the venue past the full horizon"))
    return steps
