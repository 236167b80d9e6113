"""Closing positions while halted: what a signed override allows, and the orders that sell what is held. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from trading.domain.dual_control import Grant
from trading.domain.ids import client_order_id
from trading.domain.kill_switch import Halt, HaltLevel
from trading.domain.limits import Limits
from trading.domain.market import Instrument
from trading.domain.money import EXACT, ZERO, floor_to_step, plain
from trading.domain.order import Order, OrderIntent, OrderType, Purpose, Side
from trading.domain.scope import Scope

#: An order that closes serves no candle: it is named after the halt under which it was made.
TIMEFRAME: Final = "halt"
#: How long one may wait to be sent, before it is planned afresh.
_LIVES: Final = timedelta(minutes=1)


def granted_notional(
    halts: Iterable[Halt], grants: Sequence[Grant], *, account: str, strategy: str, instrument: str
) -> Decimal:
    """The largest notional that one closing order may have under live overrides; zero where it may not be sent.

    Each halt that forbids the order needs an override of its own: one that was engaged later is in nobody's signature.
    """
    of_order = {"account": account, "strategy": strategy, "instrument": instrument}
    live: dict[int, Decimal] = {}
    for grant in grants:
        if Scope.parse(grant.scope).covers(**of_order):
            live[grant.halt_id] = max(grant.largest_notional, live.get(grant.halt_id, ZERO))
    standing = [h.halt_id for h in halts if h.level is HaltLevel.HALT and h.covers(**of_order)]
    return min((live.get(halt_id, ZERO) for halt_id in standing or live), default=ZERO)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosingRules:
    """Under which account, incarnation and halt positions are closed, and within which limits."""

    account: str
    incarnation: int
    halt: Halt
    limits: Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """One strategy's position of one instrument: quantity in base, and every order of its that is not over."""

    strategy: str
    instrument: str
    quantity: Decimal
    open_orders: Sequence[Order]
    made: int  # how many orders were made under this halt already

    @property
    def free(self) -> Decimal:
        """Held and not offered by an order already, whatever became of that: an unknown one counts whole."""
        sales = [order for order in self.open_orders if order.intent.side is Side.SELL]
        return self.quantity + sum((order.signed_remainder for order in sales), ZERO)


def closing_order(
    held: Held,
    instrument: Instrument | None,
    price: Decimal | None,
    *,
    bid: Decimal | None,
    largest_notional: Decimal,
    at: datetime,
    rules: ClosingRules,
) -> tuple[OrderIntent | None, str]:
    """The next market order that closes the position, within limits and grant; or None and why not.

    `price` is the reference, `bid` the best one now, both in quote. What is larger than one order may be is closed in
    several.
    """
    if instrument is None or price is None or bid is None or not instrument.trading:
        return None, "no price: the portfolio does not name it, or the venue does not trade it now"
    if held.free <= 0:
        return None, "offered already" if held.quantity > 0 else "nothing is held"
    of = {"strategy": held.strategy, "instrument": held.instrument}
    allowed = [Decimal(bound.limit) for bound in rules.limits.bounds("max_order_notional", **of)]
    notional = min([largest_notional, *allowed])
    caps = [Decimal(bound.limit) for bound in rules.limits.bounds("max_order_quantity", **of)]
    caps += [cap for cap in (instrument.max_quantity, instrument.market_max_quantity) if cap]
    most = min([held.free, EXACT.divide(notional, max(price, bid)), *caps])
    quantity = floor_to_step(most, instrument.market_lot_step or instrument.lot_step)
    if (
        quantity < max(instrument.min_quantity, instrument.lot_step)
        or quantity * min(price, bid) < instrument.min_notional
    ):
        return None, f"dust, or above what one order may be: {plain(held.free)} stay as they are"
    facts: dict[str, Any] = {
        "account": rules.account,
        "incarnation": rules.incarnation,
        "strategy": held.strategy,
        "instrument": held.instrument,
        "timeframe": TIMEFRAME,
        "as_of": rules.halt.engaged_at,
        "purpose": Purpose.FLATTEN,
        "generation": held.made,
    }
    return (
        OrderIntent(
            client_order_id=client_order_id(**facts),
            **facts,
            side=Side.SELL,
            order_type=OrderType.MARKET,
            quantity=quantity,
            reference_price=price,
            target_quantity=ZERO,
            planned_at=at,
            expires_at=at + _LIVES,
        ),
        "planned",
    )
