"""Gathers, inside tx1, all that the pre-trade checks may know about one order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.flatten import granted_notional
from trading.domain.kill_switch import Halt, TradingState, trading_state
from trading.domain.limits import Limits
from trading.domain.market import Instrument
from trading.domain.money import ZERO
from trading.domain.order import Order, OrderIntent, Purpose, Side
from trading.domain.portfolio import Portfolio
from trading.domain.position import Position
from trading.domain.snapshot import RiskSnapshot
from trading.domain.traffic import TrafficQuestion
from trading.flows.market_view import MarketView
from trading.ports.ledger import Books


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What holds for every order of one placing. `pause` is the state that Airflow's own word puts them in, and why.

    `limits` are those in force when the placing began; whoever applies others ends its epoch.
    """

    account: str
    portfolio: Portfolio
    limits: Limits
    view: MarketView
    pause: tuple[TradingState, str] | None


def snapshot(
    books: Books, intent: OrderIntent, conditions: Conditions, question: TrafficQuestion, *, at: datetime
) -> RiskSnapshot:
    """The account as it stands in this transaction, seen from one order; `question` says what traffic counts."""
    account, view = conditions.account, conditions.view
    others = tuple(books.orders.sent_open(account))
    positions = books.fills.positions(account)
    balances = books.entries.balances(account)
    best = view.best.get(intent.instrument)
    of_order = {"account": account, "strategy": intent.strategy, "instrument": intent.instrument}
    halts = tuple(halt for halt in books.control.halts(account) if halt.covers(**of_order))
    lease = books.control.lease_expires_at(account)
    state = trading_state(halts, lease_expires_at=lease, at=books.now(), **of_order)
    state, because = conditions.pause or (state, _why(state, halts, lease))
    standing = books.risk.standing(account)
    return RiskSnapshot(
        at=at,
        intent=intent,
        instrument=view.instruments.get(intent.instrument),
        limits=conditions.limits,
        state=state,
        state_reason=because,
        expected_price=(best.ask if intent.side is Side.BUY else best.bid) if best else None,
        newest_close_at=view.newest_close_at.get(intent.instrument),
        held=positions.get((intent.strategy, intent.instrument), Position()).quantity,
        others=others,
        exposures=exposures_of(positions, others, view.prices),
        equity=account_equity(balances, view),
        free_quote=balances.get((intent.strategy, conditions.portfolio.currency), ZERO)
        - _reserved(others, intent.strategy, view.prices),
        newest_clean_at=books.reconciliations.newest_clean_at(account),
        skew_ms=view.skew_ms,
        open_discrepancies=len(books.reconciliations.open_discrepancies(account)),
        own_exposures=exposures_of(positions, others, view.prices, strategy=intent.strategy),
        own_equity=account_equity({key: a for key, a in balances.items() if key[0] == intent.strategy}, view),
        traffic=books.risk.traffic(question),
        disabled=standing.disabled.get(intent.strategy, ""),
        versions=standing.versions,
        marks=standing.marks,
        granted_notional=_granted(books, halts, of_order) if intent.purpose is Purpose.FLATTEN else ZERO,
    )


def traffic_question(intent: OrderIntent, limits: Limits, at: datetime) -> TrafficQuestion:
    """What counts against the rates of an order that is sent at `at` or later: asked early, more counts, never less."""
    return TrafficQuestion(
        account=intent.account,
        strategy=intent.strategy,
        instrument=intent.instrument,
        side=intent.side,
        quantity=intent.quantity,
        since=at - timedelta(minutes=1),
        alike_since=at - timedelta(seconds=limits.repeated_order_window_s),
    )


def _granted(books: Books, halts: tuple[Halt, ...], of_order: dict[str, str]) -> Decimal:
    """Asked for closing orders alone, after what was read ahead."""
    return granted_notional(halts, books.control.grants(of_order["account"], books.now()), **of_order)


def _why(state: TradingState, halts: tuple[Halt, ...], lease: datetime | None) -> str:
    """What made the state, in words; empty while running."""
    if halts:
        return "; ".join(f"halt {halt.halt_id} by {halt.author}: {halt.reason}" for halt in halts)
    if state is TradingState.STALE:
        return f"the lease ended at {lease.isoformat(timespec='seconds')}" if lease else "there was no lease yet"
    return ""


def account_equity(balances: dict[tuple[str, str], Decimal], view: MarketView) -> Decimal:
    """Everything that the account holds, in quote; currencies without a price count nothing."""
    return worth(balances, currency_prices(view.instruments, view.prices))


def currency_prices(instruments: Mapping[str, Instrument], prices: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What one of each currency is worth in quote, by the instruments' prices."""
    quotes = {instrument.quote for instrument in instruments.values()}
    return {instruments[symbol].base: price for symbol, price in prices.items()} | dict.fromkeys(quotes, Decimal(1))


def worth(amounts: Mapping[tuple[str, str], Decimal], price_of: Mapping[str, Decimal]) -> Decimal:
    """The sum of amounts by (sub-account, currency), in quote; what has no price counts nothing."""
    return sum((amount * price_of.get(currency, ZERO) for (_, currency), amount in amounts.items()), ZERO)


def exposures_of(
    positions: Mapping[tuple[str, str], Position],
    others: Sequence[Order],
    prices: Mapping[str, Decimal],
    *,
    strategy: str | None = None,
) -> dict[str, Decimal]:
    """Notional by instrument, with every sent buy counted as if it filled: what is on its way counts at once.

    Of one strategy, where it is named; of the whole account otherwise.
    """
    quantities: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    for (owner, symbol), position in positions.items():
        if strategy in (None, owner):
            quantities[symbol] += position.quantity
    for order in others:
        if order.signed_at is not None and strategy in (None, order.intent.strategy):
            quantities[order.intent.instrument] += max(ZERO, order.signed_remainder)
    return {symbol: quantity * prices[symbol] for symbol, quantity in quantities.items() if symbol in prices}


def _reserved(others: tuple[Order, ...], strategy: str, prices: dict[str, Decimal]) -> Decimal:
    """Quote that the strategy's sent buys may still take. Reservations derive from open orders."""
    return sum(
        (
            order.signed_remainder
            * (order.intent.limit_price or prices.get(order.intent.instrument, order.intent.reference_price))
            for order in others
            if order.intent.strategy == strategy and order.intent.side is Side.BUY and order.signed_at is not None
        ),
        ZERO,
    )
