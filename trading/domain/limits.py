"""The limits that strategies cannot alter: of the account, of a strategy, of an instrument. The tightest one binds."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

import orjson

from trading.domain.ids import content_hash
from trading.domain.money import plain
from trading.errors import InvariantViolation

#: A limit's figure.
Figure = Decimal | int


@dataclass(frozen=True, kw_only=True, slots=True)
class ScopedLimits:
    """Limits of one strategy or one instrument, beside the account's; what is left out is the account's alone.

    A strategy's bound its own orders, position, exposure and equity, an instrument's what the whole account does in it.
    """

    max_order_notional: Decimal | None = None
    max_order_quantity: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_gross_exposure_bps: Decimal | None = None  # strategies only, of their own equity
    price_collar_bps: Decimal | None = None
    max_orders_per_minute: int | None = None
    repeated_order_count: int | None = None
    max_daily_loss_bps: Decimal | None = None  # strategies only
    max_drawdown_bps: Decimal | None = None  # strategies only
    max_candle_age_s: int | None = None  # instruments only


#: Those that only one of the two kinds of scopes may set.
STRATEGY_ONLY: Final = frozenset({"max_gross_exposure_bps", "max_daily_loss_bps", "max_drawdown_bps"})
INSTRUMENT_ONLY: Final = frozenset({"max_candle_age_s"})
_NOTHING: Final = ScopedLimits()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """The limit that binds, and whose it is: `account`, `strategy:NAME` or `instrument:SYMBOL`."""

    limit: Figure
    scope: str


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
    reserved_cancels_per_minute: int = 10  # of the messages: orders leave them to cancels
    max_order_quantity: Decimal | None = None
    strategy: Mapping[str, ScopedLimits] = field(default_factory=dict)
    instrument: Mapping[str, ScopedLimits] = field(default_factory=dict)

    def of_strategy(self, name: str) -> ScopedLimits:
        """Its own limits; none where it has none."""
        return self.strategy.get(name, _NOTHING)

    def of_instrument(self, symbol: str) -> ScopedLimits:
        """Its own limits; none where it has none."""
        return self.instrument.get(symbol, _NOTHING)

    def bounds(self, name: str, *, strategy: str, instrument: str = "") -> list[Bound]:
        """Every limit of this name that concerns an order, the account's first."""
        found = {
            "account": getattr(self, name),
            f"strategy:{strategy}": getattr(self.of_strategy(strategy), name, None),
            f"instrument:{instrument}": getattr(self.of_instrument(instrument), name, None),
        }
        return [Bound(limit=limit, scope=scope) for scope, limit in found.items() if limit is not None]

    def tightest(self, name: str, *, strategy: str, instrument: str = "") -> Bound | None:
        """The smallest of them; None where none is set."""
        bounds = self.bounds(name, strategy=strategy, instrument=instrument)
        return min(bounds, key=lambda bound: bound.limit, default=None)

    @property
    def document(self) -> str:
        """As canonical JSON: whole numbers as numbers, exact ones as text."""
        return orjson.dumps(table_of(self), option=orjson.OPT_SORT_KEYS, default=plain).decode()

    @property
    def content_hash(self) -> str:
        """SHA-256, in hex, of what is allowed: two files that allow the same have the same."""
        return content_hash({"limits": self.document})

    @staticmethod
    @lru_cache(maxsize=4)  # the limits in force are read before each order, and hardly ever change
    def from_document(text: str) -> "Limits":
        """The limits that `document` wrote down. Raises InvariantViolation for anything else."""
        try:
            facts = orjson.loads(text)
            strategy, instrument = (
                {name: ScopedLimits(**_decoded(own)) for name, own in facts.pop(kind).items()}
                for kind in ("strategy", "instrument")
            )
            return Limits(**_decoded(facts), strategy=strategy, instrument=instrument)
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            raise InvariantViolation(f"the recorded limits cannot be read: {type(error).__name__}: {error}") from None


def table_of(limits: Limits | ScopedLimits) -> dict[str, Any]:
    """The limits as the table [limits] of the portfolio file holds them: what is unset is left out."""
    values = {one.name: getattr(limits, one.name) for one in dataclasses.fields(limits)}
    return {
        name: {key: table_of(own) for key, own in value.items()} if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def _decoded(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Decimal(value) if isinstance(value, str) else value for name, value in facts.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class AppliedLimits:
    """The limits in force, who put them there, and the hash of the file that they came from."""

    limits: Limits
    file_hash: str
    author: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitChange:
    """One limit that differs between two documents; empty where one of them does not set it."""

    scope: str
    name: str
    before: str
    after: str


def limit_changes(before: Limits | None, after: Limits) -> list[LimitChange]:
    """In what two sets of limits differ, the account's first."""
    old, new = ({} if limits is None else dict(named_limits(limits)) for limits in (before, after))
    return [
        LimitChange(scope=scope, name=name, before=_text(old.get(key)), after=_text(new.get(key)))
        for key in dict.fromkeys((*old, *new))
        for scope, name in (key,)
        if old.get(key) != new.get(key)
    ]


def named_limits(limits: Limits) -> Iterator[tuple[tuple[str, str], Figure]]:
    """Every limit that is set, by scope and name, the account's first."""
    scopes: dict[str, Limits | ScopedLimits] = {"account": limits}
    scopes |= {f"strategy:{name}": own for name, own in sorted(limits.strategy.items())}
    scopes |= {f"instrument:{name}": own for name, own in sorted(limits.instrument.items())}
    for scope, own in scopes.items():
        for one in dataclasses.fields(own):
            value = getattr(own, one.name)
            if isinstance(value, Decimal | int):
                yield (scope, one.name), value


def _text(value: Figure | None) -> str:
    return "" if value is None else plain(Decimal(value))


def loss_limit(limits: Limits, name: str, scope: str) -> Decimal:
    """The loss limit of a scope, of its own equity; a strategy has the account's unless its own is tighter."""
    kind, _, strategy = scope.partition(":")
    bound = limits.tightest(name, strategy=strategy if kind == "strategy" else "")
    if bound is None:
        raise InvariantViolation(f"{scope}: expected the limit {name} to be set for the account at least")
    return Decimal(bound.limit)
