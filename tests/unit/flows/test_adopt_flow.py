"""Adopt: what was done outside is shown, signed for and taken over, all or nothing; halts stay until an override."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.desk import HORIZON, Behind, Desk, DiedHere, constant
from tests.examples import ACCOUNT, BTC, RUN, event, intent
from trading.domain.adoption import AdoptionRefused
from trading.domain.kill_switch import ControlKind
from trading.domain.ledger import HOUSE, Balance, Fill
from trading.domain.order import OrderRequest, OrderState, OrderType, Side
from trading.domain.override import OverrideRefused
from trading.domain.venue_order import VenueOrder, VenueOrderStatus
from trading.errors import OutcomeUnknown
from trading.flows.adopt import Adopt, AdoptPreview, AdoptReport

LAG_S = HORIZON.visibility_lag_s + HORIZON.clock_skew_s + 1


def adopt(desk: Desk) -> Adopt:
    return Adopt(desk.ledger, desk.venue, desk.clock, account=ACCOUNT, horizon=desk.horizon)


def preview(desk: Desk) -> AdoptPreview:
    return adopt(desk).preview()


def sign(desk: Desk, shown: AdoptPreview | None = None, **changes: str) -> AdoptReport:
    """Adopt what a preview showed."""
    signature = {"person": "ada", "reason": "bank statement", "expected": ""} | changes
    signature["expected"] = signature["expected"] or (shown or preview(desk)).adoption.content_hash
    return adopt(desk).run(desk.run_of("adopt"), **signature)


def by_hand(desk: Desk, quantity: str = "1", **changes: Any) -> VenueOrder:
    """Somebody buys on our account, past the pipeline."""
    values: dict[str, Any] = {
        "client_order_id": f"by-hand-{len(desk.posts())}",
        "instrument": BTC.symbol,
        "side": Side.BUY,
        "order_type": OrderType.MARKET,
        "quantity": Decimal(quantity),
        "limit_price": None,
        "signed_at": desk.clock.now(),
        "recv_window_ms": 2000,
    }
    return desk.memory_venue.submit(OrderRequest(**(values | changes)))


def deposit(desk: Desk, amount: str, currency: str = "USDT") -> None:
    desk.memory_venue._purse.change(currency, free=Decimal(amount))


def confirm(desk: Desk) -> None:
    """Reconcile until what is there has outlived the visibility lag."""
    desk.reconcile()
    desk.clock.advance(LAG_S)
    desk.reconcile()


def found(desk: Desk) -> set[tuple[str, str]]:
    rows = desk.read(lambda books: books.reconciliations.open_discrepancies(ACCOUNT))
    return {(str(row.kind), row.key) for row in rows}


def house(desk: Desk, currency: str) -> Decimal:
    balances = desk.read(lambda books: books.entries.balances(ACCOUNT))
    return Decimal(balances.get((HOUSE, currency), 0))


def newest_event(desk: Desk) -> Any:
    return desk.read(lambda books: books.control.history(ACCOUNT, 1))[0]


@pytest.mark.parametrize("amount", ["250.00000001", "-99.5"])
def test_a_deposit_or_withdrawal_goes_to_the_house_and_the_halt_can_end(amount: str) -> None:
    """It halts; no override is accepted; adopted, the books agree to the last digit, and the same override is."""
    desk = Desk().open()
    desk.cycle()
    before = house(desk, "USDT")
    deposit(desk, amount)
    confirm(desk)
    (halt,) = desk.halts()
    with pytest.raises(OverrideRefused):
        desk.resume(halt.halt_id)
    report = sign(desk)
    assert report.counts == {"balances": 1, "acknowledged": 0, "forgotten": 0}
    assert house(desk, "USDT") == before + Decimal(amount)
    assert desk.totals() == desk.venue_totals()
    assert [one.halt_id for one in desk.halts()] == [halt.halt_id]
    assert desk.reconcile().clean
    desk.resume(halt.halt_id)
    assert desk.halts() == ()
    desk.next_minute()
    desk.cycle()
    assert desk.totals() == desk.venue_totals()


def test_the_audit_log_keeps_who_why_and_both_sides_figures() -> None:
    """One event of its own kind, in the run that adopted."""
    desk = Desk().open()
    deposit(desk, "250")
    confirm(desk)
    shown = preview(desk)
    sign(desk, shown)
    event = newest_event(desk)
    assert (event.kind, event.author, event.reason) == (ControlKind.ADOPTED, "ada", "bank statement")
    assert event.run_id.startswith("adopt__")
    assert event.detail == {"shown": shown.adoption.content_hash, "balance USDT": "ours 100000, theirs 100250"}


def test_a_preview_changes_nothing() -> None:
    """Looked at twice: the same hash, no row more."""
    desk = Desk().open()
    deposit(desk, "250")
    confirm(desk)
    before = (desk.totals(), newest_event(desk), found(desk))
    assert preview(desk).adoption.content_hash == preview(desk).adoption.content_hash
    assert (desk.totals(), newest_event(desk), found(desk)) == before


def test_a_manual_order_is_adopted_with_its_fill_and_found_no_more() -> None:
    """Fill and money are taken over; later reconciliations see the same fill and stay clean."""
    desk = Desk().open()
    by_hand(desk)
    confirm(desk)
    report = sign(desk)
    assert report.counts == {"balances": 2, "acknowledged": 1, "forgotten": 0}
    assert desk.totals() == desk.venue_totals()
    for _ in range(2):
        desk.clock.advance(LAG_S)
        assert desk.reconcile().clean
    assert desk.read(lambda books: books.fills.recent(ACCOUNT, 10)) == []


def test_a_resting_order_is_noted_and_its_later_fill_is_found_again() -> None:
    """Acknowledging an order is no licence for what it does next."""
    desk = Desk().open()
    order = by_hand(desk, order_type=OrderType.LIMIT, limit_price=Decimal(90))
    confirm(desk)
    assert sign(desk).counts == {"balances": 0, "acknowledged": 1, "forgotten": 0}
    assert desk.reconcile().clean
    fill = Fill(
        venue="memory",
        instrument=BTC.symbol,
        venue_fill_id="77",
        venue_order_id=order.venue_order_id,
        client_order_id="",
        side=Side.BUY,
        price=Decimal(90),
        quantity=Decimal(1),
        fee=Decimal(0),
        fee_currency="BTC",
        filled_at=desk.clock.now(),
    )
    desk.venue = Behind(desk.memory_venue, fills=lambda symbol, **_: [fill] if symbol == BTC.symbol else [])
    desk.reconcile()
    assert found(desk) == {("external_fill", f"{BTC.symbol}:77")}


def test_what_changed_since_it_was_shown_is_refused_and_nothing_is_done() -> None:
    """Another deposit arrives between the look and the signature."""
    desk = Desk().open()
    deposit(desk, "250")
    confirm(desk)
    shown, before = preview(desk), desk.totals()
    deposit(desk, "0.00000001")
    with pytest.raises(AdoptionRefused, match="differs from what was shown"):
        sign(desk, shown)
    assert desk.totals() == before
    assert ("balance", "USDT") in found(desk)
    assert newest_event(desk).kind is ControlKind.HALT_ENGAGED


def test_what_may_be_a_lag_is_not_adopted() -> None:
    """Seen, and not yet confirmed: refused with that reason, however it was signed."""
    desk = Desk().open()
    deposit(desk, "250")
    desk.reconcile()
    shown = preview(desk)
    assert shown.obstacles == ("balance USDT is not confirmed yet: it may be a lag",)
    with pytest.raises(AdoptionRefused, match="not confirmed yet"):
        sign(desk, shown)
    assert desk.totals() == {"USDT": Decimal(100_000)}


def test_nothing_is_adopted_while_an_outcome_is_unknown() -> None:
    """The balance may hold what the unanswered order did."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    deposit(desk, "250")
    confirm(desk)
    sign(desk)
    for halt in desk.halts():
        desk.resume(halt.halt_id)
    desk.next_minute()
    desk.lease()
    desk.ingest()
    desk.evaluate()

    def lost(_: Any) -> Any:
        raise OutcomeUnknown("timed out")

    desk.venue = Behind(desk.memory_venue, submit=lost)
    desk.place()
    deposit(desk, "1")
    with pytest.raises(AdoptionRefused, match=r"outcome of order [0-9a-f]+ is unknown"):
        sign(desk)


def test_nothing_is_adopted_while_a_fill_of_ours_is_not_booked() -> None:
    """What our own order moved is no deposit: it is booked by reconciling."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    desk.place()
    shown = preview(desk)
    assert any("is not booked yet" in obstacle for obstacle in shown.obstacles)
    with pytest.raises(AdoptionRefused):
        sign(desk, shown)
    assert desk.totals() == {"USDT": Decimal(100_000)}


def test_nothing_is_adopted_while_fills_come_in() -> None:
    """The two reads of the fills differ: balances between them say nothing."""
    desk = Desk().open()
    deposit(desk, "250")
    confirm(desk)
    shown = preview(desk)
    balances = desk.memory_venue.balances

    def trades_meanwhile() -> dict[str, Balance]:
        before = balances()
        by_hand(desk)
        return before

    desk.venue = Behind(desk.memory_venue, balances=trades_meanwhile)
    moving = preview(desk)
    assert "the venue's fills changed while they were read" in moving.obstacles
    with pytest.raises(AdoptionRefused):
        sign(desk, moving)
    with pytest.raises(AdoptionRefused):
        sign(desk, shown)


def test_where_both_sides_agree_there_is_nothing_to_adopt() -> None:
    """Not even for who signs for it."""
    desk = Desk().open()
    assert preview(desk).adoption.findings == ()
    with pytest.raises(AdoptionRefused, match="nothing to adopt"):
        sign(desk)


@pytest.mark.parametrize("signature", [{"person": " "}, {"reason": ""}])
def test_an_adoption_names_a_person_and_a_reason(signature: dict[str, str]) -> None:
    """The audit log is for somebody who was not there."""
    desk = Desk().open()
    deposit(desk, "250")
    confirm(desk)
    with pytest.raises(AdoptionRefused, match="person and a reason"):
        sign(desk, **signature)


def test_a_currency_that_is_not_traded_is_taken_along() -> None:
    """An airdrop halts nothing, and still the ledger holds it once adopted."""
    desk = Desk().open()
    deposit(desk, "9", "SHIB")
    assert desk.reconcile().clean
    sign(desk)
    assert house(desk, "SHIB") == 9
    assert desk.halts() == ()


def test_a_death_while_adopting_leaves_nothing_half_done() -> None:
    """Killed inside the transaction: no money, no note, no event; the same signature works afterwards."""
    desk = Desk().open()
    by_hand(desk)
    confirm(desk)
    shown, before = preview(desk), desk.totals()
    control = desk.memory_ledger._books.control

    def dies(*_: Any) -> None:
        raise DiedHere

    desk.memory_ledger._books.control = Behind(control, record=dies)  # type: ignore[assignment]
    with pytest.raises(DiedHere):
        sign(desk, shown)
    desk.memory_ledger._books.control = control
    assert desk.totals() == before
    assert desk.read(lambda books: books.reconciliations.acknowledged(ACCOUNT)) == frozenset()
    sign(desk, shown)
    assert desk.totals() == desk.venue_totals()


def test_an_overfill_is_noted_with_its_figure() -> None:
    """Adopted, it is found no more; filled further, it is."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.cycle()
    order = desk.orders()[0]
    first = desk.read(lambda books: books.fills.recent(ACCOUNT, 1))[0]
    extra: list[Fill] = []

    def more(symbol: str, **window: Any) -> list[Fill]:
        return [*desk.memory_venue.fills(symbol, **window), *(extra if symbol == BTC.symbol else [])]

    desk.venue = Behind(desk.memory_venue, fills=more, balances=lambda: in_line(desk))
    extra.append(replace(first, venue_fill_id="99", client_order_id=""))
    confirm(desk)
    sign(desk)
    assert desk.reconcile().clean
    extra.append(replace(first, venue_fill_id="100", client_order_id=""))
    desk.reconcile()
    assert ("overfill", order.client_order_id) in found(desk)


def in_line(desk: Desk) -> dict[str, Balance]:
    """Balances of a venue that holds what our ledger does."""
    return {currency: Balance(free=total, locked=Decimal(0)) for currency, total in desk.totals().items()}


# the opening balance


def test_a_fill_before_the_first_reconciliation_is_in_the_opening_balance() -> None:
    """Somebody traded after the account was opened here: past the lag the books begin with it, and agree."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    by_hand(desk)
    assert not desk.reconcile().clean
    assert desk.totals() == {}
    desk.clock.advance(LAG_S)
    assert desk.reconcile().clean
    assert desk.totals() == desk.venue_totals()
    assert len(desk.halts()) == 1  # that of a fresh installation
    desk.clock.advance(LAG_S)
    assert desk.reconcile().clean


def test_no_opening_balance_follows_an_adoption() -> None:
    """The venue dates a fill anew at each look, so the books never begin; adopted, it is not posted a second time."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    by_hand(desk)

    def just_now(symbol: str, **window: Any) -> list[Fill]:
        return [replace(fill, filled_at=desk.clock.now()) for fill in desk.memory_venue.fills(symbol, **window)]

    desk.venue = Behind(desk.memory_venue, fills=just_now)
    confirm(desk)
    assert desk.totals() == {}
    sign(desk)
    desk.venue = desk.memory_venue
    desk.clock.advance(LAG_S)
    assert desk.reconcile().clean
    assert desk.totals() == desk.venue_totals()


def test_no_opening_balance_is_posted_over_a_fill_of_ours() -> None:
    """An order of ours filled before the books began: booked by itself, and what was there before it is adopted."""
    desk = Desk()
    desk.open_account.run(desk.run_of("open_account"))
    desk.ingest()
    order = by_hand(desk, client_order_id=intent().client_order_id, quantity="0.5")
    with desk.ledger.transaction() as books:
        books.accounts.lock(ACCOUNT)
        books.orders.plan(intent(), RUN)
        ours = books.orders.get(intent().client_order_id)
        for state in (OrderState.SUBMITTING, OrderState.ACCEPTED):
            ours = books.orders.append(ours, event(ours, state, venue_order_id=order.venue_order_id))
    confirm(desk)
    assert desk.totals() != desk.venue_totals()
    assert desk.read(lambda books: books.entries.references(ACCOUNT, "")) == ["fill:memory:BTC/USDT:1"]
    assert sign(desk).counts == {"balances": 1, "acknowledged": 0, "forgotten": 0}
    assert desk.totals() == desk.venue_totals()


# orders that the venue forgot


def forgetful(**changes: Callable[..., Any]) -> tuple[Desk, str]:
    """A desk whose one order rests by our books, and of which the venue knows nothing any more."""
    desk = Desk(weights={"sma": constant(0.5, 0.0)}).open()
    desk.evaluate()
    held = desk.memory_venue.balances()

    def takes(request: OrderRequest) -> VenueOrder:
        return VenueOrder(
            venue_order_id="gone",
            client_order_id=request.client_order_id,
            instrument=request.instrument,
            side=request.side,
            status=VenueOrderStatus.OPEN,
            quantity=request.quantity,
            filled_quantity=Decimal(0),
            created_at=desk.clock.now(),
        )

    desk.venue = Behind(desk.memory_venue, submit=takes, balances=lambda: held, **changes)
    desk.place()
    (order,) = desk.orders()
    assert str(order.state) == "accepted"
    return desk, order.client_order_id


def wait(desk: Desk, minutes: float, looks: int) -> None:
    for _ in range(looks):
        desk.clock.advance(minutes * 60 / looks)
        desk.reconcile()


def test_an_order_that_the_venue_forgot_halts_after_ten_minutes_and_is_ended_by_adopting() -> None:
    """Found past the horizon, confirmed after several looks over ten minutes; adopted, it expired at the venue."""
    desk, name = forgetful()
    desk.reconcile()
    assert found(desk) == set()  # within the horizon silence proves nothing
    desk.clock.advance(60)
    desk.reconcile()
    assert found(desk) == {("forgotten_order", name)}
    wait(desk, 10, 5)
    assert desk.halts() == ()
    desk.clock.advance(1)
    assert not desk.reconcile().clean
    assert f"forgotten_order {name}" in desk.halts()[0].reason
    shown = preview(desk)
    assert shown.obstacles == ()
    assert sign(desk, shown).counts == {"balances": 0, "acknowledged": 0, "forgotten": 1}
    (order,) = desk.orders()
    assert str(order.state) == "expired_at_venue"
    assert order.reason == "forgotten by the venue; adopted by ada: bank statement"
    desk.clock.advance(1)
    assert desk.reconcile().clean
    desk.resume(desk.halts()[0].halt_id)


def test_two_looks_confirm_no_silence_however_far_apart() -> None:
    """An hour between them: the third look halts, the second does not."""
    desk, _ = forgetful()
    for halts in (0, 0, 1):
        desk.clock.advance(3600)
        desk.reconcile()
        assert len(desk.halts()) == halts


def test_an_order_that_is_still_listed_is_not_forgotten() -> None:
    """The query by name fails to find it, the list of open orders shows it."""
    listed: list[VenueOrder] = []
    desk, name = forgetful(open_orders=lambda: listed)
    listed.append(desk.venue.submit(order_request(desk, name)))
    wait(desk, 30, 5)
    assert (found(desk), desk.halts()) == (set(), ())


def order_request(desk: Desk, name: str) -> OrderRequest:
    return OrderRequest(
        client_order_id=name,
        instrument=BTC.symbol,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=desk.orders()[0].intent.quantity,
        limit_price=None,
        signed_at=desk.clock.now(),
        recv_window_ms=2000,
    )


def test_a_silence_that_is_not_confirmed_is_not_adopted() -> None:
    """Half of the time is not enough for a person either."""
    desk, name = forgetful()
    wait(desk, 5, 3)
    shown = preview(desk)
    assert shown.adoption.forgotten == (name,)
    with pytest.raises(AdoptionRefused, match="not confirmed yet"):
        sign(desk, shown)
    assert str(desk.orders()[0].state) == "accepted"


def test_a_silence_that_ends_by_itself_needs_nobody() -> None:
    """After it halted, the venue knows the order again: the finding is resolved, the order rests as before."""
    desk, name = forgetful()
    wait(desk, 16, 4)
    assert len(desk.halts()) == 1
    back = desk.venue.submit(order_request(desk, name))
    desk.venue = Behind(desk.venue, order=lambda *_: back, open_orders=lambda: [back])
    assert desk.reconcile().clean
    assert (found(desk), str(desk.orders()[0].state)) == (set(), "accepted")
    desk.resume(desk.halts()[0].halt_id)


def test_what_a_forgotten_order_bought_is_adopted_with_it() -> None:
    """The venue forgot the order and its fill, and kept the money: the balances tell, and are confirmed as ever."""
    desk, name = forgetful()
    kept = {"USDT": Decimal(50_000), "BTC": Decimal(500)}
    after = {currency: Balance(free=total, locked=Decimal(0)) for currency, total in kept.items()}
    desk.venue = Behind(desk.venue, balances=lambda: after)
    wait(desk, 16, 4)
    confirm(desk)
    assert {key for kind, key in found(desk) if kind == "balance"} == {"BTC", "USDT"}
    assert sign(desk).counts == {"balances": 2, "acknowledged": 0, "forgotten": 1}
    assert desk.totals() == kept
    assert desk.orders()[0].client_order_id == name


def test_a_forgotten_order_that_turns_up_again_is_found() -> None:
    """Ended by adopting, and then it stands in the venue's list: external, whatever it was called."""
    desk, name = forgetful()
    wait(desk, 16, 4)
    ghost = desk.venue.submit(order_request(desk, name))
    sign(desk)
    desk.venue = Behind(desk.venue, open_orders=lambda: [ghost])
    desk.reconcile()
    assert found(desk) == {("external_order", f"{BTC.symbol}:gone")}
