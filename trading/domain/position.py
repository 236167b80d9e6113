"""Positions: the fold of fills, net of fees paid in base."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from trading.domain.ledger import Fill
from trading.domain.market import Instrument
from trading.domain.money import EXACT, ZERO
from trading.domain.order import Side


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """What a strategy holds of an instrument: quantity in base; cost (average) and realised result in quote."""

    quantity: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        """Cost a unit of base; zero where nothing is held."""
        return EXACT.divide(self.cost, self.quantity) if self.quantity else ZERO


def apply_fill(position: Position, instrument: Instrument, fill: Fill) -> Position:
    """The position after `fill`. A fee in base shrinks the quantity; one in quote adds to cost or lowers proceeds."""
    base_fee = fill.fee if fill.fee_currency == instrument.base else ZERO
    quote_fee = fill.fee if fill.fee_currency == instrument.quote else ZERO
    with localcontext(EXACT):
        notional = fill.price * fill.quantity
        if fill.side is Side.BUY:
            return Position(
                quantity=position.quantity + fill.quantity - base_fee,
                cost=position.cost + notional + quote_fee,
                realised=position.realised,
            )
        sold = fill.quantity + base_fee
        released = position.cost if sold >= position.quantity else position.cost * sold / position.quantity
        return Position(
            quantity=position.quantity - sold,
            cost=position.cost - released,
            realised=position.realised + notional - quote_fee - released,
        )


def fold_fills(instrument: Instrument, fills: Iterable[Fill]) -> Position:
    """The position that these fills of one instrument, in their order, make."""
    position = Position()
    for fill in fills:
        position = apply_fill(position, instrument, fill)
    return position
