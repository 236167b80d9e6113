"""What the venue's word, or its silence, proves about an order of ours."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import BTC, T0, intent
from trading.domain.money import ZERO
from trading.domain.order import RESTING, TRANSITIONS, UNRESOLVED, Order, OrderState, Side
from trading.domain.venue_order import Horizon, VenueOrder, VenueOrderStatus, steps_from_evidence

HORIZON = Horizon(clock_skew_s=1, api_timeout_s=10, visibility_lag_s=10)
#: signed_at + 2 s recvWindow + 1 s skew + 10 s time-out, and + 10 s lag.
ANSWER_DUE, ENDS = T0 + timedelta(seconds=13), T0 + timedelta(seconds=23)
MOMENT = timedelta(microseconds=1)
#: The states in which an order may be asked about at the venue.
ASKED = sorted(UNRESOLVED | RESTING | {OrderState.NEVER_ACCEPTED})
S = OrderState


def order(state: OrderState, **changes: Any) -> Order:
    values: dict[str, Any] = {"signed_at": T0, "recv_window_ms": 2_000, "sequence": 1, "changed_at": T0}
    return Order(intent=intent(), state=state, **(values | changes))


def seen(status: VenueOrderStatus, filled: str = "0") -> VenueOrder:
    return VenueOrder(
        venue_order_id="1",
        client_order_id=intent().client_order_id,
        instrument=BTC.symbol,
        side=Side.BUY,
        status=status,
        quantity=Decimal("0.5"),
        filled_quantity=Decimal(filled),
        created_at=T0,
    )


def states(of: Order, evidence: VenueOrder | None, filled: str = "0", at: datetime = T0) -> list[OrderState]:
    return [s.state for s in steps_from_evidence(of, evidence, filled=Decimal(filled), at=at, horizon=HORIZON)]


def test_the_horizon_is_the_sum_of_its_parts() -> None:
    """signed_at + 2 + 1 + 10 s until nobody waits any more, + 10 s until silence is proof."""
    assert HORIZON.answer_due_at(order(S.SUBMITTING)) == ANSWER_DUE
    assert HORIZON.ends_at(order(S.SUBMITTING)) == ENDS


def test_an_order_that_was_never_signed_has_no_horizon() -> None:
    """Asking for it is a mistake in the program."""
    with pytest.raises(ValueError, match="never signed"):
        HORIZON.ends_at(order(S.PLANNED, signed_at=None))


@pytest.mark.parametrize(
    ("state", "at", "expected"),
    [
        (S.SUBMITTING, ANSWER_DUE, []),
        (S.SUBMITTING, ANSWER_DUE + MOMENT, [S.OUTCOME_UNKNOWN]),
        (S.SUBMITTING, ENDS, [S.OUTCOME_UNKNOWN]),
        (S.SUBMITTING, ENDS + MOMENT, [S.OUTCOME_UNKNOWN, S.NEVER_ACCEPTED]),
        (S.OUTCOME_UNKNOWN, ENDS, []),
        (S.OUTCOME_UNKNOWN, ENDS + MOMENT, [S.NEVER_ACCEPTED]),
        (S.ACCEPTED, ENDS + timedelta(days=9), []),
        (S.PARTIALLY_FILLED, ENDS + timedelta(days=9), []),
        (S.NEVER_ACCEPTED, ENDS + timedelta(days=9), []),
    ],
)
def test_silence_proves_nothing_before_the_horizon(state: OrderState, at: datetime, expected: list[OrderState]) -> None:
    """To the microsecond; and what the venue once took, silence never ends."""
    assert states(order(state), None, at=at) == expected


def test_silence_never_ends_an_order_that_has_fills() -> None:
    """A fill is evidence that it was there."""
    assert states(order(S.OUTCOME_UNKNOWN), None, filled="0.1", at=ENDS + timedelta(days=1)) == []


V = VenueOrderStatus


@pytest.mark.parametrize(
    ("state", "evidence", "filled", "expected"),
    [
        (S.SUBMITTING, seen(V.OPEN), "0", [S.ACCEPTED]),
        (S.OUTCOME_UNKNOWN, seen(V.OPEN), "0", [S.ACCEPTED]),
        (S.NEVER_ACCEPTED, seen(V.OPEN), "0", [S.ACCEPTED]),
        (S.SUBMITTING, seen(V.FILLED, "0.5"), "0.5", [S.ACCEPTED, S.FILLED]),
        (S.SUBMITTING, seen(V.FILLED, "0.5"), "0.4", [S.ACCEPTED]),
        (S.ACCEPTED, seen(V.FILLED, "0.5"), "0.499", []),
        (S.ACCEPTED, seen(V.PARTIALLY_FILLED, "0.2"), "0.2", [S.PARTIALLY_FILLED]),
        (S.PARTIALLY_FILLED, seen(V.PARTIALLY_FILLED, "0.3"), "0.3", []),
        (S.PARTIALLY_FILLED, seen(V.CANCELED, "0.2"), "0.2", [S.CANCELED]),
        (S.ACCEPTED, seen(V.CANCELED), "0", [S.CANCELED]),
        (S.ACCEPTED, seen(V.EXPIRED), "0", [S.EXPIRED_AT_VENUE]),
        (S.ACCEPTED, seen(V.EXPIRED, "0.2"), "0.1", []),
        (S.CANCELED, seen(V.FILLED, "0.5"), "0.5", [S.FILLED]),
        (S.CANCELED, seen(V.CANCELED), "0", []),
        (S.FILLED, seen(V.FILLED, "0.5"), "0.5", []),
        (S.SUBMITTING, seen(V.REJECTED), "0", [S.REJECTED]),
        (S.OUTCOME_UNKNOWN, seen(V.REJECTED), "0", [S.REJECTED]),
        (S.NEVER_ACCEPTED, seen(V.REJECTED), "0", []),
        (S.ACCEPTED, seen(V.REJECTED), "0", []),
    ],
)
def test_what_the_venue_says_moves_the_order(
    state: OrderState, evidence: VenueOrder, filled: str, expected: list[OrderState]
) -> None:
    """Case by case; an end waits for its fills."""
    assert states(order(state), evidence, filled) == expected


quantities = st.decimals(0, 1, places=3)
evidence_of = st.none() | st.builds(seen, status=st.sampled_from(VenueOrderStatus), filled=quantities.map(str))


@given(
    state=st.sampled_from(ASKED),
    evidence=evidence_of,
    filled=quantities,
    after_s=st.integers(-5, 60),
)
def test_only_legal_steps_and_never_an_end_before_all_fills_are_in(
    state: OrderState, evidence: VenueOrder | None, filled: Decimal, after_s: int
) -> None:
    """For every state, evidence and instant: the table allows each step, and nothing that was seen is left behind."""
    at = T0 + timedelta(seconds=after_s)
    before = state
    for step in states(order(state), evidence, str(filled), at):
        assert step in TRANSITIONS[before]
        before = step
        if step in (S.FILLED, S.CANCELED, S.EXPIRED_AT_VENUE):
            assert evidence is not None
            assert filled >= evidence.filled_quantity
        if step is S.NEVER_ACCEPTED:
            assert evidence is None
            assert at > ENDS
            assert filled == ZERO
        if step is S.OUTCOME_UNKNOWN:
            assert evidence is None
            assert at > ANSWER_DUE


@given(state=st.sampled_from(ASKED), evidence=evidence_of, filled=quantities, after_s=st.integers(0, 60))
def test_asking_again_with_the_same_evidence_adds_nothing(
    state: OrderState, evidence: VenueOrder | None, filled: Decimal, after_s: int
) -> None:
    """The steps reach a fixed point at once, so that reconciling twice is reconciling once."""
    at = T0 + timedelta(seconds=after_s)
    steps = states(order(state), evidence, str(filled), at)
    after = steps[-1] if steps else state
    if after in ASKED:
        again = states(order(after), evidence, str(filled), at)
        assert again in ([], [S.PARTIALLY_FILLED])
