"""Calm: what stands between a halt and its end, one sentence each."""

from typing import Final

from trading.flows.our_side import awaits_full_history
from trading.ports.ledger import Account, Books

_NOT_YET_RECONCILED: Final = (
    "the ledger was restored, and its full history was not found clean since: expected one clean"
    " `trading reconcile --full`, and `trading reconcile --full --adopt` for what it finds"
)


def unfit(books: Books, account: Account) -> list[str]:
    """Why this ledger may guide no order at all: another version, or a restore that nobody looked into."""
    found = []
    mismatch = books.risk.standing(account.account).versions.mismatch
    if mismatch:
        found.append(f"{mismatch}: run `trading db migrate` with the version that is to trade")
    if awaits_full_history(books, account):
        found.append(_NOT_YET_RECONCILED)
    return found


def unsettled(books: Books, account: Account) -> list[str]:
    """What must be settled before anything opens positions again: unknown outcomes, confirmed discrepancies."""
    unknown = [order.client_order_id for order in books.orders.open(account.account) if order.is_unresolved]
    confirmed = [d.key for d in books.reconciliations.open_discrepancies(account.account) if d.confirmed]
    found = []
    if unknown:
        found.append(f"outcome unknown: {', '.join(unknown)}; the next reconciliations ask the venue")
    if confirmed:
        found.append(f"discrepancies are open: {', '.join(confirmed)}; `trading reconcile --adopt` shows both sides")
    return found
