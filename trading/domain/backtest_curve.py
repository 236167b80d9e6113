"""What an account comes to, candle by candle, from its orders alone: the curve of a backtest and its sums."""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trading.domain import backtest_terms as words
from trading.domain.compiled import compiled, inlined

Wholes: TypeAlias = NDArray[np.int64]
#: An int64 inside compiled code.
Whole: TypeAlias = Any
#: What was seen of a curve: scalars in machine code.
_Seen: TypeAlias = Any

_LEAST: Final = -(2**63)


@inlined
def _seen(seen: _Seen, row: int, equity: int, worth: int) -> _Seen:
    """One more candle of the curve."""
    before, inverse, total, exposure, returns, squares, losses, best, trough, deepest, best_row, longest = seen
    gain = float(equity - before) * inverse
    inverse = 1.0 / float(equity)
    if equity >= best:
        if trough < best:
            deepest = min(deepest, float(trough) / float(best))
        longest, best, trough, best_row = max(longest, row - best_row), equity, equity, row
    else:
        trough = min(trough, equity)
    loss = min(gain, 0.0)
    return (
        equity,
        inverse,
        total + float(equity),
        exposure + float(worth) * inverse,
        returns + gain,
        squares + gain * gain,
        losses + loss * loss,
        best,
        trough,
        deepest,
        best_row,
        longest,
    )


@inlined
def _seen_again(seen: _Seen, row: int, times: int) -> _Seen:
    """So many more candles up to `row` that leave an account without positions as it was."""
    before, inverse, total, exposure, returns, squares, losses, best, trough, deepest, best_row, longest = seen
    if times > 0:
        total += float(before) * times
        if before >= best:
            best_row, longest = row, max(longest, 1)
    return before, inverse, total, exposure, returns, squares, losses, best, trough, deepest, best_row, longest


@inlined
def _booked(order: Wholes, value: Wholes, held: Wholes, cash: Whole, sums: NDArray[np.float64]) -> Whole:
    """Take an order's fill into `held` and `sums`; the cash after it."""
    j, filled = order[words.INSTRUMENT], order[words.FILLED]
    tick, paid = order[words.PRICE] * value[j], filled * order[words.PRICE] * value[j]
    if filled == 0:
        return cash
    sums[words.TRADED] += float(paid)
    if order[words.QUANTITY] > 0:
        held[j] += filled - order[words.FEE]
        sums[words.FEES] += float(order[words.FEE]) * float(tick)
        return cash - paid
    held[j] -= filled
    sums[words.FEES] += float(order[words.FEE])
    sums[words.SALES] += 1
    sums[words.HITS] += order[words.RESULT] > 0
    sums[words.GAINED] += max(float(order[words.RESULT]), 0.0)
    sums[words.LOST] -= min(float(order[words.RESULT]), 0.0)
    return cash + paid - order[words.FEE]


@inlined
def _newest(closes: Wholes, row: int, j: int) -> Whole:
    """The last close up to `row`; 0 where there was none."""
    while row > 0 and closes[row, j] <= 0:
        row -= 1
    return max(closes[row, j], 0)


@inlined
def _add_up(seen: _Seen, candles: int, sums: NDArray[np.float64]) -> None:
    """Set the sums of the curve."""
    last, _, total, exposure, returns, squares, losses, best, trough, deepest, best_row, longest = seen
    if trough < best:
        deepest = min(deepest, float(trough) / float(best))
    sums[words.LAST], sums[words.TOTAL], sums[words.EXPOSURE] = last, total, exposure
    sums[words.RETURNS], sums[words.SQUARES], sums[words.LOSSES] = returns, squares, losses
    sums[words.DEEPEST], sums[words.LONGEST] = deepest, max(longest, candles - 1 - best_row)


@compiled
def follow(
    closes: Wholes, orders: Wholes, value: Wholes, cash: int, first: int, units: Wholes, invested: Wholes
) -> NDArray[np.float64]:
    """Sums of the curve from candle `first` on, and of all trades (names of `words`): in units and candles.

    closes: ticks (candles, instruments); orders: as `simulate` gives them. `units` and `invested` are set to the equity
    and what is invested at each close where they have room for it, and are left alone where they are empty.
    """
    candles, instruments = closes.shape
    held, last, sums = np.zeros(instruments, np.int64), np.zeros(instruments, np.int64), np.zeros(words.SUMS)
    seen = (0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, _LEAST, _LEAST, 1.0, first, 0)
    row, number = 0, 0
    while row < candles:
        while number < len(orders) and orders[number, words.ROW] < row:
            cash = _booked(orders[number], value, held, cash, sums)
            number += 1
        until = orders[number, words.ROW] + 1 if number < len(orders) else candles
        if held.any():
            for j in range(instruments):
                last[j] = _newest(closes, row, j)
            for at in range(row, until):
                worth = 0
                for j in range(instruments):
                    last[j] = closes[at, j] if closes[at, j] > 0 else last[j]
                    worth += held[j] * value[j] * last[j]
                if len(units) > 0:
                    units[at], invested[at] = cash + worth, worth
                if at == first:
                    sums[words.FIRST] = cash + worth
                if at >= first:
                    seen = _seen(seen, at, cash + worth, worth)
        else:
            units[row:until], invested[row:until] = cash, 0
            begin = max(row, first)
            if begin < until:
                sums[words.FIRST] = cash if begin == first else sums[words.FIRST]
                seen = _seen_again(_seen(seen, begin, cash, 0), until - 1, until - 1 - begin)
        row = until
    _add_up(seen, candles, sums)
    return sums
