"""Exact amounts: Decimal throughout; a float near money is refused."""

from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_HALF_UP,
    Context,
    Decimal,
    localcontext,
)
from typing import Final

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
BPS: Final = Decimal("0.0001")

#: Enough digits that a product of two amounts of 18 + 18 digits is exact.
EXACT: Final = Context(prec=60)


def amount(value: str | int | Decimal) -> Decimal:
    """A finite Decimal from text, an integer or a Decimal.

    Raises TypeError for a float (its digits are not what was meant) and ValueError for what is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise TypeError(f"expected text, int or Decimal for an amount, got {type(value).__name__} {value!r}")
    try:
        result = Decimal(value)
    except ArithmeticError:
        raise ValueError(f"expected a decimal number, got {value!r}") from None
    if not result.is_finite():
        raise ValueError(f"expected a finite number, got {value!r}")
    return result


def floor_to_step(value: Decimal, step: Decimal) -> Decimal:
    """`value` rounded towards zero to a multiple of `step`; a step of 0 means unset and changes nothing."""
    if step == 0:
        return value
    with localcontext(EXACT):
        return (value / step).to_integral_value(rounding=ROUND_DOWN) * step


def round_to_step(value: Decimal, step: Decimal, *, up: bool) -> Decimal:
    """`value` rounded to a multiple of `step`, up or down (towards ±infinity); a step of 0 changes nothing."""
    if step == 0:
        return value
    with localcontext(EXACT):
        rounding = ROUND_CEILING if up else ROUND_FLOOR
        return (value / step).to_integral_value(rounding=rounding) * step


def on_step(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a whole multiple of `step`; a step of 0 means unset, and everything is."""
    return step == 0 or floor_to_step(value, step) == value


def quantise(value: Decimal, places: int) -> Decimal:
    """`value` with `places` decimals, half to even."""
    with localcontext(EXACT):
        return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def price_from_candle(value: float, tick: Decimal) -> Decimal:
    """The exact price that a candle's float64 stands for: its shortest text, on the tick grid.

    The one bridge from analysis to money. Candles are stored as the float64 nearest to a price of at most 15 digits, so
    the shortest text that gives the same float64 is that price. Raises ValueError for what is not a finite number.
    """
    price = amount(repr(float(value)))
    if tick == 0:
        return price
    with localcontext(EXACT):
        return (price / tick).to_integral_value(rounding=ROUND_HALF_UP) * tick


def plain(value: Decimal) -> str:
    """`value` as text without an exponent and without trailing zeros."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
