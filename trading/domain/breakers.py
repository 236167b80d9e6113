"""Checks of what has gone before: rates, the repeated-order breaker, losses, and which version may send at all."""

from collections.abc import Iterator
from decimal import Decimal

from trading.domain.limits import loss_limit
from trading.domain.losses import EquityMark
from trading.domain.order import Purpose
from trading.domain.snapshot import Finding, RiskSnapshot, deferred, denied

#: What a breaker must never keep back: orders that protect what is held, or get out of it.
_WAYS_OUT = frozenset({Purpose.PROTECTIVE, Purpose.FLATTEN})


def version_mismatch(risk: RiskSnapshot) -> Finding | None:
    """Another version's orders wait: two that run at once would each believe that theirs are the only rules."""
    if not risk.versions.mismatch:
        return None
    return deferred(versions=risk.versions.mismatch, do="run `trading db migrate` with the version that is to trade")


def strategy_disabled(risk: RiskSnapshot) -> Finding | None:
    """A strategy that ran wild waits for a person."""
    if not risk.disabled or risk.intent.purpose in _WAYS_OUT:
        return None
    name = risk.intent.strategy
    return deferred(because=risk.disabled, do=f"look, then run `trading risk enable {name} --reason TEXT`")


def repeated_order(risk: RiskSnapshot) -> Finding | None:
    """The same side and size once more, within the window: whoever sends this order disables its strategy."""
    bound = risk.tightest("repeated_order_count")
    if bound is None or risk.disabled or risk.intent.purpose in _WAYS_OUT or risk.traffic.alike + 1 < bound.limit:
        return None
    return denied(
        times=risk.traffic.alike + 1, limit=bound.limit, of=bound.scope, window_s=risk.limits.repeated_order_window_s
    )


def max_orders_per_minute(risk: RiskSnapshot) -> Finding | None:
    """The account's orders in the last minute, the strategy's own, and those in the instrument."""
    traffic = risk.traffic
    for bound in risk.bounds("max_orders_per_minute"):
        sent = {"strategy": traffic.of_strategy, "instrument": traffic.of_instrument}.get(
            bound.scope.partition(":")[0], traffic.orders
        )
        if sent >= bound.limit:
            return deferred(orders=sent, limit=bound.limit, of=bound.scope)
    return None


def max_messages_per_minute(risk: RiskSnapshot) -> Finding | None:
    """Orders and cancels in the last minute; orders leave a part to cancels, which are never kept back."""
    reserved = risk.limits.reserved_cancels_per_minute
    if risk.traffic.messages < risk.limits.max_messages_per_minute - reserved:
        return None
    return deferred(messages=risk.traffic.messages, limit=risk.limits.max_messages_per_minute, reserved=reserved)


def max_daily_loss(risk: RiskSnapshot) -> Finding | None:
    """The account or the strategy lost too much since 00:00 UTC."""
    for mark, limit, scope in _marked(risk, "max_daily_loss_bps"):
        if mark.daily_loss_bps > limit:
            return denied(loss_bps=mark.daily_loss_bps, limit_bps=limit, of=scope)
    return None


def max_drawdown(risk: RiskSnapshot) -> Finding | None:
    """The account or the strategy lost too much since its best."""
    for mark, limit, scope in _marked(risk, "max_drawdown_bps"):
        if mark.drawdown_bps > limit:
            return denied(loss_bps=mark.drawdown_bps, limit_bps=limit, of=scope)
    return None


def _marked(risk: RiskSnapshot, name: str) -> Iterator[tuple[EquityMark, Decimal, str]]:
    """The marks that an order stands under, with their limits; none where it only gets out of what is held."""
    if risk.reduces:
        return
    account, strategy = risk.intent.account, risk.intent.strategy
    for scope in (f"account:{account}", f"strategy:{strategy}"):
        if scope in risk.marks:
            yield risk.marks[scope], loss_limit(risk.limits, name, scope), scope
