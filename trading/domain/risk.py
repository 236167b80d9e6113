"""Pre-trade checks: pure functions over one snapshot; what concerns the account as a whole is in breakers.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from trading.domain.breakers import (
    max_daily_loss,
    max_drawdown,
    max_messages_per_minute,
    max_orders_per_minute,
    repeated_order,
    strategy_disabled,
    version_mismatch,
)
from trading.domain.kill_switch import MAY_SEND, Answer, TradingState
from trading.domain.money import BPS, ZERO, on_step
from trading.domain.order import OrderType, Purpose, Side
from trading.domain.snapshot import Finding, RiskSnapshot, Verdict, deferred, denied


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedOrder:
    """What the checks said of one order: the verdict, the codes that spoke against it, and the figures of each."""

    client_order_id: str
    verdict: Verdict
    codes: tuple[str, ...]
    at: datetime
    figures: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""


def _kill_switch(risk: RiskSnapshot) -> Finding | None:
    answer = MAY_SEND[risk.state][risk.intent.purpose]
    allowed = answer is Answer.YES or (answer is Answer.OVERRIDE and risk.notional <= risk.granted_notional)
    runs = risk.state is TradingState.RUNNING and risk.intent.purpose is not Purpose.FLATTEN
    if allowed and (runs or risk.reduces):
        return None
    return deferred(state=risk.state, purpose=risk.intent.purpose, because=risk.state_reason or risk.state)


def _expired(risk: RiskSnapshot) -> Finding | None:
    if risk.at < risk.intent.expires_at:
        return None
    return denied(expires_at=risk.intent.expires_at.isoformat())


def _stale_data(risk: RiskSnapshot) -> Finding | None:
    if risk.newest_close_at is None:
        return deferred(newest_close="none stored")
    age_s, bound = (risk.at - risk.newest_close_at).total_seconds(), risk.tightest("max_candle_age_s")
    if bound is not None and age_s > bound.limit:
        return deferred(candle_age_s=f"{age_s:.1f}", limit_s=bound.limit, of=bound.scope)
    return None


def _clock_skew(risk: RiskSnapshot) -> Finding | None:
    if abs(risk.skew_ms) <= risk.limits.max_clock_skew_ms:
        return None
    return deferred(skew_ms=f"{risk.skew_ms:.0f}", limit_ms=risk.limits.max_clock_skew_ms)


def _reconciliation_stale(risk: RiskSnapshot) -> Finding | None:
    if risk.reduces:
        return None
    if risk.newest_clean_at is None or risk.open_discrepancies:
        return deferred(newest_clean=risk.newest_clean_at or "never", open_discrepancies=risk.open_discrepancies)
    age_s = (risk.at - risk.newest_clean_at).total_seconds()
    if age_s > risk.limits.max_reconciliation_age_s:
        return deferred(age_s=f"{age_s:.1f}", limit_s=risk.limits.max_reconciliation_age_s)
    return None


def _outcome_unknown_open(risk: RiskSnapshot) -> Finding | None:
    unknown = [order.client_order_id for order in risk.siblings if order.signed_at is not None and order.is_unresolved]
    return deferred(order=unknown[0]) if unknown else None


def _restricted_instrument(risk: RiskSnapshot) -> Finding | None:
    if risk.instrument is None:
        return denied(instrument=risk.intent.instrument, why="not on the permission list")
    return None if risk.instrument.trading else denied(instrument=risk.intent.instrument, why="venue says not trading")


def _lot_size(risk: RiskSnapshot) -> Finding | None:
    instrument, quantity = risk.instrument, risk.intent.quantity
    if instrument is None:
        return None
    step = (instrument.market_lot_step if _is_market(risk) else ZERO) or instrument.lot_step
    if on_step(quantity, step) and quantity >= instrument.min_quantity:
        return None
    return denied(quantity=quantity, step=step, least=instrument.min_quantity)


def _max_quantity(risk: RiskSnapshot) -> Finding | None:
    if risk.instrument is None:
        return None
    limits = (risk.instrument.max_quantity, risk.instrument.market_max_quantity if _is_market(risk) else ZERO)
    largest = min((limit for limit in limits if limit), default=risk.intent.quantity)
    return denied(quantity=risk.intent.quantity, most=largest) if risk.intent.quantity > largest else None


def _tick_size(risk: RiskSnapshot) -> Finding | None:
    price = risk.intent.limit_price
    if risk.instrument is None or price is None or on_step(price, risk.instrument.tick_size):
        return None
    return denied(price=price, tick=risk.instrument.tick_size)


def _min_notional(risk: RiskSnapshot) -> Finding | None:
    if risk.instrument is None:
        return None
    notional = risk.intent.quantity * (risk.intent.limit_price or risk.expected_price or risk.intent.reference_price)
    least = risk.instrument.min_notional
    return denied(notional=notional, least=least) if notional < least else None


def _is_market(risk: RiskSnapshot) -> bool:
    return risk.intent.order_type is OrderType.MARKET


def _max_order_notional(risk: RiskSnapshot) -> Finding | None:
    bound = risk.tightest("max_order_notional")
    if bound is None or risk.notional <= bound.limit:
        return None
    return denied(notional=risk.notional, limit=bound.limit, of=bound.scope)


def _max_order_quantity(risk: RiskSnapshot) -> Finding | None:
    bound = risk.tightest("max_order_quantity")
    if bound is None or risk.intent.quantity <= bound.limit:
        return None
    return denied(quantity=risk.intent.quantity, limit=bound.limit, of=bound.scope)


def _price_collar(risk: RiskSnapshot) -> Finding | None:
    reference, bound = risk.intent.reference_price, risk.tightest("price_collar_bps")
    if bound is None:
        return None
    allowed = reference * bound.limit * BPS
    for price in (risk.intent.limit_price, risk.expected_price):
        if price is not None and abs(price - reference) > allowed:
            return denied(price=price, reference=reference, limit_bps=bound.limit, of=bound.scope)
    return None


def _max_position(risk: RiskSnapshot) -> Finding | None:
    if risk.intent.side is Side.SELL:
        return None
    for bound in risk.bounds("max_position_notional"):
        exposures = risk.own_exposures if bound.scope.startswith("strategy:") else risk.exposures
        after = exposures.get(risk.intent.instrument, ZERO) + risk.notional
        if after > bound.limit:
            return denied(after=after, limit=bound.limit, of=bound.scope)
    return None


def _max_gross_exposure(risk: RiskSnapshot) -> Finding | None:
    if risk.intent.side is Side.SELL:
        return None
    for bound in risk.bounds("max_gross_exposure_bps"):
        own = bound.scope.startswith("strategy:")
        exposures, equity = (risk.own_exposures, risk.own_equity) if own else (risk.exposures, risk.equity)
        after, limit = sum(exposures.values(), ZERO) + risk.notional, equity * bound.limit * BPS
        if after > limit:
            return denied(after=after, limit=limit, of=bound.scope)
    return None


def _overshoot(risk: RiskSnapshot) -> Finding | None:
    intent = risk.intent
    # At its worst: what goes the same way fills whole, what goes the other way never does.
    sent = [order for order in risk.siblings if order.signed_at is not None and order.intent.side is intent.side]
    remainder = sum((order.signed_remainder for order in sent), ZERO)
    after = risk.held + remainder + intent.side.sign * intent.quantity
    beyond = after > intent.target_quantity if intent.side is Side.BUY else after < intent.target_quantity
    return denied(after=after, target=intent.target_quantity) if beyond else None


def _insufficient_funds(risk: RiskSnapshot) -> Finding | None:
    intent = risk.intent
    if intent.side is Side.SELL:
        return None if intent.quantity <= risk.held else denied(quantity=intent.quantity, held=risk.held)
    return denied(cost=risk.notional, free=risk.free_quote) if risk.notional > risk.free_quote else None


def _self_match(risk: RiskSnapshot) -> Finding | None:
    for order in risk.others:
        resting = order.intent
        if resting.instrument == risk.intent.instrument and resting.side is not risk.intent.side and order.is_resting:
            return deferred(order=order.client_order_id)
    return None


#: Every check with its stable code, in the order in which they are asked.
CHECKS: Final[tuple[tuple[str, Callable[[RiskSnapshot], Finding | None]], ...]] = (
    ("kill_switch", _kill_switch),
    ("version_mismatch", version_mismatch),
    ("strategy_disabled", strategy_disabled),
    ("max_daily_loss", max_daily_loss),
    ("max_drawdown", max_drawdown),
    ("expired", _expired),
    ("stale_data", _stale_data),
    ("clock_skew", _clock_skew),
    ("reconciliation_stale", _reconciliation_stale),
    ("outcome_unknown_open", _outcome_unknown_open),
    ("restricted_instrument", _restricted_instrument),
    ("lot_size", _lot_size),
    ("max_quantity", _max_quantity),
    ("tick_size", _tick_size),
    ("min_notional", _min_notional),
    ("max_order_notional", _max_order_notional),
    ("max_order_quantity", _max_order_quantity),
    ("price_collar", _price_collar),
    ("max_position", _max_position),
    ("max_gross_exposure", _max_gross_exposure),
    ("max_orders_per_minute", max_orders_per_minute),
    ("max_messages_per_minute", max_messages_per_minute),
    ("repeated_order", repeated_order),
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
