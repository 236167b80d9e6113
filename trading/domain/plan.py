"""What planning is given, and what it comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.domain.decision import Decision
from trading.domain.money import ZERO
from trading.domain.order import Order, OrderIntent, OrderType
from trading.domain.portfolio import StrategyPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class SizingRules:
    """What the portfolio file says about turning weights into orders."""

    account: str
    incarnation: int
    quote: str
    cash_buffer_bps: Decimal
    order_type: OrderType
    max_decision_age_s: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StrategyBook:
    """One strategy's sub-account: free quote, base held by symbol, open orders, and orders that serve `decision`."""

    plan: StrategyPlan
    decision: Decision | None
    free_quote: Decimal
    held: Mapping[str, Decimal]
    open_orders: Sequence[Order]
    served: Sequence[Order]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanLine:
    """Why an instrument did or did not lead to an order: one line of `trading why`. Quantities in base."""

    strategy: str
    instrument: str
    as_of: datetime | None
    outcome: str
    weight: Decimal = ZERO
    target_quantity: Decimal = ZERO
    held: Decimal = ZERO
    on_its_way: Decimal = ZERO
    delta: Decimal = ZERO
    client_order_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """New intents, unsent ones that they replace, and a line for each instrument."""

    intents: tuple[OrderIntent, ...]
    superseded: tuple[Order, ...]
    lines: tuple[PlanLine, ...]
