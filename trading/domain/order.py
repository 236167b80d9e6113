"""Orders: the intent, its life as a literal table, and the fold of its events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from trading.domain.ids import content_hash
from trading.domain.market import from_ms, to_ms
from trading.domain.money import EXACT, ZERO, plain
from trading.errors import InvariantViolation


class Side(StrEnum):
    """Which way an order changes the position."""

    BUY = "buy"
    SELL = "sell"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """How an order is priced."""

    MARKET = "market"
    LIMIT = "limit"


class Purpose(StrEnum):
    """Why an order is sent; the kill switch treats each differently."""

    ENTRY = "entry"
    REBALANCE = "rebalance"
    PROTECTIVE = "protective"
    FLATTEN = "flatten"


class OrderState(StrEnum):
    """Where an order stands, by what we know for certain."""

    PLANNED = "planned"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    DENIED = "denied"
    SUBMITTING = "submitting"
    REJECTED = "rejected"
    OUTCOME_UNKNOWN = "outcome_unknown"
    NEVER_ACCEPTED = "never_accepted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED_AT_VENUE = "expired_at_venue"


_S = OrderState
_ENDS_AT_VENUE: Final = frozenset({_S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED_AT_VENUE})

#: The only legal steps. The database holds the same table and refuses every other.
TRANSITIONS: Final[Mapping[OrderState, frozenset[OrderState]]] = MappingProxyType(
    {
        _S.PLANNED: frozenset({_S.SUPERSEDED, _S.EXPIRED, _S.DENIED, _S.SUBMITTING}),
        _S.SUBMITTING: frozenset({_S.ACCEPTED, _S.REJECTED, _S.OUTCOME_UNKNOWN}),
        _S.OUTCOME_UNKNOWN: frozenset({_S.ACCEPTED, _S.REJECTED, _S.NEVER_ACCEPTED}),
        _S.ACCEPTED: _ENDS_AT_VENUE,
        _S.PARTIALLY_FILLED: _ENDS_AT_VENUE,
        # The ugly ones, legal and loud.
        _S.CANCELED: frozenset({_S.FILLED}),  # a fill that arrived after the cancel
        _S.NEVER_ACCEPTED: frozenset({_S.ACCEPTED}),  # late evidence: halts
        _S.FILLED: frozenset(),
        _S.SUPERSEDED: frozenset(),
        _S.EXPIRED: frozenset(),
        _S.DENIED: frozenset(),
        _S.REJECTED: frozenset(),
        _S.EXPIRED_AT_VENUE: frozenset(),
    }
)

UNSENT: Final = frozenset({_S.PLANNED})
#: Sent, and nobody knows yet what the venue made of it: counted at its worst.
UNRESOLVED: Final = frozenset({_S.SUBMITTING, _S.OUTCOME_UNKNOWN})
RESTING: Final = frozenset({_S.ACCEPTED, _S.PARTIALLY_FILLED})
#: Everything that may still change our position.
OPEN: Final = UNSENT | UNRESOLVED | RESTING
#: At the venue, or possibly so.
SENT_OPEN: Final = UNRESOLVED | RESTING


def require_transition(client_order_id: str, before: OrderState, after: OrderState) -> None:
    """Raise InvariantViolation where `before` → `after` is not in the table."""
    if after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing, it is terminal"
        raise InvariantViolation(f"order {client_order_id}: {before} may become {allowed}; got {after}")


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderIntent:
    """A durable wish. Quantities in base, prices in quote; `target_quantity` is the position that it serves."""

    client_order_id: str
    account: str
    incarnation: int
    strategy: str
    instrument: str
    timeframe: str
    as_of: datetime
    purpose: Purpose
    generation: int
    side: Side
    order_type: OrderType
    quantity: Decimal
    reference_price: Decimal
    target_quantity: Decimal
    planned_at: datetime
    expires_at: datetime
    limit_price: Decimal | None = None

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise InvariantViolation(f"intent {self.client_order_id}: expected quantity > 0, got {self.quantity}")
        if (self.limit_price is not None) != (self.order_type is OrderType.LIMIT):
            raise InvariantViolation(
                f"intent {self.client_order_id}: a limit price goes with a limit order, and only there"
            )

    @property
    def notional(self) -> Decimal:
        """Quantity at the limit or, without one, the reference price; in quote."""
        with localcontext(EXACT):
            return self.quantity * (self.limit_price or self.reference_price)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderEvent:
    """One step of an order's life: append-only, numbered from 0 within its order."""

    client_order_id: str
    sequence: int
    state: OrderState
    at: datetime
    run_id: str
    dag_id: str
    reason: str = ""
    venue_order_id: str | None = None
    signed_at: datetime | None = None
    recv_window_ms: int | None = None
    request_hash: str | None = None
    epoch: int | None = None
    detail: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, object]:
        """What the audit chain's hash covers: everything."""
        return {
            "client_order_id": self.client_order_id,
            "sequence": self.sequence,
            "state": self.state.value,
            "at": self.at.astimezone(UTC),
            "run_id": self.run_id,
            "dag_id": self.dag_id,
            "reason": self.reason,
            "venue_order_id": self.venue_order_id,
            "signed_at": None if self.signed_at is None else self.signed_at.astimezone(UTC),
            "recv_window_ms": self.recv_window_ms,
            "request_hash": self.request_hash,
            "epoch": self.epoch,
            "detail": dict(self.detail),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """An intent and what became of it so far: the fold of its events, and of its fills for `filled_quantity` (base)."""

    intent: OrderIntent
    state: OrderState
    sequence: int
    changed_at: datetime
    filled_quantity: Decimal = ZERO
    venue_order_id: str | None = None
    signed_at: datetime | None = None
    recv_window_ms: int | None = None
    request_hash: str | None = None
    reason: str = ""

    @property
    def client_order_id(self) -> str:
        """Our name for it."""
        return self.intent.client_order_id

    @property
    def is_open(self) -> bool:
        """Whether it may still change the position."""
        return self.state in OPEN

    @property
    def is_unresolved(self) -> bool:
        """Whether it was sent and nobody knows yet what the venue made of it."""
        return self.state in UNRESOLVED

    @property
    def is_resting(self) -> bool:
        """Whether it stands in the venue's book."""
        return self.state in RESTING

    @property
    def signed_remainder(self) -> Decimal:
        """What may still be filled, at its worst, in base: positive for buys; zero once terminal."""
        if not self.is_open:
            return ZERO
        return self.intent.side.sign * max(ZERO, self.intent.quantity - self.filled_quantity)


def apply_event(order: Order, event: OrderEvent) -> Order:
    """The order after `event`. Raises InvariantViolation for an illegal step or a gap in the numbering."""
    if event.sequence != order.sequence + 1:
        raise InvariantViolation(
            f"order {order.client_order_id}: expected event {order.sequence + 1}, got {event.sequence}"
        )
    require_transition(order.client_order_id, order.state, event.state)
    return replace(
        order,
        state=event.state,
        sequence=event.sequence,
        changed_at=event.at,
        venue_order_id=event.venue_order_id or order.venue_order_id,
        signed_at=event.signed_at or order.signed_at,
        recv_window_ms=event.recv_window_ms or order.recv_window_ms,
        request_hash=event.request_hash or order.request_hash,
        reason=event.reason or order.reason,
    )


def fold(intent: OrderIntent, events: Iterable[OrderEvent], filled_quantity: Decimal = ZERO) -> Order:
    """The order as its events tell it; the first one is Planned, numbered 0."""
    ordered = iter(events)
    first = next(ordered, None)
    if first is None or first.state is not OrderState.PLANNED or first.sequence != 0:
        raise InvariantViolation(f"order {intent.client_order_id}: expected its first event to be planned, got {first}")
    order = Order(intent=intent, state=first.state, sequence=0, changed_at=first.at, filled_quantity=filled_quantity)
    for event in ordered:
        order = apply_event(order, event)
    return order


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderRequest:
    """Exactly what is sent: signed with `signed_at`, which the venue enforces through `recv_window_ms`."""

    client_order_id: str
    instrument: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    limit_price: Decimal | None
    signed_at: datetime
    recv_window_ms: int
    post_only: bool = False  # a limit order that the venue refuses where it would trade at once

    @property
    def request_hash(self) -> str:
        """Hash of what the order asks for, without the time: the same id must always ask for the same."""
        facts: dict[str, object] = {
            "client_order_id": self.client_order_id,
            "instrument": self.instrument,
            "side": self.side,
            "type": self.order_type,
            "quantity": plain(self.quantity),
            "limit_price": None if self.limit_price is None else plain(self.limit_price),
        }
        return content_hash(facts | {"post_only": True} if self.post_only else facts)


def request_for(intent: OrderIntent, signed_at: datetime, recv_window_ms: int) -> OrderRequest:
    """The one request that an intent may lead to, signed at the whole millisecond that the wire carries."""
    return OrderRequest(
        client_order_id=intent.client_order_id,
        instrument=intent.instrument,
        side=intent.side,
        order_type=intent.order_type,
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        signed_at=from_ms(to_ms(signed_at)),
        recv_window_ms=recv_window_ms,
    )
