"""What becomes of what is left when a limit order has rested for long enough: a policy, over the ledger's rows. Pure.

Nothing but the orders that serve a decision says how often it was tried already, so whatever dies between a withdrawal
and what replaces it, the count is what was committed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from trading.domain.money import ZERO
from trading.domain.order import RESTING, UNRESOLVED, Order, OrderState, OrderType


class WhenRested(StrEnum):
    """What follows the withdrawal of an order that rested for long enough."""

    GIVE_UP = "give_up"  # nothing, until the next decision
    REPRICE = "reprice"  # an order at the fresh price, a limited number of times
    CROSS = "cross"  # one order at a limit that takes


@dataclass(frozen=True, kw_only=True, slots=True)
class RestPolicy:
    """How one strategy goes on. `max_slippage_bps` bounds how far from the last close an order that crosses may pay."""

    when_rested: WhenRested = WhenRested.REPRICE
    reprice_times: int = 3
    max_slippage_bps: Decimal = Decimal(20)

    @property
    def replacements(self) -> int:
        """How many orders may follow the first withdrawn one, for one decision."""
        return {WhenRested.GIVE_UP: 0, WhenRested.REPRICE: self.reprice_times, WhenRested.CROSS: 1}[self.when_rested]


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """The next limit order of a decision: how far beyond the reference it may pay, and what it is, in words."""

    slippage_bps: Decimal = ZERO
    said: str = ""


#: At the venue, or possibly so, or ended there: an order that counts as an attempt. No step leads out of these states
#: but the venue's own no and its silence past the horizon, both of which mean that it never was an attempt.
_TRIED: Final = UNRESOLVED | RESTING | {OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED_AT_VENUE}


def next_attempt(served: Sequence[Order], policy: RestPolicy) -> Attempt | None:
    """How the next limit order of a decision is to be priced; None where what is left is given up.

    `served` are the orders of one strategy, instrument and decision. Until one of them is withdrawn the policy has
    nothing to say; each that went to the venue after that one is a replacement, whatever became of it.
    """
    made = _replacements(served)
    if made is None:
        return Attempt()
    if made >= policy.replacements:
        return None
    if policy.when_rested is WhenRested.CROSS:
        return Attempt(slippage_bps=policy.max_slippage_bps, said="crossing the spread")
    return Attempt(said=f"re-priced, {made + 1} of at most {policy.replacements}")


def _replacements(served: Sequence[Order]) -> int | None:
    """How many orders went to the venue after the first withdrawn one; None where none was withdrawn."""
    ordered = sorted(served, key=lambda order: order.intent.generation)
    for number, order in enumerate(ordered):
        later = ordered[number + 1 :]
        if _was_withdrawn(order, later):
            return sum(1 for one in later if one.state in _TRIED)
    return None


def _was_withdrawn(order: Order, later: Sequence[Order]) -> bool:
    """Whether it stood in the venue's book and left it with something unfilled."""
    if order.intent.order_type is not OrderType.LIMIT:
        return False
    if order.state is OrderState.FILLED:
        # A fill that arrived after the cancel: it had ended already when the next one was planned.
        return any(one.intent.planned_at < order.changed_at for one in later)
    return order.state in (OrderState.CANCELED, OrderState.EXPIRED_AT_VENUE)
