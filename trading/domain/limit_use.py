"""How near each limit is: what is used of it now."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading.domain.limits import Figure, Limits, loss_limit, named_limits
from trading.domain.losses import EquityMark
from trading.domain.money import ZERO, quantise
from trading.domain.order import OrderIntent

_BPS = Decimal(10_000)
_LOSSES = ("max_daily_loss_bps", "max_drawdown_bps")


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitUse:
    """One limit of one scope. `used` is None for what each order is measured by alone."""

    name: str
    scope: str
    limit: Figure
    used: Figure | None = None

    @property
    def share(self) -> Decimal | None:
        """Used over limit; 1 is the limit itself."""
        return None if self.used is None or not self.limit else quantise(Decimal(self.used) / Decimal(self.limit), 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What an account does now. Exposures in quote, by strategy ("" is all of them) and instrument; times aware.

    `signed` are the orders of the breaker's window with the time of their signature; `ages_s` by the limit's name.
    """

    at: datetime
    account: str
    exposures: Mapping[str, Mapping[str, Decimal]]
    equity: Mapping[str, Decimal]
    signed: Sequence[tuple[datetime, OrderIntent]]
    cancels: int
    ages_s: Mapping[str, Decimal]
    marks: Mapping[str, EquityMark]


def uses(limits: Limits, now: Usage) -> list[LimitUse]:
    """Every limit that is set, and the loss limits of each strategy, the account's first."""
    own = [
        LimitUse(name=name, scope=scope, limit=limit, used=_used(name, scope, now))
        for (scope, name), limit in named_limits(limits)
        if name not in _LOSSES
    ]
    return own + list(_losses(limits, now))


def _losses(limits: Limits, now: Usage) -> Iterator[LimitUse]:
    for scope, mark in sorted(now.marks.items()):
        for name, lost in zip(_LOSSES, (mark.daily_loss_bps, mark.drawdown_bps), strict=True):
            yield LimitUse(name=name, scope=scope, limit=loss_limit(limits, name, scope), used=max(lost, ZERO))


def _used(name: str, scope: str, now: Usage) -> Figure | None:
    kind, _, of = scope.partition(":")
    strategy = of if kind == "strategy" else ""
    exposures = now.exposures.get(strategy, {})
    mine = [
        (at, intent)
        for at, intent in now.signed
        if kind == "account" or of == (intent.strategy if strategy else intent.instrument)
    ]
    recent = sum(at >= now.at - timedelta(minutes=1) for at, _ in mine)
    match name:
        case "max_position_notional":
            return exposures.get(of, ZERO) if kind == "instrument" else max(exposures.values(), default=ZERO)
        case "max_gross_exposure_bps":
            equity = now.equity.get(strategy, ZERO)
            return quantise(sum(exposures.values(), ZERO) / equity * _BPS, 2) if equity > 0 else None
        case "max_orders_per_minute":
            return recent
        case "max_messages_per_minute":
            return recent + now.cancels
        case "repeated_order_count":
            alike = Counter((one.strategy, one.instrument, one.side, one.quantity) for _, one in mine)
            return max(alike.values(), default=0)
        case _:
            return now.ages_s.get(name) if kind == "account" else None
