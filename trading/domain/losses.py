"""Losses of a day and from the best: of the account and of each strategy, whatever was paid in or out meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Context, Decimal, localcontext
from typing import Final

from trading.domain.money import EXACT, ONE, ZERO, quantise

#: Who engages a halt for a loss, in the audit log.
AUTHOR: Final = "limits"
#: Significant digits of an index: what a mark rounds away is far below a cent in a lifetime of marks.
_DIGITS: Final = Context(prec=28)
_BPS: Final = Decimal(10_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class EquityMark:
    """Where one scope (`account:NAME`, `strategy:NAME`) stands, at the last closes; one row a UTC day.

    `equity` in quote. An index is what one unit of money has become since the first mark: now, when the day began, and
    at best. `position` is how far of the ledger is in it.
    """

    scope: str
    day: date
    at: datetime
    equity: Decimal
    index: Decimal
    day_index: Decimal
    high_index: Decimal
    position: int

    @property
    def daily_loss_bps(self) -> Decimal:
        """Lost since the day began (UTC), in 1/100 % of the equity then."""
        return _lost_bps(self.day_index, self.index)

    @property
    def drawdown_bps(self) -> Decimal:
        """Lost since the best mark, in 1/100 % of the equity then."""
        return _lost_bps(self.high_index, self.index)


def _lost_bps(before: Decimal, now: Decimal) -> Decimal:
    """Nothing for a gain."""
    with localcontext(EXACT):
        return quantise((1 - now / before) * _BPS, 4) if now < before else ZERO


def first_mark(scope: str, *, equity: Decimal, at: datetime, position: int) -> EquityMark:
    """A scope's history begins here: at the day's start and at its best at once."""
    return EquityMark(
        scope=scope,
        day=at.date(),
        at=at,
        equity=equity,
        index=ONE,
        day_index=ONE,
        high_index=ONE,
        position=position,
    )


def next_mark(before: EquityMark, *, equity: Decimal, flow: Decimal, at: datetime, position: int) -> EquityMark:
    """The mark after `before`. `flow` is what was paid in (negative: out) since then, in quote: it is no profit.

    What came in counts as employed from the interval's start, what left as kept until its end, so that neither a large
    deposit nor a withdrawal turns a small remainder into a large loss. The day begins at the last mark before midnight.
    A mark from an earlier instant changes nothing.
    """
    if at < before.at:
        return before
    with localcontext(_DIGITS):
        employed, kept = before.equity + max(flow, ZERO), max(equity - min(flow, ZERO), ZERO)
        index = before.index * kept / employed if employed > 0 else before.index
    return replace(
        before,
        day=at.date(),
        at=at,
        equity=equity,
        index=index,
        day_index=before.day_index if at.date() == before.day else before.index,
        high_index=max(before.high_index, index),
        position=position,
    )


def breaches(mark: EquityMark, *, max_daily_loss_bps: Decimal, max_drawdown_bps: Decimal) -> Mapping[str, Decimal]:
    """By the code of each loss limit that the mark passes: the loss, in 1/100 %."""
    found = {
        "max_daily_loss": (mark.daily_loss_bps, max_daily_loss_bps),
        "max_drawdown": (mark.drawdown_bps, max_drawdown_bps),
    }
    return {code: loss for code, (loss, limit) in found.items() if loss > limit}
