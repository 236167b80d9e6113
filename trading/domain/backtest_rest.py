"""Between which prices a backtest of one instrument sends nothing: its candles need not be looked at one by one.

It is inlined into backtest_kernel.py: touch that file where this one changes, or numba keeps the old machine code.
"""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trading.domain import backtest_terms as words
from trading.domain.backtest_terms import WHOLE, Terms
from trading.domain.compiled import inlined

#: An int64 inside compiled code.
Whole: TypeAlias = Any

#: The share of the equity that no rounding of floats reaches, and the part of a price that is the narrowest stretch
#: worth looking for.
_ROOM: Final = 1e-12
_AFTER_RESERVE: Final = 0.9901  # a buy leaves one per cent for its slippage and fee
_NARROWEST: Final = 512
#: Why nothing is sent: no signal, less than the venue takes, or nearer to the target than the threshold.
_SILENT, _TOO_SMALL, _NEAR = 1, 2, 4
_BUYS_ONLY: Final = 8  # and that is no reason where cash buys as much as the venue takes
#: Of the one instrument, as floats: units an atom is worth at one tick, lot, smallest notional; shares of the equity
#: that is invested for a millionth of weight, and that is worth an order.
One: TypeAlias = tuple[float, float, float, float, float]


@inlined
def as_floats(filters: NDArray[np.int64], terms: Terms) -> One:
    """What `span` needs of the first instrument."""
    return (
        float(filters[0, 0]),
        float(filters[0, 1]),
        float(filters[0, 5]),
        float(terms.investable) / (WHOLE * words.WHOLE_WEIGHT),
        float(terms.threshold) / WHOLE,
    )


@inlined
def _rest(close: Whole, cash: Whole, held: Whole, weight: Whole, one: One) -> Whole:
    """Why nothing is sent at this close, with room for every rounding; 0 where something may be. Of one instrument."""
    value, lot, least, investable, threshold = one
    unit = float(close) * value
    worth = float(held) * unit
    equity = float(cash) + worth
    if not 0 < equity < words.MOST_UNITS / 2:
        return 0
    if weight < 0:
        return _SILENT
    aim, room = equity * (investable * float(weight)), equity * _ROOM
    bought, sold = aim - worth + room, worth - aim + (lot * unit if weight > 0 else 0.0) + room
    near = aim > lot * unit + room and max(bought, sold) < equity * threshold
    return (_NEAR if near else 0) | ((_BUYS_ONLY | (_TOO_SMALL if bought < least else 0)) if sold < least else 0)


@inlined
def _most_bought(low: Whole, high: Whole, cash: Whole, one: One) -> float:
    """No less than what cash buys, in whole lots, at any price between the two."""
    value, lot, _, _, _ = one
    lots = np.floor(float(cash) * _AFTER_RESERVE / (lot * value * float(low)))
    return float(lots * lot * value * float(high))


@inlined
def span(close: Whole, cash: Whole, held: Whole, weight: Whole, one: One) -> tuple[Whole, Whole]:
    """The lowest and highest close around this one at which nothing is sent, of one instrument under one weight.

    What is to change, and the threshold, are straight lines over the price: where nothing is sent at two prices, and
    for one reason, nothing is between them.
    """
    if held == 0 and weight <= 0:
        return 0, words.MOST_UNITS
    part = 2 if close > 0 and _rest(close, cash, held, weight, one) else 2 * _NARROWEST
    while part <= _NARROWEST:
        low, high = close - close // part, close + close // part
        why = _rest(low, cash, held, weight, one) & _rest(high, cash, held, weight, one)
        if why == _BUYS_ONLY and _most_bought(low, high, cash, one) < one[2]:
            why = _TOO_SMALL
        if why & ~_BUYS_ONLY:
            return low, high
        part *= 2
    return 0, -1
