"""What both ledgers promise of intents, their events and the checks before them."""

from datetime import timedelta
from decimal import Decimal
from itertools import product

import pytest

from tests.examples import ACCOUNT, BTC, MINUTE, ORDER_PATHS, RUN, T0, event, intent, submitting, traffic_question
from trading.domain.ids import Run
from trading.domain.order import (
    OPEN,
    SENT_OPEN,
    TRANSITIONS,
    Order,
    OrderIntent,
    OrderState,
    OrderType,
    Purpose,
    Side,
    fold,
)
from trading.errors import InvariantViolation, TradingError
from trading.ports.ledger import Books, Ledger

S = OrderState


def planned(books: Books, wish: OrderIntent) -> Order:
    books.orders.plan(wish, RUN)
    order = books.orders.get(wish.client_order_id)
    assert order is not None
    return order


def brought_to(books: Books, state: S, wish: OrderIntent) -> Order:
    order = planned(books, wish)
    for step in ORDER_PATHS[state]:
        order = books.orders.append(order, event(order, step))
    return order


def test_a_planned_order_is_its_intent_and_nothing_more(opened: Ledger) -> None:
    wish = intent(order_type=OrderType.LIMIT, limit_price=Decimal("69999.99"), side=Side.SELL, purpose=Purpose.FLATTEN)
    with opened.transaction() as books:
        assert books.orders.plan(wish, RUN) is True
    with opened.transaction() as books:
        assert books.orders.get(wish.client_order_id) == Order(
            intent=wish, state=S.PLANNED, sequence=0, changed_at=wish.planned_at
        )
        (first,) = books.orders.events(wish.client_order_id)
    assert (first.state, first.sequence, first.at) == (S.PLANNED, 0, wish.planned_at)
    assert (first.run_id, first.dag_id) == (RUN.run_id, RUN.dag_id)


def test_planning_the_same_facts_again_is_known_and_changes_nothing(opened: Ledger) -> None:
    with opened.transaction() as books:
        order = planned(books, intent())
        books.orders.append(order, submitting(order))
    with opened.transaction() as books:
        before = books.orders.get(intent().client_order_id)
        assert books.orders.plan(intent(), Run(run_id="another")) is False
        assert books.orders.plan(intent(quantity=Decimal("0.50")), RUN) is False
        assert books.orders.get(intent().client_order_id) == before
        assert len(books.orders.events(intent().client_order_id)) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": Decimal("0.6")},
        {"side": Side.SELL},
        {"target_quantity": Decimal(1)},
        {"order_type": OrderType.LIMIT, "limit_price": Decimal(70000)},
        {"reference_price": Decimal(70001)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_one_id_with_other_facts_is_a_violation(opened: Ledger, other: dict[str, object]) -> None:
    with opened.transaction() as books:
        books.orders.plan(intent(), RUN)
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.orders.plan(intent(**other), RUN)


def test_one_wish_under_two_names_is_a_violation(opened: Ledger) -> None:
    with opened.transaction() as books:
        books.orders.plan(intent(), RUN)
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.orders.plan(intent(client_order_id="f" * 32), RUN)


def test_an_intent_of_an_account_that_was_never_opened_is_refused(ledger: Ledger) -> None:
    with pytest.raises(TradingError), ledger.transaction() as books:
        books.orders.plan(intent(), RUN)


def test_every_legal_step_is_taken_and_every_other_refused(opened: Ledger) -> None:
    """Each pair of states, 169 of them, each tried from an order that stands in the first."""
    for number, (before, after) in enumerate(product(S, S)):
        wish = intent(generation=number)
        with opened.transaction() as books:
            order = brought_to(books, before, wish)
        if after in TRANSITIONS[before]:
            with opened.transaction() as books:
                assert books.orders.append(order, event(order, after)).state is after
        else:
            with pytest.raises(InvariantViolation), opened.transaction() as books:
                books.orders.append(order, event(order, after))
        with opened.transaction() as books:
            stored = books.orders.get(wish.client_order_id)
            assert stored is not None
            assert stored.state is (after if after in TRANSITIONS[before] else before)


def test_what_append_returns_what_is_stored_and_the_fold_of_the_events_are_one(opened: Ledger) -> None:
    with opened.transaction() as books:
        order = planned(books, intent())
        order = books.orders.append(order, submitting(order, detail={"why": "test"}))
        order = books.orders.append(order, event(order, S.OUTCOME_UNKNOWN, reason="reset"))
        accepted = event(order, S.ACCEPTED, venue_order_id="77", reason="found")
        order = books.orders.append(order, accepted)
    with opened.transaction() as books:
        events = books.orders.events(order.client_order_id)
        assert books.orders.get(order.client_order_id) == order == fold(intent(), events)
    assert events[-1] == accepted
    assert events[1].detail == {"why": "test"}
    assert (order.venue_order_id, order.reason, order.sequence) == ("77", "found", 3)


@pytest.mark.parametrize("sequence", [0, 2, 7])
def test_an_event_out_of_number_is_refused(opened: Ledger, sequence: int) -> None:
    with opened.transaction() as books:
        order = planned(books, intent())
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.orders.append(order, submitting(order, sequence=sequence))


def test_whoever_read_the_order_before_another_step_cannot_take_his(opened: Ledger) -> None:
    with opened.transaction() as books:
        stale = planned(books, intent())
        books.orders.append(stale, submitting(stale))
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.orders.append(stale, event(stale, S.SUPERSEDED))


def test_an_event_of_an_order_that_was_never_planned_is_refused(opened: Ledger) -> None:
    ghost = Order(intent=intent(), state=S.PLANNED, sequence=0, changed_at=T0)
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.orders.append(ghost, submitting(ghost))


@pytest.mark.parametrize("lacking", ["signed_at", "recv_window_ms", "request_hash"])
def test_a_submission_that_the_venue_could_not_fence_is_refused(opened: Ledger, lacking: str) -> None:
    with opened.transaction() as books:
        order = planned(books, intent())
    with pytest.raises(InvariantViolation), opened.transaction() as books:
        books.orders.append(order, submitting(order, **{lacking: None}))


def test_nobody_is_nobody(opened: Ledger) -> None:
    with opened.transaction() as books:
        assert books.orders.get("f" * 32) is None
        assert books.orders.events("f" * 32) == []
        assert books.orders.checks("f" * 32) == []
        assert books.orders.by_venue_order_id(ACCOUNT, BTC.symbol, ["1"]) == {}
        assert books.orders.by_venue_order_id(ACCOUNT, BTC.symbol, []) == {}


def test_open_orders_are_those_not_terminal_in_the_order_of_planning(opened: Ledger) -> None:
    with opened.transaction() as books:
        for number, state in enumerate(S):
            brought_to(books, state, intent(generation=number))
    with opened.transaction() as books:
        assert [order.state for order in books.orders.open(ACCOUNT)] == [state for state in S if state in OPEN]
        assert books.orders.open("other") == []
        assert [order.state for order in books.orders.sent_open(ACCOUNT)] == [
            state for state in S if state in SENT_OPEN
        ]
        assert books.orders.sent_open("other") == []


def test_late_evidence_opens_an_order_again_in_its_old_place(opened: Ledger) -> None:
    with opened.transaction() as books:
        first = brought_to(books, S.NEVER_ACCEPTED, intent())
        books.orders.plan(intent(generation=1), RUN)
        assert len(books.orders.open(ACCOUNT)) == 1
        books.orders.append(first, event(first, S.ACCEPTED))
    with opened.transaction() as books:
        assert [order.intent.generation for order in books.orders.open(ACCOUNT)] == [0, 1]


def test_what_was_read_ahead_is_not_believed_after_a_write(opened: Ledger) -> None:
    """Reading ahead saves round trips and changes no answer: what this transaction wrote since is seen."""
    with opened.transaction() as books:
        name, question = intent().client_order_id, traffic_question()
        books.read_ahead(name, question)
        assert (books.orders.sent_open(ACCOUNT), books.risk.traffic(question).orders) == ([], 0)
        books.read_ahead(name, question)
        brought_to(books, S.ACCEPTED, intent())
        assert [order.state for order in books.orders.sent_open(ACCOUNT)] == [S.ACCEPTED]
        assert books.risk.traffic(question).orders == 1


def test_ours_are_found_by_the_venues_ids_within_the_account(opened: Ledger) -> None:
    with opened.transaction() as books:
        books.accounts.open("other", venue="binance", mode="live", at=T0, run=RUN)
        for account, generation, venue_order_id in ((ACCOUNT, 0, "a"), (ACCOUNT, 1, "b"), ("other", 0, "c")):
            order = brought_to(books, S.SUBMITTING, intent(account=account, generation=generation))
            books.orders.append(order, event(order, S.ACCEPTED, venue_order_id=venue_order_id))
    with opened.transaction() as books:
        found = books.orders.by_venue_order_id(ACCOUNT, BTC.symbol, ["b", "a", "c", "z"])
        # Venues number orders by instrument: the same number of another one is another order.
        assert books.orders.by_venue_order_id(ACCOUNT, "DOGE/USDT", ["a", "b"]) == {}
    assert {name: order.intent.generation for name, order in found.items()} == {"a": 0, "b": 1}


def test_generations_are_all_orders_that_serve_a_decision_oldest_first(opened: Ledger) -> None:
    with opened.transaction() as books:
        brought_to(books, S.DENIED, intent(generation=0))
        books.orders.plan(intent(generation=1), RUN)
        books.orders.plan(intent(instrument="ETH/USDT"), RUN)
        books.orders.plan(intent(strategy="other"), RUN)
        books.orders.plan(intent(as_of=T0 + MINUTE), RUN)
    with opened.transaction() as books:
        served = books.orders.generations(ACCOUNT, "sma", T0)
        assert books.orders.generations("other", "sma", T0) == []
    assert [(o.intent.instrument, o.intent.generation) for o in served] == [
        ("BTC/USDT", 0),
        ("BTC/USDT", 1),
        ("ETH/USDT", 0),
    ]


def test_orders_signed_since_count_whatever_became_of_them_and_unsent_ones_never(opened: Ledger) -> None:
    with opened.transaction() as books:
        books.orders.plan(intent(generation=9), RUN)
        for number, seconds in enumerate((60, 10, 30)):
            order = planned(books, intent(generation=number))
            order = books.orders.append(order, submitting(order, signed_at=T0 + timedelta(seconds=seconds)))
            books.orders.append(order, event(order, S.REJECTED))
    with opened.transaction() as books:
        since = books.orders.submitted_since(ACCOUNT, T0 + timedelta(seconds=30))
        assert [order.intent.generation for order in since] == [2, 0]
        assert books.orders.submitted_since("other", T0) == []


def test_recent_orders_come_newest_first_and_no_more_than_asked(opened: Ledger) -> None:
    with opened.transaction() as books:
        for number in range(4):
            books.orders.plan(intent(generation=number), RUN)
    with opened.transaction() as books:
        assert [order.intent.generation for order in books.orders.recent(ACCOUNT, 3)] == [3, 2, 1]
        assert books.orders.recent(ACCOUNT, 0) == []
        assert books.orders.recent("other", 3) == []
