"""Marks the equity of the account and of each strategy, and halts where one lost too much."""

import logging
from collections.abc import Mapping
from decimal import Decimal

from trading.domain.ids import Run
from trading.domain.kill_switch import ControlEvent, ControlKind
from trading.domain.limits import Limits, loss_limit
from trading.domain.losses import AUTHOR, EquityMark, breaches, first_mark, next_mark
from trading.domain.money import plain
from trading.domain.portfolio import Portfolio
from trading.flows.market_view import last_prices
from trading.flows.risk_snapshot import currency_prices, worth
from trading.logging.events import log_event
from trading.ports.ledger import Books

logger = logging.getLogger(__name__)

_Amounts = Mapping[tuple[str, str], Decimal]


def guard_losses(
    books: Books, account: str, portfolio: Portfolio, limits: Limits, *, run: Run, prices: Mapping[str, Decimal]
) -> int:
    """Mark at the last closes, under the account's lock, and engage a halt for each scope past a limit; how many.

    `prices` are closes that are known already; what else is held is looked up. A halt of a scope that stands is enough.
    """
    balances = books.entries.balances(account)
    if not balances:
        return 0  # the opening balance comes with the first reconciliation
    marks = _marks(books, account, portfolio, balances, _price_of(books, portfolio, balances, prices))
    books.risk.keep_marks(account, marks, run)
    standing = {halt.scope for halt in books.control.halts(account) if halt.author == AUTHOR}
    return sum(_halt(books, account, mark, limits, run) for mark in marks if mark.scope not in standing)


def _price_of(
    books: Books, portfolio: Portfolio, balances: _Amounts, prices: Mapping[str, Decimal]
) -> dict[str, Decimal]:
    """The price of each currency that is held, also of an instrument that is not traded any more."""
    held = {currency for _, currency in balances}
    ours = {s: i for s, i in books.instruments.all().items() if i.base in held and i.quote == portfolio.currency}
    lacking = {symbol: instrument for symbol, instrument in ours.items() if symbol not in prices}
    known = {**{s: p for s, p in prices.items() if s in ours}, **last_prices(books, lacking, portfolio)}
    return {**currency_prices(ours, known), portfolio.currency: Decimal(1)}


def _marks(
    books: Books, account: str, portfolio: Portfolio, balances: _Amounts, price_of: Mapping[str, Decimal]
) -> list[EquityMark]:
    at, position, before = books.now(), books.entries.position(), books.risk.marks(account)
    taken = books.risk.losses_taken_at(account)
    flows = {since: books.entries.flows_since(account, since) for since in {mark.position for mark in before.values()}}
    marks = []
    places = {name for name, _ in balances}
    parts = {f"account:{account}": places}
    parts |= {f"strategy:{plan.name}": {plan.name} for plan in portfolio.strategies if plan.name in places}
    for scope, names in parts.items():
        last, equity = before.get(scope), worth(_of(balances, names), price_of)
        if last is None or taken.get(scope, last.at) > last.at:
            # Whoever signed for the release took the loss as it was: it is measured from there on.
            marks.append(first_mark(scope, equity=equity, at=at, position=position))
            continue
        moved = flows[last.position]
        flow = worth(moved if scope.startswith("account:") else _of(moved, names), price_of)
        marks.append(next_mark(last, equity=equity, flow=flow, at=at, position=position))
    return marks


def _of(amounts: _Amounts, names: set[str]) -> _Amounts:
    return {key: amount for key, amount in amounts.items() if key[0] in names}


def _halt(books: Books, account: str, mark: EquityMark, limits: Limits, run: Run) -> bool:
    """Engage a halt of the mark's scope where it passes a loss limit."""
    bounds = {name: loss_limit(limits, name, mark.scope) for name in ("max_daily_loss_bps", "max_drawdown_bps")}
    passed = breaches(mark, **bounds)
    if not passed:
        return False
    losses = "; ".join(f"{c} {plain(loss)} bps, allowed {plain(bounds[f'{c}_bps'])}" for c, loss in passed.items())
    event = ControlEvent(
        kind=ControlKind.HALT_ENGAGED,
        author=AUTHOR,
        reason=f"{mark.scope} lost too much: {losses}; equity {plain(mark.equity)}",
        at=mark.at,
        run_id=run.run_id,
        dag_id=run.dag_id,
        scope=mark.scope,
        detail={code: plain(loss) for code, loss in passed.items()},
    )
    halt_id = books.control.engage(account, event)
    log_event(logger, "halt_engaged", level=logging.ERROR, halt_id=halt_id, scope=mark.scope, reason=event.reason)
    return True
