"""Gives each strategy its share of the account, by ledger transfers only."""

import logging
from datetime import datetime
from decimal import Decimal

from trading.domain.ids import Run
from trading.domain.ledger import HOUSE, transfer_transaction
from trading.domain.money import ZERO, floor_to_step, plain
from trading.domain.order import Side
from trading.domain.portfolio import Portfolio, StrategyPlan
from trading.flows.market_view import MarketView
from trading.flows.risk_snapshot import account_equity
from trading.logging.events import log_event
from trading.ports.ledger import Books

logger = logging.getLogger(__name__)

#: Transfers are rounded down to this, in quote.
_CENT = Decimal("0.01")


def allocate(books: Books, account: str, portfolio: Portfolio, view: MarketView, *, at: datetime, run: Run) -> None:
    """Move quote between the house and the strategies whose share in the portfolio file is new or has changed.

    A share is a share of the account's equity at the moment of the change; results then stay with the strategy. What is
    given back is bounded by the strategy's free quote, what is given by the house's.
    """
    balances = books.entries.balances(account)
    if not balances:
        return  # the opening balance comes with the first reconciliation
    total = account_equity(balances, view)
    for strategy in portfolio.strategies:
        share = strategy.allocation if strategy.enabled else ZERO
        prefix = f"allocation:{strategy.name}:"
        earlier = books.entries.references(account, prefix)
        if earlier and earlier[-1].rsplit(":", 1)[-1] == plain(share):
            continue
        _allocate_one(
            books, account, portfolio, view, strategy, target=total * share, at=at, run=run, number=len(earlier)
        )


def _allocate_one(
    books: Books,
    account: str,
    portfolio: Portfolio,
    view: MarketView,
    strategy: StrategyPlan,
    *,
    target: Decimal,
    at: datetime,
    run: Run,
    number: int,
) -> None:
    """One transfer, towards the strategy or back to the house."""
    balances = books.entries.balances(account)
    own = {key: amount for key, amount in balances.items() if key[0] == strategy.name}
    wanted = target - account_equity(own, view)
    source, destination = (HOUSE, strategy.name) if wanted > 0 else (strategy.name, HOUSE)
    free = balances.get((source, portfolio.currency), ZERO) - _reserved(books, account, source, view)
    amount = floor_to_step(min(abs(wanted), free), _CENT)
    if amount <= 0:
        return
    share = strategy.allocation if strategy.enabled else ZERO
    transaction = transfer_transaction(
        account,
        source=source,
        destination=destination,
        currency=portfolio.currency,
        amount=amount,
        reference=f"allocation:{strategy.name}:{number}:{plain(share)}",
        at=at,
    )
    if books.entries.post(transaction, run):
        log_event(logger, "allocation_transferred", strategy=strategy.name, source=source, amount=plain(amount))


def _reserved(books: Books, account: str, sub_account: str, view: MarketView) -> Decimal:
    """Quote that buys on their way may still take, at their limit or the last price."""
    buys = [o for o in books.orders.open(account) if o.intent.strategy == sub_account and o.intent.side is Side.BUY]
    prices = [o.intent.limit_price or view.prices.get(o.intent.instrument, o.intent.reference_price) for o in buys]
    return sum((o.signed_remainder * price for o, price in zip(buys, prices, strict=True)), ZERO)
