"""Every ledger transaction balances, to the last digit."""

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import ACCOUNT, BTC, T0, fill
from trading.domain.ledger import (
    HOUSE,
    Category,
    LedgerEntry,
    LedgerTransaction,
    fill_transaction,
    opening_transaction,
    transfer_transaction,
)
from trading.domain.order import Side
from trading.errors import InvariantViolation

prices = st.decimals(min_value="0.00000001", max_value=10**10, places=8)
fees = st.decimals(min_value=0, max_value=10**6, places=8)


def leg(currency: str, value: str, category: Category = Category.ASSET) -> LedgerEntry:
    return LedgerEntry(sub_account="sma", category=category, currency=currency, amount=Decimal(value))


def assets(transaction: LedgerTransaction) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for entry in transaction.entries:
        if entry.category is Category.ASSET:
            totals[entry.currency] += entry.amount
    return dict(totals)


@given(prices, prices, fees, st.sampled_from(["BTC", "USDT", "BNB"]), st.sampled_from(Side))
def test_any_fill_balances_and_moves_exactly_what_was_traded(
    price: Decimal, quantity: Decimal, fee: Decimal, fee_currency: str, side: Side
) -> None:
    traded = fill(price=price, quantity=quantity, fee=fee, fee_currency=fee_currency, side=side)
    transaction = fill_transaction(ACCOUNT, "sma", BTC, traded)
    conversions = {e.currency: e.amount for e in transaction.entries if e.category is Category.CONVERSION}
    assert conversions["BTC"] == -side.sign * quantity
    assert Fraction(conversions["USDT"]) == side.sign * Fraction(price) * Fraction(quantity)
    assert {e.amount for e in transaction.entries if e.category is Category.FEE} == ({fee} if fee else set())


def test_a_buy_by_hand_with_its_fee_in_base() -> None:
    transaction = fill_transaction(ACCOUNT, "sma", BTC, fill())
    assert assets(transaction) == {"BTC": Decimal("0.1998"), "USDT": Decimal("-14000.0")}
    assert transaction.reference == "fill:binance:BTC/USDT:1"


def test_a_sale_by_hand_with_its_fee_in_quote() -> None:
    sold = fill(side=Side.SELL, fee=Decimal(14), fee_currency="USDT")
    assert assets(fill_transaction(ACCOUNT, "sma", BTC, sold)) == {"BTC": Decimal("-0.2"), "USDT": Decimal(13986)}


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (leg("BTC", "1"),),
        (leg("BTC", "1"), leg("USDT", "-1")),
        (leg("BTC", "1"), leg("BTC", "-0.999999999999999999", Category.FEE)),
    ],
    ids=["nothing", "one leg", "across currencies", "by the last digit"],
)
def test_what_does_not_sum_to_zero_in_each_currency_is_refused(entries: tuple[LedgerEntry, ...]) -> None:
    with pytest.raises(InvariantViolation, match="expected sums of zero"):
        LedgerTransaction(account=ACCOUNT, kind="test", reference="r", occurred_at=T0, entries=entries)


@pytest.mark.parametrize("changes", [{"price": Decimal(0)}, {"quantity": Decimal(0)}, {"quantity": Decimal(-1)}])
def test_a_fill_of_nothing_is_refused(changes: dict[str, Decimal]) -> None:
    with pytest.raises(InvariantViolation, match="price and quantity > 0"):
        fill(**changes)


def test_an_opening_balance_books_what_is_there_to_the_house() -> None:
    opening = opening_transaction(ACCOUNT, {"USDT": Decimal(100000), "BTC": Decimal(0)}, T0)
    assert opening is not None
    assert assets(opening) == {"USDT": Decimal(100000)}
    assert {entry.sub_account for entry in opening.entries} == {HOUSE}
    assert opening_transaction(ACCOUNT, {"BTC": Decimal(0)}, T0) is None


@given(st.decimals(min_value="0.00000001", max_value=10**12, places=8))
def test_a_transfer_moves_an_amount_and_makes_none(moved: Decimal) -> None:
    transfer = transfer_transaction(
        ACCOUNT, source=HOUSE, destination="sma", currency="USDT", amount=moved, reference="t", at=T0
    )
    assert {(e.sub_account, e.amount) for e in transfer.entries} == {(HOUSE, -moved), ("sma", moved)}
