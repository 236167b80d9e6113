"""What orders say of themselves: refusals name the order and what was allowed, steps say why they were taken."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.examples import BTC, RUN, T0, event, intent, submitting
from trading.domain.money import ZERO
from trading.domain.order import Order, OrderEvent, OrderRequest, OrderState, OrderType, Side, apply_event, request_for
from trading.domain.venue_order import Horizon, Step, VenueOrder, VenueOrderStatus, steps_from_evidence
from trading.errors import InvariantViolation

HORIZON = Horizon(clock_skew_s=1, api_timeout_s=10, visibility_lag_s=10)
S, V = OrderState, VenueOrderStatus


def sent(state: OrderState) -> Order:
    return Order(intent=intent(), state=state, sequence=1, changed_at=T0, signed_at=T0, recv_window_ms=2_000)


def seen(status: VenueOrderStatus, filled: Decimal = ZERO) -> VenueOrder:
    return VenueOrder(
        venue_order_id="1",
        client_order_id=intent().client_order_id,
        instrument=BTC.symbol,
        side=Side.BUY,
        status=status,
        quantity=Decimal("0.5"),
        filled_quantity=filled,
        created_at=T0,
    )


@pytest.mark.parametrize(
    ("before", "allowed"),
    [
        (S.SUBMITTING, "accepted, outcome_unknown, rejected"),
        (S.FILLED, "nothing, it is terminal"),
    ],
)
def test_an_illegal_step_is_refused_with_the_order_and_what_it_may_become(before: OrderState, allowed: str) -> None:
    order = sent(before)
    with pytest.raises(InvariantViolation) as caught:
        apply_event(order, event(order, S.PLANNED))
    assert str(caught.value) == f"order {order.client_order_id}: {before} may become {allowed}; got planned"


def test_an_order_changed_when_its_newest_event_happened() -> None:
    wish = intent()
    planned = OrderEvent(
        client_order_id=wish.client_order_id, sequence=0, state=S.PLANNED, at=T0, run_id=RUN.run_id, dag_id=RUN.dag_id
    )
    order = Order(intent=wish, state=planned.state, sequence=0, changed_at=planned.at)
    assert apply_event(order, submitting(order, at=T0 + timedelta(seconds=9))).changed_at == T0 + timedelta(seconds=9)


def test_a_request_asks_for_exactly_what_its_intent_wishes() -> None:
    wish = intent(order_type=OrderType.LIMIT, limit_price=Decimal(69000), side=Side.SELL)
    assert request_for(wish, T0, 500) == OrderRequest(
        client_order_id=wish.client_order_id,
        instrument=BTC.symbol,
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.5"),
        limit_price=Decimal(69000),
        signed_at=T0,
        recv_window_ms=500,
    )


def test_an_order_without_a_window_has_no_horizon_that_would_end_too_early() -> None:
    lame = Order(intent=intent(), state=S.SUBMITTING, sequence=1, changed_at=T0, signed_at=T0)
    with pytest.raises(ValueError, match="never signed"):
        HORIZON.ends_at(lame)


@pytest.mark.parametrize(
    ("order", "evidence", "steps"),
    [
        (sent(S.OUTCOME_UNKNOWN), seen(V.REJECTED), [(S.REJECTED, "venue says rejected")]),
        (
            sent(S.SUBMITTING),
            seen(V.CANCELED),
            [(S.ACCEPTED, "found at the venue"), (S.CANCELED, "venue says canceled")],
        ),
        (
            sent(S.SUBMITTING),
            None,
            [
                (S.OUTCOME_UNKNOWN, "nobody recorded an answer"),
                (S.NEVER_ACCEPTED, "unknown to the venue past the full horizon"),
            ],
        ),
    ],
)
def test_each_step_says_what_it_rests_on(
    order: Order, evidence: VenueOrder | None, steps: list[tuple[OrderState, str]]
) -> None:
    after = T0 + timedelta(hours=1)
    found = steps_from_evidence(order, evidence, filled=ZERO, at=after, horizon=HORIZON)
    assert found == [Step(state=state, reason=reason) for state, reason in steps]


def test_a_part_that_was_filled_is_said_to_be_the_venues_word() -> None:
    part = Decimal("0.2")
    found = steps_from_evidence(sent(S.ACCEPTED), seen(V.PARTIALLY_FILLED, part), filled=part, at=T0, horizon=HORIZON)
    assert found == [Step(state=S.PARTIALLY_FILLED, reason="venue says partially_filled")]
