"""Reconcile: what the venue shows ends what was unknown; silence only past the horizon; two books that differ halt."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.crash.appointments import WorkerClock
from tests.desk import HORIZON, RECV_WINDOW_MS, Behind, Desk, DiedHere, constant
from tests.examples import ACCOUNT, BTC
from trading.domain.ledger import Fill
from trading.domain.order import OrderRequest, OrderType, Side
from trading.domain.venue_order import VenueOrder, VenueOrderStatus
from trading.errors import OutcomeUnknown

#: Seconds after signing until silence proves that an order never was.
ENDS_S = RECV_WINDOW_MS / 1000 + HORIZON.clock_skew_s + HORIZON.api_timeout_s + HORIZON.visibility_lag_s


def lost(desk: Desk, *, taken: bool) -> Callable[[OrderRequest], VenueOrder]:
    """A POST whose answer is lost; `taken` where the venue had it."""

    def submit(request: OrderRequest) -> VenueOrder:
        if taken:
            desk.memory_venue.submit(request)
        raise OutcomeUnknown("timed out")

    return submit


def with_unknown(*, taken: bool) -> Desk:
    """A desk whose one order was sent and never answered."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    desk.venue = Behind(desk.memory_venue, submit=lost(desk, taken=taken))
    desk.place()
    desk.venue = desk.memory_venue
    return desk


def state(desk: Desk) -> list[str]:
    return desk.states()["sma", BTC.symbol]


def discrepancies(desk: Desk) -> dict[tuple[str, str], bool]:
    """Open ones, and whether they are confirmed."""
    rows = desk.read(lambda books: books.reconciliations.open_discrepancies(ACCOUNT))
    return {(str(row.kind), row.key): row.confirmed for row in rows}


def test_the_first_reconciliation_takes_over_what_the_venue_holds() -> None:
    """The opening balance is posted once, the books agree, and a second look changes nothing."""
    desk = Desk(balances={"USDT": Decimal("123.45"), "BTC": Decimal("0.5")})
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    assert desk.reconcile().clean
    assert desk.reconcile().clean
    assert desk.totals() == {"USDT": Decimal("123.45"), "BTC": Decimal("0.5")}


def test_no_opening_balance_is_taken_over_while_fills_come_in() -> None:
    """Somebody trades during the first look: balances that already hold a fill would count it twice."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    request = OrderRequest(
        client_order_id="somebody-else",
        instrument=BTC.symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        limit_price=None,
        signed_at=desk.clock.now(),
        recv_window_ms=2000,
    )
    desk.memory_venue.submit(request)
    assert not desk.reconcile().clean
    assert desk.totals() == {}


def test_an_unknown_order_that_the_venue_shows_is_resolved_by_that_evidence() -> None:
    """The answer was lost, the order is there: accepted, filled, booked; both books agree."""
    desk = with_unknown(taken=True)
    assert state(desk) == ["outcome_unknown"]
    report = desk.reconcile()
    assert (report.resolved, report.fills, report.clean) == (1, 1, True)
    assert state(desk) == ["filled"]
    assert desk.totals() == desk.venue_totals()


def test_silence_ends_an_order_only_past_the_full_horizon() -> None:
    """At the horizon's last instant it is still unknown; a moment later it never was."""
    desk = with_unknown(taken=False)
    desk.clock.advance(ENDS_S)
    desk.reconcile()
    assert state(desk) == ["outcome_unknown"]
    desk.clock.advance(0.001)
    report = desk.reconcile()
    assert state(desk) == ["never_accepted"]
    assert (report.unknown_orders, report.clean) == (0, True)


def test_silence_from_before_a_stall_proves_nothing_after_it() -> None:
    """The venue is asked while the order is not shown yet; the process is stopped past the horizon, and goes on."""
    desk = with_unknown(taken=True)
    answers: list[None] = []

    def not_shown_yet(instrument: str, name: str) -> VenueOrder | None:
        answers.append(None)
        return None

    def stopped() -> Any:
        desk.clock.advance(ENDS_S * 10)
        return desk.memory_venue.balances()

    desk.venue = Behind(desk.memory_venue, order=not_shown_yet, balances=stopped, fills=lambda *_, **__: [])
    desk.reconcile()
    assert answers == [None]
    assert "never_accepted" not in state(desk)
    desk.venue = desk.memory_venue
    desk.reconcile()
    assert state(desk) == ["filled"]


def test_late_evidence_reopens_the_order_and_halts_at_once() -> None:
    """An order that was given up turns up: it is booked, and the broken promise of the horizon stops everything."""
    desk = with_unknown(taken=True)
    desk.venue = Behind(desk.memory_venue, order=lambda *_: None, fills=lambda *_, **__: [])
    desk.clock.advance(ENDS_S + 1)
    desk.reconcile()
    assert state(desk) == ["never_accepted"]
    desk.venue = desk.memory_venue
    desk.reconcile()
    assert state(desk) == ["filled"]
    assert "late_acceptance" in desk.halts()[0].reason
    assert desk.totals() == desk.venue_totals()


def test_an_order_that_rests_though_our_books_gave_it_up_is_found() -> None:
    """A refused order stands in the venue's book: an intent of that name exists, and still it is external."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    desk.place(lambda: False)
    order = desk.orders()[0]
    ghost = replace(desk.memory_venue.orders()[0], status=VenueOrderStatus.OPEN)
    desk.reconcile()
    assert state(desk) == ["filled"]
    other = with_unknown(taken=False)
    other.clock.advance(ENDS_S + 1)
    other.reconcile()
    assert other.orders()[0].client_order_id == order.client_order_id
    other.venue = Behind(other.memory_venue, open_orders=lambda: [ghost])
    other.reconcile()
    assert ("external_order", f"{BTC.symbol}:{ghost.venue_order_id}") in discrepancies(other)


def test_a_difference_of_one_unit_is_found_then_confirmed_after_the_lag_and_halts() -> None:
    """1e-8 BTC less at the venue: a finding at once, a halt with both figures once it outlived the visibility lag."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.cycle()
    balances = desk.memory_venue.balances

    def one_unit_less() -> Any:
        seen = balances()
        return seen | {"BTC": replace(seen["BTC"], free=seen["BTC"].free - Decimal("0.00000001"))}

    desk.venue = Behind(desk.memory_venue, balances=one_unit_less)
    assert desk.reconcile().discrepancies == 1
    assert discrepancies(desk) == {("balance", "BTC"): False}
    desk.clock.advance(HORIZON.visibility_lag_s)
    desk.reconcile()
    assert (discrepancies(desk), desk.halts()) == ({("balance", "BTC"): False}, ())
    desk.clock.advance(0.001)
    desk.reconcile()
    assert discrepancies(desk) == {("balance", "BTC"): True}
    (halt,) = desk.halts()
    assert halt.author == "reconcile"
    assert "ours 249.75, theirs 249.74999999" in halt.reason
    desk.reconcile()
    assert len(desk.halts()) == 1


def test_a_difference_that_goes_away_within_the_lag_is_forgotten() -> None:
    """Found, and gone at the next look: nothing is open, nothing halted."""
    desk = Desk().open()
    balances = desk.memory_venue.balances
    desk.venue = Behind(desk.memory_venue, balances=lambda: balances() | {"ETH": balances()["USDT"]})
    assert not desk.reconcile().clean
    desk.venue = desk.memory_venue
    assert desk.reconcile().clean
    assert discrepancies(desk) == {}


def test_a_stall_does_not_age_a_difference() -> None:
    """What was seen a second after the first sight stays a second old, however long its judgement waited."""
    desk = Desk().open()
    balances = desk.memory_venue.balances

    def off(stall_s: float) -> Callable[[], Any]:
        def answer() -> Any:
            desk.clock.advance(stall_s)
            return balances() | {"ETH": balances()["USDT"]}

        return answer

    desk.venue = Behind(desk.memory_venue, balances=off(0))
    desk.reconcile()
    desk.clock.advance(1)
    desk.venue = Behind(desk.memory_venue, balances=off(600))
    desk.reconcile()
    assert discrepancies(desk) == {("balance", "ETH"): False}
    assert desk.halts() == ()


def test_a_finding_is_no_older_than_the_look_that_saw_it() -> None:
    """The first look was stopped for ten minutes before it saw the difference: a second later it is a second old."""
    desk = Desk().open()
    balances = desk.memory_venue.balances

    def stopped() -> Any:
        desk.clock.advance(600)
        return balances() | {"ETH": balances()["USDT"]}

    desk.venue = Behind(desk.memory_venue, balances=stopped)
    desk.reconcile()
    desk.clock.advance(1)
    desk.venue = Behind(desk.memory_venue, balances=lambda: balances() | {"ETH": balances()["USDT"]})
    desk.reconcile()
    assert discrepancies(desk) == {("balance", "ETH"): False}


def test_a_clock_that_is_set_behind_does_not_age_a_difference() -> None:
    """The machine that saw it first thinks that it is five minutes ago: a second later it is a second old."""
    desk = Desk().open()
    balances = desk.memory_venue.balances
    desk.venue = Behind(desk.memory_venue, balances=lambda: balances() | {"ETH": balances()["USDT"]})
    desk.worker_clock = WorkerClock(desk.clock, lambda: timedelta(minutes=-5))
    desk.reconcile()
    desk.worker_clock = desk.clock
    desk.clock.advance(1)
    desk.reconcile()
    assert discrepancies(desk) == {("balance", "ETH"): False}
    assert desk.halts() == ()


def test_an_external_order_and_its_fill_are_found_and_halt_after_the_lag() -> None:
    """Somebody traded on our account: order and fill have no intent of ours."""
    desk = Desk().open()
    request = OrderRequest(
        client_order_id="somebody-else",
        instrument=BTC.symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        limit_price=None,
        signed_at=desk.clock.now(),
        recv_window_ms=2000,
    )
    desk.memory_venue.submit(request)
    resting = replace(request, client_order_id="resting", order_type=OrderType.LIMIT, limit_price=Decimal(90))
    desk.memory_venue.submit(resting)
    desk.reconcile()
    kinds = {kind for kind, _ in discrepancies(desk)}
    assert kinds == {"external_order", "external_fill", "balance"}
    desk.clock.advance(HORIZON.visibility_lag_s + 1)
    desk.reconcile()
    assert len(desk.halts()) == 1
    assert desk.orders() == []


def test_a_fill_that_is_shown_again_is_booked_once() -> None:
    """Windows overlap and venues repeat themselves."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.cycle()
    twice = lambda symbol, **window: [f for f in desk.memory_venue.fills(symbol, **window) for _ in range(2)]  # noqa: E731
    desk.venue = Behind(desk.memory_venue, fills=twice)
    assert desk.reconcile().fills == 0
    assert desk.totals() == desk.venue_totals()


def test_an_overfill_is_booked_and_recorded_as_a_discrepancy() -> None:
    """The venue executed more than was asked: the fills count, and the difference is named."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.cycle()
    order = desk.orders()[0]
    extra = replace(desk.read(lambda books: books.fills.recent(ACCOUNT, 1))[0], venue_fill_id="99", client_order_id="")

    def more(symbol: str, **window: Any) -> list[Fill]:
        return [*desk.memory_venue.fills(symbol, **window), *([extra] if symbol == BTC.symbol else [])]

    desk.venue = Behind(desk.memory_venue, fills=more)
    assert desk.reconcile().fills == 1
    assert ("overfill", order.client_order_id) in discrepancies(desk)


def test_an_order_ends_only_when_its_fills_are_in() -> None:
    """The venue says filled, its fills lag: the order stays open and counts, and nothing is compared meanwhile."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    desk.place()
    desk.venue = Behind(desk.memory_venue, fills=lambda *_, **__: [])
    report = desk.reconcile()
    assert state(desk) == ["accepted"]
    assert (report.clean, report.discrepancies) == (False, 0)
    desk.place()
    assert len(desk.posts()) == 1
    desk.venue = desk.memory_venue
    assert desk.reconcile().clean
    assert state(desk) == ["filled"]


def test_books_that_moved_during_the_look_are_not_compared() -> None:
    """Another run books a fill between our look at the balances and our judgement: no false finding."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    before = desk.memory_venue.balances()
    once: list[int] = []

    def another_run_trades() -> Any:
        if not once:
            once.append(1)
            desk.place()
            desk.venue = desk.memory_venue
            desk.reconcile()
        return []

    quiet = Behind(
        desk.memory_venue,
        balances=lambda: before,
        open_orders=another_run_trades,
        fills=lambda *_, **__: [],
    )
    desk.venue = Behind(quiet, submit=desk.memory_venue.submit)
    report = desk.reconcile()
    assert (report.clean, report.discrepancies) == (False, 0)
    assert discrepancies(desk) == {}
    assert desk.reconcile().clean


def test_a_refusal_that_is_found_later_ends_an_unknown_order() -> None:
    """The venue shows the unanswered order as rejected: that is evidence."""
    desk = with_unknown(taken=False)
    order = desk.orders()[0]
    seen = VenueOrder(
        venue_order_id="7",
        client_order_id=order.client_order_id,
        instrument=BTC.symbol,
        side=Side.BUY,
        status=VenueOrderStatus.REJECTED,
        quantity=order.intent.quantity,
        filled_quantity=Decimal(0),
        created_at=desk.clock.now(),
    )
    desk.venue = Behind(desk.memory_venue, order=lambda *_: seen)
    desk.reconcile()
    assert state(desk) == ["rejected"]


def test_a_death_while_applying_leaves_nothing_half_done() -> None:
    """Killed inside the transaction that books fills: none is booked, and the next run books them all."""
    desk = Desk().open()
    desk.evaluate()
    desk.place()
    store = desk.memory_ledger._books.reconciliations

    def dies(*_: Any) -> None:
        raise DiedHere

    desk.memory_ledger._books.reconciliations = Behind(store, record=dies)  # type: ignore[assignment]
    with pytest.raises(DiedHere):
        desk.reconcile()
    assert desk.read(lambda books: books.fills.recent(ACCOUNT, 10)) == []
    assert {str(order.state) for order in desk.orders()} == {"accepted"}
    desk.memory_ledger._books.reconciliations = store
    assert desk.reconcile().fills == 2
    assert desk.totals() == desk.venue_totals()


def test_dust_that_nobody_trades_is_watched_only_where_its_currency_is_ours() -> None:
    """An airdrop of a currency outside the account's instruments is no discrepancy."""
    desk = Desk().open()
    balances = desk.memory_venue.balances
    desk.venue = Behind(desk.memory_venue, balances=lambda: balances() | {"SHIB": balances()["USDT"]})
    assert desk.reconcile().clean
