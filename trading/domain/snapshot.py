"""What the pre-trade checks may know about one order, and what one of them can say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from trading.domain.kill_switch import TradingState
from trading.domain.limits import Bound, Limits
from trading.domain.losses import EquityMark
from trading.domain.market import Instrument
from trading.domain.money import ZERO, plain
from trading.domain.order import Order, OrderIntent, Side
from trading.domain.traffic import Traffic
from trading.domain.versions import Versions


class Verdict(StrEnum):
    """What a check says: go on, not now (the intent stays pending until it expires), or never."""

    ALLOWED = "allowed"
    DEFERRED = "deferred"
    DENIED = "denied"


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskSnapshot:
    """All that the checks may know about one order, read in the transaction that decides it.

    Quantities in base, prices and notionals in quote. `others` are the account's sent orders that are not over;
    `held` is what the order's strategy holds, `exposures` each instrument's worst-case notional for the whole account
    without this order, `own_exposures` the strategy's part of them. `marks` are the newest equity marks by scope.
    """

    at: datetime
    intent: OrderIntent
    instrument: Instrument | None
    limits: Limits
    state: TradingState
    expected_price: Decimal | None
    newest_close_at: datetime | None
    held: Decimal
    others: tuple[Order, ...]
    exposures: Mapping[str, Decimal]
    equity: Decimal
    free_quote: Decimal
    newest_clean_at: datetime | None
    skew_ms: float
    open_discrepancies: int = 0
    state_reason: str = ""  # what made the state, in words
    own_exposures: Mapping[str, Decimal] = field(default_factory=dict)
    own_equity: Decimal = ZERO
    traffic: Traffic = field(default_factory=Traffic)
    disabled: str = ""  # why the strategy is disabled; empty where it is not
    versions: Versions = field(default_factory=Versions)
    marks: Mapping[str, EquityMark] = field(default_factory=dict)
    granted_notional: Decimal = ZERO  # the largest closing order that signed reduce_only overrides allow

    @property
    def reduces(self) -> bool:
        """Whether it can only lower what is held: a sale of no more than is held and not offered already."""
        offered = sum((-order.signed_remainder for order in self.siblings if order.intent.side is Side.SELL), ZERO)
        return self.intent.side is Side.SELL and self.intent.quantity <= self.held - offered

    @property
    def siblings(self) -> list[Order]:
        """Other open orders of the same strategy and instrument."""
        name = (self.intent.strategy, self.intent.instrument)
        return [order for order in self.others if (order.intent.strategy, order.intent.instrument) == name]

    @property
    def notional(self) -> Decimal:
        """What it would cost or bring at the worse of its own price and the expected one."""
        prices = (self.intent.limit_price, self.expected_price, self.intent.reference_price)
        return self.intent.quantity * max(price for price in prices if price is not None)

    def bounds(self, name: str) -> list[Bound]:
        """Every limit of this name that concerns the order: the account's, its strategy's, its instrument's."""
        return self.limits.bounds(name, strategy=self.intent.strategy, instrument=self.intent.instrument)

    def tightest(self, name: str) -> Bound | None:
        """The smallest of them; None where none is set."""
        return self.limits.tightest(name, strategy=self.intent.strategy, instrument=self.intent.instrument)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check that spoke against the order, with its figures."""

    verdict: Verdict
    figures: Mapping[str, str] = field(default_factory=dict)


def denied(**figures: object) -> Finding:
    """Never, with the figures."""
    return Finding(verdict=Verdict.DENIED, figures={name: _text(value) for name, value in figures.items()})


def deferred(**figures: object) -> Finding:
    """Not now, with the figures."""
    return Finding(verdict=Verdict.DEFERRED, figures={name: _text(value) for name, value in figures.items()})


def _text(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
