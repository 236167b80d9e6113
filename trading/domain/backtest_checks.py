"""The taker's price and the pre-trade checks of a backtest, in whole numbers, as `matching` and `risk` have them.

It is inlined into backtest_kernel.py: touch that file where this one changes, or numba keeps the old machine code.
"""

from typing import Any, TypeAlias

import numpy as np

from trading.domain.backtest_terms import UNSET, WHOLE, Filters, Terms
from trading.domain.compiled import inlined

#: An int64 inside compiled code.
Whole: TypeAlias = Any

#: Outcomes, in the order of `backtest_terms.OUTCOMES`.
FILLED, PARTIALLY_FILLED, EXPIRED, MAX_QUANTITY, MIN_NOTIONAL, MAX_ORDER_NOTIONAL = range(6)
PRICE_COLLAR, MAX_POSITION, MAX_GROSS_EXPOSURE, INSUFFICIENT_FUNDS, NOTIONAL_REFUSED, FUNDS_REFUSED = range(6, 12)


@inlined
def share(whole: Whole, part: Whole, of: Whole) -> Whole:
    """Floor of whole * part / of, exact where the result is below 2**62, though the product may not fit.

    A float comes near enough that the remainder is small again; dividing whole numbers would take several times longer.
    """
    near = np.int64(float(whole) * float(part) / float(of))
    rest = whole * part - near * of
    while rest < 0:
        near, rest = near - 1, rest + of
    while rest >= of:
        near, rest = near + 1, rest - of
    return near


@inlined
def taker_price(open_ticks: Whole, buys: bool, slippage: Whole) -> Whole:
    """Worse than the open by the slippage, rounded to the tick against the taker; at least a tick."""
    if buys:
        return -((-open_ticks * (WHOLE + slippage)) // WHOLE)
    return max(open_ticks * (WHOLE - slippage) // WHOLE, 1)


@inlined
def check(
    quantity: Whole,
    one: Filters,
    buys: bool,
    prices: tuple[Whole, Whole, Whole],
    held: Whole,
    gross: Whole,
    free: Whole,
    equity: Whole,
    terms: Terms,
) -> Whole:
    """The first pre-trade check that denies the order, in the order in which `risk` asks them; -1 where none does.

    `prices` are the last close, the expected price and the open; `gross` and `free` count the buys sent before it.
    """
    close, expected, opened = prices
    value = one.value
    notional = quantity * max(close, expected) * value
    if one.most != UNSET and quantity > one.most:
        return MAX_QUANTITY
    if quantity * expected * value < one.least_notional:
        return MIN_NOTIONAL
    if terms.most_order != UNSET and notional > terms.most_order:
        return MAX_ORDER_NOTIONAL
    if terms.collar != UNSET and abs(expected - close) * WHOLE > close * terms.collar:
        return PRICE_COLLAR
    if buys:
        if terms.most_position != UNSET and held * close * value + notional > terms.most_position:
            return MAX_POSITION
        if terms.most_gross != UNSET and gross + notional > share(equity + terms.outside, terms.most_gross, WHOLE):
            return MAX_GROSS_EXPOSURE
        if notional > free:
            return INSUFFICIENT_FUNDS
    if quantity * opened * value < one.least_notional:
        return NOTIONAL_REFUSED
    return -1
