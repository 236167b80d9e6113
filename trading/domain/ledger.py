"""Double entry: each fill is one balanced, immutable transaction; a fee is its own leg."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import Final

from trading.domain.market import Instrument
from trading.domain.money import EXACT, ZERO
from trading.domain.order import Side
from trading.errors import InvariantViolation

#: The sub-account that holds dust, fee currency and deposits.
HOUSE: Final = "house"
#: The kind of a fill's transaction: all others move money that was not earned.
FILL: Final = "fill"


class Category(StrEnum):
    """What a leg stands for. Only `asset` legs are money that the venue holds for us."""

    ASSET = "asset"
    CONVERSION = "conversion"  # the other side of what was bought or sold
    FEE = "fee"
    CAPITAL = "capital"  # opening balances, deposits, withdrawals


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerEntry:
    """One leg in one currency. Positive: the sub-account's category gains."""

    sub_account: str
    category: Category
    currency: str
    amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerTransaction:
    """A balanced set of entries. `reference` is unique in the account, so that nothing is posted twice."""

    account: str
    kind: str
    reference: str
    occurred_at: datetime
    entries: tuple[LedgerEntry, ...]

    def __post_init__(self) -> None:
        totals: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
        with localcontext(EXACT):
            for entry in self.entries:
                totals[entry.currency] += entry.amount
        unbalanced = {currency: total for currency, total in totals.items() if total != 0}
        if unbalanced or not self.entries:
            raise InvariantViolation(f"ledger transaction {self.reference}: expected sums of zero, got {unbalanced}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fill:
    """The venue's execution, unique by (venue, instrument, venue_fill_id). Price and fee are exact."""

    venue: str
    instrument: str
    venue_fill_id: str
    venue_order_id: str
    client_order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    filled_at: datetime
    is_maker: bool = False

    def __post_init__(self) -> None:
        if self.price <= 0 or self.quantity <= 0:
            raise InvariantViolation(
                f"fill {self.venue_fill_id}: expected price and quantity > 0, got {self.price} and {self.quantity}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """What the venue holds of one currency: free to use, and locked by open orders."""

    free: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        """Free and locked."""
        return self.free + self.locked


def _two_legs(sub_account: str, category: Category, currency: str, amount: Decimal) -> tuple[LedgerEntry, LedgerEntry]:
    """An asset leg of `amount` and its counter-leg in `category`."""
    return (
        LedgerEntry(sub_account=sub_account, category=Category.ASSET, currency=currency, amount=amount),
        LedgerEntry(sub_account=sub_account, category=category, currency=currency, amount=amount.copy_negate()),
    )


def fill_transaction(account: str, sub_account: str, instrument: Instrument, fill: Fill) -> LedgerTransaction:
    """Base against quote at the fill's price, and the fee as legs of its own."""
    with localcontext(EXACT):
        base = fill.side.sign * fill.quantity
        entries = [
            *_two_legs(sub_account, Category.CONVERSION, instrument.base, base),
            *_two_legs(sub_account, Category.CONVERSION, instrument.quote, -base * fill.price),
        ]
        if fill.fee:
            entries += _two_legs(sub_account, Category.FEE, fill.fee_currency, -fill.fee)
    return LedgerTransaction(
        account=account,
        kind=FILL,
        reference=f"fill:{fill.venue}:{fill.instrument}:{fill.venue_fill_id}",
        occurred_at=fill.filled_at,
        entries=tuple(entries),
    )


def opening_transaction(account: str, balances: Mapping[str, Decimal], at: datetime) -> LedgerTransaction | None:
    """What the venue already held at first use; None where it held nothing."""
    entries = [
        entry
        for currency, total in sorted(balances.items())
        if total != 0
        for entry in _two_legs(HOUSE, Category.CAPITAL, currency, total)
    ]
    if not entries:
        return None
    return LedgerTransaction(
        account=account, kind="opening_balance", reference="opening_balance", occurred_at=at, entries=tuple(entries)
    )


def transfer_transaction(
    account: str, *, source: str, destination: str, currency: str, amount: Decimal, reference: str, at: datetime
) -> LedgerTransaction:
    """Move `amount` between two sub-accounts."""
    legs = (
        LedgerEntry(sub_account=source, category=Category.ASSET, currency=currency, amount=amount.copy_negate()),
        LedgerEntry(sub_account=destination, category=Category.ASSET, currency=currency, amount=amount),
    )
    return LedgerTransaction(account=account, kind="transfer", reference=reference, occurred_at=at, entries=legs)
