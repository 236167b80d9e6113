"""An order's life is the fold of its events along one literal table."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import RUN, T0, event, intent, submitting
from trading.domain.order import (
    OPEN,
    RESTING,
    SENT_OPEN,
    TRANSITIONS,
    UNRESOLVED,
    UNSENT,
    Order,
    OrderEvent,
    OrderState,
    OrderType,
    Side,
    apply_event,
    fold,
    request_for,
    require_transition,
)
from trading.errors import InvariantViolation

S = OrderState

#: The table of the design, written out a second time by hand.
LEGAL = {
    (S.PLANNED, S.SUPERSEDED),
    (S.PLANNED, S.EXPIRED),
    (S.PLANNED, S.DENIED),
    (S.PLANNED, S.SUBMITTING),
    (S.SUBMITTING, S.ACCEPTED),
    (S.SUBMITTING, S.REJECTED),
    (S.SUBMITTING, S.OUTCOME_UNKNOWN),
    (S.OUTCOME_UNKNOWN, S.ACCEPTED),
    (S.OUTCOME_UNKNOWN, S.REJECTED),
    (S.OUTCOME_UNKNOWN, S.NEVER_ACCEPTED),
    (S.ACCEPTED, S.PARTIALLY_FILLED),
    (S.ACCEPTED, S.FILLED),
    (S.ACCEPTED, S.CANCELED),
    (S.ACCEPTED, S.EXPIRED_AT_VENUE),
    (S.PARTIALLY_FILLED, S.PARTIALLY_FILLED),
    (S.PARTIALLY_FILLED, S.FILLED),
    (S.PARTIALLY_FILLED, S.CANCELED),
    (S.PARTIALLY_FILLED, S.EXPIRED_AT_VENUE),
    (S.CANCELED, S.FILLED),
    (S.NEVER_ACCEPTED, S.ACCEPTED),
}


def planned(**changes: object) -> Order:
    wish = intent(**changes)
    first = OrderEvent(
        client_order_id=wish.client_order_id,
        sequence=0,
        state=S.PLANNED,
        at=wish.planned_at,
        run_id=RUN.run_id,
        dag_id=RUN.dag_id,
    )
    return fold(wish, [first])


@pytest.mark.parametrize(("before", "after"), list(product(S, S)))
def test_every_pair_of_states_is_legal_exactly_where_the_design_says_so(before: S, after: S) -> None:
    if (before, after) in LEGAL:
        require_transition("x", before, after)
    else:
        with pytest.raises(InvariantViolation, match=f"order x: {before} may become .*; got {after}"):
            require_transition("x", before, after)


def test_the_table_cannot_be_altered_at_run_time() -> None:
    with pytest.raises(TypeError):
        TRANSITIONS[S.FILLED] = frozenset({S.PLANNED})  # type: ignore[index]


def test_the_groups_of_open_states_do_not_overlap_and_hold_no_terminal_state() -> None:
    assert UNSENT | UNRESOLVED | RESTING == OPEN
    assert len(UNSENT) + len(UNRESOLVED) + len(RESTING) == len(OPEN)
    assert SENT_OPEN == OPEN - UNSENT
    assert {state for state in S if not TRANSITIONS[state]} & OPEN == set()
    assert {S.CANCELED, S.NEVER_ACCEPTED} & OPEN == set()


@given(st.lists(st.sampled_from(list(S)), max_size=8))
def test_a_fold_accepts_a_history_exactly_where_each_step_is_legal(states: list[S]) -> None:
    order = planned()
    events = [
        OrderEvent(client_order_id=order.client_order_id, sequence=number, state=state, at=T0, run_id="r", dag_id="d")
        for number, state in enumerate([S.PLANNED, *states])
    ]
    path = [S.PLANNED, *states]
    legal = all(step in LEGAL for step in pairwise(path))
    if legal:
        folded = fold(order.intent, events)
        assert (folded.state, folded.sequence) == (path[-1], len(states))
    else:
        with pytest.raises(InvariantViolation):
            fold(order.intent, events)


def test_a_history_starts_with_planned_numbered_zero() -> None:
    order = planned()
    for wrong in ([], [submitting(order)], [event(order, S.PLANNED, sequence=1)]):
        with pytest.raises(InvariantViolation, match="expected its first event to be planned"):
            fold(order.intent, wrong)


@pytest.mark.parametrize("sequence", [0, 2, -1])
def test_a_gap_or_a_repetition_in_the_numbering_is_refused(sequence: int) -> None:
    order = planned()
    with pytest.raises(InvariantViolation, match=f"expected event 1, got {sequence}"):
        apply_event(order, submitting(order, sequence=sequence))


def test_later_events_keep_what_earlier_ones_said() -> None:
    order = planned()
    order = apply_event(order, submitting(order))
    signed_at = order.signed_at
    order = apply_event(order, event(order, S.ACCEPTED, venue_order_id="77", reason="answered"))
    order = apply_event(order, event(order, S.PARTIALLY_FILLED))
    assert (order.venue_order_id, order.signed_at, order.recv_window_ms) == ("77", signed_at, 2000)
    assert (order.request_hash, order.reason) == ("ab" * 32, "answered")


@pytest.mark.parametrize(("side", "sign"), [(Side.BUY, 1), (Side.SELL, -1)])
def test_the_remainder_is_counted_at_its_worst_until_the_order_ends(side: Side, sign: int) -> None:
    order = planned(side=side)
    assert order.signed_remainder == sign * Decimal("0.5")
    order = apply_event(order, submitting(order))
    order = apply_event(order, event(order, S.OUTCOME_UNKNOWN))
    assert order.signed_remainder == sign * Decimal("0.5")
    order = apply_event(order, event(order, S.NEVER_ACCEPTED))
    assert order.signed_remainder == 0


@pytest.mark.parametrize(("filled", "left"), [("0", "0.5"), ("0.2", "0.3"), ("0.5", "0"), ("0.6", "0")])
def test_fills_shrink_the_remainder_and_an_overfill_never_turns_it_round(filled: str, left: str) -> None:
    order = planned()
    folded = fold(order.intent, [event(order, S.PLANNED, sequence=0)], Decimal(filled))
    assert folded.signed_remainder == Decimal(left)


@pytest.mark.parametrize("quantity", ["0", "-1"])
def test_an_intent_without_a_quantity_is_refused(quantity: str) -> None:
    with pytest.raises(InvariantViolation, match="quantity > 0"):
        intent(quantity=Decimal(quantity))


@pytest.mark.parametrize(
    ("order_type", "limit"), [(OrderType.MARKET, Decimal(1)), (OrderType.LIMIT, None)], ids=["market", "limit"]
)
def test_a_limit_price_goes_with_a_limit_order_and_only_there(order_type: OrderType, limit: Decimal | None) -> None:
    with pytest.raises(InvariantViolation, match="limit price"):
        intent(order_type=order_type, limit_price=limit)


def test_the_request_hash_is_independent_of_time_and_of_idle_zeros() -> None:
    wish = intent()
    first = request_for(wish, T0, 2000)
    later = request_for(wish, T0 + timedelta(days=1), 500)
    assert first.request_hash == later.request_hash
    assert request_for(intent(quantity=Decimal("0.500")), T0, 2000).request_hash == first.request_hash


@pytest.mark.parametrize(
    "changes",
    [
        {"client_order_id": "0" * 32},
        {"instrument": "ETH/USDT", "client_order_id": intent().client_order_id},
        {"side": Side.SELL},
        {"quantity": Decimal("0.50001")},
        {"order_type": OrderType.LIMIT, "limit_price": Decimal(70000)},
    ],
    ids=["id", "instrument", "side", "quantity", "limit"],
)
def test_the_request_hash_covers_everything_that_is_asked_for(changes: dict[str, object]) -> None:
    assert request_for(intent(**changes), T0, 2000).request_hash != request_for(intent(), T0, 2000).request_hash


def test_the_facts_of_an_event_hold_every_field_so_that_the_audit_chain_covers_all() -> None:
    order = planned()
    plain = submitting(order, detail={"why": "test"})
    assert set(plain.facts) == set(OrderEvent.__dataclass_fields__)
    assert plain.facts["detail"] == {"why": "test"}
