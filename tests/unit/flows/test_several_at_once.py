"""Several orders, fills and findings in one reconciliation: each is judged by itself, and counted."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import BALANCES, HORIZON, RECV_WINDOW_MS, Behind, Desk, constant, portfolio
from tests.examples import ACCOUNT, BTC, ETH
from trading.domain.ledger import Balance, Fill
from trading.domain.order import OrderRequest, OrderState, OrderType, Side
from trading.domain.venue_order import VenueOrder
from trading.errors import OutcomeUnknown

ENDS_S = RECV_WINDOW_MS / 1000 + HORIZON.clock_skew_s + HORIZON.api_timeout_s + HORIZON.visibility_lag_s


def unanswered(*, taken: bool = True) -> Desk:
    """A buy of BTC and one of ETH were sent, and both answers were lost; `taken` where the venue had them."""
    desk = Desk(weights={"sma": constant(0.5, 0.1)}).open()
    desk.evaluate()

    def submit(request: OrderRequest) -> VenueOrder:
        if taken:
            desk.memory_venue.submit(request)
        raise OutcomeUnknown("timed out")

    desk.venue = Behind(desk.memory_venue, submit=submit)
    desk.place()
    desk.venue = desk.memory_venue
    return desk


def somebody_buys(desk: Desk) -> None:
    """On our account, past the pipeline."""
    request = OrderRequest(
        client_order_id="somebody-else",
        instrument=BTC.symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        limit_price=None,
        signed_at=desk.clock.now(),
        recv_window_ms=RECV_WINDOW_MS,
    )
    desk.memory_venue.submit(request)


def discrepancies(desk: Desk) -> dict[str, Any]:
    """The open ones by kind."""
    rows = desk.read(lambda books: books.reconciliations.open_discrepancies(ACCOUNT))
    return {str(row.kind): row for row in rows}


def test_every_order_that_evidence_moved_is_counted_and_carries_the_venues_id() -> None:
    """Two unknown, both found at the venue."""
    desk = unanswered()
    report = desk.reconcile()
    assert (report.resolved, report.fills, report.open_orders) == (2, 2, 0)
    theirs = {order.client_order_id: order.venue_order_id for order in desk.memory_venue.orders()}
    assert {order.client_order_id: order.venue_order_id for order in desk.orders()} == theirs


def test_an_order_that_nothing_moved_is_counted_as_open_and_not_as_resolved() -> None:
    """Silence before the horizon: both are still unknown."""
    report = unanswered(taken=False).reconcile()
    assert (report.resolved, report.open_orders, report.unknown_orders) == (0, 2, 2)


def test_an_order_that_rests_is_open_and_known() -> None:
    """Nothing about it is unknown."""
    desk = Desk(portfolio_=portfolio(order_type="limit", rest_s=90), weights={"sma": constant(0.5, 0.0)}).open()
    report = desk.cycle()
    assert report.counts["sent"] == 1
    again = desk.reconcile()
    assert (again.resolved, again.open_orders, again.unknown_orders) == (0, 1, 0)


def test_an_order_that_another_run_settled_meanwhile_keeps_no_other_from_being_settled() -> None:
    """While we look, somebody else resolves the first of the two: the second is still ours to resolve."""
    desk = unanswered()

    def of_btc(symbol: str, **window: Any) -> list[Fill]:
        return desk.memory_venue.fills(symbol, **window) if symbol == BTC.symbol else []

    def told_of_btc(symbol: str, name: str) -> VenueOrder | None:
        return desk.memory_venue.order(symbol, name) if symbol == BTC.symbol else None

    def another_run_settles_btc() -> Any:
        desk.venue = Behind(desk.memory_venue, order=told_of_btc, fills=of_btc)
        desk.reconcile()
        assert desk.states() == {("sma", BTC.symbol): ["filled"], ("sma", ETH.symbol): ["outcome_unknown"]}
        return desk.memory_venue.balances()

    desk.venue = Behind(desk.memory_venue, balances=another_run_settles_btc)
    report = desk.reconcile()
    assert (report.resolved, report.fills) == (1, 1)
    assert {order.state for order in desk.orders()} == {OrderState.FILLED}


def test_a_fill_that_is_not_ours_keeps_none_of_ours_from_being_booked() -> None:
    """The venue lists somebody's fill before ours."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    somebody_buys(desk)
    desk.place()
    assert desk.reconcile().fills == 1
    assert [order.state for order in desk.orders()] == [OrderState.FILLED]
    assert "external_fill" in discrepancies(desk)


def test_late_evidence_whose_fills_lag_is_dated_and_nothing_is_compared_yet() -> None:
    """The order is found too late, which halts at once; its fills are still to come, so balances say nothing."""
    desk = unanswered()
    untouched = {currency: Balance(free=total, locked=Decimal(0)) for currency, total in BALANCES.items()}
    desk.venue = Behind(desk.memory_venue, order=lambda *_: None, fills=lambda *_, **__: [], balances=lambda: untouched)
    desk.clock.advance(ENDS_S + 1)
    desk.reconcile()
    desk.clock.advance(1)
    desk.venue = Behind(desk.memory_venue, fills=lambda *_, **__: [])
    desk.reconcile()
    found = discrepancies(desk)
    assert set(found) == {"late_acceptance"}
    assert found["late_acceptance"].first_seen_at == desk.clock.now()
    assert len(desk.halts()) == 1


def test_a_halt_names_every_difference_its_time_and_its_run() -> None:
    """Two currencies differ: one halt, both figures."""
    desk = Desk().open()
    balances = desk.memory_venue.balances
    less = replace(balances()["USDT"], free=Decimal(99_999))
    more = replace(balances()["USDT"], free=Decimal(3))
    desk.venue = Behind(desk.memory_venue, balances=lambda: balances() | {"USDT": less, "ETH": more})
    desk.reconcile()
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    desk.reconcile()
    halted = desk.read(lambda books: books.control.history(ACCOUNT, 1)[0])
    assert halted.reason == (
        "the ledger and the venue disagree: balance ETH: ours 0, theirs 3; balance USDT: ours 100000, theirs 99999"
    )
    newest = desk.read(lambda books: books.runs.recent("reconcile", 1)[0])
    assert (halted.at, halted.run_id, halted.dag_id) == (desk.clock.now(), newest.run.run_id, "reconcile")


@pytest.mark.parametrize("moment_s", [0.0, 0.001], ids=["at the last instant", "a moment later"])
def test_fills_are_in_the_opening_balance_once_nothing_of_them_can_be_late(moment_s: float) -> None:
    """Somebody traded before the account was taken over: only past the visibility lag and the skew is it settled."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    somebody_buys(desk)
    desk.clock.advance(HORIZON.visibility_lag_s + HORIZON.clock_skew_s + moment_s)
    desk.ingest()
    assert desk.reconcile().clean is bool(moment_s)
    assert desk.totals() == (desk.venue_totals() if moment_s else {})


def test_the_books_begin_when_the_opening_balance_was_taken_over() -> None:
    """Not when the account was opened."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.clock.advance(5)
    desk.ingest()
    posted: list[Any] = []
    entries = desk.memory_ledger._books.entries

    def post(transaction: Any, run: Any) -> bool:
        posted.append(transaction)
        return entries.post(transaction, run)

    desk.memory_ledger._books.entries = Behind(entries, post=post)  # type: ignore[assignment]
    desk.reconcile()
    opening = next(one for one in posted if one.reference == "opening_balance")
    assert opening.occurred_at == desk.clock.now()
