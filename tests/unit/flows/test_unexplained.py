"""What no intent explains is told with signed figures, its name and its time; silence is told from ignorance."""

from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from tests.examples import BTC, T0, fill, intent
from trading.domain.money import ZERO
from trading.domain.order import Order, OrderState, Side
from trading.domain.reconciliation import Discrepancy, DiscrepancyKind
from trading.domain.venue_order import Horizon, VenueOrder, VenueOrderStatus
from trading.flows.unexplained import (
    external_fills,
    external_orders,
    forgotten_orders,
    late_acceptance,
    overfills,
)
from trading.flows.venue_look import VenueLook

HORIZON = Horizon(clock_skew_s=1, api_timeout_s=5, visibility_lag_s=20)
#: Signed at T0, with a window of 2 s.
ENDS_AT = T0 + timedelta(seconds=28)


def order(**changes: Any) -> Order:
    values: dict[str, Any] = {
        "intent": intent(side=Side.SELL, quantity=Decimal(2)),
        "state": OrderState.ACCEPTED,
        "sequence": 2,
        "changed_at": T0,
        "signed_at": T0,
        "recv_window_ms": 2_000,
    }
    return Order(**(values | changes))


def seen(name: str = "somebody-else") -> VenueOrder:
    return VenueOrder(
        venue_order_id="7",
        client_order_id=name,
        instrument=BTC.symbol,
        side=Side.SELL,
        status=VenueOrderStatus.OPEN,
        quantity=Decimal(2),
        filled_quantity=ZERO,
        created_at=T0,
    )


def look(at: datetime, **orders: VenueOrder | None) -> VenueLook:
    return VenueLook(at=at, until=at, orders=orders, open_orders=[], fills=[], balances={}, steady=True)


def finding(kind: DiscrepancyKind, key: str, ours: int, theirs: int, **changes: Any) -> Discrepancy:
    return Discrepancy(
        kind=kind, key=key, ours=Decimal(ours), theirs=Decimal(theirs), **({"first_seen_at": T0} | changes)
    )


def test_a_fill_that_is_not_ours_is_told_with_its_signed_quantity() -> None:
    """Somebody sold two."""
    found = external_fills([fill(side=Side.SELL, quantity=Decimal(2))], T0)
    assert found == [finding(DiscrepancyKind.EXTERNAL_FILL, f"{BTC.symbol}:1", 0, -2)]


def test_an_order_that_is_not_ours_is_told_with_its_signed_quantity() -> None:
    """Somebody would sell two."""
    nobody: Any = SimpleNamespace(orders=SimpleNamespace(get=lambda _name: None))
    found = external_orders(nobody, [seen()], T0)
    assert found == [finding(DiscrepancyKind.EXTERNAL_ORDER, f"{BTC.symbol}:7", 0, -2)]


def test_an_overfill_is_told_with_what_was_asked_and_what_was_filled() -> None:
    """Two to be sold, three sold; an order that is exactly full is none."""
    whole, over = order(filled_quantity=Decimal(2)), order(filled_quantity=Decimal(3))
    assert overfills([whole, over], T0) == [finding(DiscrepancyKind.OVERFILL, over.client_order_id, -2, -3)]


def test_a_late_acceptance_is_told_with_what_the_venue_took_and_needs_no_second_look() -> None:
    """It is dated when it was seen, and confirmed at once."""
    late = order(state=OrderState.NEVER_ACCEPTED)
    expected = finding(DiscrepancyKind.LATE_ACCEPTANCE, late.client_order_id, 0, -2, confirmed=True)
    assert late_acceptance(late, seen(late.client_order_id), T0) == expected


def test_an_order_is_forgotten_only_past_its_full_horizon() -> None:
    """At its last instant silence proves nothing yet."""
    resting = order()
    silence: Any = {resting.client_order_id: None}
    assert forgotten_orders([resting], look(ENDS_AT, **silence), HORIZON) == []
    later = ENDS_AT + timedelta(microseconds=1)
    (found,) = forgotten_orders([resting], look(later, **silence), HORIZON)
    assert (found.key, found.ours, found.theirs) == (resting.client_order_id, Decimal(-2), ZERO)


def test_an_order_that_nobody_asked_about_is_not_silence() -> None:
    """It came after it was settled what to ask: the look says nothing of it."""
    resting = order()
    assert not look(T0).is_silent_on(resting)
    assert forgotten_orders([resting], look(ENDS_AT + timedelta(days=1)), HORIZON) == []
