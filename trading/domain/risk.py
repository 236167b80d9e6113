"""Pre-trade checks: pure functions over one snapshot, and the limits that strategies cannot alter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading.domain.kill_switch import MAY_SEND, Answer, TradingState
from trading.domain.market import Instrument
from trading.domain.money import BPS, ZERO, on_step, plain
from trading.domain.order import Order, OrderIntent, OrderType, Purpose, Side


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


@dataclass(frozen=True, kw_only=True, slots=True)
class RiskSnapshot:
    """All that the checks may know about one order, read in the transaction that decides it.

    Quantities in base, prices and notionals in quote. `others` are the account's sent orders that are not over;
    `held` is what the order's strategy holds, `exposures` each instrument's worst-case notional for the whole account
    without this order.
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
    orders_last_minute: int
    newest_clean_at: datetime | None
    skew_ms: float
    open_discrepancies: int = 0
    state_reason: str = ""  # what made the state, in words
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One check that spoke against the order, with its figures."""

    verdict: Verdict
    figures: Mapping[str, str] = field(default_factory=dict)


def _denied(**figures: object) -> Finding:
    return Finding(verdict=Verdict.DENIED, figures={name: _text(value) for name, value in figures.items()})


def _deferred(**figures: object) -> Finding:
    return Finding(verdict=Verdict.DEFERRED, figures={name: _text(value) for name, value in figures.items()})


def _text(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)


def _kill_switch(risk: RiskSnapshot) -> Finding | None:
    answer = MAY_SEND[risk.state][risk.intent.purpose]
    allowed = answer is Answer.YES or (answer is Answer.OVERRIDE and risk.notional <= risk.granted_notional)
    runs = risk.state is TradingState.RUNNING and risk.intent.purpose is not Purpose.FLATTEN
    if allowed and (runs or risk.reduces):
        return None
    return _deferred(state=risk.state, purpose=risk.intent.purpose, because=risk.state_reason or risk.state)


def _expired(risk: RiskSnapshot) -> Finding | None:
    if risk.at < risk.intent.expires_at:
        return None
    return _denied(expires_at=risk.intent.expires_at.isoformat())


def _stale_data(risk: RiskSnapshot) -> Finding | None:
    if risk.newest_close_at is None:
        return _deferred(newest_close="none stored")
    age_s = (risk.at - risk.newest_close_at).total_seconds()
    if age_s > risk.limits.max_candle_age_s:
        return _deferred(candle_age_s=f"{age_s:.1f}", limit_s=risk.limits.max_candle_age_s)
    return None


def _clock_skew(risk: RiskSnapshot) -> Finding | None:
    if abs(risk.skew_ms) <= risk.limits.max_clock_skew_ms:
        return None
    return _deferred(skew_ms=f"{risk.skew_ms:.0f}", limit_ms=risk.limits.max_clock_skew_ms)


def _reconciliation_stale(risk: RiskSnapshot) -> Finding | None:
    if risk.reduces:
        return None
    if risk.newest_clean_at is None or risk.open_discrepancies:
        return _deferred(newest_clean=risk.newest_clean_at or "never", open_discrepancies=risk.open_discrepancies)
    age_s = (risk.at - risk.newest_clean_at).total_seconds()
    if age_s > risk.limits.max_reconciliation_age_s:
        return _deferred(age_s=f"{age_s:.1f}", limit_s=risk.limits.max_reconciliation_age_s)
    return None


def _outcome_unknown_open(risk: RiskSnapshot) -> Finding | None:
    unknown = [order.client_order_id for order in risk.siblings if order.signed_at is not None and order.is_unresolved]
    return _deferred(order=unknown[0]) if unknown else None


def _restricted_instrument(risk: RiskSnapshot) -> Finding | None:
    if risk.instrument is None:
        return _denied(instrument=risk.intent.instrument, why="not on the permission list")
    return None if risk.instrument.trading else _denied(instrument=risk.intent.instrument, why="venue says not trading")


def _filters(risk: RiskSnapshot) -> Finding | None:
    instrument, intent = risk.instrument, risk.intent
    if instrument is None:
        return None
    market = intent.order_type is OrderType.MARKET
    step = (instrument.market_lot_step if market else ZERO) or instrument.lot_step
    largest = min(
        (limit for limit in (instrument.max_quantity, instrument.market_max_quantity if market else ZERO) if limit),
        default=intent.quantity,
    )
    if not on_step(intent.quantity, step):
        return _denied(filter="lot_size", quantity=intent.quantity, step=step)
    if intent.quantity < instrument.min_quantity or intent.quantity > largest:
        return _denied(filter="max_quantity", quantity=intent.quantity, least=instrument.min_quantity, most=largest)
    if intent.limit_price is not None and not on_step(intent.limit_price, instrument.tick_size):
        return _denied(filter="tick_size", price=intent.limit_price, tick=instrument.tick_size)
    price = intent.limit_price or risk.expected_price or intent.reference_price
    if intent.quantity * price < instrument.min_notional:
        return _denied(filter="min_notional", notional=intent.quantity * price, least=instrument.min_notional)
    return None


def _max_order_notional(risk: RiskSnapshot) -> Finding | None:
    if risk.notional > risk.limits.max_order_notional:
        return _denied(notional=risk.notional, limit=risk.limits.max_order_notional)
    return None


def _max_order_quantity(risk: RiskSnapshot) -> Finding | None:
    limit = risk.limits.max_order_quantity
    return _denied(quantity=risk.intent.quantity, limit=limit) if limit and risk.intent.quantity > limit else None


def _price_collar(risk: RiskSnapshot) -> Finding | None:
    reference = risk.intent.reference_price
    allowed = reference * risk.limits.price_collar_bps * BPS
    for price in (risk.intent.limit_price, risk.expected_price):
        if price is not None and abs(price - reference) > allowed:
            return _denied(price=price, reference=reference, limit_bps=risk.limits.price_collar_bps)
    return None


def _max_position(risk: RiskSnapshot) -> Finding | None:
    if risk.intent.side is Side.SELL:
        return None
    after = risk.exposures.get(risk.intent.instrument, ZERO) + risk.notional
    limit = risk.limits.max_position_notional
    return _denied(after=after, limit=limit) if after > limit else None


def _max_gross_exposure(risk: RiskSnapshot) -> Finding | None:
    if risk.intent.side is Side.SELL:
        return None
    after = sum(risk.exposures.values(), ZERO) + risk.notional
    limit = risk.equity * risk.limits.max_gross_exposure_bps * BPS
    return _denied(after=after, limit=limit) if after > limit else None


def _max_orders_per_minute(risk: RiskSnapshot) -> Finding | None:
    if risk.orders_last_minute < risk.limits.max_orders_per_minute:
        return None
    return _deferred(orders=risk.orders_last_minute, limit=risk.limits.max_orders_per_minute)


def _overshoot(risk: RiskSnapshot) -> Finding | None:
    intent = risk.intent
    # At its worst: what goes the same way fills whole, what goes the other way never does.
    sent = [order for order in risk.siblings if order.signed_at is not None and order.intent.side is intent.side]
    remainder = sum((order.signed_remainder for order in sent), ZERO)
    after = risk.held + remainder + intent.side.sign * intent.quantity
    beyond = after > intent.target_quantity if intent.side is Side.BUY else after < intent.target_quantity
    return _denied(after=after, target=intent.target_quantity) if beyond else None


def _insufficient_funds(risk: RiskSnapshot) -> Finding | None:
    intent = risk.intent
    if intent.side is Side.SELL:
        return None if intent.quantity <= risk.held else _denied(quantity=intent.quantity, held=risk.held)
    return _denied(cost=risk.notional, free=risk.free_quote) if risk.notional > risk.free_quote else None


def _self_match(risk: RiskSnapshot) -> Finding | None:
    for order in risk.others:
        resting = order.intent
        if resting.instrument == risk.intent.instrument and resting.side is not risk.intent.side and order.is_resting:
            return _deferred(order=order.client_order_id)
    return None


#: Every check with its stable code, in the order in which they are asked.
CHECKS: Final[tuple[tuple[str, Callable[[RiskSnapshot], Finding | None]], ...]] = (
    ("kill_switch", _kill_switch),
    ("expired", _expired),
    ("stale_data", _stale_data),
    ("clock_skew", _clock_skew),
    ("reconciliation_stale", _reconciliation_stale),
    ("outcome_unknown_open", _outcome_unknown_open),
    ("restricted_instrument", _restricted_instrument),
    ("venue_filter", _filters),
    ("max_order_notional", _max_order_notional),
    ("max_order_quantity", _max_order_quantity),
    ("price_collar", _price_collar),
    ("max_position", _max_position),
    ("max_gross_exposure", _max_gross_exposure),
    ("max_orders_per_minute", _max_orders_per_minute),
    ("overshoot", _overshoot),
    ("insufficient_funds", _insufficient_funds),
    ("self_match", _self_match),
)


def check_order(risk: RiskSnapshot) -> CheckedOrder:
    """Ask every check. One denial denies; otherwise one deferral defers; the figures of all that spoke are kept."""
    findings = {code: finding for code, check in CHECKS if (finding := check(risk)) is not None}
    verdicts = {finding.verdict for finding in findings.values()}
    verdict = next((v for v in (Verdict.DENIED, Verdict.DEFERRED) if v in verdicts), Verdict.ALLOWED)
    return CheckedOrder(
        client_order_id=risk.intent.client_order_id,
        verdict=verdict,
        codes=tuple(findings),
        at=risk.at,
        figures={
            f"{code}.{name}": value for code, finding in findings.items() for name, value in finding.figures.items()
        },
    )
