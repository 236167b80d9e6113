"""Our side of a comparison: what the venue is to be asked, and which of its fills are ours."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from trading.domain.market import Instrument
from trading.domain.money import ZERO
from trading.domain.order import Order, OrderState
from trading.flows.venue_look import VenueLook
from trading.ports.ledger import Account, Books

#: Fills are read again from this long before the newest known one, since venues show them late and disordered.
FILL_OVERLAP: Final = timedelta(minutes=10)
#: An order that was given up is asked about for this long after it was signed: late evidence must not go unseen.
LATE_EVIDENCE: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class OurSide:
    """Our side before the look. `asked` are orders that the venue is asked about; `totals` our balances by currency.

    `awaits_full_history` is True between a restore and the first clean reconciliation of everything after it.
    """

    account: Account
    awaits_full_history: bool
    instruments: Mapping[str, Instrument]
    asked: Sequence[Order]
    fills_since: Mapping[str, datetime]
    totals: Mapping[str, Decimal]

    @property
    def watched(self) -> set[str]:
        """The currencies of the account's instruments: a difference in another one never halts."""
        return {currency for i in self.instruments.values() for currency in (i.base, i.quote)}


def our_side(books: Books, account_name: str, *, at: datetime, full: bool = False) -> OurSide:
    """What to ask the venue, under the account's lock. Fills are never read from before the account was opened here.

    `full` asks for all fills since then.
    """
    account = books.accounts.lock(account_name)
    instruments = books.instruments.all()
    newest = books.fills.newest_at(account_name)
    sent = books.orders.sent_open(account_name)
    recent = books.orders.submitted_since(account_name, at - LATE_EVIDENCE)
    return OurSide(
        account=account,
        awaits_full_history=awaits_full_history(books, account),
        instruments=instruments,
        asked=[*sent, *(order for order in recent if order.state is OrderState.NEVER_ACCEPTED)],
        fills_since={
            symbol: account.opened_at
            if full
            else max(account.opened_at, _from_when(symbol, sent, newest.get(symbol, account.opened_at)))
            for symbol in instruments
        },
        totals=totals(books, account_name),
    )


def awaits_full_history(books: Books, account: Account) -> bool:
    """Whether the ledger was restored, and not yet reconciled as a whole since."""
    if account.restored_at is None:
        return False
    clean_at = books.reconciliations.newest_clean_at(account.account, full_history=True)
    return clean_at is None or clean_at <= account.restored_at


def _from_when(symbol: str, sent: Sequence[Order], newest: datetime) -> datetime:
    """Before the newest known fill, and before the oldest open order: a fill that a short page left out is not lost."""
    signed = [order.signed_at for order in sent if order.intent.instrument == symbol and order.signed_at is not None]
    return min([newest, *signed]) - FILL_OVERLAP


def totals(books: Books, account: str) -> dict[str, Decimal]:
    """What our ledger holds, by currency, over all sub-accounts."""
    sums: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for (_, currency), amount in books.entries.balances(account).items():
        sums[currency] += amount
    return dict(sums)


def names_of_ours(books: Books, account: str, seen: VenueLook) -> dict[tuple[str, str], str]:
    """Our name for each venue order with fills, by (instrument, venue order id); what is not ours is left out."""
    ours = {
        (order.instrument, order.venue_order_id): client_order_id
        for client_order_id, order in seen.orders.items()
        if order is not None
    }
    filled = {(fill.instrument, fill.venue_order_id) for fill in seen.fills} - ours.keys()
    for instrument in sorted({symbol for symbol, _ in filled}):
        ids = sorted(venue_id for symbol, venue_id in filled if symbol == instrument)
        for venue_id, order in books.orders.by_venue_order_id(account, instrument, ids).items():
            ours[instrument, venue_id] = order.client_order_id
    return ours
