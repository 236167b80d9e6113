"""What both ledgers promise of fills and of the double-entry ledger."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.examples import ACCOUNT, BTC, ETH, RUN, T0, fill, intent
from trading.domain.ledger import Fill, fill_transaction, opening_transaction, transfer_transaction
from trading.domain.order import Side
from trading.domain.position import fold_fills
from trading.errors import InvariantViolation
from trading.ports.ledger import Books, Ledger

WISH = intent()
ETH_WISH = intent(instrument=ETH.symbol)
OTHER_WISH = intent(strategy="other")


@pytest.fixture
def trading(opened: Ledger) -> Ledger:
    """An account with instruments and three planned orders."""
    with opened.transaction() as books:
        books.instruments.save([BTC, ETH], at=T0, run=RUN)
        for wish in (WISH, ETH_WISH, OTHER_WISH):
            books.orders.plan(wish, RUN)
    return opened


def ours(number: int, **changes: Any) -> Fill:
    values: dict[str, Any] = {
        "client_order_id": WISH.client_order_id,
        "venue_fill_id": str(number),
        "filled_at": T0 + timedelta(seconds=number),
    }
    return fill(**(values | changes))


def record(books: Books, one: Fill, sub_account: str = "sma") -> bool:
    instrument = {BTC.symbol: BTC, ETH.symbol: ETH}[one.instrument]
    return books.fills.record(one, fill_transaction(ACCOUNT, sub_account, instrument, one), RUN)


def test_a_fill_and_its_entries_are_stored_once(trading: Ledger) -> None:
    with trading.transaction() as books:
        assert record(books, ours(1)) is True
    with trading.transaction() as books:
        assert record(books, ours(1)) is False
        assert record(books, ours(1, quantity=Decimal("0.20"))) is False
    with trading.transaction() as books:
        assert books.fills.recent(ACCOUNT, 10) == [ours(1)]
        assert books.entries.references(ACCOUNT, "fill:") == ["fill:binance:BTC/USDT:1"]
        assert books.entries.balances(ACCOUNT) == {("sma", "BTC"): Decimal("0.1998"), ("sma", "USDT"): Decimal(-14000)}


def test_a_fill_is_known_by_its_number_at_its_venue_and_instrument_in_its_account(trading: Ledger) -> None:
    with trading.transaction() as books:
        assert not books.fills.known(ACCOUNT, ours(1))
        record(books, ours(1))
    with trading.transaction() as books:
        assert books.fills.known(ACCOUNT, ours(1, client_order_id="", price=Decimal(1)))
        assert not books.fills.known(ACCOUNT, ours(2))
        assert not books.fills.known(ACCOUNT, ours(1, venue="kraken"))
        assert not books.fills.known(ACCOUNT, ours(1, instrument=ETH.symbol))
        assert not books.fills.known("other", ours(1))


@pytest.mark.parametrize(
    "other",
    [
        {"price": Decimal(70001)},
        {"quantity": Decimal("0.3")},
        {"fee": Decimal("0.0003")},
        {"side": Side.SELL},
        {"client_order_id": OTHER_WISH.client_order_id},
        {"filled_at": T0},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_known_fill_with_other_figures_is_a_violation(trading: Ledger, other: dict[str, Any]) -> None:
    with trading.transaction() as books:
        record(books, ours(1))
    with pytest.raises(InvariantViolation), trading.transaction() as books:
        record(books, ours(1, **other))


@pytest.mark.parametrize("name", ["", "f" * 32])
def test_a_fill_of_nobodys_order_is_refused(trading: Ledger, name: str) -> None:
    with pytest.raises(InvariantViolation), trading.transaction() as books:
        record(books, ours(1, client_order_id=name))


def test_a_fill_of_another_accounts_order_is_refused(trading: Ledger) -> None:
    with trading.transaction() as books:
        books.accounts.open("other", venue="binance", mode="replay", at=T0, run=RUN)
    with pytest.raises(InvariantViolation), trading.transaction() as books:
        books.fills.record(ours(1), fill_transaction("other", "sma", BTC, ours(1)), RUN)


def test_a_fill_whose_entries_were_posted_without_it_is_a_violation(trading: Ledger) -> None:
    with trading.transaction() as books:
        books.entries.post(fill_transaction(ACCOUNT, "sma", BTC, ours(1)), RUN)
    with pytest.raises(InvariantViolation), trading.transaction() as books:
        record(books, ours(1))


def test_the_same_number_at_another_instrument_is_another_fill(trading: Ledger) -> None:
    with trading.transaction() as books:
        assert record(books, ours(1)) is True
        eth = ours(1, instrument=ETH.symbol, client_order_id=ETH_WISH.client_order_id, fee_currency="ETH")
        assert record(books, eth) is True


def test_positions_are_the_fold_of_each_strategys_fills_in_the_order_of_their_time(trading: Ledger) -> None:
    history = [
        ours(3, side=Side.SELL, price=Decimal(71000), quantity=Decimal("0.1"), fee=Decimal("7.1"), fee_currency="USDT"),
        ours(1),
        ours(2, price=Decimal(69000), quantity=Decimal("0.3"), fee=Decimal("0.0003")),
    ]
    elsewhere = ours(4, client_order_id=OTHER_WISH.client_order_id)
    eth = ours(5, instrument=ETH.symbol, client_order_id=ETH_WISH.client_order_id, fee_currency="ETH")
    for one in [*history, elsewhere, eth]:
        with trading.transaction() as books:
            record(books, one)
            books.fills.positions(ACCOUNT)  # an early reading must not spoil a later one
    with trading.transaction() as books:
        assert books.fills.positions(ACCOUNT) == {
            ("sma", BTC.symbol): fold_fills(BTC, [history[1], history[2], history[0]]),
            ("sma", ETH.symbol): fold_fills(ETH, [eth]),
            ("other", BTC.symbol): fold_fills(BTC, [elsewhere]),
        }
        assert books.fills.positions("nobody") == {}


def read_and_fail(ledger: Ledger) -> None:
    with ledger.transaction() as books:
        record(books, ours(1))
        assert books.fills.positions(ACCOUNT)[("sma", BTC.symbol)].quantity == Decimal("0.1998")
        raise ZeroDivisionError


def test_a_reading_of_positions_that_was_rolled_back_leaves_no_trace(trading: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        read_and_fail(trading)
    with trading.transaction() as books:
        assert books.fills.positions(ACCOUNT) == {}
        record(books, ours(1, quantity=Decimal(1), fee=Decimal(0)))
        assert books.fills.positions(ACCOUNT)[("sma", BTC.symbol)].quantity == 1


def test_fills_of_one_instant_follow_the_venues_own_numbering(trading: Ledger) -> None:
    with trading.transaction() as books:
        for number in (10, 9, 100):
            record(books, ours(number, filled_at=T0))
    with trading.transaction() as books:
        assert [one.venue_fill_id for one in books.fills.recent(ACCOUNT, 2)] == ["100", "10"]


def test_recent_fills_and_the_newest_times_are_by_time_and_not_by_arrival(trading: Ledger) -> None:
    with trading.transaction() as books:
        for number in (2, 3, 1):
            record(books, ours(number))
        eth = ours(9, instrument=ETH.symbol, client_order_id=ETH_WISH.client_order_id, fee_currency="ETH")
        record(books, eth)
    with trading.transaction() as books:
        assert [one.venue_fill_id for one in books.fills.recent(ACCOUNT, 3)] == ["9", "3", "2"]
        assert books.fills.recent(ACCOUNT, 0) == []
        assert books.fills.newest_at(ACCOUNT) == {BTC.symbol: ours(3).filled_at, ETH.symbol: eth.filled_at}
        assert books.fills.newest_at("nobody") == {}


def test_a_reference_is_posted_once_in_an_account(opened: Ledger) -> None:
    opening = opening_transaction(ACCOUNT, {"USDT": Decimal(100), "BTC": Decimal("0.1")}, T0)
    again = opening_transaction(ACCOUNT, {"USDT": Decimal(999)}, T0)
    assert opening is not None
    assert again is not None
    with opened.transaction() as books:
        books.accounts.open("other", venue="binance", mode="replay", at=T0, run=RUN)
        assert books.entries.post(opening, RUN) is True
        assert books.entries.post(again, RUN) is False
        assert books.entries.post(replace(opening, account="other"), RUN) is True
    with opened.transaction() as books:
        assert books.entries.balances(ACCOUNT) == {("house", "USDT"): Decimal(100), ("house", "BTC"): Decimal("0.1")}


def test_nothing_is_posted_to_an_account_that_was_never_opened(ledger: Ledger) -> None:
    opening = opening_transaction(ACCOUNT, {"USDT": Decimal(100)}, T0)
    assert opening is not None
    with pytest.raises(InvariantViolation), ledger.transaction() as books:
        books.entries.post(opening, RUN)


def test_balances_are_sums_of_asset_legs_to_the_last_digit_without_zeros(opened: Ledger) -> None:
    tiny, total = Decimal("0.000000000000000001"), Decimal("1000000000000.000000000000000001")
    with opened.transaction() as books:
        opening = opening_transaction(ACCOUNT, {"USDT": total}, T0)
        assert opening is not None
        books.entries.post(opening, RUN)
        for number, moved in enumerate((Decimal(10**12), tiny, Decimal(3), Decimal(-3))):
            transfer = transfer_transaction(
                ACCOUNT,
                source="house",
                destination="sma" if number < 2 else "other",
                currency="USDT",
                amount=moved,
                reference=f"transfer:{number}",
                at=T0,
            )
            books.entries.post(transfer, RUN)
    with opened.transaction() as books:
        assert books.entries.balances(ACCOUNT) == {("sma", "USDT"): total}


def test_references_are_found_by_their_beginning_in_the_order_of_posting(opened: Ledger) -> None:
    names = ("b:2", "a:1", "b:1", "b%:1")
    with opened.transaction() as books:
        for name in names:
            moved = transfer_transaction(
                ACCOUNT,
                source="house",
                destination="sma",
                currency="USDT",
                amount=Decimal(1),
                reference=name,
                at=T0,
            )
            books.entries.post(moved, RUN)
    with opened.transaction() as books:
        assert books.entries.references(ACCOUNT, "b:") == ["b:2", "b:1"]
        assert books.entries.references(ACCOUNT, "b%") == ["b%:1"]
        assert books.entries.references(ACCOUNT, "") == list(names)
        assert books.entries.references("nobody", "") == []
