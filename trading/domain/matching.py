"""When a simulated order fills, at what price, and what it costs: pure rules that replay and backtest share.

The world of these rules has one candle as its smallest step. **Inside a candle the market stands still at the candle's
open; its path (high, low, close) happens at the instant of its close.** Nothing is ever decided from a candle before
that candle has closed, except from its open, which is the first price after the close before it.

An order fills like this:

- *Market.* At once, at the open of the candle in progress, moved against the taker by the slippage and rounded to the
  tick away from him. At most a share of the previous closed candle's volume is there to be taken in each candle, by all
  takers together. What is beyond it expires, as on a book that is empty behind its best level.
- *Limit, marketable on arrival* (a buy at or above the price that a market buy would get, a sell at or below): fills as
  taker at that price, never worse than its limit, within the same share. The rest rests (GTC) or expires (IOC). FOK
  fills whole or expires; post-only is refused.
- *Resting.* When a candle closes, beginning with the candle of the arrival, each order whose limit was **crossed**
  (a buy: low < limit; a sell: high > limit) fills as maker at its limit. A touch (low == limit) does not fill, since
  the place in the queue is unknown. All resting orders of an instrument divide a share of that candle's volume in the
  order of their arrival. One that a gap crossed fills at its limit too: it stood in the book before the gap.

What is unrealistic: our orders move no price and never meet one another; the spread is the slippage, whatever the
market's mood; there is one price level; a late arrival within a candle still sees its whole path; the share of volume
stands for the queue.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal, localcontext
from enum import StrEnum

from trading.domain.market import Candle
from trading.domain.money import BPS, EXACT, ONE, ZERO, floor_to_step, round_to_step
from trading.domain.order import Side


class TimeInForce(StrEnum):
    """How long an order wants to live."""

    GTC = "GTC"  # until it is cancelled
    IOC = "IOC"  # what fills at once; the rest expires
    FOK = "FOK"  # whole and at once, or not at all


@dataclass(frozen=True, kw_only=True, slots=True)
class FeeModel:
    """A share of what the taker or maker receives: base on buys, quote on sells, cut (not rounded) to `places`."""

    taker_bps: Decimal = Decimal(10)
    maker_bps: Decimal = Decimal(10)
    places: int = 8

    def fee(self, received: Decimal, *, maker: bool) -> Decimal:
        """The fee on an amount received, in that amount's currency."""
        with localcontext(EXACT):
            exact = received * (self.maker_bps if maker else self.taker_bps) * BPS
            return exact.quantize(ONE.scaleb(-self.places), rounding=ROUND_DOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class SlippageModel:
    """A constant distance between the candle's open and what a taker gets."""

    bps: Decimal = Decimal(2)

    def taker_price(self, side: Side, candle_open: Decimal, tick_size: Decimal) -> Decimal:
        """What a taker pays or receives: worse than the open by `bps`, and rounded to the tick against him."""
        with localcontext(EXACT):
            moved = candle_open * (ONE + side.sign * self.bps * BPS)
        price = round_to_step(moved, tick_size, up=side is Side.BUY)
        return max(price, tick_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeShareModel:
    """How much of a candle's volume is ours to take: what stands for the depth of the book and the queue."""

    share: Decimal = Decimal("0.1")

    def capacity(self, volume: Decimal, lot_step: Decimal) -> Decimal:
        """The quantity that all our orders together may fill of `volume`, in whole lots."""
        with localcontext(EXACT):
            return floor_to_step(volume * self.share, lot_step)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchingRules:
    """One instrument's grid and the models of its simulated market. A step of 0 means unset."""

    base: str
    quote: str
    tick_size: Decimal
    lot_step: Decimal
    fees: FeeModel = field(default_factory=FeeModel)
    slippage: SlippageModel = field(default_factory=SlippageModel)
    volume_share: VolumeShareModel = field(default_factory=VolumeShareModel)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkingOrder:
    """What matching needs of an order: which way, how much is left, and at what limit (None: market)."""

    side: Side
    quantity: Decimal
    limit: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """One fill: base quantity at a price, and its fee in the currency that was received."""

    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_currency: str
    maker: bool

    @property
    def notional(self) -> Decimal:
        """Price times quantity, exact, in quote."""
        with localcontext(EXACT):
            return self.price * self.quantity


class Rest(StrEnum):
    """What becomes of an order's unfilled part after its arrival."""

    NONE = "none"  # nothing is left
    RESTS = "rests"
    EXPIRED = "expired"
    WOULD_TAKE = "would_take"  # post-only, and it would have taken: refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """What an order's arrival did."""

    executions: tuple[Execution, ...]
    rest: Rest


def execution(side: Side, price: Decimal, quantity: Decimal, rules: MatchingRules, *, maker: bool) -> Execution:
    """A fill with its fee: in base on a buy, in quote on a sell."""
    with localcontext(EXACT):
        received = quantity if side is Side.BUY else price * quantity
    return Execution(
        price=price,
        quantity=quantity,
        fee=rules.fees.fee(received, maker=maker),
        fee_currency=rules.base if side is Side.BUY else rules.quote,
        maker=maker,
    )


def taker_price(side: Side, candle_open: Decimal, rules: MatchingRules) -> Decimal:
    """What a taker gets in the candle in progress; the simulated best ask (for a buy) or bid (for a sell)."""
    return rules.slippage.taker_price(side, candle_open, rules.tick_size)


def taker_capacity(previous_volume: Decimal, rules: MatchingRules, taken: Decimal = ZERO) -> Decimal:
    """What is left for takers in the candle in progress, after `taken` by earlier ones in it."""
    return max(ZERO, rules.volume_share.capacity(previous_volume, rules.lot_step) - taken)


def market_fill(
    order: WorkingOrder, candle_open: Decimal, previous_volume: Decimal, rules: MatchingRules, taken: Decimal = ZERO
) -> list[Execution]:
    """The taker fills of an order on arrival (none, or one), whatever its limit: the limit is `arrive`'s business.

    `previous_volume` is that of the closed candle before the one in progress; `taken` is what takers had of this one.
    """
    quantity = min(order.quantity, taker_capacity(previous_volume, rules, taken))
    if quantity <= 0:
        return []
    price = taker_price(order.side, candle_open, rules)
    return [execution(order.side, price, quantity, rules, maker=False)]


def is_marketable(order: WorkingOrder, candle_open: Decimal, rules: MatchingRules) -> bool:
    """Whether the order would take on arrival: a market order always, a limit order at or through the taker's price."""
    if order.limit is None:
        return True
    price = taker_price(order.side, candle_open, rules)
    return order.limit >= price if order.side is Side.BUY else order.limit <= price


def arrive(
    order: WorkingOrder, candle_open: Decimal, previous_volume: Decimal, rules: MatchingRules, taken: Decimal = ZERO
) -> Arrival:
    """What happens to an order the moment it arrives, by the candle in progress and the one before it."""
    if order.quantity <= 0:
        raise ValueError(f"expected a quantity > 0 to match, got {order.quantity}")
    rests = order.limit is not None and order.time_in_force is TimeInForce.GTC
    if not is_marketable(order, candle_open, rules):
        return Arrival(executions=(), rest=Rest.RESTS if rests else Rest.EXPIRED)
    if order.post_only:
        return Arrival(executions=(), rest=Rest.WOULD_TAKE)
    executions = tuple(market_fill(order, candle_open, previous_volume, rules, taken))
    left = order.quantity - sum((fill.quantity for fill in executions), ZERO)
    if left == 0:
        return Arrival(executions=executions, rest=Rest.NONE)
    if order.limit is not None and order.time_in_force is TimeInForce.FOK:
        return Arrival(executions=(), rest=Rest.EXPIRED)
    return Arrival(executions=executions, rest=Rest.RESTS if rests else Rest.EXPIRED)


def is_crossed(order: WorkingOrder, candle: Candle) -> bool:
    """Whether a closed candle traded through the order's limit; a touch is not enough."""
    if order.limit is None:
        return False
    return candle.low < order.limit if order.side is Side.BUY else candle.high > order.limit


def match_resting(
    order: WorkingOrder, candle: Candle, remaining_share: Decimal, rules: MatchingRules
) -> list[Execution]:
    """The maker fills (none, or one) that a closed candle gives a resting order, out of what is left of its share."""
    quantity = min(order.quantity, remaining_share)
    if order.limit is None or quantity <= 0 or not is_crossed(order, candle):
        return []
    return [execution(order.side, order.limit, quantity, rules, maker=True)]


def match_candle(orders: Iterable[WorkingOrder], candle: Candle, rules: MatchingRules) -> list[list[Execution]]:
    """What a closed candle gives to all resting orders of its instrument, which come in the order of their arrival."""
    remaining = rules.volume_share.capacity(candle.volume, rules.lot_step)
    result = []
    for order in orders:
        executions = match_resting(order, candle, remaining, rules)
        remaining -= sum((fill.quantity for fill in executions), ZERO)
        result.append(executions)
    return result
