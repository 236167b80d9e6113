"""What live or paper did with one order, against what the backtest's rules say of it, and why they differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.ledger import Fill
from trading.domain.matching import MatchingRules, WorkingOrder, market_fill
from trading.domain.money import EXACT, ZERO
from trading.domain.order import Order, OrderState, Side

#: States of orders that never reached the market, with what they are called here.
_NOT_SENT = {
    OrderState.DENIED: "denied",
    OrderState.EXPIRED: "not sent in time",
    OrderState.SUPERSEDED: "superseded",
    OrderState.PLANNED: "still waiting",
    OrderState.REJECTED: "rejected by the venue",
    OrderState.NEVER_ACCEPTED: "never reached the venue",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Quote:
    """The candle that an order met, by the backtest: its open, and the volume (base) of the candle before it."""

    open: Decimal
    previous_volume: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class ParityLine:
    """One order twice. Quantities in base, prices, fees and `cost` in quote; `cost` > 0: live did worse.

    `causes` are empty where both agree to the last digit.
    """

    as_of: datetime
    instrument: str
    side: Side
    ordered: Decimal
    live_filled: Decimal
    live_price: Decimal
    live_fee: Decimal
    backtest_filled: Decimal
    backtest_price: Decimal
    backtest_fee: Decimal
    causes: tuple[str, ...]
    cost: Decimal
    client_order_id: str


def compared(
    order: Order, fills: Sequence[Fill], quote: Quote | None, rules: MatchingRules, candle: timedelta
) -> ParityLine:
    """Both sides of a market order; `quote` None: the candle after the decision is missing."""
    intent = order.intent
    simulated = []
    if quote is not None:
        wish = WorkingOrder(side=intent.side, quantity=intent.quantity)
        simulated = market_fill(wish, quote.open, quote.previous_volume, rules)
    expected = sum((one.quantity for one in simulated), ZERO)
    price = simulated[0].price if simulated else ZERO
    fee = sum((_in_quote(one.fee, one.fee_currency, one.price, rules) for one in simulated), ZERO)
    filled = sum((one.quantity for one in fills), ZERO)
    notional = sum((one.price * one.quantity for one in fills), ZERO)
    live_price = EXACT.divide(notional, filled) if filled else ZERO
    live_fee = sum((_in_quote(one.fee, one.fee_currency, one.price, rules) for one in fills), ZERO)
    both = min(filled, expected)
    return ParityLine(
        as_of=intent.as_of,
        instrument=intent.instrument,
        side=intent.side,
        ordered=intent.quantity,
        live_filled=filled,
        live_price=live_price,
        live_fee=live_fee,
        backtest_filled=expected,
        backtest_price=price,
        backtest_fee=fee,
        causes=tuple(
            _causes(order, fills, simulated_fee=fee, expected=expected, price=price, quote=quote, candle=candle)
        ),
        cost=intent.side.sign * (live_price - price) * both + live_fee - fee if filled and expected else ZERO,
        client_order_id=intent.client_order_id,
    )


def _causes(
    order: Order,
    fills: Sequence[Fill],
    *,
    simulated_fee: Decimal,
    expected: Decimal,
    price: Decimal,
    quote: Quote | None,
    candle: timedelta,
) -> list[str]:
    """Why the two differ, the first reason first."""
    if order.state in _NOT_SENT:
        why = _NOT_SENT[order.state]
        return [f"{why}: {order.reason}" if order.reason else why]
    if quote is None:
        return ["gap: the candle after the decision is missing"]
    found = []
    late = [fill for fill in fills if fill.filled_at >= order.intent.as_of + candle]
    if late:
        delay_s = (max(fill.filled_at for fill in late) - order.intent.as_of).total_seconds()
        found.append(f"latency: filled {delay_s:.0f} s after the close, in a later candle")
    filled = sum((fill.quantity for fill in fills), ZERO)
    if any(fill.price != price for fill in fills) and not late:
        found.append("price path: another price than the open and the slippage")
    if filled != expected:
        found.append("partial fill: the market had more or less than the share of volume")
    elif not found and sum((fill.fee for fill in fills), ZERO) and not _same_fee(fills, simulated_fee, price):
        found.append("fee: the venue takes another one")
    return found


def _same_fee(fills: Sequence[Fill], simulated: Decimal, price: Decimal) -> bool:
    fees = sum((fill.fee * (price if fill.side is Side.BUY else 1) for fill in fills), ZERO)
    return fees == simulated


def _in_quote(fee: Decimal, currency: str, price: Decimal, rules: MatchingRules) -> Decimal:
    """A fee in another currency than the two counts nothing: there is no price for it here."""
    return fee * price if currency == rules.base else fee if currency == rules.quote else ZERO
