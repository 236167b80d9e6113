"""Pre-trade checks: pure functions over one snapshot, and the limits that strategies cannot alter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the desk allows itself, from the portfolio file. Notionals in quote, quantities in base."""

    max_order_notional: Decimal
    max_position_notional: Decimal
    max_gross_exposure_bps: Decimal  # of the account's equity
    price_collar_bps: Decimal
    max_orders_per_minute: int
    max_messages_per_minute: int
    repeated_order_count: int
    repeated_order_window_s: int
    max_daily_loss_bps: Decimal
    max_drawdown_bps: Decimal
    max_candle_age_s: int
    max_decision_age_s: int
    max_reconciliation_age_s: int
    max_clock_skew_ms: int
    max_order_quantity: Decimal | None = None


class Verdict(StrEnum):
    """What a check says: go on, not now (the intent stays pending until it expires), or never."""

    ALLOWED = "allowed"
    DEFERRED = "deferred"
    DENIED = "denied"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedOrder:
    """What the checks said of one order: the verdict, the codes that spoke against it, and the figures of each."""

    client_order_id: str
    verdict: Verdict
    codes: tuple[str, ...]
    at: datetime
    figures: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""
